//! The queue between processes.
//!
//! This file is the public type, which turns items into bytes and back. The files
//! below it, in the order in which an item meets them: `transfer.rs` puts bytes
//! into the ring and gets them out, `capacity.rs` makes the ring larger and
//! smaller, and `raw.rs` is the state in shared memory, with the guide to the
//! layout and the protocols.

pub(super) mod capacity;
pub(super) mod raw;
pub(super) mod transfer;

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{self, decode_message, encode_message, with_buffer};
use super::error::Error;
use super::wait::deadline;
use raw::{RawQueue, Wait};

/// A queue between processes, first in, first out: `multiprocessing.Queue`.
/// It has any number of producers and consumers, and no limit unless it is given
/// one.
///
/// A `Queue` is a handle: its clones, and what a child process gets as an
/// argument, are the same queue. Unlike Python's queue it has no feeder thread:
/// an item is in the queue when `put` returns. So `is_empty` and `len` are
/// exact, and a producer can be joined before anybody gets its items.
///
/// When a process dies, at whatever moment, the others go on. An item that it
/// was putting is in the queue whole or not at all; an item that it was getting
/// stays in the queue until the getting is complete.
///
/// # Waiting
///
/// One producer at a time puts, and one consumer at a time gets, for as long as
/// it takes to copy the item. So a process that is stopped in the middle, by
/// SIGSTOP or a debugger, makes the others of its side wait; and a stopped
/// consumer makes producers wait when the queue needs more memory. Calls with a
/// timeout return when it has passed nevertheless. `try_put` and `try_get`
/// return after a tenth of a second with [`Error::Full`] or [`Error::Empty`], as
/// Python's `put_nowait` and `get_nowait` do when they do not get the lock.
/// `len`, `is_empty`, `is_full` and `{:?}` take no lock and never wait.
///
/// # Costs
///
/// An item costs its encoding, an uncontended lock in `put` and one in `get`,
/// and two copies of its bytes. System calls are made only to sleep and to wake, and
/// for memory that is fresh or is returned.
///
/// In each process that has it, a queue takes one descriptor and 68 KiB of
/// address space. Its memory is one page (4 KiB) when it is new, once for all
/// processes, and follows the backlog: a ring buffer of 64 KiB is doubled
/// whenever an item does not fit, and when a large backlog has been got, its
/// memory is returned to the system. A process that puts maps the whole ring,
/// and so does one that gets.
///
/// Memory that has been used before is faster than fresh memory. So when a ring of
/// 4 MiB or more is full and items are being got, `put` waits for room before it
/// doubles the ring, even if the queue has no limit. It waits no longer than it would
/// take to use fresh memory, about a millisecond for each MiB, and not at all if
/// nothing was got since it last waited. `try_put` does not wait.
///
/// ```
/// use shared::multiprocessing::Queue;
///
/// let q = Queue::new()?;
/// q.put("hello".to_string())?;
/// assert_eq!(q.get()?, "hello");
/// assert!(q.is_empty());
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
pub struct Queue<T> {
    raw: Arc<RawQueue>,
    items: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned + 'static> Queue<T> {
    /// Creates a queue without a limit: `Queue()`.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses the memory or the descriptor.
    pub fn new() -> Result<Self, Error> {
        Self::with_maxsize(0)
    }

    /// Creates a queue for at most `maxsize` items: `Queue(maxsize)`. As in
    /// Python, 0 means no limit.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_maxsize(maxsize: usize) -> Result<Self, Error> {
        Ok(Self::over(RawQueue::new(maxsize as u64)?))
    }

    /// Puts an item; waits while the queue is full: `q.put(obj)`.
    ///
    /// # Errors
    /// [`Error::Encode`] if the item cannot be encoded; [`Error::System`], which
    /// names what is missing, if the queue needs more memory and cannot get it.
    /// Then nothing has been put, and the queue is as it was.
    pub fn put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(None))
    }

    /// Puts an item unless the queue is full: `q.put_nowait(obj)`.
    ///
    /// # Errors
    /// [`Error::Full`], also if a stopped process keeps others from putting;
    /// else as [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::Never)
    }

    /// Puts an item; waits at most `timeout`: `q.put(obj, timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; else as [`put`](Self::put).
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(deadline(timeout)))
    }

    fn put_item(&self, item: &T, wait: Wait) -> Result<(), Error> {
        with_buffer(|buffer| self.raw.put(encode_message(item, buffer)?, wait))
    }

    /// Gets the oldest item; waits while there is none: `q.get()`.
    ///
    /// # Errors
    /// [`Error::Decode`] if the item cannot be decoded, or if there is less
    /// memory than twice its bytes. The item is lost then, but the next one can
    /// be got. (An item that becomes much larger than its bytes, as many short
    /// texts do, can still use up the memory, which ends the process.)
    pub fn get(&self) -> Result<T, Error> {
        self.get_item(Wait::Until(None))
    }

    /// Gets the oldest item if there is one: `q.get_nowait()`.
    ///
    /// # Errors
    /// [`Error::Empty`], also if a stopped process keeps others from getting;
    /// else as [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_item(Wait::Never)
    }

    /// Gets the oldest item; waits at most `timeout`: `q.get(timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; else as [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_item(Wait::Until(deadline(timeout)))
    }

    fn get_item(&self, wait: Wait) -> Result<T, Error> {
        with_buffer(|buffer| {
            self.raw.get(buffer, wait)?;
            decode_message(buffer)
        })
    }
}

impl<T> Queue<T> {
    fn over(raw: RawQueue) -> Self {
        Queue {
            raw: Arc::new(raw),
            items: PhantomData,
        }
    }

    /// How many items there are: `q.qsize()`. Never waits.
    pub fn len(&self) -> usize {
        self.raw.len() as usize
    }

    /// Whether there are none: `q.empty()`. Never waits.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// Whether there are `maxsize` items: `q.full()`. Never waits.
    pub fn is_full(&self) -> bool {
        self.raw.is_full()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            raw: self.raw.clone(),
            items: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_handle(&*self.raw, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| Ok(Self::over(RawQueue::open(fd)?)))
    }
}
