//! The queue and the channel of a pool under Loom, which runs each test with
//! every order of the threads' steps that has at most two preemptions, and with
//! every value that the memory model allows a load to return.
//!
//! This is the library's own source, compiled once more over Loom's atomics,
//! memory and mutexes. A thread stands for a process. It can be killed: then it
//! stops at one of its steps, and the locks that it holds go to the next owner,
//! as robust mutexes do.

#![cfg(all(feature = "multiprocessing", target_os = "linux"))]

mod channel;
mod model;
mod multiprocessing;
mod queue;
#[path = "../watchdog/mod.rs"]
mod watchdog;
