//! Wrong: it looks into the queue only once in a while.
//! Fails with: `collect` did not return a second after the last item

use std::time::Duration;

use shared::asyncio::Queue;
use tokio::time::sleep;

pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    let mut items = Vec::new();
    loop {
        while let Ok(item) = queue.try_get() {
            items.push(item);
            queue.task_done();
        }
        sleep(patience).await;
        if queue.is_empty() {
            return items;
        }
    }
}
