//! Wrong: the pool has one thread.
//! Fails with: the four calls did not run at the same time

use crossbeam_channel::unbounded;
use shared::concurrent::futures::ThreadPoolExecutor;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(1);
    let (sender, receiver) = unbounded();
    for number in numbers {
        let sender = sender.clone();
        let future = executor.submit(move || compute(number));
        future.add_done_callback(move |future| sender.send(future.result()).unwrap());
    }
    drop(sender);
    receiver.into_iter().for_each(|result| report(result.unwrap()));
}
