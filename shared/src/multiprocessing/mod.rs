//! Python's `multiprocessing`: processes, shared memory, queues, pipes, pools.
//!
//! A child process is this program run again, as with Python's start method
//! `spawn`, so `main` begins with [`init`], where Python has
//! `if __name__ == "__main__":`. A [`Process`] calls a function with arguments;
//! what several processes share, a [`Value`], an [`Array`], a [`Queue`] or an
//! end of a [`pipe`], they are given as arguments. A [`Pool`] keeps processes
//! at hand for many calls.
//!
//! # Beside tokio
//!
//! [`init`] stands before the runtime is built, so `#[tokio::main]` is written
//! out: else a target would run inside a runtime, where it cannot
//! block. What blocks, as the methods of a process and of a pool do, has a
//! thread of its own.
//!
//! ```
//! use shared::multiprocessing::{self, Pool};
//!
//! fn square(n: i32) -> i32 {
//!     n * n
//! }
//!
//! async fn run() -> Result<(), Box<dyn std::error::Error>> {
//!     let pool = Pool::new(2)?;
//!     let squares = tokio::task::spawn_blocking(move || pool.map(square, 1..=3));
//!     assert_eq!(squares.await??, [1, 4, 9]);
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     multiprocessing::init();
//!     tokio::runtime::Runtime::new()?.block_on(run())
//! }
//! ```
//!
//! # In tests
//!
//! A test has no `main`; [`init_tests!`](init_tests) takes its place.
//!
//! # What can be sent
//!
//! Arguments, results, items and messages are values that serde can write and
//! read, whatever attributes their types have: `#[serde(untagged)]`, `flatten`,
//! `skip_serializing_if`, a `serde_json::Value` or a `Some(None)` come back as
//! they were. The price is that fields and variants go by their names. Numbers,
//! vectors of numbers and `Vec<u8>` cost the least.
//!
//! - A value that its type refuses to write is an error of `start`, `put`,
//!   `send` or of the pool's method, with the name of the type and what serde
//!   said, as for a `PathBuf` that is not UTF-8. Nothing has been sent then.
//! - So is a value that is nested more than 512 deep, such as a list of boxes.
//! - What serde itself cannot read back is not mended: a 128-bit number in an
//!   untagged enum or a flattened struct is an error where it is read, and a
//!   field that is written under one name and read under another, by
//!   `rename(serialize = .., deserialize = ..)`, is missing.
//! - A [`Value`], [`Array`], [`Queue`] or [`Connection`] can be an argument of
//!   [`Process::new`] and of a pool's [`initializer`](PoolBuilder::initializer),
//!   and nothing else, as in Python.
//! - A [`Process`] can be given references as arguments, a `&str` too. The
//!   arguments of a pool's tasks own what they have, such as a `String`, because
//!   a worker does many tasks and would keep what each of them refers to.
//! - An [`Error`] can be sent, so a target may return a `Result<T, Error>`.
//!
//! # When a process dies
//!
//! By a panic, by `exit`, or by a signal, SIGKILL included:
//!
//! - Its [`join`](Process::join) tells how.
//! - A lock that it held is poisoned for the next one, who has the data.
//! - An item that it was putting into a queue is there whole or not at all; one
//!   that it was getting is there until it is got. The others go on.
//! - The other end of its pipe receives what was sent whole, and then
//!   [`Error::Eof`]; to send to it is [`Error::BrokenPipe`].
//! - The task that it was doing for a pool fails, and no other.
//! - All its own child processes end with it, unless one has replaced itself
//!   by another program with `exec` or has closed descriptors that it does not
//!   know.
//!
//! Nothing waits for what cannot come any more, with one exception that no
//! queue can help: to get from a queue is to wait until somebody puts. There,
//! as in every place that waits, a time-out can be given.

#![expect(
    clippy::test_attr_in_doctest,
    reason = "the example shows a test, and need not run one"
)]

/// Makes processes work in tests, which have no `main` that could begin with
/// [`init`]. Written once in a test crate, outside any function:
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
/// This goes for unit tests (in any module of the crate), for each file in
/// `tests/`, and for `cargo nextest` as for `cargo test`. Where a test target
/// has `harness = false`, or in an example of the documentation, there is a
/// `main`, and `init` is called there.
///
/// It adds a test, `shared_multiprocessing_child`, which does nothing by itself.
/// A child process is the test program run again, told to run that test alone,
/// which calls `init`; so a child runs none of the other tests, and its
/// `std::env::args` are not its parent's. What makes the test known to the
/// parent is a function that runs before `main`, and only stores its name.
///
/// Without it a test can call `init` itself. Then a child runs every test that
/// the parent was told to run until one of them calls `init`; from then on no
/// other thread than the target's can start processes there.
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
            // SAFETY: the loader calls what stands in this section before
            // `main`. The function needs nothing of Rust's runtime.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static NOTE: extern "C" fn() = note;
        };
    };
}

mod child;
mod codec;
mod connection;
mod entry;
mod error;
mod format;
mod memory;
mod mutex;
mod pool;
mod process;
mod queue;
mod role;
mod socket;
mod spawn;
mod start;
mod target;
mod timed_mutex;
mod value;

pub use bytemuck;
pub use connection::{Connection, pipe};
pub use error::Error;
pub use pool::{AsyncResult, Imap, Pool, PoolBuilder};
pub use process::{Builder, Process};
pub use queue::Queue;
#[doc(hidden)]
pub use role::note_child_test;
pub use start::init;
pub use target::{Argument, Borrowed, Owned, SliceItem, Target};
pub use value::{Array, Guard, Plain, Value};
