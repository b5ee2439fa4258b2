//! Wrong: `get` waits for ever.
//! Fails with: `collect` did not return

use std::time::Duration;

use shared::asyncio::Queue;

pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    while patience > Duration::ZERO {
        items.push(queue.get().await);
        queue.task_done();
    }
    items
}
