//! Python's `concurrent.futures`: a pool of threads that runs calls, and the
//! futures that get their results.

#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread::{self, Scope, ThreadId};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, Weak, spin_until};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use std::{fmt, io, mem, vec};

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
/// take, never more than `max_workers` of them; calls start in the order in
/// which they were submitted; and what was submitted is run, even if nobody
/// asks for its result. Dropping the executor is leaving the `with` block: it
/// waits for all calls.
///
/// A call that waits for another call of the same executor can wait for ever,
/// as it does in Python, when every thread is taken by such a call.
///
/// When `main` returns, the process ends and the calls that are left are lost;
/// Python would wait for them. An executor that is dropped before waits as
/// well, but one in a `static` is never dropped, and one in an
/// [`Arc`] is not as long as a call of its own has a clone. In
/// these cases call [`shutdown`](Self::shutdown) at the end of `main`:
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
/// An executor from [`new`](Self::new) is a `ThreadPoolExecutor<'static>` and
/// its calls own what they use; one from
/// [`build_scoped`](Builder::build_scoped) may borrow.
///
/// Costs one lock for each call submitted and one for each taken; a thread
/// without a call spins for 50 us, then sleeps.
pub struct ThreadPoolExecutor<'scope> {
    pool: Arc<Pool<'scope>>,
    /// `shutdown` holds this lock while it joins, so that a concurrent
    /// `shutdown` also returns only after all threads have ended.
    threads: Mutex<Vec<Join<'scope>>>,
}

