//! Each `get` has a limit of its own.

use std::time::Duration;

use shared::asyncio::Queue;
use tokio::time::timeout;

/// Returns the items that came, when no other has come for `patience`.
pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    while let Ok(item) = timeout(patience, queue.get()).await {
        items.push(item);
        queue.task_done();
    }
    items
}
