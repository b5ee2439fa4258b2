//! Wrong: the next three start when the last three have all ended.
//! Fails with: a job did not start although a permit was free

use futures::future::{BoxFuture, try_join_all};
use shared::asyncio::Queue;

pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    while !queue.is_empty() {
        let three = (0..3).filter_map(|_| queue.try_get().ok());
        let tasks = three.map(|number| tokio::spawn(job(number)));
        try_join_all(tasks).await.unwrap();
    }
}
