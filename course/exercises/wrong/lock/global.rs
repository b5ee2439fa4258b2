//! Wrong: the largest weight of an earlier call is still in a `static`.
//! Fails with: a weight of an earlier call was returned

use std::sync::Mutex;
use std::thread;

static LARGEST: Mutex<u32> = Mutex::new(0);

pub fn record(largest: &Mutex<u32>, weight: u32) {
    let mut largest = largest.lock().unwrap();
    if weight > *largest {
        *largest = weight;
    }
}

pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    let mut threads = Vec::new();
    for item in boxes {
        threads.push(thread::spawn(move || record(&LARGEST, weigh(item))));
    }
    for t in threads {
        t.join().unwrap();
    }
    *LARGEST.lock().unwrap()
}
