//! Wrong: the results come in the order in which the coroutines end.
//! Fails with: the results are not in the order of the numbers

use futures::stream::{FuturesUnordered, StreamExt};

pub async fn compute_all(numbers: Vec<u32>, compute: impl AsyncFn(u32) -> u32) -> Vec<u32> {
    let futures: FuturesUnordered<_> = numbers.into_iter().map(|number| compute(number)).collect();
    futures.collect().await
}
