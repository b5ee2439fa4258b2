//! A pool: `mod` has its public types, `job` the tasks of one call and their
//! results, `manager` the parent's side, `worker` the workers' side, `channel`
//! the shared memory between the two, and `fork` tells copies of a process.

mod channel;
mod fork;
mod job;
mod manager;
mod worker;

use std::collections::VecDeque;
use std::mem;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::job::{Cause, Job};
use self::manager::{Shared, name_limit};
pub(super) use self::worker::work;
use super::child::{Purpose, start_message};
use super::codec::collect_handles;
use super::entry::{entry_offset, run_target};
use super::error::{Error, system};
use super::format::Encoder;
use super::memory::{deadline, is_past};
use super::role::is_initialized;
use super::target::{Owned, Target};

/// Processes that wait for tasks: `multiprocessing.Pool`.
///
/// When a worker dies, the task that it was doing fails with the cause, and no
/// other task does: those that it had not begun go to other workers, and a new
/// worker takes its place. Python's pool waits for ever. Tasks that a worker
/// has not begun also go to others if it is stopped, by SIGSTOP or a debugger.
///
/// A task may do with its process whatever a process can do, close all
/// descriptors or run another program in its place: this concerns its own
/// result alone. Workers leave SIGINT, which is Ctrl-C, to the parent, and end
/// with it. A dropped pool terminates, as at the end of `with Pool`.
///
/// Only the process that made a pool can use it. In a copy made by `fork`, its
/// methods return [`Error::InvalidInput`] and to drop it ends no worker.
///
/// # Costs
/// A task costs the encoding of its arguments and results and two copies of
/// each through shared memory. It takes a system call only to wake a worker or
/// the parent when it sleeps.
///
/// A pool has three descriptors and two threads in this process, and three more
/// descriptors for each worker, so that `ulimit -n 1024` allows some 300
/// workers. A worker is a process. It takes about half a megabyte, half of which
/// holds tasks and results on their way, and what its tasks take. It keeps up to
/// 1 MiB each for the arguments and results of its next task.
///
/// ```
/// use shared::multiprocessing::{self, Pool};
///
/// fn square(n: i32) -> i32 {
///     n * n
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let pool = Pool::new(4)?;
///     assert_eq!(pool.map(square, [1, 2, 3, 4, 5])?, [1, 4, 9, 16, 25]);
///     Ok(())
/// }
/// ```
///
/// Its methods block the thread that calls them. Beside tokio they are called
/// in `spawn_blocking`. The runtime is built after `init`, and so `main` is not
/// a `#[tokio::main]`, which would run the tasks inside a runtime.
///
/// ```
/// use std::sync::Arc;
///
/// use shared::multiprocessing::{self, Pool};
///
/// fn square(n: i32) -> i32 {
///     n * n
/// }
///
/// async fn run(pool: Arc<Pool>) -> Result<(), Box<dyn std::error::Error>> {
///     let squares = tokio::task::spawn_blocking(move || pool.map(square, 1..=3));
///     assert_eq!(squares.await??, [1, 4, 9]);
///     Ok(())
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     multiprocessing::init();
///     let pool = Arc::new(Pool::new(2)?);
///     tokio::runtime::Runtime::new()?.block_on(run(pool.clone()))
/// }
/// ```
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Starts workers, reaps them, and takes results when no thread waits.
    manager: Mutex<Option<JoinHandle<()>>>,
}

/// Settings for a [`Pool`], from [`Pool::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder {
    processes: Option<usize>,
    max_tasks: Option<usize>,
    start_message: Result<(Vec<u8>, Vec<OwnedFd>), Error>,
}

impl Pool {
    /// Starts a pool of `processes` workers: `Pool(4)`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if `processes` is 0, and as
    /// [`PoolBuilder::build`].
    pub fn new(processes: usize) -> Result<Self, Error> {
        Self::builder().processes(processes).build()
    }

    /// Settings other than the number of workers.
    pub fn builder() -> PoolBuilder {
        let start_message = collect_handles(|| start_message(Purpose::Worker, None));
        PoolBuilder {
            processes: None,
            max_tasks: None,
            start_message,
        }
    }

