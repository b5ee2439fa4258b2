//! Python's `asyncio`, as far as tokio lacks it: a queue that counts
//! unfinished items.
//!
//! The rest is in tokio under other names: `create_task` is
//! `tokio::spawn`, `asyncio.sleep` is `tokio::time::sleep`,
//! `asyncio.Semaphore` is [`tokio::sync::Semaphore`], `task.cancel` is
//! `JoinHandle::abort`; `gather` is `futures::future::try_join_all`.
//!
//! The queue is built on a mutex of std (`sync`) and tokio's `Notify`. Nothing
//! else in this library is built on it.
//!
//! # How the queue works
//!
//! A [`Queue`] has a list of items and two waiting lines, one of calls that wait
//! to get an item and one of calls that wait to put one, all behind one lock.
//! A waiting call has a number, which says when it began to wait, and a waker.
//!
//! ```text
//!     index       0    1    2    3
//!
//!     items       a    b                 two are available to getters
//!     getters    #4   #6   #7   #9       so the first two are served:
//!                 └─ woken ┘             #4 will get a, #6 will get b
//! ```
//!
//! - **The first waiters of a line have what is available.** The waiter at index
//!   `i` of `getters` has the item at index `i` reserved, if there is one. The
//!   same holds for `putters` and the free places. Nothing else needs to be
//!   stored, and when a waiter leaves the line, those behind it move up.
//! - **A waiter is woken once, when something is reserved for it.** A `put` wakes
//!   the first getter that has nothing reserved, a `get` wakes the first putter
//!   that has nothing reserved, and a future that is dropped wakes the waiter
//!   that moves up into its place. Each of these makes at most one item or place
//!   available, so it wakes at most one waiter of each line.
//! - **A call that does not wait takes only what is not reserved**, so it never
//!   overtakes a waiter.
//! - **Items are sorted by the number of their `put`**, which is the order in
//!   which the puts began to wait, whichever of them was polled first.
//! - **No waker is called, cloned or dropped under the lock**, because that runs
//!   code of the runtime, which may use the queue.
//!
//! `join` does not look at the number of unfinished items, which may have risen
//! again by the time its task wakes up. It waits until the number of times that
//! the count has fallen to 0 is not what it was when `join` began.

#![forbid(unsafe_code)]

use crate::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::task::{Poll, Waker, ready};
use tokio::sync::Notify;
use tokio::task::coop::poll_proceed;

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
/// Tasks share the queue in an [`Arc`](std::sync::Arc). It belongs to no event
/// loop: any thread may use it, on any runtime or none.
///
/// Waiting calls are served in the order in which they began to wait, even if
/// they are polled in another order. So two gets in a `tokio::join!` return
/// the same items as two gets in an `asyncio.gather`. An item that is reserved
/// for a waiting [`get`](Self::get) cannot be taken by any other call, but
/// [`len`](Self::len) counts it until the waiting task has run. In Python, a
/// later call can take it.
///
/// Any future of the queue can be dropped at any time, which is how Rust
/// cancels: no item is lost or duplicated, and an item or place that was
/// reserved for the future is reserved for the next waiter.
///
/// Each `put` and each `get` costs one lock. A waiting task costs no CPU time.
/// The queue keeps the memory of its largest backlog.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    maxsize: usize,
    /// Notified each time `State::zeros` has grown.
    finished: Notify,
}

struct State<T> {
    /// The items, each with the number of its `put`, in the order of the numbers.
    items: VecDeque<(u64, T)>,
    /// `maxsize`, or `usize::MAX` without a bound.
    capacity: usize,
    /// The latest number of a call. A call gets its number when it puts an item
    /// or begins to wait.
    last_number: u64,
    getters: Line,
    putters: Line,
    unfinished: usize,
    /// How often `unfinished` has fallen to 0.
    zeros: u64,
}

/// A waiting line: the calls that wait for an item, or those that wait for a
/// place, in the order of their numbers.
#[derive(Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    /// The number of waiters, from the front, that have an item or a place
    /// reserved and were woken. That is all of them, or as many as there are
    /// items or places available.
    reserved: usize,
}

struct Waiter {
    number: u64,
    /// `None` once it has been woken.
    waker: Option<Waker>,
}

#[derive(Clone, Copy)]
enum Side {
    Get,
    Put,
}

impl<T> Queue<T> {
    /// `asyncio.Queue()`: a queue without a bound.
    pub fn new() -> Self {
        Self::with_maxsize(0)
    }

