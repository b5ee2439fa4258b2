//! The locks and threads that `asyncio` and `concurrent` are built on, which
//! are those of std. `tests/model.rs` compiles the two modules a second time,
//! with the locks and threads of a model checker in place of this module.

pub(crate) use std::sync::*;
#[cfg(feature = "threading")]
pub(crate) use std::thread;

/// Calls `ready` until it returns true, for up to 50 us, and yields to other
/// threads in between. This saves time because most calls take less time than
/// the kernel needs to park a thread and to wake it.
///
/// On a busy machine a single yield can take much longer than parking. After a
/// yield of more than 50 us, the thread does not spin the next 500 times.
#[cfg(feature = "threading")]
pub(crate) fn spin_until(ready: impl Fn() -> bool) {
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    const SPIN_LIMIT: Duration = Duration::from_micros(50);
    thread_local! {
        static SKIP: Cell<u32> = const { Cell::new(0) };
    }

    if let Some(skip) = SKIP.get().checked_sub(1) {
        return SKIP.set(skip);
    }
    let start = Instant::now();
    let mut now = start;
    while !ready() && now - start < SPIN_LIMIT {
        let before = now;
        thread::yield_now();
        now = Instant::now();
        if now - before >= SPIN_LIMIT {
            SKIP.set(500);
        }
    }
}
