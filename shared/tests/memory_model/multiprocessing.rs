//! The modules that the source of the queue and of the channel imports: the real
//! ones where that is possible, and stand-ins over Loom where it is not.
#![allow(dead_code, reason = "a model uses part of the library")]

#[path = "../../src/multiprocessing/codec.rs"]
mod codec;
#[path = "../../src/multiprocessing/error.rs"]
pub mod error;
#[path = "../../src/multiprocessing/format/mod.rs"]
mod format;
#[path = "../../src/multiprocessing/queue/mod.rs"]
pub mod queue;

/// Stands for `src/multiprocessing/allocation.rs`.
pub mod allocation {
    pub use crate::model::{reserve, too_large};
}

/// Stands for `src/multiprocessing/memory.rs`.
pub mod memory {
    pub use crate::model::{AtomicU32, AtomicU64, Header, Kind, PAGE_SIZE, SharedMemory, fence};
}

/// Stands for `src/multiprocessing/mutex.rs`.
mod mutex {
    pub use crate::model::Mutex;
}

/// Stands for `src/multiprocessing/ring.rs`.
pub mod ring {
    pub use crate::model::{
        FRAME_HEADER, RingArea, RingBytes, RingMap, frame_size, read_unmapped, release_pages,
        write_unmapped,
    };
}

/// Stands for `src/multiprocessing/wait.rs`.
pub mod wait {
    pub use crate::model::{deadline, futex_wait, futex_wake, is_past, spin};
}
