//! What this process is, a parent or a child, and what a child is told to do.
//!
//! A child is told twice: by a variable in its environment, so that it knows
//! that it is one before it does anything else, and by the start message, the
//! first that it receives from its parent.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::codec::encode;
use super::error::Error;

/// Marks a child in its environment. Its value is the inode number of the
/// socket on the child's stdin and the parent's process id, so that a program
/// which inherits it from a child can tell that it is not meant.
pub(super) const CHILD_VARIABLE: &str = "SHARED_MULTIPROCESSING";

/// What `init` has found this process to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Unknown,
    Parent,
    Child,
    /// A child that came to `init` in the middle of a program, most likely in
    /// one test of many: the other threads run tests that are not its business.
    ChildAmongTests,
}

static STATE: Mutex<State> = Mutex::new(State::Unknown);

pub(super) fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Whether this thread runs the child's target.
    pub(super) static RUNS_TARGET: Cell<bool> = const { Cell::new(false) };
}

/// The test in which a child finds `init`, if this is a test program.
pub(super) static CHILD_TEST: OnceLock<&str> = OnceLock::new();

/// What [`init_tests`](super::init_tests) calls before `main` runs.
#[doc(hidden)]
pub fn note_child_test(path: &'static str) {
    // Test harnesses name a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    _ = CHILD_TEST.set(name);
}

/// Whether this thread may start a process, because a child would come to
/// `init` before it could start one in its turn.
pub(super) fn is_initialized() -> bool {
    match *state() {
        State::Unknown => CHILD_TEST.get().is_some(),
        State::Parent | State::Child => true,
        State::ChildAmongTests => RUNS_TARGET.get(),
    }
}

/// What the child does with what it was sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// Runs the entry and ends.
    Process,
    /// Runs the entry, if there is one, and then a pool's tasks.
    Worker,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StartMessage {
    pub(super) role: Role,
    /// The offset of the entry in the program, if there is one.
    pub(super) entry: Option<u64>,
}

/// The bytes that tell a child what to run; the arguments' bytes follow.
pub(super) fn start_message(role: Role, entry: Option<u64>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode(&StartMessage { role, entry }, &mut bytes)?;
    Ok(bytes)
}
