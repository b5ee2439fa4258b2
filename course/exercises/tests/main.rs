//! The tests of the exercises.

#![forbid(unsafe_code)]

mod lock;
mod thread;
mod thread_pool;
mod thread_queue;
mod thread_subclass;

// A process that an exercise starts is this program again.
shared::multiprocessing::init_tests!();