impl ThreadPoolExecutor<'static> {
    /// `ThreadPoolExecutor(max_workers)`.
    ///
    /// # Panics
    /// With `max_workers must be greater than 0`, where Python raises
    /// `ValueError`.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        Self::builder().max_workers(max_workers).build()
    }

    /// `ThreadPoolExecutor(..)` with its other arguments.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<'scope> ThreadPoolExecutor<'scope> {
    /// `executor.submit(fn)`: has `function` called by a thread of the pool.
    ///
    /// Arguments are what the closure captures.
    ///
    /// # Errors
    /// In the [`Future`]: [`Error::Shutdown`] and [`Error::Broken`], which
    /// Python raises here, and [`Error::Spawn`].
    ///
    /// ```
    /// # use shared::concurrent::futures::{Error, ThreadPoolExecutor};
    /// let executor = ThreadPoolExecutor::new(4);
    /// let length = executor.submit(|| "hello".len());
    /// assert_eq!(length.result()?, 5);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// Costs two allocations, and a wake-up when all threads are asleep.
    pub fn submit<T, F>(&self, function: F) -> Future<T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        self.try_submit(function).unwrap_or_else(Future::failed)
    }

    /// `executor.map(fn, items)`: the results, in the order of the items.
    ///
    /// All items are submitted at once, and run even if the iterator is
    /// dropped unread. Once begun, dropping it drops what has not started, as
    /// closing Python's generator does.
    ///
    /// `items` is read to its end before the first call starts; Python starts
    /// calling meanwhile. So `map` never returns from endless items such as
    /// `0..`, and fills the memory, as it does in Python:
    /// [`map_buffered`](Self::map_buffered) is for those, and for more items or
    /// results than fit into memory.
    ///
    /// # Panics
    /// When called, with the message of the [`Error`], if the executor is shut
    /// down or broken or the system grants no thread. The iterator resumes the
    /// panic of a call when it comes to its result, and panics with the
    /// message of [`Error::Cancelled`] and [`Error::Broken`]; what has not
    /// started then is dropped.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(4);
    /// let lengths = executor.map(|word: &str| word.len(), ["I", "am"]);
    /// assert!(lengths.eq([1, 2]));
    /// ```
    ///
    /// Costs three locks for each item: the map is one job, which the threads
    /// share.
    #[track_caller]
    pub fn map<T, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> impl Iterator<Item = R> + Send + use<'scope, T, R, F, I>
    where
        F: Fn(T) -> R + Send + Sync + 'scope,
        I: IntoIterator<Item = T>,
        T: Send + 'scope,
        R: Send + 'scope,
    {
        let items = collect(items.into_iter());
        let batch = Arc::new(Batch {
            slots: items.iter().map(|_| Slot::new()).collect(),
            rest: Mutex::new(Rest {
                function: Some(Arc::new(function)),
                items: items.into_iter(),
            }),
        });
        let job: Arc<dyn Job + 'scope> = batch.clone();
        let workers = batch.slots.len().min(self.pool.max_workers);
        let jobs = (0..workers).map(|_| job.clone());
        if let Err(error) = self.push(jobs, Some(Arc::downgrade(&job))) {
            // Drops the items before the panic: one that panics when it is
            // dropped during the panic would abort the process.
            batch.reject_rest(|| Error::Cancelled);
            panic!("{error}");
        }
        Results { batch, read: 0 }
    }

    /// `executor.map(fn, items, buffersize=buffersize)`, which Python has
    /// since 3.14: a [`map`](Self::map) that reads `items` as its results are
    /// read, so that they may be endless.
    ///
    /// The first `buffersize` items are read and submitted at once, and one
    /// more before each result is yielded. So there are at most `buffersize`
    /// calls whose results have not been yielded, waiting, running or done.
    ///
    /// These run even if the iterator is dropped unread. Once begun, dropping
    /// it drops what has not started. Either way, no further item is read.
    ///
    /// # Panics
    /// When called, with `buffersize must be greater than 0`, where Python
    /// raises `ValueError`, or with the message of the [`Error`] if the
    /// executor is shut down or broken. The iterator resumes the panic of a
    /// call, or of `items`, when it comes to its result, and panics with the
    /// message of the [`Error`] of a call that was cancelled or rejected. It
    /// ends then, and what has not started is dropped.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(4);
    /// let mut squares = executor.map_buffered(|n: u64| n * n, 0.., 8);
    /// assert_eq!(squares.find(|n| *n > 100), Some(121));
    /// ```
    ///
    /// ```python
    /// squares = executor.map(lambda n: n * n, count(), buffersize=8)
    /// assert next(n for n in squares if n > 100) == 121
    /// ```
    ///
    /// Costs what [`submit`](Self::submit) costs for each item.
    #[track_caller]
    pub fn map_buffered<T, R, F, I>(
        &self,
        function: F,
        items: I,
        buffersize: usize,
    ) -> impl Iterator<Item = R>
    where
        F: Fn(T) -> R + Send + Sync + 'scope,
        I: IntoIterator<Item = T>,
        T: Send + 'scope,
        R: Send + 'scope,
    {
        assert!(buffersize > 0, "buffersize must be greater than 0");
        let open = self.pool.lock().check_open();
        if let Err(error) = open {
            panic!("{error}");
        }
        let mut results = BufferedResults {
            executor: self,
            function: Arc::new(function),
            items: Some(items.into_iter()),
            futures: VecDeque::new(),
            begun: false,
        };
        while results.futures.len() < buffersize && results.submit_next() {}
        results
    }

    /// `executor.shutdown()`: takes no more calls, and waits until those
    /// submitted are done and the threads have ended.
    ///
    /// Called by one of this executor's own threads it does not wait, because
    /// it would wait for itself.
    pub fn shutdown(&self) {
        self.shutdown_nowait();
        if self.pool.lock().workers.contains(&thread::current().id()) {
            return;
        }
        for join in self.threads.lock().unwrap().drain(..) {
            join();
        }
    }

    /// `executor.shutdown(wait=False)`: takes no more calls. Those submitted
    /// still run, and dropping the executor still waits for them.
    pub fn shutdown_nowait(&self) {
        self.pool.close(Phase::Shutdown);
    }

    /// `executor.shutdown(wait=False, cancel_futures=True)`: takes no more
    /// calls and cancels those that have not started. To wait for those that
    /// have, call [`shutdown`](Self::shutdown) then.
    pub fn shutdown_cancel_futures(&self) {
        self.shutdown_nowait();
        self.pool.reject_pending(|| Error::Cancelled);
    }

    fn try_submit<T, F>(&self, function: F) -> Result<Future<T>, Error>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let future = Future::new();
        let call = Arc::new(Call {
            function: Mutex::new(Some(function)),
            slot: future.0.clone(),
        });
        self.push([call as _], None)?;
        Ok(future)
    }

    /// Queues the jobs, starts threads for those that no idle thread can take,
    /// up to `max_workers`, and wakes parked ones.
    fn push(
        &self,
        jobs: impl IntoIterator<Item = Arc<dyn Job + 'scope>>,
        batch: Option<Weak<dyn Job + 'scope>>,
    ) -> Result<(), Error> {
        let pool = &self.pool;
        let mut queue = pool.lock();
        queue.check_open()?;
        queue.jobs.extend(jobs);
        queue.batches.retain(|batch| batch.strong_count() > 0);
        queue.batches.extend(batch);
        while queue.jobs.len() > pool.idle.load(Ordering::Relaxed)
            && queue.workers.len() < pool.max_workers
        {
            let name = format!("{}_{}", pool.thread_name_prefix, queue.workers.len());
            match (pool.spawn)(thread::Builder::new().name(name), pool.clone()) {
                Ok((id, join)) => {
                    pool.idle.fetch_add(1, Ordering::Relaxed);
                    queue.workers.push(id);
                    self.threads.lock().unwrap().push(join);
                }
                Err(error) if queue.workers.is_empty() => {
                    let jobs = mem::take(&mut queue.jobs);
                    drop(queue);
                    drop(jobs);
                    return Err(Error::Spawn(error));
                }
                // Fewer threads than allowed do the work, only later.
                Err(_) => break,
            }
        }
        let unseen = queue.jobs.len().saturating_sub(usize::from(queue.spinning));
        let wake = unseen.min(queue.parked);
        drop(queue);
        for _ in 0..wake {
            pool.work.notify_one();
        }
        Ok(())
    }
}

