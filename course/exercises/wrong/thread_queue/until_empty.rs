//! Wrong: as in the tutorial, a consumer ends when it finds the queue empty.
//! Fails with: an item was left

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: &Receiver<u32>, handle: fn(u32)) -> usize {
    q.try_iter().map(handle).count()
}

pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (sender, receiver) = unbounded();
    thread::scope(|scope| {
        let consumers = [0, 1].map(|_| scope.spawn(|| consume(&receiver, handle)));
        scope.spawn(move || items.for_each(|item| sender.send(item).unwrap()));
        consumers.map(|t| t.join().unwrap())
    })
}
