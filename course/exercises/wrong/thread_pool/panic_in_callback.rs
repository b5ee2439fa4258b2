//! Wrong: the callback panics where the call did, which is ignored.
//! Fails with: a call panicked, and nobody was told

use crossbeam_channel::unbounded;
use shared::concurrent::futures::ThreadPoolExecutor;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(4);
    let (sender, receiver) = unbounded();
    for number in numbers {
        let sender = sender.clone();
        let future = executor.submit(move || compute(number));
        future.add_done_callback(move |future| sender.send(future.result().unwrap()).unwrap());
    }
    drop(sender);
    for result in receiver {
        report(result);
    }
}
