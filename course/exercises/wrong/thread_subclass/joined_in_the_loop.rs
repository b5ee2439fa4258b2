//! Wrong: each thread is joined before the next one starts.
//! Fails with: the five ran one after the other

use std::sync::{Arc, OnceLock};

use shared::threading::Thread;

pub struct Computation {
    pub number: u32,
    pub compute: fn(u32) -> u32,
    pub result: Arc<OnceLock<u32>>,
}

impl Thread for Computation {
    fn run(self) {
        self.result.set((self.compute)(self.number)).unwrap();
    }
}

pub fn sum_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> u32 {
    let mut sum = 0;
    for number in numbers {
        let result = Arc::new(OnceLock::new());
        let t = Computation {
            number,
            compute,
            result: result.clone(),
        };
        t.start().join().unwrap();
        sum += result.get().unwrap();
    }
    sum
}
