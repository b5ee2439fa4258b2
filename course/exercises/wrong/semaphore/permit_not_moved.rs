//! Wrong: the permit stays in the loop, and is released before the job starts.
//! Fails with: more than three jobs ran at the same time

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};
use shared::asyncio::Queue;
use tokio::sync::Semaphore;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    let semaphore = Arc::new(Semaphore::new(3));
    let mut tasks = Vec::new();
    loop {
        let _permit = semaphore.acquire().await.unwrap();
        let Ok(number) = queue.try_get() else { break };
        tasks.push(tokio::spawn(job(number)));
    }
    try_join_all(tasks).await.unwrap();
}
