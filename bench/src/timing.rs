//! How a contender times its own work. Preparations, such as the start of a
//! pool, are not timed.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tokio::runtime;

use crate::common::Result;

/// Calls `work`, which does `n` operations, and returns the seconds that one of
/// them took.
pub fn per_operation(n: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() / n as f64)
}

/// Runs a future of `n` operations in a runtime of one thread and returns the
/// seconds that one of them took.
pub fn per_operation_async(n: usize, work: impl Future<Output = ()>) -> Result<f64> {
    runtime::Builder::new_current_thread()
        .build()?
        .block_on(async {
            let start = Instant::now();
            work.await;
            Ok(start.elapsed().as_secs_f64() / n as f64)
        })
}

/// Lets a producer that is ready put its first items before its consumer begins,
/// as happens with any two processes that were not started at the same instant.
/// No event can take the place of this pause, because there is no number of
/// items that every bounded channel is sure to reach.
pub fn let_the_producer_begin() {
    sleep(Duration::from_millis(1));
}
