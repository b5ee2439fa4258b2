//! Wrong: the results come in the order in which the threads end.
//! Fails with: the results are not in the order of the numbers

use std::sync::Mutex;
use std::thread;

pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in numbers {
            let results = &results;
            scope.spawn(move || {
                let result = compute(number);
                results.lock().unwrap().push(result);
            });
        }
    });
    results.into_inner().unwrap()
}
