//! Run the jobs in a queue, each in a task of its own, at most three at a time.
//! A job stays in the queue until it may run.
//!
//! ```python
//! async def run_all(queue, job):
//!     semaphore = asyncio.Semaphore(3)
//!
//!     async def run_one(number):
//!         try:
//!             await job(number)
//!         finally:
//!             semaphore.release()
//!
//!     tasks = []
//!     while True:
//!         await semaphore.acquire()
//!         if queue.empty():
//!             break
//!         tasks.append(asyncio.create_task(run_one(queue.get_nowait())))
//!     await asyncio.gather(*tasks)
//! ```
//!
//! Hint: the permit is acquired here and released in the task, so it has to go
//! there. That is what `acquire_owned` is for; it takes an `Arc` of the
//! semaphore. What Python calls `empty` and `get_nowait` is `is_empty` and
//! `try_get` here.

use futures::future::BoxFuture;
use shared::asyncio::Queue;

/// Calls and awaits `job` for each number in the queue, until none is left and
/// all jobs have ended.
pub async fn run_all(queue: &Queue<u32>, job: fn(u32) -> BoxFuture<'static, ()>) {
    todo!()
}
