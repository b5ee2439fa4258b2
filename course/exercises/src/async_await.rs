//! Await several coroutines at the same time, without a task for any of them.
//!
//! ```python
//! async def compute_all(numbers, compute):
//!     return await asyncio.gather(*[compute(n) for n in numbers])
//! ```
//!
//! Hint: a call of an `async fn` does nothing yet. It makes a future, and
//! `futures::future::join_all` awaits a whole `Vec` of them.

/// Returns what `compute(number)` returns for each number, in their order.
pub async fn compute_all(numbers: Vec<u32>, compute: impl AsyncFn(u32) -> u32) -> Vec<u32> {
    todo!()
}