impl fmt::Debug for ThreadPoolExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (threads, jobs, phase) = {
            let queue = self.pool.lock();
            (queue.workers.len(), queue.jobs.len(), queue.phase)
        };
        // Without the lock, because `f` may be a writer that uses the executor.
        f.debug_struct("ThreadPoolExecutor")
            .field("thread_name_prefix", &self.pool.thread_name_prefix)
            .field("max_workers", &self.pool.max_workers)
            .field("threads", &threads)
            .field("queued", &jobs)
            .field("state", &phase)
            .finish_non_exhaustive()
    }
}

impl Drop for ThreadPoolExecutor<'_> {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// The arguments of `ThreadPoolExecutor(..)`, by name.
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    thread_name_prefix: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let initializer = self
            .initializer
            .as_ref()
            .map(|_| format_args!("{{closure}}"));
        f.debug_struct("Builder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.thread_name_prefix)
            .field("initializer", &initializer)
            .finish()
    }
}

impl Builder {
    /// `max_workers`: unless set, `min(32, cores + 4)`, as in Python.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// `thread_name_prefix`: the threads are named `{prefix}_{M}`, and unless
    /// it is set `ThreadPoolExecutor-{N}_{M}`.
    ///
    /// # Panics
    /// If it contains a NUL, which no thread's name can.
    #[track_caller]
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        assert!(!prefix.contains('\0'), "thread_name_prefix contains a NUL");
        self.thread_name_prefix = Some(prefix);
        self
    }

    /// `initializer`: each thread calls it before its first call. If it
    /// panics, the executor is [broken](Error::Broken).
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// The executor, whose calls own what they use.
    ///
    /// # Panics
    /// With `max_workers must be greater than 0`.
    #[track_caller]
    pub fn build(self) -> ThreadPoolExecutor<'static> {
        self.build_with(|builder, pool| {
            let thread = builder.spawn(move || Pool::main(pool))?;
            Ok((thread.thread().id(), Box::new(|| _ = thread.join())))
        })
    }

    /// An executor whose calls may borrow what lives longer than `scope`.
    /// Python needs no such thing: there, everything is shared.
    ///
    /// # Panics
    /// As [`build`](Self::build).
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let words = ["I".to_string(), "am".to_string()];
    /// let total: usize = std::thread::scope(|scope| {
    ///     let executor = ThreadPoolExecutor::builder().build_scoped(scope);
    ///     executor.map(|word: &String| word.len(), &words).sum()
    /// });
    /// assert_eq!(total, 3);
    /// ```
    #[track_caller]
    pub fn build_scoped<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
    ) -> ThreadPoolExecutor<'scope> {
        self.build_with(move |builder, pool| {
            let thread = builder.spawn_scoped(scope, move || Pool::main(pool))?;
            Ok((thread.thread().id(), Box::new(|| _ = thread.join())))
        })
    }

    #[track_caller]
    fn build_with<'scope>(
        self,
        spawn: impl Fn(thread::Builder, Arc<Pool<'scope>>) -> Spawned<'scope> + Send + Sync + 'scope,
    ) -> ThreadPoolExecutor<'scope> {
        // Std's own, under a model checker too: all it does is tell names apart.
        static EXECUTORS: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let max_workers = self.max_workers.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            32.min(cores + 4)
        });
        assert!(max_workers > 0, "max_workers must be greater than 0");
        let thread_name_prefix = self.thread_name_prefix.unwrap_or_else(|| {
            let n = EXECUTORS.fetch_add(1, Ordering::Relaxed);
            format!("ThreadPoolExecutor-{n}")
        });
        ThreadPoolExecutor {
            pool: Arc::new(Pool {
                queue: Mutex::default(),
                work: Condvar::new(),
                idle: AtomicUsize::new(0),
                max_workers,
                thread_name_prefix,
                initializer: self.initializer,
                spawn: Box::new(spawn),
            }),
            threads: Mutex::default(),
        }
    }
}