    /// Calls `target` in a worker and waits for the result:
    /// `pool.apply(square, (3,))`.
    ///
    /// # Errors
    /// If the task failed: [`Error::Panicked`], [`Error::Killed`],
    /// [`Error::Exited`], [`Error::ExitUnknown`], [`Error::Encode`], or
    /// [`Error::Decode`], also where there was no memory for its arguments or
    /// results. If the pool takes no tasks: [`Error::Closed`],
    /// [`Error::Terminated`], [`Error::WorkerStart`], or
    /// [`Error::InvalidInput`] in a copy of its process that `fork` made.
    pub fn apply<F, Args, Passing, R>(&self, target: F, args: Args) -> Result<R, Error>
    where
        F: Target<Args, Passing, Output = R>,
        Args: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.apply_async(target, args)?.get()
    }

    /// Calls `target` in a worker: `pool.apply_async(square, (3,))`.
    ///
    /// # Errors
    /// The arguments cannot be encoded, or the pool takes no tasks, as
    /// [`apply`](Self::apply).
    pub fn apply_async<F, Args, Passing, R>(
        &self,
        target: F,
        args: Args,
    ) -> Result<AsyncResult<R>, Error>
    where
        F: Target<Args, Passing, Output = R>,
        Args: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let job = Job::new(target, [args], |_| 1)?;
        self.submit(job, |job| {
            let result = job.results()?.pop();
            Ok(result.expect("a job of one call has one result"))
        })
    }

    /// Calls `target` with each item and returns the results in the items'
    /// order: `pool.map(square, [1, 2, 3, 4, 5])`. Each worker is given about
    /// four chunks of items.
    ///
    /// All items are taken and encoded before the first task is given out, as
    /// in Python. [`imap`](Self::imap) takes them as results are taken, and is
    /// the one for items without end or more than there is memory for.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), for the first task that is seen to fail, at
    /// once. The rest of its chunk is skipped, as in Python; all other chunks
    /// are done.
    pub fn map<F, A, R>(
        &self,
        target: F,
        items: impl IntoIterator<Item = A>,
    ) -> Result<Vec<R>, Error>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.map_async(target, items)?.get()
    }

    /// As [`map`](Self::map), in chunks of this many items:
    /// `pool.map(square, range(1000), 25)`. One worker does a chunk, which is a
    /// single task: if a call fails, so does the chunk.
    ///
    /// # Errors
    /// As [`map`](Self::map), and [`Error::InvalidInput`] if `chunk_size` is 0.
    pub fn map_chunked<F, A, R>(
        &self,
        target: F,
        items: impl IntoIterator<Item = A>,
        chunk_size: usize,
    ) -> Result<Vec<R>, Error>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        if chunk_size == 0 {
            return Err(Error::InvalidInput("a chunk has at least one item".into()));
        }
        let job = Job::new(target, items.into_iter().map(|item| (item,)), |_| {
            chunk_size
        })?;
        self.submit(job, Job::results)?.get()
    }

    /// As [`map`](Self::map), without waiting: `pool.map_async(square, items)`.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async).
    pub fn map_async<F, A, R>(
        &self,
        target: F,
        items: impl IntoIterator<Item = A>,
    ) -> Result<AsyncResult<Vec<R>>, Error>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.starmap_async(target, items.into_iter().map(|item| (item,)))
    }

    /// As [`map`](Self::map), where each item is a tuple of arguments:
    /// `pool.starmap(add, [(1, 2), (3, 4)])`.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn starmap<F, Args, Passing, R>(
        &self,
        target: F,
        items: impl IntoIterator<Item = Args>,
    ) -> Result<Vec<R>, Error>
    where
        F: Target<Args, Passing, Output = R>,
        Args: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.starmap_async(target, items)?.get()
    }

    /// As [`starmap`](Self::starmap), without waiting.
    ///
    /// # Errors
    /// As [`apply_async`](Self::apply_async).
    pub fn starmap_async<F, Args, Passing, R>(
        &self,
        target: F,
        items: impl IntoIterator<Item = Args>,
    ) -> Result<AsyncResult<Vec<R>>, Error>
    where
        F: Target<Args, Passing, Output = R>,
        Args: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        let chunks = self.shared.processes * 4;
        let job = Job::new(target, items, |items| items.div_ceil(chunks).max(1))?;
        self.submit(job, Job::results)
    }

    /// Calls `target` with each item and yields the results in the items'
    /// order: `pool.imap(square, items)`. The items are taken as the results
    /// are, 16 for each worker ahead, so there may be infinitely many. A thread
    /// that asks for a result takes them, and waits for an iterator that does.
    pub fn imap<F, A, R, I>(&self, target: F, items: I) -> Imap<'_, F, I::IntoIter, R>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap {
            pool: self,
            target,
            items: items.into_iter(),
            window: VecDeque::new(),
            ordered: true,
        }
    }

    /// As [`imap`](Self::imap), but yields each result as soon as it is there:
    /// `pool.imap_unordered(square, items)`.
    pub fn imap_unordered<F, A, R, I>(&self, target: F, items: I) -> Imap<'_, F, I::IntoIter, R>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap {
            ordered: false,
            ..self.imap(target, items)
        }
    }

    /// Takes no more tasks; the workers end when all are done: `pool.close()`.
    /// In a copy of the process that made the pool it does nothing.
    pub fn close(&self) {
        if self.shared.check_maker().is_ok() {
            self.shared.close();
        }
    }

    /// Waits until all tasks are done and the workers have ended:
    /// `pool.join()`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the pool is neither closed nor terminated, or
    /// in a copy of the process that made it; [`Error::WorkerStart`] if its
    /// workers could not start.
    pub fn join(&self) -> Result<(), Error> {
        self.shared.check_maker()?;
        if self.shared.is_open() {
            return Err(Error::InvalidInput(
                "close the pool before you join it".into(),
            ));
        }
        self.shared.wait_until_finished();
        let manager = self
            .manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(manager) = manager {
            manager.join().expect("the manager does not panic");
        }
        match self.shared.cause() {
            Some(Cause::StartFailed(error)) => Err(Error::WorkerStart(error)),
            _ => Ok(()),
        }
    }

    /// Kills the workers and waits for their end: `pool.terminate()`. Tasks that
    /// are not done fail with [`Error::Terminated`].
    ///
    /// It waits no longer than five seconds, for there may be workers that
    /// cannot be killed: this process may have given up its privileges since it
    /// started them, or a worker is in a system call that cannot be interrupted.
    /// Such a worker ends when its task does. In a copy of the process that made
    /// the pool `terminate` does nothing.
    pub fn terminate(&self) {
        if self.shared.check_maker().is_ok() {
            self.shared.terminate();
        }
    }

    fn submit<T>(
        &self,
        job: Job,
        result: fn(&Job) -> Result<T, Error>,
    ) -> Result<AsyncResult<T>, Error> {
        let job = Arc::new(job);
        self.shared.submit(&job)?;
        Ok(AsyncResult {
            shared: self.shared.clone(),
            job,
            result,
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.shared.check_maker().is_err() {
            // A copy has no such thread that could be let go.
            mem::forget(self.manager.get_mut().map(Option::take));
        } else if self.shared.terminate() {
            _ = self.join();
        }
    }
}

impl PoolBuilder {
    /// How many workers there are. Without this there are as many as CPUs.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// A function that each worker calls before its first task:
    /// `Pool(initializer=f, initargs=args)`. Unlike a task's, its arguments may
    /// be shared memory, queues and pipes. What it returns is ignored, an `Err`
    /// too, as in Python: to fail, it panics.
    pub fn initializer<F, Args, Passing>(mut self, initializer: F, args: Args) -> Self
    where
        F: Target<Args, Passing>,
        F::Output: Serialize,
    {
        let _ = initializer;
        self.start_message = collect_handles(|| {
            let entry = entry_offset(run_target::<F, Args, Passing>)?;
            let mut bytes = start_message(Purpose::Worker, Some(entry))?;
            F::encode_args(&args, &mut Encoder::new(&mut bytes))?;
            Ok(bytes)
        });
        self
    }

    /// After how many tasks, or chunks of items, a worker is replaced:
    /// `maxtasksperchild`.
    pub fn max_tasks_per_child(mut self, tasks: usize) -> Self {
        self.max_tasks = Some(tasks);
        self
    }

    /// Starts the workers and waits until they are ready, that is, until the
    /// initializer has returned in each. If it never returns, nor does this.
    ///
    /// # Errors
    /// [`Error::NotInitialized`] if `main` did not call [`init`](super::init);
    /// [`Error::InvalidInput`] if `processes` or `max_tasks_per_child` is 0;
    /// [`Error::Encode`] for an argument of the initializer;
    /// [`Error::WorkerStart`] if the initializer fails or ends its process, or
    /// the system refuses something. The workers that have started are killed.
    pub fn build(self) -> Result<Pool, Error> {
        let processes = self
            .processes
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        if processes == 0 || self.max_tasks == Some(0) {
            return Err(Error::InvalidInput(
                "`processes` and `max_tasks_per_child` must be at least 1".into(),
            ));
        }
        if !is_initialized() {
            return Err(Error::NotInitialized);
        }
        let (start_message, handles) = self.start_message?;
        let max_tasks = self.max_tasks.unwrap_or(usize::MAX);
        let shared =
            Shared::new(processes, max_tasks, start_message, handles).map_err(name_limit)?;
        let shared = Arc::new(shared);
        let manager = thread::Builder::new()
            .name("pool manager".into())
            .spawn({
                let shared = shared.clone();
                move || shared.manage()
            })
            .map_err(system("starting a thread"))?;
        let pool = Pool {
            shared,
            manager: Mutex::new(Some(manager)),
        };
        pool.shared.wait_until_started();
        match pool.shared.cause() {
            Some(cause) => Err(cause.to_error()),
            None => Ok(pool),
        }
    }
}

/// The result of tasks that may not be done yet: `AsyncResult`. If it is dropped
/// the tasks are done nevertheless.
pub struct AsyncResult<T> {
    shared: Arc<Shared>,
    job: Arc<Job>,
    result: fn(&Job) -> Result<T, Error>,
}

impl<T> AsyncResult<T> {
    /// Whether [`get`](Self::get) would return at once: `r.ready()`.
    pub fn ready(&self) -> bool {
        self.job.is_done() || self.shared.check_maker().is_err()
    }

    /// Waits for the result, but not longer than `timeout`, and returns whether
    /// it is there: `r.wait(timeout)`.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(deadline(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        self.ready() || self.shared.wait_until(deadline, || self.job.is_done())
    }

    fn result(&self) -> Result<T, Error> {
        if !self.job.is_done() {
            self.shared.check_maker()?;
        }
        (self.result)(&self.job)
    }

    /// Waits for the result: `r.get()`.
    ///
    /// # Errors
    /// As [`Pool::apply`].
    pub fn get(self) -> Result<T, Error> {
        self.wait_until(None);
        self.result()
    }

    /// Waits for the result, but not longer than `timeout`: `r.get(timeout)`.
    ///
    /// # Errors
    /// As [`Pool::apply`], and [`Error::Timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        if !self.wait(timeout) {
            return Err(Error::Timeout);
        }
        self.result()
    }
}

