//! Wrong: each task is awaited before the next one starts.
//! Fails with: the jobs ran one after the other

use futures::future::BoxFuture;
use shared::asyncio::Queue;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    while let Ok(number) = queue.try_get() {
        tokio::spawn(job(number)).await.unwrap();
    }
}
