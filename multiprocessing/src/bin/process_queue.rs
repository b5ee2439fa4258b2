//! Hand five items from one process to another through a queue.
//!
//! Python: `process_queue.py`
//! Run: `cargo run -p multiprocessing --bin process_queue`
//! Differs:
//! - An item is in the queue when `put` returns, so `is_empty` is exact. In
//!   Python a thread writes it to a pipe later; until then `empty` may be true.
//! - `p1.join` needs no consumer. In Python it deadlocks if the items take more
//!   than the pipe's 64 KiB: the producer cannot exit before all are written.

use shared::multiprocessing::{self, Process, Queue};

fn producer(q: &Queue<i32>) {
    for i in 0..5 {
        // If `put` fails, `unwrap` panics, which ends the process as an
        // exception does in Python.
        q.put(i).unwrap();
        println!("Produced {i}");
    }
}

fn consumer(q: &Queue<i32>) {
    while !q.is_empty() {
        let item = q.get().unwrap();
        println!("Consumed {item}");
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls its target in here, and exits
    let q = Queue::new()?;

    let p1 = Process::new(producer, (&q,));
    let p2 = Process::new(consumer, (&q,));

    let p1 = p1.start()?;
    p1.join()?;

    let p2 = p2.start()?;
    p2.join()?;
    Ok(())
}
