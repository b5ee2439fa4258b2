//! Hand five items from one thread to another through a queue.
//!
//! Python: `thread_queue.py`
//! Run: `cargo run -p threading --bin thread_queue`
//! Differs:
//! - The consumer gets every item. In Python one that is quicker than the
//!   producer finds the queue empty and returns, and nobody gets the rest.

// As with Python's queue, any number of threads may receive. With std's `mpsc`
// only one may, which would do here.
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::thread;

fn producer(q: Sender<i32>) {
    for i in 0..5 {
        q.send(i).unwrap(); // an error if no consumer is left
        println!("Produced {i}");
    }
    // The only sender is dropped here, which closes the channel.
}

fn consumer(q: Receiver<i32>) {
    // The loop waits for each item, and ends when the channel is empty and
    // closed.
    for item in q {
        println!("Consumed {item}");
    }
}

fn main() {
    let (sender, receiver) = unbounded(); // the two ends of the queue
    let mut threads = Vec::new();

    // `move` gives each thread its end of the queue; `spawn` also starts it.
    let t1 = thread::spawn(move || producer(sender));
    let t2 = thread::spawn(move || consumer(receiver));

    threads.push(t1);
    threads.push(t2);

    for t in threads {
        t.join().unwrap();
    }
}
