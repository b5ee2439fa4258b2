//! Wrong: each thread of the pool reports its result itself.
//! Fails with: `report` was called in a thread of the pool

use shared::concurrent::futures::ThreadPoolExecutor;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(4);
    for number in numbers {
        let future = executor.submit(move || compute(number));
        future.add_done_callback(move |future| report(future.result().unwrap()));
    }
}
