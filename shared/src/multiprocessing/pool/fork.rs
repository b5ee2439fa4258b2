//! Detects whether this process is a copy that `fork` made. A copy has the
//! memory of its original, but not its threads and not its children, so a pool
//! must not be used there, and a worker must not answer from there.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nix::libc;

/// How many times `fork` made a copy, from the first process to this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Distinguishes the process that called [`current`](Self::current) from its copies.
/// The process ID would do so too, but to ask for it is a system call, which takes
/// longer than a small task.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct ForkGeneration(u32);

impl ForkGeneration {
    pub(super) fn current() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: the handler only changes an atomic, which the copy of a
            // process with threads may do.
            unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        });
        ForkGeneration(FORKS.load(Relaxed))
    }

    /// Whether this process is the one that called `current`, and not a copy.
    pub(super) fn is_current(self) -> bool {
        FORKS.load(Relaxed) == self.0
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Relaxed);
}
