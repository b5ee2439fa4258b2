//! The channel closes, and the loop ends, when all calls are done.

use crossbeam_channel::unbounded;
use shared::concurrent::futures::ThreadPoolExecutor;

/// Calls `report`, in the thread that called this function, with
/// `compute(number)` for each number.
pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(4);
    let (sender, receiver) = unbounded();
    for number in numbers {
        let sender = sender.clone();
        let future = executor.submit(move || compute(number));
        future.add_done_callback(move |future| sender.send(future.result()).unwrap());
    }
    drop(sender);
    for result in receiver {
        report(result.unwrap());
    }
}
