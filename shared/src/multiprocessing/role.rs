//! The role of this process: a parent, or a child that a parent has started.
//!
//! [`init`](super::init) finds it out and stores it here; what starts a process
//! reads it. Nothing is below this module.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The environment variable that tells a process that it is a child. Its value
/// is `INODE:PID`: the inode number of the socket on the child's stdin, and the
/// parent's PID. A process that inherits the variable from a child has another
/// parent, and so knows that the variable is not meant for it.
pub(super) const CHILD_VARIABLE: &str = "SHARED_MULTIPROCESSING";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `init` has not been called yet.
    Unknown,
    Parent,
    Child,
    /// A child that called `init` from a thread other than the main one, most
    /// likely in one test of many. Its other threads run other tests, which are
    /// none of its business.
    ChildAmongTests,
}

static ROLE: Mutex<Role> = Mutex::new(Role::Unknown);

pub(super) fn role() -> MutexGuard<'static, Role> {
    ROLE.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Whether this thread runs the child's target.
    pub(super) static RUNS_TARGET: Cell<bool> = const { Cell::new(false) };
}

/// The test that calls `init`, if this is a test program with
/// [`init_tests`](super::init_tests).
pub(super) static CHILD_TEST: OnceLock<&str> = OnceLock::new();

/// What [`init_tests`](super::init_tests) calls before `main` runs.
#[doc(hidden)]
pub fn note_child_test(path: &'static str) {
    // Test harnesses name a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    _ = CHILD_TEST.set(name);
}

/// Whether this thread may start a process. If not, a child might run this very
/// code before it calls `init`, and start a process in its turn, without end.
pub(super) fn is_initialized() -> bool {
    match *role() {
        Role::Unknown => CHILD_TEST.get().is_some(),
        Role::Parent | Role::Child => true,
        Role::ChildAmongTests => RUNS_TARGET.get(),
    }
}
