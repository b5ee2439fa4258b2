//! Wrong: `run` is called, not `start`, so no thread is started.
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
    let mut threads = Vec::new();
    for number in numbers {
        let result = Arc::new(OnceLock::new());
        let t = Computation {
            number,
            compute,
            result: result.clone(),
        };
        t.run();
        threads.push(result);
    }
    threads.iter().filter_map(|result| result.get()).sum()
}
