//! Python's `multiprocessing`: processes, shared memory, queues, pipes, pools.
//!
//! A child process is this program run again, as with Python's start method
//! `spawn`, so `main` begins with [`init`], where Python has
//! `if __name__ == "__main__":`. A [`Process`] calls a function with arguments;
//! what several processes share, a [`Value`], an [`Array`], a [`Queue`] or an
//! end of a [`pipe`], they are given as arguments. A [`Pool`] keeps processes
//! at hand for many calls.
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
//! - All its own child processes end with it.
//!
//! Nothing waits for what cannot come any more, with one exception that no
//! queue can help: to get from a queue is to wait until somebody puts. There,
//! as in every place that waits, a time-out can be given.

#[cfg(not(target_os = "linux"))]
compile_error!("the feature `multiprocessing` needs Linux (memfd, robust mutexes, futexes, pidfd)");

mod child;
mod codec;
mod connection;
mod error;
mod format;
mod memory;
mod mutex;
mod pool;
mod process;
mod queue;
mod socket;
mod target;
mod value;

pub use child::init;
pub use connection::{Connection, pipe};
pub use error::Error;
pub use pool::{AsyncResult, Imap, Pool, PoolBuilder};
pub use process::{Builder, Process};
pub use queue::Queue;
pub use target::{Argument, Borrowed, Owned, SliceItem, Target};
pub use value::{Array, Guard, Value};
