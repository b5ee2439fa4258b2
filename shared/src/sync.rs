//! What the in-process modules are built on: std's primitives. The tests
//! compile those modules a second time, over a model checker's.

pub(crate) use std::sync::*;
#[cfg(feature = "threading")]
pub(crate) use std::thread;

/// Asks for up to 50 us whether it is `ready`, letting other threads run in
/// between: to be put to sleep and woken by the kernel takes longer than most
/// calls do.
///
/// Where others have more use for the processor, letting them run takes much
/// longer than a wake-up would. A thread that finds this out does not ask the
/// next few hundred times.
#[cfg(feature = "threading")]
pub(crate) fn spin_until(ready: impl Fn() -> bool) {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_micros(50);
    thread_local! {
        static SKIP: Cell<u32> = const { Cell::new(0) };
    }

    if let Some(skip) = SKIP.get().checked_sub(1) {
        return SKIP.set(skip);
    }
    let start = Instant::now();
    let mut now = start;
    while !ready() && now - start < PATIENCE {
        let before = now;
        thread::yield_now();
        now = Instant::now();
        if now - before >= PATIENCE {
            SKIP.set(500);
        }
    }
}
