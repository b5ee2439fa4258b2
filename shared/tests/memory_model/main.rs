//! The rings in shared memory under Loom, which tries the orders in which
//! threads can take their steps, and every value that the memory model lets a
//! load see.
//!
//! It is the library's own source, compiled once more over atomics, a memory
//! and a mutex that are Loom's. A process is a thread here. It can be killed:
//! it stops at one of its steps, and the locks that it holds go to the next
//! one, who is told, as with robust mutexes.

#![cfg(all(feature = "multiprocessing", target_os = "linux"))]

mod channel;
mod model;
mod multiprocessing;
mod queue;
#[path = "../watchdog/mod.rs"]
mod watchdog;
