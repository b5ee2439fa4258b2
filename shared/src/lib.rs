//! What Python's concurrency modules have and Rust's crates lack, under the
//! names Python gives it. One feature for each module.

#[cfg(feature = "aiohttp")]
pub mod aiohttp;
#[cfg(feature = "asyncio")]
pub mod asyncio;
#[cfg(feature = "threading")]
pub mod concurrent;
#[cfg(feature = "multiprocessing")]
pub mod multiprocessing;
#[cfg(feature = "threading")]
pub mod threading;

#[cfg(any(feature = "asyncio", feature = "threading"))]
mod sync;
