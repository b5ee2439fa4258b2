//! Wrong: the second consumer starts when the first one has ended.
//! Fails with: the consumers did not work at the same time

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: Receiver<u32>, handle: fn(u32)) -> usize {
    q.into_iter().map(handle).count()
}

pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (sender, receiver) = unbounded();
    thread::spawn(move || items.for_each(|item| sender.send(item).unwrap()));
    [receiver.clone(), receiver].map(|q| thread::spawn(move || consume(q, handle)).join().unwrap())
}
