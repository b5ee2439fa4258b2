//! Python's `concurrent.futures`: a pool of threads to hand calls to, and the
//! results that those calls will have.

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
/// which they were submitted; and what was submitted is run, though nobody
/// waits for it. Dropping the executor is leaving the `with` block: it waits.
///
/// A call that waits for another call of the same executor can wait for ever,
/// as it does in Python, when every thread is taken by such a call.
///
/// An executor from [`new`](Self::new) is a `ThreadPoolExecutor<'static>` and
/// its calls own what they use; one from
/// [`build_scoped`](Builder::build_scoped) may borrow.
///
/// Costs one lock for each call submitted and one for each taken; a thread
/// that has nothing to do looks for more for 50 us, then sleeps.
pub struct ThreadPoolExecutor<'scope> {
    pool: Arc<Pool<'scope>>,
    /// Locked as long as somebody waits for the threads, so that everybody
    /// who does waits for all of them.
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
        let slot = Arc::new(Slot::new());
        let call = Arc::new(Call {
            function: Mutex::new(Some(function)),
            slot: slot.clone(),
        });
        if let Err(error) = self.push([call as _], None) {
            slot.refuse(error);
        }
        Future(slot)
    }

    /// `executor.map(fn, items)`: the results, in the order of the items.
    ///
    /// All items are submitted at once, and run even if the iterator is
    /// dropped unread. Once begun, dropping it drops what has not started, as
    /// closing Python's generator does. `items` is read to its end before the
    /// first call, where Python starts calling meanwhile.
    ///
    /// # Panics
    /// When called, with the words of the [`Error`], if the executor is shut
    /// down or broken. The iterator goes on with the panic of a call when it
    /// comes to its result, and panics with the words of [`Error::Cancelled`]
    /// and [`Error::Broken`]; what has not started then is dropped.
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
        let items: Vec<T> = items.into_iter().collect();
        let batch = Arc::new(Batch {
            function,
            slots: items.iter().map(|_| Slot::new()).collect(),
            items: Mutex::new(items.into_iter()),
        });
        let job: Arc<dyn Job + 'scope> = batch.clone();
        let workers = batch.slots.len().min(self.pool.max_workers);
        let jobs = (0..workers).map(|_| job.clone());
        if let Err(error) = self.push(jobs, Some(Arc::downgrade(&job))) {
            panic!("{error}");
        }
        Results { batch, read: 0 }
    }

    /// `executor.shutdown()`: takes no more calls, and waits until those
    /// submitted are done and the threads have ended.
    ///
    /// In a call of this very executor it does not wait, for it would wait
    /// for itself.
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
        self.pool.refuse_pending(|| Error::Cancelled);
    }

    /// Queues the jobs and sees to it that each has a thread, if it may.
    fn push(
        &self,
        jobs: impl IntoIterator<Item = Arc<dyn Job + 'scope>>,
        batch: Option<Weak<dyn Job + 'scope>>,
    ) -> Result<(), Error> {
        let pool = &self.pool;
        let mut queue = pool.lock();
        match queue.phase {
            Phase::Open => {}
            Phase::Shutdown => return Err(Error::Shutdown),
            Phase::Broken => return Err(Error::Broken),
        }
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
        let unseen = queue.jobs.len().saturating_sub(usize::from(queue.looking));
        let wake = unseen.min(queue.asleep);
        drop(queue);
        for _ in 0..wake {
            pool.work.notify_one();
        }
        Ok(())
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
            let thread = builder.spawn(move || pool.serve())?;
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
            let thread = builder.spawn_scoped(scope, move || pool.serve())?;
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

/// `concurrent.futures.Future`: what will come of a call.
///
/// Python's is shared and its result can be read again and again. Here the
/// result has one owner: the first to ask for it moves it out.
///
/// Dropping it is not cancelling it, as in Python.
///
/// Waiting looks for the result for 50 us, then sleeps.
#[must_use = "only here it is told that the call panicked, or was refused"]
pub struct Future<T>(Arc<Slot<T>>);

impl<T> Future<T> {
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
    /// [`Error::Timeout`], after which the call goes on and can be waited for
    /// again; else as [`result`](Self::result).
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

    /// `future.cancel()`: cancels the call if it has not started, and tells
    /// whether it is cancelled.
    pub fn cancel(&self) -> bool {
        self.0.refuse(Error::Cancelled) || self.cancelled()
    }

    /// `future.add_done_callback(fn)`: has `callback` called with this future
    /// by the thread that ends or cancels the call, or here and now if it is
    /// done. Callbacks are called in the order in which they were added.
    ///
    /// One that panics is reported as any panic is, on stderr, and stops
    /// neither the others nor the thread.
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
        let future = Self(self.0.clone());
        let call = move || callback(&future);
        match &mut self.0.lock().stage {
            Stage::Pending(callbacks) | Stage::Running(callbacks) => {
                return callbacks.push(Box::new(call));
            }
            Stage::Done(_) | Stage::Taken => {}
        }
        contain(call);
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

/// What a call panicked with; displays its message.
// Std's own mutex, for nobody ever waits for it: it is here to be Sync.
pub struct Panic(std::sync::Mutex<Box<dyn Any + Send>>);

impl Panic {
    /// The value itself, for [`resume_unwind`] or a downcast.
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
    /// Wakes the threads that sleep.
    work: Condvar,
    /// Threads that have no job. Not in the queue, because it is counted up
    /// while a slot is locked; that lock is what makes the count seen.
    idle: AtomicUsize,
    max_workers: usize,
    thread_name_prefix: String,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    spawn: Spawn<'scope>,
}

#[derive(Default)]
struct Queue<'scope> {
    jobs: VecDeque<Arc<dyn Job + 'scope>>,
    /// Batches that may have items left, though no job stands for them here.
    batches: Vec<Weak<dyn Job + 'scope>>,
    workers: Vec<ThreadId>,
    /// A thread is looking for jobs and need not be woken for one.
    looking: bool,
    asleep: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Default, PartialEq)]
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

    /// The life of a thread.
    fn serve(&self) {
        if let Some(initializer) = &self.initializer
            && catch_unwind(AssertUnwindSafe(initializer)).is_err()
        {
            self.close(Phase::Broken);
            return self.refuse_pending(|| Error::Broken);
        }
        while let Some((job, busy)) = self.next() {
            // What ends here comes from dropping what the job was made of.
            contain(move || job.run(busy));
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
            if !looked && !queue.looking {
                queue.looking = true;
                drop(queue);
                spin_until(|| self.lock().has_news());
                queue = self.lock();
                queue.looking = false;
                looked = true;
            } else {
                queue.asleep += 1;
                queue = self.work.wait(queue).unwrap();
                queue.asleep -= 1;
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

    fn refuse_pending(&self, error: fn() -> Error) {
        let mut queue = self.lock();
        let jobs = mem::take(&mut queue.jobs);
        let batches = mem::take(&mut queue.batches);
        drop(queue);
        for job in batches.iter().filter_map(Weak::upgrade).chain(jobs) {
            contain(move || job.refuse(error));
        }
    }
}

impl Queue<'_> {
    fn has_news(&self) -> bool {
        !self.jobs.is_empty() || self.phase != Phase::Open
    }
}

/// A thread that has a job. It is idle again before the result shows: a call
/// submitted thereupon needs no further thread.
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
    /// Drops `busy` when the thread could take another job.
    fn run(&self, busy: Busy<'_>);

    /// Ends with this error what has not started.
    fn refuse(&self, error: fn() -> Error);
}

/// What `submit` was given.
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
            self.slot.finish(attempt(function), Some(busy));
        }
    }

    fn refuse(&self, error: fn() -> Error) {
        self.slot.refuse(error());
    }
}

