//! Wrong: all jobs are taken from the queue and wait in tasks.
//! Fails with: a job was taken from the queue before it could run

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};
use shared::asyncio::Queue;
use tokio::sync::Semaphore;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    let semaphore = Arc::new(Semaphore::new(3));
    let mut tasks = Vec::new();
    while let Ok(number) = queue.try_get() {
        let semaphore = semaphore.clone();
        tasks.push(tokio::spawn(async move {
            let _permit = semaphore.acquire().await.unwrap();
            job(number).await;
        }));
    }
    try_join_all(tasks).await.unwrap();
}