/// `concurrent.futures.Future`: the result of a call, which may still be
/// running.
///
/// In Python the result is shared and can be read again and again. Here it has
/// one owner: the first call of [`result`](Self::result) moves it out.
///
/// As in Python, dropping a future does not cancel its call. A result that
/// nobody has asked for is dropped with its future or, if the call is still
/// running then, by the thread that runs it.
///
/// Waiting spins for 50 us, then sleeps.
#[must_use = "a panic of the call, or its rejection, is reported only through this future"]
pub struct Future<T>(Arc<Slot<T>>);

impl<T> Future<T> {
    fn new() -> Self {
        Self(Arc::new(Slot::new()))
    }

    fn failed(error: Error) -> Self {
        let future = Self::new();
        future.0.reject(error);
        future
    }

    /// `future.result()`: waits for the call and moves its result out.
    ///
    /// # Errors
    /// Where Python raises what the call raised: [`Error::Panicked`]. And
    /// [`Error::Cancelled`], [`Error::Broken`], [`Error::Shutdown`],
    /// [`Error::Spawn`] if it never started, [`Error::Taken`] if it was asked
    /// before.
    pub fn result(&self) -> Result<T, Error> {
        self.0.wait(None)
    }

    /// `future.result(timeout)`: waits no longer than that.
    ///
    /// # Errors
    /// [`Error::Timeout`]; the call goes on and can be waited for again. All
    /// others are those of [`result`](Self::result).
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.0.wait(Some(timeout))
    }

    /// `future.done()`: the call has ended, well or not, or was cancelled.
    pub fn done(&self) -> bool {
        self.0.lock().is_done()
    }

    /// `future.running()`: the call has started and not ended.
    pub fn running(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Running(_))
    }

    /// `future.cancelled()`.
    pub fn cancelled(&self) -> bool {
        self.0.lock().is_cancelled()
    }

    /// `future.cancel()`: cancels the call if it has not started, and returns
    /// whether it is cancelled.
    pub fn cancel(&self) -> bool {
        self.0.reject(Error::Cancelled) || self.cancelled()
    }

    /// `future.add_done_callback(fn)`: has `callback` called with this future
    /// by the thread that runs or cancels the call, or at once by this thread
    /// if the call is done. Callbacks are called in the order in which they
    /// were added.
    ///
    /// The panic of a callback is reported on stderr, as any panic is. It stops
    /// neither the other callbacks nor the thread.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(1);
    /// let future = executor.submit(|| 2 + 2);
    /// future.add_done_callback(|future| println!("{:?}", future.result()));
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static)
    where
        T: Send + 'static,
    {
        let mut state = self.0.lock();
        state.futures += 1;
        let future = Self(self.0.clone());
        let call = move || {
            // Catches the panic before `future` is dropped and perhaps the
            // result with it, whose own panic would then abort the process.
            catch_and_ignore(|| callback(&future));
        };
        match &mut state.stage {
            Stage::Pending(callbacks) | Stage::Running(callbacks) => {
                return callbacks.push(Box::new(call));
            }
            Stage::Done(_) | Stage::Taken => {}
        }
        drop(state);
        catch_and_ignore(call);
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        drop(self.0.abandon());
    }
}

