//! Start one thread for each number and return the results in the order of the
//! numbers. A thread of Python returns nothing, so the Python stores each
//! result in a list; in Rust, `join` returns it.
//!
//! ```python
//! def compute_all(numbers, compute):
//!     results = [None] * len(numbers)
//!
//!     def worker(i):
//!         results[i] = compute(numbers[i])
//!
//!     threads = []
//!     for i in range(len(numbers)):
//!         t = threading.Thread(target=worker, args=(i,))
//!         threads.append(t)
//!         t.start()
//!     for t in threads:
//!         t.join()
//!     return results
//! ```
//!
//! Hint: keep the handles that `spawn` returns in a `Vec`. If a thread panics,
//! so does `compute_all`.

/// Returns `compute(number)` for each number, in their order.
pub fn compute_all(numbers: Vec<u32>, compute: fn(u32) -> u32) -> Vec<u32> {
    todo!()
}
