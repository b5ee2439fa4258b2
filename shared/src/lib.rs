//! What Python's concurrency modules have and Rust's crates lack, under the
//! names Python gives it.
//!
//! Each module needs the feature of its name, except that `concurrent` comes with
//! the feature `threading`.
#![cfg_attr(
    all(
        feature = "multiprocessing",
        target_os = "linux",
        target_pointer_width = "64"
    ),
    doc = "",
    doc = "The [guide](multiprocessing::guide) to [`multiprocessing`] explains how it works",
    doc = "inside, what it costs and needs, and what it leaves out of Python's module."
)]

#[cfg(feature = "aiohttp")]
pub mod aiohttp;
#[cfg(feature = "asyncio")]
pub mod asyncio;
#[cfg(feature = "threading")]
pub mod concurrent;
#[cfg(all(
    feature = "multiprocessing",
    target_os = "linux",
    target_pointer_width = "64"
))]
pub mod multiprocessing;
#[cfg(feature = "threading")]
pub mod threading;

#[cfg(any(feature = "asyncio", feature = "threading"))]
mod sync;

#[cfg(all(
    feature = "multiprocessing",
    not(all(target_os = "linux", target_pointer_width = "64"))
))]
compile_error!(
    "the feature `multiprocessing` of the crate `shared` needs Linux on a 64-bit processor, because \
     it is built on memfd, futexes, robust mutexes and pidfd. On Windows, build and run the program \
     in WSL 2; on macOS, in a Linux container or virtual machine; or use a Linux machine. The \
     features `threading` and `asyncio` work on every system"
);
