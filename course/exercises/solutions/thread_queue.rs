//! The only sender goes to the producer, which drops it at its end.

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: Receiver<u32>, handle: fn(u32)) -> usize {
    let mut count = 0;
    for item in q {
        handle(item);
        count += 1;
    }
    count
}

/// Calls `handle` once for each item, and returns how many items each of the
/// two consumers has handled.
pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (sender, receiver) = unbounded();
    let producer = thread::spawn(move || {
        for item in items {
            sender.send(item).unwrap(); // an error if no consumer is left
        }
    });
    let consumers = [receiver.clone(), receiver].map(|q| thread::spawn(move || consume(q, handle)));
    producer.join().unwrap();
    consumers.map(|t| t.join().unwrap())
}
