//! Wrong: a job that panics does not reach the line that releases its permit.
//! Fails with: `run_all` did not return

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};
use shared::asyncio::Queue;
use tokio::sync::Semaphore;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    let semaphore = Arc::new(Semaphore::new(3));
    let mut tasks = Vec::new();
    loop {
        semaphore.acquire().await.unwrap().forget();
        let Ok(number) = queue.try_get() else { break };
        let semaphore = semaphore.clone();
        tasks.push(tokio::spawn(async move {
            job(number).await;
            semaphore.add_permits(1);
        }));
    }
    try_join_all(tasks).await.unwrap();
}
