//! Give a thread class a result: `run` computes it and stores it in the object,
//! and the thread that has joined it reads it.
//!
//! ```python
//! class Computation(threading.Thread):
//!     def __init__(self, number, compute):
//!         super().__init__()
//!         self.number = number
//!         self.compute = compute
//!
//!     def run(self):
//!         self.result = self.compute(self.number)
//!
//! def sum_all(numbers, compute):
//!     threads = [Computation(n, compute) for n in numbers]
//!     for t in threads:
//!         t.start()
//!     for t in threads:
//!         t.join()
//!     return sum(t.result for t in threads)
//! ```
//!
//! Hint: `start` takes the object for good. What has to be there afterwards is
//! shared through an `Arc`, of which one clone goes with the object. In it is a
//! `OnceLock`: `set` puts a value there, and `get` returns it as an `Option`.

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
        todo!()
    }
}

/// Starts one `Computation` for each number and returns the sum of their
/// results.
pub fn sum_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> u32 {
    todo!()
}
