//! Wrong: the threads are taken from the end of the list.
//! Fails with: the results are not in the order of the numbers

use std::thread;

pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    let mut threads = Vec::new();
    for number in numbers {
        threads.push(thread::spawn(move || compute(number)));
    }
    let mut results = Vec::new();
    while let Some(t) = threads.pop() {
        results.push(t.join().unwrap());
    }
    results
}
