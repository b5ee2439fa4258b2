//! What the in-process modules are built on: std's primitives. The tests
//! compile those modules a second time, over a model checker's.

pub(crate) use std::sync::*;
#[cfg(feature = "threading")]
pub(crate) use std::thread;

/// Asks for up to 50 us whether it is `ready`, letting other threads run in
/// between: to be put to sleep and woken by the kernel takes longer than most
/// calls do.
#[cfg(feature = "threading")]
pub(crate) fn spin_until(ready: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !ready() && start.elapsed().as_micros() < 50 {
        thread::yield_now();
    }
}
