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
use super::child::{Role, greeting, is_initialized};
use super::codec::with_handles;
use super::error::{Error, system};
use super::format::Encoder;
use super::memory::{deadline, is_past};
use super::process::enter;
use super::target::{Owned, Target, distance};

/// Processes that wait for tasks: `multiprocessing.Pool`.
///
/// Each worker has a channel of its own. When one dies, the task that it was
/// doing fails with the cause, and that task alone: what else it was given
/// goes to others, and a new worker takes its place. Python's pool waits for
/// ever.
///
/// Workers ignore SIGINT, so that Ctrl-C is the parent's to act on, and end
/// with their parent. A dropped pool terminates, as leaving `with Pool` does.
///
/// A task costs its encoding and that of its result, and two copies each
/// through shared memory; there is a system call only to wake who sleeps.
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
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
    /// Starts workers, sees them die, and takes results when nobody waits.
    manager: Mutex<Option<JoinHandle<()>>>,
}

/// Settings for a [`Pool`], from [`Pool::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder {
    processes: Option<usize>,
    max_tasks: Option<usize>,
    greeting: Result<(Vec<u8>, Vec<OwnedFd>), Error>,
}

impl Pool {
    /// Starts a pool of `processes` workers: `Pool(4)`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there are to be none, and as
    /// [`PoolBuilder::build`].
    pub fn new(processes: usize) -> Result<Self, Error> {
        Self::builder().processes(processes).build()
    }

    /// Settings other than the number of workers.
    pub fn builder() -> PoolBuilder {
        let greeting = with_handles(|| greeting(Role::Worker, None));
        PoolBuilder {
            processes: None,
            max_tasks: None,
            greeting,
        }
    }

    /// Calls `target` in a worker and waits for the result:
    /// `pool.apply(square, (3,))`.
    ///
    /// # Errors
    /// How the task failed: [`Error::Panicked`], [`Error::Killed`],
    /// [`Error::Exited`], [`Error::Encode`] or [`Error::Decode`]. Or the pool
    /// takes none: [`Error::Closed`], [`Error::Terminated`],
    /// [`Error::WorkerStart`].
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
    /// # Errors
    /// As [`apply`](Self::apply), for the first task that is seen to fail. It
    /// is returned at once. The other chunks are done nevertheless; of its own,
    /// as in Python, what comes after it is not.
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
    /// `pool.map(square, range(1000), 25)`. A chunk is done by one worker, and
    /// fails as a whole.
    ///
    /// # Errors
    /// As [`map`](Self::map), and [`Error::InvalidInput`] for chunks of none.
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
    /// are, a bounded number ahead, so there may be infinitely many.
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

    /// As [`imap`](Self::imap), but yields each result when it is there:
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
    pub fn close(&self) {
        if self.shared.check_maker().is_ok() {
            self.shared.close();
        }
    }

    /// Waits until all tasks are done and the workers have ended:
    /// `pool.join()`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the pool is neither closed nor terminated;
    /// [`Error::WorkerStart`] if its workers could not start.
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

    /// Ends the workers now; what is not done fails with [`Error::Terminated`]:
    /// `pool.terminate()`.
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
    /// How many workers; as many as there are CPUs if it is not said.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// What each worker calls before its first task. Unlike a task's, its
    /// arguments may be shared memory, queues and pipes.
    pub fn initializer<F, Args, Passing>(mut self, initializer: F, args: Args) -> Self
    where
        F: Target<Args, Passing>,
        F::Output: Serialize,
    {
        let _ = initializer;
        self.greeting = with_handles(|| {
            let entry = distance(enter::<F, Args, Passing>)?;
            let mut bytes = greeting(Role::Worker, Some(entry))?;
            F::encode_args(&args, &mut Encoder::new(&mut bytes))?;
            Ok(bytes)
        });
        self
    }

    /// After how many tasks, or chunks of them, a worker is replaced.
    pub fn max_tasks_per_child(mut self, tasks: usize) -> Self {
        self.max_tasks = Some(tasks);
        self
    }

    /// Starts the workers and waits until they are ready.
    ///
    /// # Errors
    /// [`Error::NotInitialized`] if `main` did not call [`init`](super::init);
    /// [`Error::InvalidInput`] for no workers, or none with a task;
    /// [`Error::Encode`] for an argument of the initializer;
    /// [`Error::WorkerStart`] if the initializer or the system fails.
    pub fn build(self) -> Result<Pool, Error> {
        let processes = self
            .processes
            .unwrap_or_else(|| thread::available_parallelism().map_or(1, NonZero::get));
        if processes == 0 || self.max_tasks == Some(0) {
            return Err(Error::InvalidInput(
                "a pool has at least one process, with a task".into(),
            ));
        }
        if !is_initialized() {
            return Err(Error::NotInitialized);
        }
        let (greeting, handles) = self.greeting?;
        let max_tasks = self.max_tasks.unwrap_or(usize::MAX);
        let shared = Shared::new(processes, max_tasks, greeting, handles).map_err(name_limit)?;
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

/// The result of tasks that may not be done yet: `AsyncResult`.
pub struct AsyncResult<T> {
    shared: Arc<Shared>,
    job: Arc<Job>,
    result: fn(&Job) -> Result<T, Error>,
}

impl<T> AsyncResult<T> {
    /// Whether [`get`](Self::get) would not wait: `r.ready()`.
    pub fn ready(&self) -> bool {
        self.job.is_done() || self.shared.check_maker().is_err()
    }

    /// Waits, but not longer than `timeout`, and tells whether the result is
    /// there: `r.wait(timeout)`.
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
    /// What has been given out, or the error why it could not be.
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

/// How many tasks for each worker `imap` is ahead of what is asked for.
const AHEAD: usize = 16;
