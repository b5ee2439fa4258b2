//! Let a thousand threads count together, one at a time.
//!
//! Python: `lock.py`
//! Run: `cargo run -p threading --bin lock`

use std::{sync::Mutex, thread};

// The lock holds what it guards: there is no way to the counter around it.
static COUNTER: Mutex<i32> = Mutex::new(0);

fn increment_counter() {
    *COUNTER.lock().unwrap() += 1;
}

fn main() {
    let mut threads = Vec::new();
    for _ in 0..1000 {
        let t = thread::spawn(increment_counter);
        threads.push(t);
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("Final counter value: {}", COUNTER.lock().unwrap());
}
