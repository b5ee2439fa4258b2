//! Wrong: all objects share one result, so only the first one is stored.
//! Fails with: the sum is wrong

use std::sync::{Arc, OnceLock};

use shared::threading::Thread;

pub struct Computation {
    pub number: u32,
    pub compute: fn(u32) -> u32,
    pub result: Arc<OnceLock<u32>>,
}

impl Thread for Computation {
    fn run(self) {
        let _ = self.result.set((self.compute)(self.number));
    }
}

pub fn sum_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> u32 {
    let mut threads = Vec::new();
    let result = Arc::new(OnceLock::new());
    for number in numbers {
        let t = Computation {
            number,
            compute,
            result: result.clone(),
        };
        threads.push(t.start());
    }

    let mut sum = 0;
    for t in threads {
        t.join().unwrap();
        sum += result.get().unwrap();
    }
    sum
}
