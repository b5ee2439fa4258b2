//! Python's `asyncio`, as far as tokio lacks it: a queue that counts what is
//! still to be done.
//!
//! The rest is in tokio under names of its own: `create_task` is
//! `tokio::spawn`, `asyncio.sleep` is `tokio::time::sleep`,
//! `asyncio.Semaphore` is [`tokio::sync::Semaphore`], `task.cancel` is
//! `JoinHandle::abort`; `gather` is `futures::future::try_join_all`.

#![forbid(unsafe_code)]

use crate::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use tokio::sync::{Notify, Semaphore};

/// `asyncio.Queue`: first in, first out, with a count of unfinished items.
///
/// ```python
/// queue = asyncio.Queue()
/// await queue.put("tea")
/// assert await queue.get() == "tea"
/// queue.task_done()
/// await queue.join()
/// ```
///
/// ```
/// use shared::asyncio::Queue;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let queue = Queue::new();
/// queue.put("tea").await;
/// assert_eq!(queue.get().await, "tea");
/// queue.task_done();
/// queue.join().await;
/// # }
/// ```
///
/// Tasks share it in an [`Arc`](std::sync::Arc). It belongs to no event loop:
/// any thread may use it, on any runtime or none.
///
/// Those who wait are served in order, and what one of them has been promised
/// nobody else can take, though it has yet to wake up and is still counted by
/// [`len`](Self::len). In Python somebody who comes later can take it.
///
/// Any of its futures can be dropped at any time, which is how Rust cancels:
/// no item is lost or doubled, and what was promised goes to the next.
///
/// Costs a lock and a semaphore's permit for each item put and for each got,
/// two permits if there is a bound; a waiting task costs no time. It keeps the
/// memory of its largest backlog.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// One permit for each item that is promised to nobody.
    items: Semaphore,
    /// One permit for each place that is promised to nobody; without a bound,
    /// nobody asks for one.
    places: Semaphore,
    maxsize: usize,
    finished: Notify,
}

struct State<T> {
    items: VecDeque<T>,
    unfinished: usize,
}

impl<T> Queue<T> {
    /// `asyncio.Queue()`: without a bound.
    pub fn new() -> Self {
        Self::with_maxsize(0)
    }

    /// `asyncio.Queue(maxsize)`: holds that many items, and any number if
    /// `maxsize` is 0.
    pub fn with_maxsize(maxsize: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                unfinished: 0,
            }),
            items: Semaphore::new(0),
            places: Semaphore::new(maxsize.min(Semaphore::MAX_PERMITS)),
            maxsize,
            finished: Notify::new(),
        }
    }

    /// `await queue.put(item)`: waits while the queue is full.
    ///
    /// Cancelled while it waits, it puts nothing and the item is dropped.
    pub async fn put(&self, item: T) {
        if self.maxsize > 0 {
            let place = self.places.acquire().await;
            place.expect("never closed").forget();
        }
        self.push(item);
    }

    /// `queue.put_nowait(item)`.
    ///
    /// # Errors
    /// [`QueueFull`], with the item, if there is no place for it or only one
    /// that is promised to a waiting [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), QueueFull<T>> {
        if self.maxsize > 0 {
            match self.places.try_acquire() {
                Ok(place) => place.forget(),
                Err(_) => return Err(QueueFull(item)),
            }
        }
        self.push(item);
        Ok(())
    }

    /// `await queue.get()`: waits while the queue is empty.
    pub async fn get(&self) -> T {
        let item = self.items.acquire().await;
        item.expect("never closed").forget();
        self.pop()
    }

    /// `queue.get_nowait()`.
    ///
    /// # Errors
    /// [`QueueEmpty`], if there is no item or only those that are promised to
    /// a waiting [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, QueueEmpty> {
        let item = self.items.try_acquire();
        item.map_err(|_| QueueEmpty)?.forget();
        Ok(self.pop())
    }

    /// `queue.task_done()`: one of the items put has been dealt with.
    ///
    /// # Panics
    /// With `task_done() called too many times`, where Python raises
    /// `ValueError`, if all of them have.
    #[track_caller]
    pub fn task_done(&self) {
        let mut state = self.lock();
        let Some(unfinished) = state.unfinished.checked_sub(1) else {
            drop(state);
            panic!("task_done() called too many times");
        };
        state.unfinished = unfinished;
        drop(state);
        if unfinished == 0 {
            self.finished.notify_waiters();
        }
    }

    /// `await queue.join()`: waits until all items put have been dealt with.
    ///
    /// It returns when that was so for an instant, as in Python, even if more
    /// has been put by the time the task wakes up.
    pub async fn join(&self) {
        // Listening before looking: what happens in between is not missed.
        let finished = self.finished.notified();
        if self.lock().unfinished > 0 {
            finished.await;
        }
    }

    /// `queue.qsize()`.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// `queue.empty()`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `queue.full()`: never, without a bound.
    pub fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    /// `queue.maxsize`: 0 without a bound.
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    fn push(&self, item: T) {
        let mut state = self.lock();
        state.items.push_back(item);
        state.unfinished += 1;
        drop(state);
        self.items.add_permits(1);
    }

    fn pop(&self) -> T {
        let item = self.lock().items.pop_front();
        if self.maxsize > 0 {
            self.places.add_permits(1);
        }
        item.expect("a permit stands for an item")
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// `asyncio.QueueFull`, which hands back the item that was not put.
#[derive(thiserror::Error)]
#[error("the queue is full")]
pub struct QueueFull<T>(pub T);

// Not derived: an item need not be Debug.
impl<T> fmt::Debug for QueueFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueFull(..)")
    }
}

/// `asyncio.QueueEmpty`.
#[derive(Debug, thiserror::Error)]
#[error("the queue is empty")]
pub struct QueueEmpty;