impl<T> std::fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncResult")
            .field("ready", &self.ready())
            .finish()
    }
}

/// The results of [`Pool::imap`] and [`Pool::imap_unordered`].
#[must_use = "no task is given out before its result is asked for"]
pub struct Imap<'a, F, I, R> {
    pool: &'a Pool,
    target: F,
    items: I,
    /// The tasks that were submitted, or the errors why they could not be.
    window: VecDeque<Result<AsyncResult<R>, Error>>,
    ordered: bool,
}

impl<F, A, I, R> Imap<'_, F, I, R>
where
    F: Target<(A,), (Owned,), Output = R>,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    I: Iterator<Item = A>,
{
    /// Waits for the next result, but not longer than `timeout`:
    /// `it.next(timeout)`. After an [`Error::Timeout`] it can be asked for again.
    /// If the iterator over the items takes longer than `timeout` for an item,
    /// so does this.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R, Error>> {
        self.next_until(deadline(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Result<R, Error>> {
        let shared = &self.pool.shared;
        while self.window.len() < shared.processes * AHEAD
            && (self.window.is_empty() || !is_past(deadline))
            && let Some(item) = self.items.next()
        {
            self.window
                .push_back(self.pool.apply_async(self.target, (item,)));
        }
        if self.window.is_empty() {
            return None;
        }
        let candidates = if self.ordered { 1 } else { self.window.len() };
        let ready = || {
            let mut candidates = self.window.iter().take(candidates);
            candidates.position(|result| result.as_ref().map_or(true, AsyncResult::ready))
        };
        if ready().is_none() && !shared.wait_until(deadline, || ready().is_some()) {
            return Some(Err(Error::Timeout));
        }
        let index = ready().expect("one is ready");
        self.window.remove(index).map(|result| result?.get())
    }
}

impl<F, A, I, R> Iterator for Imap<'_, F, I, R>
where
    F: Target<(A,), (Owned,), Output = R>,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    I: Iterator<Item = A>,
{
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

/// How many tasks for each worker `imap` submits ahead of the results.
const AHEAD: usize = 16;