/// What `map` was given: one job, which several threads may run together.
struct Batch<F, T, R> {
    function: F,
    /// Those that have not started, which are the last ones.
    items: Mutex<vec::IntoIter<T>>,
    slots: Vec<Slot<R>>,
}

impl<F, T, R> Job for Batch<F, T, R>
where
    F: Fn(T) -> R + Send + Sync,
    T: Send,
    R: Send,
{
    fn run(&self, busy: Busy<'_>) {
        let mut busy = Some(busy);
        loop {
            let mut items = self.items.lock().unwrap();
            let slot = self.slots.len() - items.len();
            let Some(item) = items.next() else { break };
            let last = items.len() == 0;
            drop(items);
            let outcome = attempt(|| (self.function)(item));
            self.slots[slot].finish(outcome, busy.take_if(|_| last));
        }
    }

    fn refuse(&self, error: fn() -> Error) {
        self.refuse_rest(error);
    }
}

impl<F, T, R> Batch<F, T, R> {
    fn refuse_rest(&self, error: fn() -> Error) {
        let rest = mem::take(&mut *self.items.lock().unwrap());
        for slot in &self.slots[self.slots.len() - rest.len()..] {
            slot.refuse(error());
        }
    }
}

/// What `map` returns.
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
                self.read = self.batch.slots.len();
                self.batch.refuse_rest(|| Error::Cancelled);
                match error {
                    Error::Panicked(panic) => resume_unwind(panic.into_payload()),
                    error => panic!("{error}"),
                }
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.slots.len() - self.read;
        (left, Some(left))
    }
}

impl<F, T, R> Drop for Results<F, T, R> {
    fn drop(&mut self) {
        if self.read > 0 {
            self.batch.refuse_rest(|| Error::Cancelled);
        }
    }
}

/// Where the result of one call is put and waited for.
struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

struct State<T> {
    stage: Stage<T>,
    /// Somebody may be asleep until it is done.
    awaited: bool,
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
            }),
            done: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }

    /// Whether it may: what was cancelled may not.
    fn start(&self) -> bool {
        let mut state = self.lock();
        let Stage::Pending(callbacks) = &mut state.stage else {
            return false;
        };
        state.stage = Stage::Running(mem::take(callbacks));
        true
    }

    /// Whether it did: what has started is left alone.
    fn refuse(&self, error: Error) -> bool {
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
        // Idle before the lock is released, unless there is more to do.
        let _busy = busy.filter(|_| !callbacks.is_empty());
        let awaited = state.awaited;
        drop(state);
        if awaited {
            self.done.notify_all();
        }
        callbacks.into_iter().for_each(contain);
    }

    fn wait(&self, timeout: Option<Duration>) -> Result<T, Error> {
        let undone = |state: &mut State<T>| !state.is_done();
        let mut state = self.lock();
        if undone(&mut state) {
            drop(state);
            spin_until(|| self.lock().is_done());
            state = self.lock();
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

fn attempt<T>(function: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(function))
        .map_err(|payload| Error::Panicked(Panic(std::sync::Mutex::new(payload))))
}

/// A panic of `function` has been reported when it is caught, and ends here.
fn contain(function: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(function));
}
