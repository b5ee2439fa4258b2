//! Python's `concurrent.futures`: a pool of threads that runs calls, and the
//! futures that get their results.
//!
//! The module is built on nothing but locks, condition variables and threads
//! (`sync`), and nothing else in this library is built on it.
//!
//! # How a call gets its result
//!
//! ```text
//!  caller                     Pool                   thread of the pool
//!
//!  submit ── 1 push ───▶ ┌─────────────┐
//!                        │ job job job │ ── 2 next_job ──▶ run
//!                        └─────────────┘                    │
//!                                                       3 publish
//!                             Slot                          │
//!                        ┌─────────────┐                    │
//!  result ◀── 4 wait ─── │   outcome   │ ◀──────────────────┘
//!                        └─────────────┘
//! ```
//!
//! 1. `submit` makes a slot, which is the place for one outcome, and a job,
//!    which has the function and the slot. `Pool::push` puts the job at the end
//!    of the queue. It starts a thread if there are more jobs than idle
//!    threads, and wakes a thread that sleeps.
//! 2. A thread takes the first job of the queue, counts itself as busy, and
//!    calls the function. A panic is caught and becomes the outcome.
//! 3. `Slot::publish` stores the outcome, counts the thread as idle, wakes the
//!    threads that wait in `result`, and runs the callbacks.
//! 4. `result` moves the outcome out of the slot.
//!
//! A `map` is one job with a slot for each item. It is pushed once for each
//! thread that may help, and each thread that takes it runs one item after
//! another until none is left. A `map_buffered` submits each item on its own.
//!
//! # Invariants
//!
//! - **No job is left in the queue while a thread sleeps.** A thread sleeps
//!   only after it has found the queue empty, and releases the lock of the queue
//!   as it falls asleep. `push` adds jobs under the same lock and then wakes as
//!   many threads as there are jobs. One thread at a time does not sleep but
//!   spins; it looks at the queue by itself, so `push` wakes one thread fewer.
//! - **No outcome is left in a slot while its reader sleeps**, for the same
//!   reason: `wait` tests and sleeps, and `publish` stores, under the lock of
//!   the slot.
//! - **A thread is idle before the outcome of its job can be seen**, so calls
//!   that are made one after another all run on one thread. A thread that has
//!   callbacks to run or values of the user to drop stays busy meanwhile,
//!   because these may take as long as a call and may even wait for another
//!   call.
//! - **No code of the user runs under a lock.** Functions, callbacks and
//!   destructors may use the executor and the future. Their panics are caught,
//!   so no lock is poisoned and no thread is lost.
//! - **A thread ends when the queue is closed and empty.** `shutdown` closes the
//!   queue and joins all threads. So it waits for all calls that were submitted,
//!   with their callbacks. `shutdown_cancel_futures` closes the queue, ends what
//!   is in it as cancelled, and joins nothing.
//!
//! # The files
//!
//! In the order in which to read them:
//!
//! - `executor`: submits calls and shuts down.
//! - `pool`: the queue and the threads.
//! - `future`: the outcome of a call, and the caller's handle on it.
//! - `map` and `map_buffered`: many calls at once.
//! - `builder`: the arguments of an executor.
//! - `error`: why a call has no result.
//!
//! From the bottom up, `error`, `pool`, `future`, `executor` and then the rest,
//! each uses only those before it.

#![forbid(unsafe_code)]

mod builder;
mod error;
mod executor;
mod future;
mod map;
mod map_buffered;
mod pool;

pub use builder::Builder;
pub use error::{Error, Panic};
pub use executor::ThreadPoolExecutor;
pub use future::Future;
