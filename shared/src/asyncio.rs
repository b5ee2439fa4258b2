//! Python's `asyncio`, as far as tokio lacks it: a queue that counts finished
//! work.

#![forbid(unsafe_code)]

use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::fmt;
use tokio::sync::{Notify, Semaphore};

/// `asyncio.QueueFull`; it hands back the item there was no room for.
#[derive(thiserror::Error)]
#[error("the queue is full")]
pub struct QueueFull<T>(pub T);

impl<T> fmt::Debug for QueueFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueFull(..)")
    }
}

/// `asyncio.QueueEmpty`.
#[derive(Debug, thiserror::Error)]
#[error("the queue is empty")]
pub struct QueueEmpty;

/// `asyncio.Queue`.
pub struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    /// One permit for each item that no `get` has been promised.
    ready: Semaphore,
    /// One permit for each place that no `put` has been promised; none is
    /// ever taken when `maxsize` is 0.
    free: Semaphore,
    maxsize: usize,
    unfinished: AtomicUsize,
    all_done: Notify,
}

impl<T> Queue<T> {
    /// `asyncio.Queue()`: without a bound.
    pub fn new() -> Self {
        Self::with_maxsize(0)
    }

    /// `asyncio.Queue(maxsize)`; 0 is without a bound.
    pub fn with_maxsize(maxsize: usize) -> Self {
        Self {
            items: Mutex::default(),
            ready: Semaphore::new(0),
            free: Semaphore::new(maxsize.min(Semaphore::MAX_PERMITS)),
            maxsize,
            unfinished: AtomicUsize::new(0),
            all_done: Notify::new(),
        }
    }

    /// `await queue.put(item)`: waits while the queue is full.
    pub async fn put(&self, item: T) {
        if self.maxsize > 0 {
            self.free.acquire().await.expect("never closed").forget();
        }
        self.push(item);
    }

    /// `queue.put_nowait(item)`.
    pub fn try_put(&self, item: T) -> Result<(), QueueFull<T>> {
        if self.maxsize > 0 {
            match self.free.try_acquire() {
                Ok(place) => place.forget(),
                Err(_) => return Err(QueueFull(item)),
            }
        }
        self.push(item);
        Ok(())
    }

    /// `await queue.get()`: waits while the queue is empty.
    pub async fn get(&self) -> T {
        self.ready.acquire().await.expect("never closed").forget();
        self.pop()
    }

    /// `queue.get_nowait()`.
    pub fn try_get(&self) -> Result<T, QueueEmpty> {
        self.ready.try_acquire().map_err(|_| QueueEmpty)?.forget();
        Ok(self.pop())
    }

    /// `queue.task_done()`: an item from `get` has been dealt with.
    ///
    /// # Panics
    /// When called more often than items were put.
    pub fn task_done(&self) {
        let before = self
            .unfinished
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1))
            .expect("task_done() called too many times");
        if before == 1 {
            self.all_done.notify_waiters();
        }
    }

    /// `await queue.join()`: waits until each item put has had its
    /// [`task_done`](Self::task_done).
    pub async fn join(&self) {
        let all_done = self.all_done.notified();
        if self.unfinished.load(Ordering::Acquire) > 0 {
            all_done.await;
        }
    }

    /// `queue.qsize()`.
    pub fn len(&self) -> usize {
        self.items.lock().unwrap().len()
    }

    /// `queue.empty()`.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `queue.full()`; never true when [`maxsize`](Self::maxsize) is 0.
    pub fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    /// `queue.maxsize`.
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    fn push(&self, item: T) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        self.items.lock().unwrap().push_back(item);
        self.ready.add_permits(1);
    }

    fn pop(&self) -> T {
        let item = self.items.lock().unwrap().pop_front();
        if self.maxsize > 0 {
            self.free.add_permits(1);
        }
        item.expect("each permit of `ready` stands for an item")
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}
