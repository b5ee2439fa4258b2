//! The executor: it turns a function into a job and pushes it to the pool, and
//! it shuts the pool down.

use super::error::{Error, catch_panic};
use super::future::{Future, Slot};
use super::pool::{Busy, Job, Phase, Pool};
use crate::sync::{Arc, Mutex};
use std::fmt;

/// `concurrent.futures.ThreadPoolExecutor`: runs calls on a few threads.
///
/// ```python
/// with ThreadPoolExecutor(max_workers=4) as executor:
///     results = list(executor.map(square, [1, 2, 3, 4, 5]))
/// ```
///
/// ```
/// use shared::concurrent::futures::ThreadPoolExecutor;
/// # fn square(n: i32) -> i32 { n * n }
///
/// let executor = ThreadPoolExecutor::new(4);
/// let results: Vec<i32> = executor.map(square, [1, 2, 3, 4, 5]).collect();
/// assert_eq!(results, [1, 4, 9, 16, 25]);
/// ```
///
/// As in Python, a thread starts when there is a call that no idle thread can
/// take, and there are never more than `max_workers` of them. Calls start in
/// the order in which they were submitted. A submitted call runs even if its
/// result is never read. Dropping the executor is like leaving the `with`
/// block: it waits for all calls.
///
/// A call that waits for another call of the same executor can wait for ever,
/// as it does in Python, when every thread is taken by such a call.
///
/// When `main` returns, the process ends and the remaining calls are lost;
/// Python would wait for them. An executor that is dropped before then waits as
/// well. But one in a `static` is never dropped, and one in an [`Arc`] is not
/// dropped as long as one of its own calls has a clone. For these, call
/// [`shutdown`](Self::shutdown) at the end of `main`:
///
/// ```
/// # use shared::concurrent::futures::ThreadPoolExecutor;
/// # use std::sync::LazyLock;
/// # use std::sync::atomic::{AtomicBool, Ordering};
/// # static SAVED: AtomicBool = AtomicBool::new(false);
/// # fn save() { SAVED.store(true, Ordering::Relaxed) }
/// static EXECUTOR: LazyLock<ThreadPoolExecutor> =
///     LazyLock::new(|| ThreadPoolExecutor::new(4));
///
/// fn main() {
///     drop(EXECUTOR.submit(save));
///     EXECUTOR.shutdown();
/// #   assert!(SAVED.load(Ordering::Relaxed));
/// }
/// ```
///
/// The calls of an executor from [`new`](Self::new), which is a
/// `ThreadPoolExecutor<'static>`, own what they use. Those of an executor from
/// [`build_scoped`](super::Builder::build_scoped) may borrow.
///
/// Each call costs one lock when it is submitted and one when a thread takes
/// it. A thread without a call spins for 50 us, then sleeps.
pub struct ThreadPoolExecutor<'scope> {
    pub(super) pool: Arc<Pool<'scope>>,
}

impl<'scope> ThreadPoolExecutor<'scope> {
    /// `executor.submit(fn)`: has a thread of the pool call `function`.
    ///
    /// A closure captures the arguments, which Python passes to `submit`.
    ///
    /// # Errors
    /// This function itself never fails; the [`Future`] returns the error. That
    /// is [`Error::Shutdown`] or [`Error::Broken`], which Python raises in
    /// `submit`, or [`Error::Spawn`].
    ///
    /// ```
    /// # use shared::concurrent::futures::{Error, ThreadPoolExecutor};
    /// let executor = ThreadPoolExecutor::new(4);
    /// let length = executor.submit(|| "hello".len());
    /// assert_eq!(length.result()?, 5);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// A call costs two allocations, and a wake-up if all threads are asleep.
    pub fn submit<T, F>(&self, function: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.try_submit(function).unwrap_or_else(Future::failed)
    }

    pub(super) fn try_submit<T, F>(&self, function: F) -> Result<Future<T>, Error>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (future, slot) = Future::pending();
        let function = Mutex::new(Some(function));
        let call = Arc::new(Call { function, slot });
        self.pool.push([call as _], None)?;
        Ok(future)
    }

    /// `executor.shutdown()`: accepts no more calls, and waits until those
    /// submitted are done and the threads have ended.
    ///
    /// A thread of this executor may call it too. It does not wait then,
    /// because it would wait for itself.
    pub fn shutdown(&self) {
        self.shutdown_nowait();
        self.pool.join();
    }

    /// `executor.shutdown(wait=False)`: accepts no more calls. Those submitted
    /// still run, and dropping the executor still waits for them.
    pub fn shutdown_nowait(&self) {
        self.pool.close(Phase::Shutdown);
    }

    /// `executor.shutdown(wait=False, cancel_futures=True)`: accepts no more
    /// calls and cancels those that have not started. To wait for those that
    /// have, call [`shutdown`](Self::shutdown) afterwards.
    pub fn shutdown_cancel_futures(&self) {
        self.shutdown_nowait();
        self.pool.reject_pending(|| Error::Cancelled);
    }
}

impl Drop for ThreadPoolExecutor<'_> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for ThreadPoolExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Writes without the lock, because `f` may use the executor.
        let (threads, queued, phase) = self.pool.snapshot();
        f.debug_struct("ThreadPoolExecutor")
            .field("thread_name_prefix", &self.pool.thread_name_prefix)
            .field("max_workers", &self.pool.max_workers)
            .field("threads", &threads)
            .field("queued", &queued)
            .field("state", &phase)
            .finish_non_exhaustive()
    }
}

/// The job of a `submit`.
struct Call<F, T> {
    function: Mutex<Option<F>>,
    slot: Arc<Slot<T>>,
}

impl<F, T> Job for Call<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(&self, busy: Busy<'_>) {
        let function = self.function.lock().unwrap().take();
        if let Some(function) = function
            && self.slot.start()
        {
            self.slot.finish(catch_panic(function), Some(busy));
        }
    }

    fn reject(&self, error: fn() -> Error) {
        self.slot.reject(error());
    }
}
