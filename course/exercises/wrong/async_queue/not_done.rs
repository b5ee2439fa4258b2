//! Wrong: the queue is not told that an item is done.
//! Fails with: `join` waits for an item that was taken

use std::time::Duration;

use shared::asyncio::Queue;
use tokio::time::timeout;

pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    while let Ok(item) = timeout(patience, queue.get()).await {
        items.push(item);
    }
    items
}
