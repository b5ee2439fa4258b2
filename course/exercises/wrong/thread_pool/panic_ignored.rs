//! Wrong: a call that panics sends nothing, and its future is dropped.
//! Fails with: a call panicked, and nobody was told

use crossbeam_channel::unbounded;
use shared::concurrent::futures::ThreadPoolExecutor;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(4);
    let (sender, receiver) = unbounded();
    for number in numbers {
        let sender = sender.clone();
        let _ = executor.submit(move || sender.send(compute(number)).unwrap());
    }
    drop(sender);
    receiver.into_iter().for_each(report);
}
