//! Wrong: the consumers start when all items have been produced.
//! Fails with: nobody handled an item while the next one was produced

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: Receiver<u32>, handle: fn(u32)) -> usize {
    q.into_iter().map(handle).count()
}

pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (sender, receiver) = unbounded();
    items.for_each(|item| sender.send(item).unwrap());
    drop(sender);
    let consumers = [receiver.clone(), receiver].map(|q| thread::spawn(move || consume(q, handle)));
    consumers.map(|t| t.join().unwrap())
}
