//! How a thread waits: deadlines, a short spin, futexes, a condition variable
//! and `poll`.
//!
//! Below this module there is only `error`. All that blocks is above it: the
//! mutex and the queue in shared memory, sockets, processes and pools.

use std::ptr;
use std::sync::atomic::AtomicU32;
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollTimeout};

use super::error::{Error, system};

/// Returns the moment that is `timeout` from now. `None`, which stands for no
/// limit, if the clock cannot represent it.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Returns whether there is a deadline and it has passed.
pub(super) fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// How long it is until `deadline`; zero if it has passed.
pub(super) fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Spins for about 5 us until `ready` returns true; returns whether it did.
///
/// This saves a system call if the peer needs only a moment. The spin is not
/// longer, because on a single CPU it keeps the peer from running. It does not yield,
/// because a thread that yields goes to the back of the run queue, whereas one that
/// sleeps is woken at once.
pub(super) fn spin(mut ready: impl FnMut() -> bool) -> bool {
    const SPIN: Duration = Duration::from_micros(5);
    let start = Instant::now();
    loop {
        for _ in 0..4 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > SPIN {
            return false;
        }
    }
}

/// Sleeps while `word` is `value`, until a [`futex_wake`] or until `deadline`.
/// May return early, so the caller checks its condition again.
pub(super) fn futex_wait(word: &AtomicU32, value: u32, deadline: Option<Instant>) {
    let timeout = deadline.map(|deadline| {
        let left = time_left(deadline);
        libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: left.subsec_nanos() as _,
        }
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the time-out outlive the call. The operation is not
    // FUTEX_PRIVATE, so the kernel identifies the word by its page in the file,
    // which is the same one in all processes.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            timeout,
        )
    };
}

/// Wakes all threads, of all processes, that sleep on `word`.
pub(super) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Waits on a condition variable until it is notified or the deadline passes.
/// Poison is ignored.
pub(super) fn wait_on<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, T> {
    let Some(deadline) = deadline else {
        return condition
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    let waited = condition.wait_timeout(guard, time_left(deadline));
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Waits until one of `fds` is ready or the deadline passes; returns whether
/// one is ready.
pub(super) fn poll(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<bool, Error> {
    loop {
        // `poll` counts whole milliseconds. The time is rounded up, because
        // rounded down it is zero for the last part of a millisecond, which
        // would be spent calling `poll` again and again.
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = time_left(deadline);
            PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
        });
        match nix::poll::poll(fds, timeout) {
            Ok(0) if !is_past(deadline) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(system("poll")(errno)),
        }
    }
}
