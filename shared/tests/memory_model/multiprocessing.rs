//! What the rings' source finds around it.
#![allow(dead_code, reason = "a model uses part of the library")]

#[path = "../../src/multiprocessing/codec.rs"]
mod codec;
#[path = "../../src/multiprocessing/error.rs"]
pub mod error;
#[path = "../../src/multiprocessing/format/mod.rs"]
mod format;
#[path = "../../src/multiprocessing/queue.rs"]
pub mod queue;

/// Stands for `src/multiprocessing/memory.rs`.
pub mod memory {
    pub use crate::model::{
        Area, AtomicU32, AtomicU64, Header, Kind, Memory, RingBytes, RingMap, deadline, fence,
        futex_wait, futex_wake, is_past, reserve, spin, too_large,
    };
}

/// Stands for `src/multiprocessing/mutex.rs`.
mod mutex {
    pub use crate::model::Mutex;
}
