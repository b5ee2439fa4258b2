//! Take items from a queue until none has come for a while, and tell the queue
//! of each that it is done.
//!
//! ```python
//! async def collect(queue, patience):
//!     items = []
//!     while True:
//!         try:
//!             item = await asyncio.wait_for(queue.get(), patience)
//!         except asyncio.TimeoutError:
//!             return items
//!         items.append(item)
//!         queue.task_done()
//! ```
//!
//! Hint: `tokio::time::timeout` takes a future and returns one that gives a
//! `Result`.

use std::time::Duration;

use shared::asyncio::Queue;

/// Returns the items that came, when no other has come for `patience`.
pub async fn collect(queue: &Queue<u32>, patience: Duration) -> Vec<u32> {
    todo!()
}
