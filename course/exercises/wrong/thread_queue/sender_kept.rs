//! Wrong: a second sender is still there while the consumers are joined.
//! Fails with: the consumers did not end

use crossbeam_channel::{Receiver, unbounded};
use std::thread;

fn consume(q: Receiver<u32>, handle: fn(u32)) -> usize {
    q.into_iter().map(handle).count()
}

pub fn share_out(items: Box<dyn Iterator<Item = u32> + Send>, handle: fn(u32)) -> [usize; 2] {
    let (sender, receiver) = unbounded();
    let producer = {
        let sender = sender.clone();
        thread::spawn(move || items.for_each(|item| sender.send(item).unwrap()))
    };
    let consumers = [receiver.clone(), receiver].map(|q| thread::spawn(move || consume(q, handle)));
    producer.join().unwrap();
    consumers.map(|t| t.join().unwrap())
}
