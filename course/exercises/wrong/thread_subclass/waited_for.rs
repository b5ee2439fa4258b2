//! Wrong: the result of a thread that panics never comes.
//! Fails with: a thread panicked, and its result was waited for

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
    let mut threads = Vec::new();
    for number in numbers {
        let result = Arc::new(OnceLock::new());
        let t = Computation {
            number,
            compute,
            result: result.clone(),
        };
        t.start();
        threads.push(result);
    }
    threads.iter().map(|result| result.wait()).sum()
}
