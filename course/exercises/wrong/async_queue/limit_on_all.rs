//! Wrong: the limit holds for all items together.
//! Fails with: an item that came in time was left in the queue

use std::time::Duration;

use shared::asyncio::Queue;
use tokio::time::timeout;

pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    let all = async {
        loop {
            items.push(queue.get().await);
            queue.task_done();
        }
    };
    let _: Result<(), _> = timeout(patience, all).await;
    items
}