// Not derived: a result need not be Debug, and is not shown.
impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0.lock().stage {
            Stage::Pending(_) => "Pending".to_string(),
            Stage::Running(_) => "Running".to_string(),
            Stage::Done(Ok(_)) => "Finished".to_string(),
            Stage::Done(Err(error)) => format!("{error:?}"),
            Stage::Taken => "Taken".to_string(),
        };
        // Without the lock, because `f` may be a writer that uses the future.
        f.debug_struct("Future")
            .field("state", &format_args!("{state}"))
            .finish()
    }
}

/// Why a [`Future`] has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `CancelledError`: cancelled before it started.
    #[error("the call was cancelled before it started")]
    Cancelled,
    /// `TimeoutError`: not done in the time given.
    #[error("the call was not done in time")]
    Timeout,
    /// The call panicked, as a Python one raises.
    #[error("the call panicked: {0}")]
    Panicked(Panic),
    /// `RuntimeError`: submitted after the executor was shut down.
    #[error("cannot schedule new futures after shutdown")]
    Shutdown,
    /// `BrokenThreadPool`: the initializer panicked in one of the threads.
    #[error("a thread initializer failed, the thread pool is not usable anymore")]
    Broken,
    /// `RuntimeError`: the system granted not a single thread.
    #[error("cannot start a thread")]
    Spawn(#[source] io::Error),
    /// The result has been moved out already.
    #[error("the result has been taken already")]
    Taken,
}

/// The payload of a panic; displays its message.
// Std's own mutex, which only makes it Sync: nobody ever waits for it.
pub struct Panic(std::sync::Mutex<Box<dyn Any + Send>>);

impl Panic {
    /// The payload itself, for [`resume_unwind`] or a downcast.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.lock().unwrap();
        if let Some(message) = payload.downcast_ref::<&str>() {
            f.write_str(message)
        } else if let Some(message) = payload.downcast_ref::<String>() {
            f.write_str(message)
        } else {
            f.write_str("a value that is not text")
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

type Callback = Box<dyn FnOnce() + Send>;
type Join<'scope> = Box<dyn FnOnce() + Send + 'scope>;
type Spawned<'scope> = io::Result<(ThreadId, Join<'scope>)>;
type Spawn<'scope> =
    Box<dyn Fn(thread::Builder, Arc<Pool<'scope>>) -> Spawned<'scope> + Send + Sync + 'scope>;

/// What the executor and its threads share.
struct Pool<'scope> {
    queue: Mutex<Queue<'scope>>,
    /// Wakes parked threads.
    work: Condvar,
    /// The number of threads without a job. Not in `queue`, because it rises
    /// while a slot is locked, and that lock makes the rise visible to whoever
    /// reads the slot's result.
    idle: AtomicUsize,
    max_workers: usize,
    thread_name_prefix: String,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    spawn: Spawn<'scope>,
}

#[derive(Default)]
struct Queue<'scope> {
    jobs: VecDeque<Arc<dyn Job + 'scope>>,
    /// Batches that may have items left although `jobs` has none of their jobs.
    batches: Vec<Weak<dyn Job + 'scope>>,
    workers: Vec<ThreadId>,
    /// A thread spins until there is a job and need not be woken for one.
    spinning: bool,
    parked: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Open,
    Shutdown,
    Broken,
}

impl<'scope> Pool<'scope> {
    fn lock(&self) -> MutexGuard<'_, Queue<'scope>> {
        self.queue.lock().unwrap()
    }

    /// What a thread runs. It must not panic, or the scope of a scoped
    /// executor would.
    fn main(pool: Arc<Self>) {
        pool.worker_loop();
        // Drops the initializer if the executor has been dropped by a call.
        catch_and_ignore(|| drop(pool));
    }

    fn worker_loop(&self) {
        if let Some(initializer) = &self.initializer
            && !catch_and_ignore(initializer)
        {
            self.close(Phase::Broken);
            return self.reject_pending(|| Error::Broken);
        }
        while let Some((job, busy)) = self.next() {
            // Only panics of destructors arrive here: the job itself catches
            // those of its calls.
            catch_and_ignore(move || job.run(busy));
        }
    }

