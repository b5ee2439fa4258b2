//! Python's `asyncio`, as far as tokio lacks it: a queue that counts
//! unfinished items.
//!
//! The rest is in tokio under other names: `create_task` is
//! `tokio::spawn`, `asyncio.sleep` is `tokio::time::sleep`,
//! `asyncio.Semaphore` is [`tokio::sync::Semaphore`], `task.cancel` is
//! `JoinHandle::abort`; `gather` is `futures::future::try_join_all`.

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
/// Tasks share it in an [`Arc`](std::sync::Arc). It belongs to no event loop:
/// any thread may use it, on any runtime or none.
///
/// Waiting calls are served in the order in which they began to wait, even if
/// they are polled in another order, so that two gets in a `tokio::join!` get
/// the items that they get in an `asyncio.gather`. An item that is reserved for
/// a waiting [`get`](Self::get) can be taken by no other call, but
/// [`len`](Self::len) counts it until the task has woken up. In Python a later
/// call can take it.
///
/// Any of its futures can be dropped at any time, which is how Rust cancels:
/// no item is lost or duplicated, and what was reserved goes to the next.
///
/// Costs a lock for each item put and for each got; a waiting task costs no
/// time. The queue keeps the memory of its largest backlog.
pub struct Queue<T> {
    state: Mutex<State<T>>,
    maxsize: usize,
    /// Notified after each rise of `State::zeros`.
    finished: Notify,
}

struct State<T> {
    /// Each item has the number of its `put`. The numbers ascend.
    items: VecDeque<(u64, T)>,
    /// `maxsize`, or `usize::MAX` without a bound.
    capacity: usize,
    /// Numbers the calls in the order in which they put or began to wait.
    last_number: u64,
    getters: Line,
    putters: Line,
    unfinished: usize,
    /// How often `unfinished` has fallen to 0. A `join` looks at this and not
    /// at `unfinished`, which may have risen again when its task wakes up.
    zeros: u64,
}

/// Calls that wait, in the order in which they began to wait.
///
/// What becomes available, items or places, is reserved for them in that
/// order. The first waiter has the first item, whoever is polled first, and
/// when a waiter leaves the line, those behind it move up.
#[derive(Default)]
struct Line {
    waiters: VecDeque<Waiter>,
    /// So many waiters at the front have something reserved and were woken:
    /// all of them, or as many as there are items or places available.
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
    /// Dropped while it waits, it puts nothing and the item is dropped.
    ///
    /// The items of calls that waited are in the order in which the calls began
    /// to wait, even if a later call is polled first. Only a
    /// [`get`](Self::get) that comes before the earlier call is polled as well
    /// takes the later item first.
    pub async fn put(&self, item: T) {
        if self.maxsize == 0 {
            // Never waits, so it never has to give way to other tasks.
            if self.try_put(item).is_err() {
                unreachable!("a queue without a bound is never full");
            }
            return;
        }
        self.wait_then(Side::Put, |state, number, _| state.insert(number, item))
            .await;
    }

    /// `queue.put_nowait(item)`.
    ///
    /// # Errors
    /// [`QueueFull`], with the item, if there is no place for it or only one
    /// that is reserved for a waiting [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), QueueFull<T>> {
        let mut state = self.lock();
        if state.index_for(Side::Put, None).is_none() {
            drop(state);
            return Err(QueueFull(item));
        }
        let number = state.number();
        state.insert(number, item);
        self.unlock(state);
        Ok(())
    }

    /// `await queue.get()`: waits while the queue is empty.
    pub async fn get(&self) -> T {
        self.wait_then(Side::Get, |state, _, index| state.remove(index))
            .await
    }

    /// `queue.get_nowait()`.
    ///
    /// # Errors
    /// [`QueueEmpty`], if there is no item or only those that are reserved for
    /// a waiting [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, QueueEmpty> {
        let mut state = self.lock();
        let index = state.index_for(Side::Get, None).ok_or(QueueEmpty)?;
        let item = state.remove(index);
        self.unlock(state);
        Ok(item)
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
        if unfinished > 0 {
            return;
        }
        state.zeros += 1;
        // Without the lock, because a waker may be code that uses the queue.
        drop(state);
        self.finished.notify_waiters();
    }

    /// `await queue.join()`: waits until all items put have been dealt with.
    ///
    /// It returns if that has been so at some instant since it was first
    /// polled, as in Python, even if more has been put by the time the task
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
            // Listens before it looks, so that no rise in between is missed. A
            // notice alone proves nothing: `task_done` sends it after it has
            // released the lock, so it may tell of a zero before this call.
            let finished = self.finished.notified();
            if self.lock().zeros != zeros {
                return;
            }
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

    /// Waits until an item or a place is available for this call. Then calls
    /// `action` under the lock, with the number of this call and with the index
    /// of what is available for it.
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
            // A task that never has to wait yields now and then, as it does
            // with tokio's own queues, so that other tasks can run.
            let coop = ready!(poll_proceed(context));
            // Cloned and dropped without the lock, because that runs code of
            // the runtime.
            let mut waker: Option<Waker> = None;
            loop {
                let mut state = self.lock();
                if let Some(index) = state.index_for(side, waiting.number) {
                    let number = match waiting.number.take() {
                        Some(number) => state.line(side).leave(number).number,
                        None => state.number(),
                    };
                    let action = action.take().expect("not polled after it was ready");
                    let result = action(&mut state, number, index);
                    self.unlock(state);
                    coop.made_progress();
                    return Poll::Ready(result);
                }
                if let Some(waker) = waker {
                    let number = *waiting.number.get_or_insert_with(|| state.number());
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

    /// Reserves what has become available for the next waiter, releases the
    /// lock, and wakes the waiter.
    fn unlock(&self, mut state: MutexGuard<'_, State<T>>) {
        let wakers = [Side::Get, Side::Put].map(|side| state.reserve(side));
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

/// A call that may be waiting in a line. It leaves the line when its future is
/// dropped.
struct Waiting<'queue, T> {
    queue: &'queue Queue<T>,
    side: Side,
    /// `None` before it waits and after it has left the line.
    number: Option<u64>,
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let mut state = self.queue.lock();
            let waiter = state.line(self.side).leave(number);
            self.queue.unlock(state);
            // Without the lock: the waker may own the last reference to a task,
            // and the task a future of this queue, whose drop takes the lock.
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

    /// The index of the item or place that is reserved for the waiter with this
    /// number. Without a number, for a call that does not wait yet, the index of
    /// the first one that is not reserved.
    fn index_for(&mut self, side: Side, number: Option<u64>) -> Option<usize> {
        let available = self.available(side);
        let line = self.line(side);
        match number {
            Some(number) => Some(line.find(number)).filter(|index| *index < line.reserved),
            None => (line.reserved < available).then_some(line.reserved),
        }
    }

    /// Reserves an item or a place for the next waiter, if there are both, and
    /// returns the waker of this waiter.
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

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn insert(&mut self, number: u64, item: T) {
        // A later call may have put its item first, if its task was quicker.
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

    /// Makes the call with this number wait, or wait on with another waker,
    /// and returns the waker to drop.
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

// Not derived: an item need not be Debug, and is not shown.
impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (len, unfinished) = {
            let state = self.lock();
            (state.items.len(), state.unfinished)
        };
        // Without the lock, because `f` may be a writer that uses the queue.
        f.debug_struct("Queue")
            .field("maxsize", &self.maxsize)
            .field("len", &len)
            .field("unfinished", &unfinished)
            .finish_non_exhaustive()
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
