//! Wrong: `map` gives the results in the order of the numbers.
//! Fails with: a result that was there had to wait for one that was not

use shared::concurrent::futures::ThreadPoolExecutor;

pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    let executor = ThreadPoolExecutor::new(4);
    executor.map(compute, numbers).for_each(report);
}