    fn next(&self) -> Option<(Arc<dyn Job + 'scope>, Busy<'_>)> {
        let mut queue = self.lock();
        let mut looked = false;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some((job, Busy::new(&self.idle)));
            }
            if queue.phase != Phase::Open {
                return None;
            }
            if !looked && !queue.spinning {
                queue.spinning = true;
                drop(queue);
                spin_until(|| self.lock().has_news());
                queue = self.lock();
                queue.spinning = false;
                looked = true;
            } else {
                queue.parked += 1;
                queue = self.work.wait(queue).unwrap();
                queue.parked -= 1;
                looked = false;
            }
        }
    }

    fn close(&self, phase: Phase) {
        let mut queue = self.lock();
        if queue.phase == Phase::Open {
            queue.phase = phase;
        }
        drop(queue);
        self.work.notify_all();
    }

    fn reject_pending(&self, error: fn() -> Error) {
        let mut queue = self.lock();
        let jobs = mem::take(&mut queue.jobs);
        let batches = mem::take(&mut queue.batches);
        drop(queue);
        for job in batches.iter().filter_map(Weak::upgrade).chain(jobs) {
            catch_and_ignore(move || job.reject(error));
        }
    }
}

impl Queue<'_> {
    fn check_open(&self) -> Result<(), Error> {
        match self.phase {
            Phase::Open => Ok(()),
            Phase::Shutdown => Err(Error::Shutdown),
            Phase::Broken => Err(Error::Broken),
        }
    }

    fn has_news(&self) -> bool {
        !self.jobs.is_empty() || self.phase != Phase::Open
    }
}

/// Counts a thread as busy until it is dropped. That is before the result of
/// its job can be seen, so that whoever sees it and submits another call needs
/// no further thread. From then on the thread runs no code of the user's, and
/// drops no value of the user's: a destructor may take as long as a call.
struct Busy<'pool>(&'pool AtomicUsize);

