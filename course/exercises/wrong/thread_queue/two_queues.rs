//! Wrong: each consumer has a queue of its own, and they get the items in turn.
//! Fails with: an item waited for a busy consumer

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: Receiver<u32>, handle: fn(u32)) -> usize {
    q.into_iter().map(handle).count()
}

pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (first, a) = unbounded();
    let (second, b) = unbounded();
    thread::spawn(move || {
        for (i, item) in items.enumerate() {
            let sender = if i % 2 == 0 { &first } else { &second };
            sender.send(item).unwrap();
        }
    });
    let consumers = [a, b].map(|q| thread::spawn(move || consume(q, handle)));
    consumers.map(|t| t.join().unwrap())
}
