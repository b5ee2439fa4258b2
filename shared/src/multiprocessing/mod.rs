//! Python's `multiprocessing`: processes, shared memory, queues, pipes, pools.

#[cfg(not(target_os = "linux"))]
compile_error!("the feature `multiprocessing` needs Linux (memfd, robust mutexes, futexes, pidfd)");

mod child;
mod codec;
mod connection;
mod error;
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
pub use target::{Argument, Borrowed, Owned, Target};
pub use value::{Array, Guard, Value};
