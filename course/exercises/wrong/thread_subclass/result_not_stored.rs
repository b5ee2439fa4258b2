//! Wrong: `run` computes the result and drops it.
//! Fails with: `run` stored no result

use std::sync::{Arc, OnceLock};

use shared::threading::Thread;

pub struct Computation {
    pub number: u32,
    pub compute: fn(u32) -> u32,
    pub result: Arc<OnceLock<u32>>,
}

impl Thread for Computation {
    fn run(self) {
        (self.compute)(self.number);
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
        threads.push((t.start(), result));
    }
    let ended = threads.into_iter().map(|(t, result)| {
        t.join().unwrap();
        result.get().copied().unwrap_or_default()
    });
    ended.sum()
}
