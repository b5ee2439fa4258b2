//! All threads are started before the first one is joined.

use std::thread;

/// Returns `compute(number)` for each number, in their order.
pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    let mut threads = Vec::new();
    for number in numbers {
        let t = thread::spawn(move || compute(number));
        threads.push(t);
    }
    threads.into_iter().map(|t| t.join().unwrap()).collect()
}
