//! Hand five items from one process to another through a queue.
//!
//! Python: `process_queue.py`
//! Run: `cargo run -p multiprocessing --bin process_queue`
//! Differs:
//! - An item is in the queue when `put` returns, so `is_empty` is exact. In
//!   Python a thread carries it there later, and `empty` may be true.
//! - `p1.join` never waits for a reader. In Python it waits for ever if more
//!   than the pipe holds (64 KiB) is in the queue.

use shared::multiprocessing::{self, Process, Queue};

fn producer(q: &Queue<i32>) {
    for i in 0..5 {
        // To panic is to raise: the process ends, and `join` says why.
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
    multiprocessing::init();
    let q = Queue::new()?;

    let p1 = Process::new(producer, (&q,));
    let p2 = Process::new(consumer, (&q,));

    p1.start()?.join()?;
    p2.start()?.join()?;
    Ok(())
}