    /// `asyncio.Queue(maxsize)`: a queue that holds at most `maxsize` items, or
    /// any number if `maxsize` is 0.
    pub fn with_maxsize(maxsize: usize) -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                capacity: if maxsize > 0 { maxsize } else { usize::MAX },
                last_number: 0,
                getters: Line::default(),
                putters: Line::default(),
                unfinished: 0,
                zeros: 0,
            }),
            maxsize,
            finished: Notify::new(),
        }
    }

    /// `await queue.put(item)`: waits while the queue is full.
    ///
    /// If the future is dropped while it waits, the item is not put and is
    /// dropped too.
    ///
    /// The items of waiting calls are put in the order in which the calls began
    /// to wait, even if a later call is polled first. There is one exception:
    /// a [`get`](Self::get) that runs after the later call was polled, but
    /// before the earlier one was, takes the later item first.
    pub async fn put(&self, item: T) {
        if self.maxsize == 0 {
            // This never waits, so it need not yield to other tasks either.
            if self.try_put(item).is_err() {
                unreachable!("a queue without a bound is never full");
            }
            return;
        }
        self.wait_then(Side::Put, |state, number, _| state.insert(number, item))
            .await;
    }

    /// `queue.put_nowait(item)`: puts the item without waiting.
    ///
    /// # Errors
    /// [`QueueFull`], with the item, if the queue is full or if each free place
    /// is reserved for a waiting [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), QueueFull<T>> {
        let mut state = self.lock();
        if state.index_for(Side::Put, None).is_none() {
            drop(state);
            return Err(QueueFull(item));
        }
        let number = state.next_number();
        state.insert(number, item);
        self.unlock(state);
        Ok(())
    }

    /// `await queue.get()`: waits while the queue is empty.
    pub async fn get(&self) -> T {
        self.wait_then(Side::Get, |state, _, index| state.remove(index))
            .await
    }

    /// `queue.get_nowait()`: takes an item without waiting.
    ///
    /// # Errors
    /// [`QueueEmpty`], if the queue is empty or if each item is reserved for a
    /// waiting [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, QueueEmpty> {
        let mut state = self.lock();
        let index = state.index_for(Side::Get, None).ok_or(QueueEmpty)?;
        let item = state.remove(index);
        self.unlock(state);
        Ok(item)
    }

    /// `queue.task_done()`: says that the work on one item is finished.
    ///
    /// # Panics
    /// With `task_done() called too many times`, where Python raises
    /// `ValueError`, if it was called as often as items were put.
    #[track_caller]
    pub fn task_done(&self) {
        let mut state = self.lock();
        let Some(unfinished) = state.unfinished.checked_sub(1) else {
            drop(state);
            panic!("task_done() called too many times");
        };
        state.unfinished = unfinished;
        if unfinished > 0 {
            return;
        }
        state.zeros += 1;
        drop(state);
        self.finished.notify_waiters();
    }

    /// `await queue.join()`: waits until [`task_done`](Self::task_done) has been
    /// called for every item.
    ///
    /// As in Python, it returns if that was true at some instant since it was
    /// first polled, even if more items have been put by the time the task
    /// wakes up.
    pub async fn join(&self) {
        let zeros = {
            let state = self.lock();
            if state.unfinished == 0 {
                return;
            }
            state.zeros
        };
        loop {
            // Made before `zeros` is read, so that it receives a notification
            // sent in between. A notification alone proves nothing, because
            // `task_done` sends it after it has released the lock: it may be
            // about a zero before this call.
            let finished = self.finished.notified();
            if self.lock().zeros != zeros {
                return;
            }
            finished.await;
        }
    }

    /// `queue.qsize()`: returns the number of items.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// `queue.empty()`: returns whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `queue.full()`: returns whether there are `maxsize` items. A queue
    /// without a bound is never full.
    pub fn is_full(&self) -> bool {
        self.maxsize > 0 && self.len() >= self.maxsize
    }

    /// `queue.maxsize`: returns the bound, or 0 if there is none.
    pub fn maxsize(&self) -> usize {
        self.maxsize
    }

    /// Waits until an item or a place is available for this call. Then calls
    /// `action` under the lock, with the number of this call and the index of
    /// that item or place.
    async fn wait_then<R>(
        &self,
        side: Side,
        action: impl FnOnce(&mut State<T>, u64, usize) -> R,
    ) -> R {
        let mut waiting = Waiting {
            queue: self,
            side,
            number: None,
        };
        let mut action = Some(action);
        poll_fn(|context| {
            // Makes a task that never has to wait yield from time to time, as
            // tokio's own queues do, so that other tasks can run.
            let coop = ready!(poll_proceed(context));
            // Set in the second round, which only a call that has to wait
            // reaches, because the waker cannot be cloned under the lock.
            let mut waker: Option<Waker> = None;
            loop {
                let mut state = self.lock();
                if let Some(index) = state.index_for(side, waiting.number) {
                    let number = match waiting.number.take() {
                        Some(number) => state.line(side).leave(number).number,
                        None => state.next_number(),
                    };
                    let action = action.take().expect("not polled after it was ready");
                    let result = action(&mut state, number, index);
                    self.unlock(state);
                    coop.made_progress();
                    return Poll::Ready(result);
                }
                if let Some(waker) = waker {
                    let number = *waiting.number.get_or_insert_with(|| state.next_number());
                    let old = state.line(side).wait(number, waker);
                    drop(state);
                    drop(old);
                    return Poll::Pending;
                }
                drop(state);
                waker = Some(context.waker().clone());
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }

    /// Reserves an item or a place that has become available for the next
    /// waiter, releases the lock, and wakes the waiter.
    fn unlock(&self, mut state: MutexGuard<'_, State<T>>) {
        let wakers = [Side::Get, Side::Put].map(|side| state.reserve(side));
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A call that may wait in a line. If its future is dropped, it leaves the line.
struct Waiting<'queue, T> {
    queue: &'queue Queue<T>,
    side: Side,
    /// The number of the call while it waits, otherwise `None`.
    number: Option<u64>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.queue.lock();
            let waiter = state.line(self.side).leave(number);
            self.queue.unlock(state);
            // The waker may own the last reference to a task, and the task may
            // own a future of this queue, whose destructor takes the lock.
            drop(waiter);
        }
    }
}

impl<T> State<T> {
    fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Get => &mut self.getters,
            Side::Put => &mut self.putters,
        }
    }

    fn available(&self, side: Side) -> usize {
        match side {
            Side::Get => self.items.len(),
            Side::Put => self.capacity - self.items.len(),
        }
    }

    /// Returns the index of the item or place that is reserved for the waiter
    /// with this number. For a call that does not wait yet and has no number,
    /// returns the index of the first one that is not reserved.
    fn index_for(&mut self, side: Side, number: Option<u64>) -> Option<usize> {
        let available = self.available(side);
        let line = self.line(side);
        match number {
            Some(number) => Some(line.find(number)).filter(|index| *index < line.reserved),
            None => (line.reserved < available).then_some(line.reserved),
        }
    }

    /// Reserves an item or a place for the next waiter, if there are both, and
    /// returns the waker of that waiter.
    fn reserve(&mut self, side: Side) -> Option<Waker> {
        let available = self.available(side);
        let line = self.line(side);
        if line.reserved == available {
            return None;
        }
        let next = line.waiters.get_mut(line.reserved)?;
        line.reserved += 1;
        next.waker.take()
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn insert(&mut self, number: u64, item: T) {
        // A later call has put its item already if its task was polled first.
        let index = match self.items.back() {
            Some((last, _)) if *last > number => self.items.partition_point(|(n, _)| *n < number),
            _ => self.items.len(),
        };
        self.items.insert(index, (number, item));
        self.unfinished += 1;
    }

    fn remove(&mut self, index: usize) -> T {
        let (_, item) = self.items.remove(index).expect("an item is reserved");
        item
    }
}

