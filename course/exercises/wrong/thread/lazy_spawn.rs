//! Wrong: an iterator is lazy, so each thread starts when the last has ended.
//! Fails with: the five ran one after the other

use std::thread;

pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    let threads = numbers
        .into_iter()
        .map(|number| thread::spawn(move || compute(number)));
    threads.map(|t| t.join().unwrap()).collect()
}
