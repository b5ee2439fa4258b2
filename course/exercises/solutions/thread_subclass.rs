//! One clone of each result stays here.

use std::sync::{Arc, OnceLock};

use shared::threading::Thread;

/// A thread that computes one number.
pub struct Computation {
    /// What `compute` is called with.
    pub number: u32,
    /// What `run` calls.
    pub compute: fn(u32) -> u32,
    /// Where `run` stores the result.
    pub result: Arc<OnceLock<u32>>,
}

impl Thread for Computation {
    fn run(self) {
        self.result.set((self.compute)(self.number)).unwrap();
    }
}

/// Starts one `Computation` for each number and returns the sum of their
/// results.
pub fn sum_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> u32 {
    let mut threads = Vec::new();
    for number in numbers {
        let result = Arc::new(OnceLock::new());
        let t = Computation {
            number,
            compute,
            result: result.clone(),
        };
        threads.push((t.start(), result));
    }

    let mut sum = 0;
    for (t, result) in threads {
        t.join().unwrap();
        sum += result.get().unwrap();
    }
    sum
}
