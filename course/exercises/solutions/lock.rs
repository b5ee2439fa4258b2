//! The lock is held from the comparison to the store.

use std::sync::Mutex;
use std::thread;

/// Stores `weight` in `largest` if it is larger than what is there.
pub fn record(largest: &Mutex<u32>, weight: u32) {
    let mut largest = largest.lock().unwrap();
    if weight > *largest {
        *largest = weight;
    }
}

/// Returns the largest weight, or 0 if there is no box.
pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    let largest = Mutex::new(0);
    // The scope joins its threads at its end.
    thread::scope(|scope| {
        for item in boxes {
            let largest = &largest;
            scope.spawn(move || record(largest, weigh(item)));
        }
    });
    largest.into_inner().unwrap()
}
