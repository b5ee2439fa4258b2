//! Wrong: each thread weighs its box while it holds the lock.
//! Fails with: the boxes were weighed one after the other

use std::sync::Mutex;
use std::thread;

pub fn record(largest: &Mutex<u32>, weight: u32) {
    let mut largest = largest.lock().unwrap();
    *largest = weight.max(*largest);
}

pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    let largest = Mutex::new(0);
    thread::scope(|scope| {
        for item in boxes {
            let largest = &largest;
            scope.spawn(move || {
                let mut largest = largest.lock().unwrap();
                *largest = weigh(item).max(*largest);
            });
        }
    });
    largest.into_inner().unwrap()
}
