//! The tests of the exercises.

#![forbid(unsafe_code)]

mod lock;
mod thread;

// A process that an exercise starts is this program again.
shared::multiprocessing::init_tests!();
