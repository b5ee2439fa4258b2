//! Derive a class from Thread and start five threads of it: in Rust the class
//! is a type, and what it derives from is a trait.
//!
//! Python: `thread_subclass.py`
//! Run: `cargo run -p threading --bin thread_subclass`
//! Differs:
//! - There is no `super().__init__()` to forget. Without it, Python raises
//!   `RuntimeError` when the thread starts; with the tutorial's
//!   `threading.Thread(self)` in its place, `AssertionError` at once.
//! - If `run` panics, `join` returns an error, as in `thread`.

use shared::threading::Thread;

struct MyThread {
    num: i32,
}

impl Thread for MyThread {
    fn run(self) {
        println!("Thread {} is running", self.num);
    }
}

fn main() {
    let mut threads = Vec::new();
    for i in 0..5 {
        let t = MyThread { num: i };
        // `start` returns the handle that `join` needs.
        threads.push(t.start());
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
