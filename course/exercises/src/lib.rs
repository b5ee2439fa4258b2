//! One exercise for each page of the course.
//!
//! Open `src/lock.rs`, write your program in the place of each `todo!()`, and
//! run `cargo test -p exercises lock::`. The tests show whether the result is
//! right, and also whether the work was done at the same time and by the means
//! that the task names. A solution stands in `solutions/lock.rs`.

#![forbid(unsafe_code)]
#![allow(
    dead_code,
    unused_variables,
    reason = "an exercise does not use what it is given before it is solved"
)]

pub mod check;

#[cfg_attr(feature = "solutions", path = "../solutions/lock.rs")]
pub mod lock;
#[cfg_attr(feature = "solutions", path = "../solutions/thread.rs")]
pub mod thread;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_pool.rs")]
pub mod thread_pool;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_queue.rs")]
pub mod thread_queue;
#[cfg_attr(feature = "solutions", path = "../solutions/thread_subclass.rs")]
pub mod thread_subclass;
