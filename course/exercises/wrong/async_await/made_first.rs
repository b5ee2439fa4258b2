//! Wrong: all futures are made first, but each begins only when it is awaited.
//! Fails with: the five did not sleep at the same time

pub async fn compute_all(numbers: Vec<u32>, compute: impl AsyncFn(u32) -> u32) -> Vec<u32> {
    let mut futures = Vec::new();
    for n in numbers {
        futures.push(compute(n));
    }
    let mut results = Vec::new();
    for future in futures {
        results.push(future.await);
    }
    results
}
