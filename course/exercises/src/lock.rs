//! Find the heaviest of several boxes. Weighing takes long, so each box has a
//! thread of its own, and the threads share the largest weight found so far.
//!
//! ```python
//! def heaviest(boxes, weigh):
//!     lock = threading.Lock()
//!     largest = 0
//!
//!     def record(weight):
//!         nonlocal largest
//!         with lock:
//!             if weight > largest:
//!                 largest = weight
//!
//!     threads = []
//!     for item in boxes:
//!         t = threading.Thread(target=lambda item=item: record(weigh(item)))
//!         threads.append(t)
//!         t.start()
//!     for t in threads:
//!         t.join()
//!     return largest
//! ```
//!
//! Hint: a thread that is started in `std::thread::scope` may borrow the `Mutex`
//! from the function that started it. Its closure needs `move` to get a box of
//! its own. For the `Mutex` not to move along, give the closure a reference that
//! was made before it.

use std::sync::Mutex;

/// Stores `weight` in `largest` if it is larger than what is there.
pub fn record(largest: &Mutex<u32>, weight: u32) {
    todo!()
}

/// Returns the largest weight, or 0 if there is no box.
pub fn heaviest(boxes: Vec<u32>, weigh: fn(u32) -> u32) -> u32 {
    todo!()
}
