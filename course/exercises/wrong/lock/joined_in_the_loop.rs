//! Wrong: each thread is joined before the next one starts.
//! Fails with: the boxes were weighed one after the other

use std::sync::Mutex;
use std::thread;

pub fn record(largest: &Mutex<u32>, weight: u32) {
    let mut largest = largest.lock().unwrap();
    *largest = weight.max(*largest);
}

pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    let largest = Mutex::new(0);
    for item in boxes {
        thread::scope(|scope| {
            scope.spawn(|| record(&largest, weigh(item)));
        });
    }
    largest.into_inner().unwrap()
}
