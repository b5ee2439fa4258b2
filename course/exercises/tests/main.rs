//! The tests of the exercises.

#![forbid(unsafe_code)]

mod async_await;
mod async_queue;
mod fetch;
mod lock;
mod pool;
mod process;
mod process_queue;
mod semaphore;
mod shared_memory;
mod tasks;
mod thread;
mod thread_pool;
mod thread_queue;
mod thread_subclass;

// A process that an exercise starts is this program again.
shared::multiprocessing::init_tests!();
