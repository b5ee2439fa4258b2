//! Hand five items from one thread to another through a queue.
//!
//! Python: `thread_queue.py`
//! Run: `cargo run -p threading --bin thread_queue`
//! Differs:
//! - The consumer gets every item. In Python one that is quicker than the
//!   producer finds the queue empty, leaves, and the rest is lost.

use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread;

fn producer(q: Sender<i32>) -> anyhow::Result<()> {
    for i in 0..5 {
        q.send(i)?;
        println!("Produced {i}");
    }
    // The one sender is dropped here, and that closes the channel.
    Ok(())
}

fn consumer(q: Receiver<i32>) {
    for item in q {
        println!("Consumed {item}");
    }
}

fn main() -> anyhow::Result<()> {
    let (sender, receiver) = unbounded();

    let t1 = thread::spawn(|| producer(sender));
    let t2 = thread::spawn(|| consumer(receiver));

    t1.join().unwrap()?;
    t2.join().unwrap();
    Ok(())
}
