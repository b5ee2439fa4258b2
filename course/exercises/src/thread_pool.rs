//! Compute several numbers in a pool of four threads and report each result as
//! soon as it is there, whatever the order.
//!
//! ```python
//! def report_each(numbers, compute, report):
//!     with ThreadPoolExecutor(max_workers=4) as executor:
//!         futures = [executor.submit(compute, n) for n in numbers]
//!         for future in as_completed(futures):
//!             report(future.result())
//! ```
//!
//! Hint: there is no `as_completed`. Let the `add_done_callback` of each future
//! send its result into a channel, and report what comes out of it. If a call
//! panics, its `result()` is an error. Send the error as well, and let
//! `report_each` panic with it, because a panic in a callback is ignored.

/// Calls `report`, in the thread that called this function, with
/// `compute(number)` for each number.
pub fn report_each(numbers: Vec<u32>, compute: fn(u32) -> u32, report: fn(u32)) {
    todo!()
}
