//! One exercise for each page of the course.
//!
//! Open `src/lock.rs`, write your program in the place of each `todo!()`, and
//! run `cargo test -p exercises lock::`. The tests show whether the result is
//! right, and also whether the work was done at the same time and by the means
//! that the task names. A solution stands in `solutions/lock.rs`.

#![forbid(unsafe_code)]
#![allow(
    unused_variables,
    reason = "an exercise does not use its arguments before it is solved"
)]

pub mod check;

#[cfg_attr(feature = "solutions", path = "../solutions/lock.rs")]
pub mod lock;
#[cfg_attr(feature = "solutions", path = "../solutions/thread.rs")]
pub mod thread;
