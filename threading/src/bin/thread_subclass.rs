//! Derive a class from Thread and start five of it: a type and a trait.
//!
//! Python: `thread_subclass.py`
//! Run: `cargo run -p threading --bin thread_subclass`
//! Differs:
//! - There is no `super().__init__()` to forget. Python's thread without it
//!   raises when it starts, and `threading.Thread(self)` in its place raises
//!   at once.
//! - A panic in `run` reaches `join`, as in `thread`.

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
    for num in 0..5 {
        let t = MyThread { num }.start();
        threads.push(t);
    }

    for t in threads {
        t.join().unwrap();
    }

    println!("All threads have finished.");
}
