//! Each task drops its permit when its job has ended.

use std::sync::Arc;

use futures::future::{BoxFuture, try_join_all};
use shared::asyncio::Queue;
use tokio::sync::Semaphore;

/// Calls and awaits `job` for each number in the queue, until none is left and
/// all jobs have ended.
pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    let semaphore = Arc::new(Semaphore::new(3));
    let mut tasks = Vec::new();
    loop {
        let permit = semaphore.clone().acquire_owned().await.unwrap();
        let Ok(number) = queue.try_get() else { break };
        tasks.push(tokio::spawn(async move {
            job(number).await;
            drop(permit);
        }));
    }
    try_join_all(tasks).await.unwrap();
}
