//! Start five threads and wait for them.
//!
//! Python: `thread.py`
//! Run: `cargo run -p threading --bin thread`
//! Differs:
//! - If a worker panics, `join` returns an error, and `unwrap` makes `main`
//!   fail. Python's program prints the exception, goes on, and exits 0.

use std::thread;

/// The task that each thread runs.
fn worker(num: i32) {
    println!("Worker {num} is running");
}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        // `move` copies `i` into the closure: the thread may outlive the loop.
        let t = thread::spawn(move || worker(i));
        threads.push(t); // already running, because `spawn` starts it
    }

    // A thread that is not joined ends when `main` returns. Python would
    // still wait for it.
    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
