//! Python's `multiprocessing`: processes, shared memory, queues, pipes, pools.
//!
//! A child process is this program run again, as with Python's start method
//! `spawn`, so `main` begins with [`init`], where Python has
//! `if __name__ == "__main__":`. A [`Process`] calls a function with arguments.
//! Objects that several processes use, a [`Value`], an [`Array`], a [`Queue`] or an
//! end of a [`pipe`], are passed as arguments, too. A [`Pool`] keeps processes
//! ready for many calls. The [`guide`] explains how it works, what it costs and
//! needs, and what Python has that this module has not.
//!
//! ```
//! use shared::multiprocessing::{self, Process, Queue};
//!
//! fn worker(num: u64, q: &Queue<u64>) {
//!     q.put(num * num).unwrap();
//! }
//!
//! fn main() -> Result<(), multiprocessing::Error> {
//!     multiprocessing::init();
//!     let q = Queue::new()?;
//!     let p = Process::new(worker, (3, &q)).start()?;
//!     assert_eq!(q.get()?, 9);
//!     p.join()
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
//! they were. The price is that fields and variants are sent with their names.
//! Numbers, vectors of numbers and `Vec<u8>` cost the least.
//!
//! - A value that serde cannot write, such as a `PathBuf` that is not UTF-8, is an
//!   error of `start`, `put`, `send` or of the pool's method, with the name of the
//!   type and what serde said. Nothing has been sent then.
//! - So is a value that is nested more than 512 deep, such as a list of boxes.
//! - What serde itself cannot read back is an error where it is read: a 128-bit
//!   number in an untagged enum or a flattened struct, and a field that is written
//!   under one name and read under another, by
//!   `rename(serialize = .., deserialize = ..)`.
//! - A [`Value`], [`Array`], [`Queue`] or [`Connection`] can be an argument of
//!   [`Process::new`] and of a pool's [`initializer`](PoolBuilder::initializer),
//!   and nothing else, as in Python.
//! - A [`Process`] can be given references as arguments, a `&str` too. The
//!   arguments of a pool's tasks must own their data, such as a `String`: a worker
//!   does many tasks, and what their arguments refer to would fill its memory.
//! - An [`Error`] can be sent, so a target may return a `Result<T, Error>`.
//!
//! # When a process dies
//!
//! Whether a process ends by a panic, by `exit` or by a signal, SIGKILL included:
//!
//! - Its [`join`](Process::join) returns how it died, as an [`Error`].
//! - A lock that it held is poisoned for the next process that locks it, which
//!   can still use the data.
//! - An item that it was putting into a queue is there whole or not at all. An item
//!   that it was getting stays there unless it was received. Other processes go on
//!   using the queue.
//! - The other end of its pipe receives the messages that were sent whole, and then
//!   [`Error::Eof`]; sending to it is [`Error::BrokenPipe`].
//! - The task that it was doing for a pool fails, and no other task does.
//! - All its own child processes end with it, unless one has replaced itself
//!   by another program with `exec`, or has closed descriptors that it did not
//!   open.
//!
//! So nothing waits for a process that is dead, with one exception: `get` on an
//! empty queue waits until somebody puts an item, and cannot know whether anybody
//! will. There, as in every place that waits, a time-out can be given.
//!
//! # Beside tokio
//!
//! Call [`init`] before the runtime is built, and so write out what
//! `#[tokio::main]` does: within it, a target would run inside a runtime, where it
//! cannot block. Methods that block, as those of a process and of a pool do, are
//! called in `spawn_blocking`.
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

// How all this works: the ways through the engine, its protocols and locks, its
// costs and limits, and a reading order of the files.
pub mod guide;

// The modules of processes, in the order in which an argument meets them: from
// `process` down to `spawn` and `socket` in the parent, and in `start` up again to
// the target in the child.

// The parent's handle on a process: from `Process::new` to `join`, step by step.
mod process;

// What can be called in another process, and with which arguments.
mod target;

// The function that a child calls: found by its offset, its panics caught.
mod entry;

// Values as bytes, and the descriptors among them.
mod codec;

// The bytes: a self-describing format for serde.
mod format;

// A child, as its parent sees it: start message, wait, exit status, signals.
mod child;

// Runs this executable again, as `posix_spawn` does.
mod spawn;

// Messages with descriptors over a pair of Unix sockets.
mod socket;

// A mutex between threads that can be waited for until a deadline.
mod timed_mutex;

// `init`, and all that a child does; how a child ends with its parent.
mod start;

// Whether this process is a parent or a child; `init_tests!`.
mod role;

// What can go wrong.
mod error;

// The objects that processes share, and what they are made of.

// Pipes: typed messages over a socket.
mod connection;

// How a thread waits: deadlines, a short spin, futexes, `poll`.
mod wait;

// Allocations whose size comes from another process.
mod allocation;

// Shared memory: a sealed memfd that each process maps.
mod memory;

// A mutex in shared memory that survives the death of its owner.
mod mutex;

// `Value` and `Array`.
mod value;

// `Queue`: its layout in shared memory, its protocols, its growth.
mod queue;

// Ring buffers in shared memory, for queues and the channels of pools.
mod ring;

// `Pool`: its jobs, its manager, its workers and their channels.
mod pool;

pub use bytemuck;
pub use connection::{Connection, pipe};
pub use error::Error;
pub use pool::{AsyncResult, Imap, Pool, PoolBuilder};
pub use process::{Builder, Process};
pub use queue::Queue;
#[doc(inline)]
pub use role::init_tests;
#[doc(hidden)]
pub use role::note_child_test;
pub use start::init;
pub use target::{Argument, Borrowed, Owned, SliceItem, Target};
pub use value::{Array, Guard, Plain, Value};
