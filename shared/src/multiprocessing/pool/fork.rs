//! Notices that this process is a copy that `fork` made of another one. A copy
//! has the memory of its original, but not its threads and not its children.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use nix::libc;

/// How many times `fork` made a copy, from the first process to this one.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Stands for the process that called [`current`](Self::current), but not for
/// its copies. To ask for the process number instead is a system call, which
/// takes longer than a small task does.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Original(u32);

impl Original {
    pub(super) fn current() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: the handler only changes an atomic, which a copy of a
            // program with threads may do.
            unsafe { libc::pthread_atfork(None, None, Some(count_fork)) };
        });
        Original(FORKS.load(Relaxed))
    }

    /// Whether this process is the one, and no copy.
    pub(super) fn is_here(self) -> bool {
        FORKS.load(Relaxed) == self.0
    }
}

extern "C" fn count_fork() {
    FORKS.fetch_add(1, Relaxed);
}
