//! Wrong: the lock is released between the comparison and the store.
//! Fails with: a larger weight was lost

use std::sync::Mutex;
use std::thread;

pub fn record(largest: &Mutex<u32>, weight: u32) {
    if weight > *largest.lock().unwrap() {
        *largest.lock().unwrap() = weight;
    }
}

pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    let largest = Mutex::new(0);
    thread::scope(|scope| {
        for item in boxes {
            let largest = &largest;
            scope.spawn(move || record(largest, weigh(item)));
        }
    });
    largest.into_inner().unwrap()
}
