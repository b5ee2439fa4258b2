//! Wrong: each number has a thread of its own.
//! Fails with: more than four threads were at work

use crossbeam_channel::unbounded;
use std::thread;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let (sender, receiver) = unbounded();
    for number in numbers {
        let sender = sender.clone();
        thread::spawn(move || sender.send(compute(number)).unwrap());
    }
    drop(sender);
    receiver.into_iter().for_each(report);
}
