//! The role of this process: a parent, or a child that a parent has started.
//!
//! [`init`](super::init) finds it out and stores it here; what starts a process
//! reads it. No module is below this one.

#![expect(
    clippy::test_attr_in_doctest,
    reason = "the example shows a test, and need not run one"
)]

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The environment variable that tells a process that it is a child. Its value,
/// the *mark*, is `INODE:PID`: the inode number of the socket on the child's stdin,
/// and the parent's PID. A process that inherits the variable from a child has
/// another parent, and so knows that the mark is not meant for it.
pub(super) const CHILD_VARIABLE: &str = "SHARED_MULTIPROCESSING";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `init` has not been called yet.
    Unknown,
    Parent,
    Child,
    /// A child that called `init` from a thread other than the main one, most
    /// likely in one test of many. Its other threads run other tests, which should
    /// not run there.
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

/// Whether this thread may start a process. If not, a child might run this very
/// code before it calls `init`, and start a process in its turn, without end.
pub(super) fn is_initialized() -> bool {
    match *role() {
        Role::Unknown => CHILD_TEST.get().is_some(),
        Role::Parent | Role::Child => true,
        Role::ChildAmongTests => RUNS_TARGET.get(),
    }
}

// In tests.

/// The name of the test that calls `init`, if this is a test program with
/// [`init_tests`].
pub(super) static CHILD_TEST: OnceLock<&str> = OnceLock::new();

/// What `init_tests` calls before `main` runs.
#[doc(hidden)]
pub fn note_child_test(path: &'static str) {
    // Test harnesses name a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    _ = CHILD_TEST.set(name);
}

/// Makes processes work in tests, which have no `main` that could begin with
/// [`init`](super::init). Write it once in a test crate, outside any function:
///
/// ```
/// shared::multiprocessing::init_tests!();
///
/// #[test]
/// fn a_process_squares() {
///     use shared::multiprocessing::Process;
///
///     let p = Process::new(|n: i32| n * n, (3,)).start().unwrap();
///     assert_eq!(p.join().unwrap(), 9);
/// }
/// ```
///
/// A test crate is a library with unit tests (write it in any module), or a file
/// in `tests/`. It works with `cargo test` and with `cargo nextest`. Where a test
/// target has `harness = false`, and in an example of the documentation, there is
/// a `main`: call `init` there instead.
///
/// The macro adds a test, `shared_multiprocessing_child`, which by itself does
/// nothing. A child process is the test program run again, with arguments that
/// make it run that test alone, and that test calls `init`. So a child runs none
/// of the other tests, and its `std::env::args` are not its parent's. The parent
/// knows that there is such a test from a function that runs before `main` and
/// only stores the test's name.
///
/// Without the macro a test can call `init` itself. A child then runs the tests
/// that its parent was told to run, until one of them calls `init`; from then on
/// only the target's thread can start processes there.
#[doc(inline)]
pub use crate::__init_tests as init_tests;

#[doc(hidden)]
#[macro_export]
macro_rules! __init_tests {
    () => {
        #[cfg(test)]
        #[test]
        fn shared_multiprocessing_child() {
            $crate::multiprocessing::init();
        }

        #[cfg(test)]
        const _: () = {
            extern "C" fn note() {
                $crate::multiprocessing::note_child_test(concat!(
                    module_path!(),
                    "::shared_multiprocessing_child"
                ));
            }
            // SAFETY: the loader calls the functions in this section before
            // `main`. This one only stores a name, for which Rust's runtime need
            // not have started.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static NOTE: extern "C" fn() = note;
        };
    };
}
