//! Wrong: a thread that panicked has the result 0.
//! Fails with: a thread panicked, and nobody was told

use std::thread;

pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    let threads: Vec<_> = numbers
        .into_iter()
        .map(|number| thread::spawn(move || compute(number)))
        .collect();
    threads
        .into_iter()
        .map(|t| t.join().unwrap_or_default())
        .collect()
}