impl<'pool> Busy<'pool> {
    fn new(idle: &'pool AtomicUsize) -> Self {
        idle.fetch_sub(1, Ordering::Relaxed);
        Self(idle)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

trait Job: Send + Sync {
    /// Runs the job, and drops `busy` when the thread could take another one.
    fn run(&self, busy: Busy<'_>);

    /// Gives this error to all calls that have not started.
    fn reject(&self, error: fn() -> Error);
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

/// The job of a `map`, which several threads run together.
struct Batch<F, T, R> {
    slots: Vec<Slot<R>>,
    rest: Mutex<Rest<F, T>>,
}

/// The calls of a `map` that have not started.
struct Rest<F, T> {
    /// `None` when there are no more items, so that the function is dropped by
    /// the last thread that calls it, while that thread is busy.
    function: Option<Arc<F>>,
    /// Their slots are the last ones.
    items: vec::IntoIter<T>,
}

impl<F, T, R> Job for Batch<F, T, R>
where
    F: Fn(T) -> R + Send + Sync,
    T: Send,
    R: Send,
{
    fn run(&self, busy: Busy<'_>) {
        let mut busy = Some(busy);
        let mut function = None;
        loop {
            let mut rest = self.rest.lock().unwrap();
            let slot = self.slots.len() - rest.items.len();
            let Some(item) = rest.items.next() else { break };
            let last = rest.items.len() == 0;
            if last {
                function = rest.function.take();
            } else if function.is_none() {
                function = rest.function.clone();
            }
            drop(rest);
            let call = function.as_ref().expect("kept while there are items");
            let outcome = catch_panic(|| call(item));
            if last {
                catch_and_ignore(|| drop(function.take()));
            }
            self.slots[slot].finish(outcome, busy.take_if(|_| last));
        }
    }

    fn reject(&self, error: fn() -> Error) {
        self.reject_rest(error);
    }
}

impl<F, T, R> Batch<F, T, R> {
    fn reject_rest(&self, error: fn() -> Error) {
        let (function, items) = {
            let mut rest = self.rest.lock().unwrap();
            (rest.function.take(), mem::take(&mut rest.items))
        };
        for slot in &self.slots[self.slots.len() - items.len()..] {
            slot.reject(error());
        }
        // One by one: two that panic when dropped together abort the process.
        for item in items {
            catch_and_ignore(|| drop(item));
        }
        catch_and_ignore(|| drop(function));
    }
}

/// The iterator of `map`.
struct Results<F, T, R> {
    batch: Arc<Batch<F, T, R>>,
    read: usize,
}

impl<F, T, R> Iterator for Results<F, T, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let slot = self.batch.slots.get(self.read)?;
        self.read += 1;
        match slot.wait(None) {
            Ok(result) => Some(result),
            Err(error) => {
                self.close();
                resume(error)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.slots.len() - self.read;
        (left, Some(left))
    }
}

impl<F, T, R> Results<F, T, R> {
    /// Drops the calls that have not started, and the unread results.
    fn close(&mut self) {
        self.batch.reject_rest(|| Error::Cancelled);
        self.abandon();
    }

    /// Drops the unread results.
    fn abandon(&mut self) {
        for slot in &self.batch.slots[self.read..] {
            catch_and_ignore(|| drop(slot.abandon()));
        }
        self.read = self.batch.slots.len();
    }
}

impl<F, T, R> Drop for Results<F, T, R> {
    fn drop(&mut self) {
        match self.read {
            0 => self.abandon(),
            _ => self.close(),
        }
    }
}

/// The iterator of `map_buffered`.
struct BufferedResults<'executor, 'scope, F, I, R> {
    executor: &'executor ThreadPoolExecutor<'scope>,
    function: Arc<F>,
    /// `None` when there are no more.
    items: Option<I>,
    /// Of the calls whose results have not been yielded.
    futures: VecDeque<Future<R>>,
    begun: bool,
}

impl<F, I, R> BufferedResults<'_, '_, F, I, R> {
    /// Drops the unread items and results and, once the iterator has begun,
    /// the calls that have not started.
    fn close(&mut self) {
        for future in self.futures.drain(..).rev() {
            if self.begun {
                future.cancel();
            }
            catch_and_ignore(|| drop(future));
        }
        self.items = None;
    }
}

impl<'scope, F, I, R> BufferedResults<'_, 'scope, F, I, R>
where
    F: Fn(I::Item) -> R + Send + Sync + 'scope,
    I: Iterator<Item: Send + 'scope>,
    R: Send + 'scope,
{
    /// Submits the call of the next item. Returns whether one more can follow.
    fn submit_next(&mut self) -> bool {
        let Some(mut items) = self.items.take() else {
            return false;
        };
        let submitted = match catch_panic(|| items.next()) {
            Ok(None) => return false,
            Ok(Some(item)) => {
                let function = self.function.clone();
                self.executor.try_submit(move || function(item))
            }
            Err(panic) => Err(panic),
        };
        let more = submitted.is_ok();
        if more {
            self.items = Some(items);
        }
        // `next` raises an error after the results that come before it.
        let future = submitted.unwrap_or_else(Future::failed);
        self.futures.push_back(future);
        more
    }
}

impl<'scope, F, I, R> Iterator for BufferedResults<'_, 'scope, F, I, R>
where
    F: Fn(I::Item) -> R + Send + Sync + 'scope,
    I: Iterator<Item: Send + 'scope>,
    R: Send + 'scope,
{
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.begun = true;
        let result = self.futures.pop_front()?.result();
        match result {
            Ok(result) => {
                self.submit_next();
                Some(result)
            }
            Err(error) => {
                self.close();
                resume(error)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ahead = self.futures.len();
        match &self.items {
            None => (ahead, Some(ahead)),
            Some(items) => {
                let (lower, upper) = items.size_hint();
                let upper = upper.and_then(|upper| upper.checked_add(ahead));
                (lower.saturating_add(ahead), upper)
            }
        }
    }
}

impl<F, I, R> Drop for BufferedResults<'_, '_, F, I, R> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The place of one call's result.
struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

struct State<T> {
    stage: Stage<T>,
    /// A thread may be parked until the call is done.
    awaited: bool,
    /// The number of futures or iterators that can ask for the result. The last
    /// one takes the result out when it is dropped. A result that comes later
    /// is not stored at all, so no idle thread ever drops one.
    futures: u32,
}

enum Stage<T> {
    Pending(Vec<Callback>),
    Running(Vec<Callback>),
    Done(Result<T, Error>),
    Taken,
}

impl<T> State<T> {
    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_) | Stage::Taken)
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.stage, Stage::Done(Err(Error::Cancelled)))
    }
}

impl<T> Slot<T> {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Pending(Vec::new()),
                awaited: false,
                futures: 1,
            }),
            done: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }

    /// Marks the call as running, and returns false if it was cancelled before.
    fn start(&self) -> bool {
        let mut state = self.lock();
        let Stage::Pending(callbacks) = &mut state.stage else {
            return false;
        };
        state.stage = Stage::Running(mem::take(callbacks));
        true
    }

    /// Gives the call this error, and returns false if it has started already.
    fn reject(&self, error: Error) -> bool {
        let state = self.lock();
        let pending = matches!(state.stage, Stage::Pending(_));
        if pending {
            self.publish(state, Err(error), None);
        }
        pending
    }

    fn finish(&self, outcome: Result<T, Error>, busy: Option<Busy<'_>>) {
        self.publish(self.lock(), outcome, busy);
    }

    fn publish(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        outcome: Result<T, Error>,
        busy: Option<Busy<'_>>,
    ) {
        let (Stage::Pending(callbacks) | Stage::Running(callbacks)) =
            mem::replace(&mut state.stage, Stage::Done(outcome))
        else {
            unreachable!("a call ends once")
        };
        let unwanted = match state.futures {
            0 => Some(mem::replace(&mut state.stage, Stage::Taken)),
            _ => None,
        };
        // The thread is idle before the lock is released, unless it has to run
        // callbacks or to drop the result.
        let _busy = busy.filter(|_| unwanted.is_some() || !callbacks.is_empty());
        let awaited = state.awaited;
        drop(state);
        if awaited {
            self.done.notify_all();
        }
        for callback in callbacks {
            catch_and_ignore(callback);
        }
        if let Some(unwanted) = unwanted {
            catch_and_ignore(|| drop(unwanted));
        }
    }

    /// Counts a future less, and returns what the last one has to drop.
    fn abandon(&self) -> Option<Stage<T>> {
        let mut state = self.lock();
        state.futures -= 1;
        let last = state.futures == 0 && state.is_done();
        last.then(|| mem::replace(&mut state.stage, Stage::Taken))
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<T, Error> {
        let undone = |state: &mut State<T>| !state.is_done();
        let mut state = self.lock();
        if undone(&mut state) {
            if timeout != Some(Duration::ZERO) {
                drop(state);
                spin_until(|| self.lock().is_done());
                state = self.lock();
            }
            state.awaited = true;
            state = match timeout {
                None => self.done.wait_while(state, undone).unwrap(),
                Some(timeout) => {
                    let waited = self.done.wait_timeout_while(state, timeout, undone);
                    waited.unwrap().0
                }
            };
        }
        if !state.is_done() {
            return Err(Error::Timeout);
        }
        if state.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Done(outcome) => outcome,
            _ => Err(Error::Taken),
        }
    }
}

fn catch_panic<T>(function: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(function))
        .map_err(|payload| Error::Panicked(Panic(std::sync::Mutex::new(payload))))
}

/// Calls `function`, and returns false if it panicked. The panic hook has
/// reported the panic by then, and there is nobody else to report it to.
fn catch_and_ignore(function: impl FnOnce()) -> bool {
    let Err(payload) = catch_unwind(AssertUnwindSafe(function)) else {
        return true;
    };
    // The destructor of a payload is code of the user's and may panic too. The
    // payload of that panic is leaked, because it may be one more of the kind.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    dropped.unwrap_or_else(mem::forget);
    false
}

/// Panics with the error of a call in place of yielding its result.
#[track_caller]
fn resume(error: Error) -> ! {
    match error {
        Error::Panicked(panic) => resume_unwind(panic.into_payload()),
        error => panic!("{error}"),
    }
}

/// Collects the items even if their `size_hint` is wrong or more than a vector
/// can hold. `Iterator::collect` reserves memory for so many at once and panics
/// if it cannot.
fn collect<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut collected = Vec::new();
    // May fail, because it only saves time.
    let _ = collected.try_reserve(items.size_hint().0);
    for item in items {
        collected.push(item);
    }
    collected
}
