//! Wrong: an empty queue is taken for the end.
//! Fails with: an item that came in time was left in the queue

use std::time::Duration;

use shared::asyncio::Queue;
use tokio::time::sleep;

pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    while let Ok(item) = queue.try_get() {
        items.push(item);
        queue.task_done();
    }
    sleep(patience).await;
    items
}
