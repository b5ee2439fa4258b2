//! Run two workers as tasks, and beside them a third task without an end. When
//! the workers have ended, cancel the third, which then cleans up.
//!
//! ```python
//! async def run(worker, background, cleanup):
//!     async def with_cleanup():
//!         try:
//!             await background()
//!         finally:
//!             cleanup()
//!
//!     tasks = [asyncio.create_task(worker(i)) for i in range(2)]
//!     third = asyncio.create_task(with_cleanup())
//!     await asyncio.gather(*tasks)
//!     third.cancel()
//!     try:
//!         await third
//!     except asyncio.CancelledError:
//!         pass
//! ```
//!
//! Hint: a task that is aborted goes no further than its current `await`. Its
//! variables are dropped there, so what takes the place of `finally` is a
//! variable of a type of your own: `impl Drop` gives the type a function
//! `drop(&mut self)`, which calls `cleanup`.

use futures::future::BoxFuture;

/// Runs `worker(0)`, `worker(1)` and `background` until both workers have
/// ended. Returns when `cleanup` has been called.
pub async fn run(
    worker: fn(u32) -> BoxFuture<'static, ()>,
    background: BoxFuture<'static, ()>,
    cleanup: fn(),
) {
    todo!()
}
