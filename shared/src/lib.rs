//! What Python's concurrency modules have and Rust's crates lack, under the
//! names Python gives it. One feature for each module.
#![cfg_attr(
    all(feature = "multiprocessing", target_os = "linux"),
    doc = "",
    doc = "How [`multiprocessing`] works inside, what it costs and needs, and what of Python's",
    doc = "it leaves out stands in its [guide](multiprocessing::guide)."
)]

#[cfg(feature = "aiohttp")]
pub mod aiohttp;
#[cfg(feature = "asyncio")]
pub mod asyncio;
#[cfg(feature = "threading")]
pub mod concurrent;
#[cfg(all(feature = "multiprocessing", target_os = "linux"))]
pub mod multiprocessing;
#[cfg(feature = "threading")]
pub mod threading;

#[cfg(any(feature = "asyncio", feature = "threading"))]
mod sync;

#[cfg(all(feature = "multiprocessing", not(target_os = "linux")))]
compile_error!(
    "the feature `multiprocessing` of the crate `shared` needs Linux, because it is built on \
     memfd, futexes, robust mutexes and pidfd. On Windows, build and run the program in WSL 2; \
     on macOS, in a Linux container or virtual machine; or use a Linux machine. The features \
     `threading` and `asyncio` work on every system"
);