impl Line {
    fn find(&self, number: u64) -> usize {
        let index = self.waiters.binary_search_by_key(&number, |w| w.number);
        index.expect("it waits in this line")
    }

    /// Adds the call with this number to the line or, if it waits already,
    /// replaces its waker. Returns the old waker, which the caller has to drop
    /// without the lock.
    fn wait(&mut self, number: u64, waker: Waker) -> Option<Waker> {
        if self.waiters.back().is_none_or(|last| last.number < number) {
            let waker = Some(waker);
            self.waiters.push_back(Waiter { number, waker });
            return None;
        }
        let index = self.find(number);
        self.waiters[index].waker.replace(waker)
    }

    fn leave(&mut self, number: u64) -> Waiter {
        let index = self.find(number);
        self.reserved -= usize::from(index < self.reserved);
        self.waiters.remove(index).expect("it was found")
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

// Not derived, because an item need not be `Debug`. Items are not shown.
impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, unfinished) = {
            let state = self.lock();
            (state.items.len(), state.unfinished)
        };
        // Writes without the lock, because `f` may use the queue.
        f.debug_struct("Queue")
            .field("maxsize", &self.maxsize)
            .field("len", &len)
            .field("unfinished", &unfinished)
            .finish_non_exhaustive()
    }
}

/// `asyncio.QueueFull`, with the item that was not put.
#[derive(thiserror::Error)]
#[error("the queue is full")]
pub struct QueueFull<T>(pub T);

// Not derived, because an item need not be `Debug`.
impl<T> fmt::Debug for QueueFull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueFull(..)")
    }
}

/// `asyncio.QueueEmpty`: there is no item that is not reserved.
#[derive(Debug, thiserror::Error)]
#[error("the queue is empty")]
pub struct QueueEmpty;
