//! One exercise for each page of the course.
//!
//! Open `src/lock.rs`, write your program in the place of each `todo!()`, and
//! run `cargo test -p exercises lock::`. The tests show whether the result is
//! right, and also whether the work was done at the same time and by the means
//! that the task names. A solution stands in `solutions/lock.rs`. (`pool::` also
//! finds the tests of `thread_pool`, which `-- --skip thread_pool` leaves out.)
//!
//! `cargo doc -p exercises --open` shows what `shared`, tokio and the other
//! crates have to offer. An exercise on processes needs no `init` of its own,
//! because the program of the tests calls it.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unused_variables,
    reason = "an exercise does not use what it is given before it is solved"
)]

pub mod check;

#[cfg_attr(feature = "solutions", path = "../solutions/async_await.rs")]
pub mod async_await;
#[cfg_attr(feature = "solutions", path = "../solutions/async_queue.rs")]
pub mod async_queue;
#[cfg_attr(feature = "solutions", path = "../solutions/fetch.rs")]
pub mod fetch;
#[cfg_attr(feature = "solutions", path = "../solutions/lock.rs")]
pub mod lock;
#[cfg_attr(feature = "solutions", path = "../solutions/pool.rs")]
pub mod pool;
#[cfg_attr(feature = "solutions", path = "../solutions/process.rs")]
pub mod process;
#[cfg_attr(feature = "solutions", path = "../solutions/process_queue.rs")]
pub mod process_queue;
#[cfg_attr(feature = "solutions", path = "../solutions/semaphore.rs")]
pub mod semaphore;
#[cfg_attr(feature = "solutions", path = "../solutions/shared_memory.rs")]
pub mod shared_memory;
#[cfg_attr(feature = "solutions", path = "../solutions/tasks.rs")]
pub mod tasks;
#[cfg_attr(feature = "solutions", path = "../solutions/thread.rs")]
pub mod thread;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_pool.rs")]
pub mod thread_pool;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_queue.rs")]
pub mod thread_queue;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_subclass.rs")]
pub mod thread_subclass;
