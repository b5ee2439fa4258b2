//! Wrong: the function returns when all jobs have started.
//! Fails with: `run_all` returned before all jobs had ended

use std::sync::Arc;

use futures::future::BoxFuture;
use shared::asyncio::Queue;
use tokio::sync::Semaphore;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    let semaphore = Arc::new(Semaphore::new(3));
    loop {
        let permit = semaphore.clone().acquire_owned().await.unwrap();
        let Ok(number) = queue.try_get() else { break };
        tokio::spawn(async move {
            job(number).await;
            drop(permit);
        });
    }
}
