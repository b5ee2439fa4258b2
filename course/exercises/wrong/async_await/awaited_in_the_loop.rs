//! Wrong: each coroutine is awaited before the next one is called.
//! Fails with: the five did not sleep at the same time

pub async fn compute_all(numbers: Vec<u32>, compute: impl AsyncFn(u32) -> u32) -> Vec<u32> {
    let mut results = Vec::new();
    for number in numbers {
        results.push(compute(number).await);
    }
    results
}
