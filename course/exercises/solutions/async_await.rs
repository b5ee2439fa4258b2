//! `map` makes the futures, `join_all` runs them.

use futures::future::join_all;

/// Returns what `compute(number)` returns for each number, in their order.
pub async fn compute_all(numbers: Vec<u32>, compute: impl AsyncFn(u32) -> u32) -> Vec<u32> {
    join_all(numbers.into_iter().map(|number| compute(number))).await
}
