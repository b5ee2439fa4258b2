//! Let a thousand threads count together, one at a time.
//!
//! Python: `lock.py`
//! Run: `cargo run -p threading --bin lock`
//! Differs:
//! - The counter is inside the lock and can be reached only by locking it. In
//!   Python the two are apart: code that forgets `lock` runs all the same, and
//!   increments are lost.

use std::{sync::Mutex, thread};

static COUNTER: Mutex<i32> = Mutex::new(0);

fn increment_counter() {
    // Locked until `counter` goes out of scope, as in the block of `with`.
    // `lock` returns an error if a thread panicked while it held the lock.
    let mut counter = COUNTER.lock().unwrap();
    let mut temp = *counter;
    temp += 1;
    *counter = temp;
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
