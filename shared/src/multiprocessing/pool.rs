use std::collections::VecDeque;
use std::mem;
use std::num::NonZero;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::channel::{Awaited, Channel, FAILED, MORE};
use super::child::{
    Child, Role, call, ended, find, greeting, ignore_interrupts, is_initialized, perform,
};
use super::codec::{decode, encode, from_handles, with_handles};
use super::error::{Error, Failure, system};
use super::memory::{deadline, poll, spin};
use super::process::enter;
use super::socket::Socket;
use super::target::{Owned, Target, distance, only};

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
            let mut result = None;
            job.results(|_, bytes| {
                result = Some(decode(bytes)?);
                Ok(())
            })?;
            Ok(result.expect("a job of one task has one result"))
        })
    }

    /// Calls `target` with each item and returns the results in the items'
    /// order: `pool.map(square, [1, 2, 3, 4, 5])`. Each worker is given about
    /// four chunks of items.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), for the first task that is seen to fail. It
    /// is returned at once; the other tasks are done nevertheless.
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
        self.submit(job, Job::all)?.get()
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
        self.submit(job, Job::all)
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
        let mut state = self.shared.lock();
        if let Phase::Open = state.phase {
            state.phase = Phase::Closed;
            state.let_go();
        }
        drop(state);
        self.shared.ring();
    }

    /// Waits until all tasks are done and the workers have ended:
    /// `pool.join()`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the pool is neither closed nor terminated;
    /// [`Error::WorkerStart`] if its workers could not start.
    pub fn join(&self) -> Result<(), Error> {
        if let Phase::Open = self.shared.lock().phase {
            return Err(Error::InvalidInput(
                "close the pool before you join it".into(),
            ));
        }
        let manager = self
            .manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(manager) = manager {
            manager.join().expect("the manager does not panic");
        }
        self.shared.wait(None, |state| state.finished);
        match &self.shared.lock().phase {
            Phase::Ended(Cause::Broken(error)) => Err(Error::WorkerStart(error.clone())),
            _ => Ok(()),
        }
    }

    /// Ends the workers now; what is not done fails with [`Error::Terminated`]:
    /// `pool.terminate()`.
    pub fn terminate(&self) {
        self.shared.lock().end(Cause::Terminated);
        self.shared.ring();
        self.shared.wait(None, |state| state.finished);
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
        self.terminate();
        _ = self.join();
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
            F::give(&args, &mut bytes)?;
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
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = EventFd::from_flags(flags).map_err(system("eventfd"))?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                workers: Vec::new(),
                pending: VecDeque::new(),
                returned: VecDeque::new(),
                phase: Phase::Open,
                helpers: 0,
                sleepers: 0,
                started: 0,
                failures: 0,
                finished: false,
            }),
            progress: Condvar::new(),
            bell,
            processes,
            max_tasks: self.max_tasks.unwrap_or(usize::MAX),
            greeting,
            handles,
        });
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
        pool.shared
            .wait(None, |state| state.started >= processes || state.finished);
        if let Phase::Ended(cause) = &pool.shared.lock().phase {
            return Err(cause.to_error());
        }
        Ok(pool)
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
        self.job.is_done()
    }

    /// Waits, but not longer than `timeout`, and tells whether the result is
    /// there: `r.wait(timeout)`.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.shared.wait(deadline(timeout), |_| self.job.is_done())
    }

    /// Waits for the result: `r.get()`.
    ///
    /// # Errors
    /// As [`Pool::apply`].
    pub fn get(self) -> Result<T, Error> {
        self.shared.wait(None, |_| self.job.is_done());
        (self.result)(&self.job)
    }

    /// Waits for the result, but not longer than `timeout`: `r.get(timeout)`.
    ///
    /// # Errors
    /// As [`Pool::apply`], and [`Error::Timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        if !self.wait(timeout) {
            return Err(Error::Timeout);
        }
        (self.result)(&self.job)
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
    window: VecDeque<AsyncResult<R>>,
    ordered: bool,
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
        let shared = &self.pool.shared;
        while self.window.len() < shared.processes * AHEAD
            && let Some(item) = self.items.next()
        {
            match self.pool.apply_async(self.target, (item,)) {
                Ok(result) => self.window.push_back(result),
                Err(error) => return Some(Err(error)),
            }
        }
        let index = if self.ordered || self.window.is_empty() {
            0
        } else {
            let done = || self.window.iter().position(AsyncResult::ready);
            shared.wait(None, |_| done().is_some());
            done().expect("one is done")
        };
        self.window.remove(index).map(AsyncResult::get)
    }
}

/// How many tasks for each worker `imap` is ahead of what is asked for.
const AHEAD: usize = 16;

/// How long the pool waits until it tries again to start a worker.
const RETRY: Duration = Duration::from_millis(50);

/// How many workers may die one after the other before they are ready, until
/// the pool gives up.
const PATIENCE: usize = 8;

/// Tasks given in together: one call of `apply` or `map`.
struct Job {
    entry: u64,
    /// How many calls there are, and how many of them are one task.
    calls: usize,
    chunk: usize,
    /// The arguments of all calls, and where each task's end.
    args: Vec<u8>,
    ends: Vec<usize>,
    results: Mutex<Results>,
}

struct Results {
    /// The results of all tasks, in the order in which they came.
    bytes: Vec<u8>,
    /// Where each task's are.
    places: Vec<Range<usize>>,
    left: usize,
    failure: Option<Cause>,
}

/// Why a task, or the pool, failed.
#[derive(Clone, Debug)]
enum Cause {
    Failure(u32, Failure),
    Ended(u32, i32),
    Terminated,
    Broken(Arc<Error>),
}

impl Cause {
    fn to_error(&self) -> Error {
        match self {
            Cause::Failure(pid, failure) => failure.clone().of(*pid),
            Cause::Ended(pid, exitcode) => ended(*pid, *exitcode),
            Cause::Terminated => Error::Terminated,
            Cause::Broken(error) => Error::WorkerStart(error.clone()),
        }
    }
}

impl Job {
    /// A job of one call for each of `args`; `chunk` tells from their number
    /// how many are one task.
    fn new<F, Args, Passing>(
        target: F,
        args: impl IntoIterator<Item = Args>,
        chunk: impl FnOnce(usize) -> usize,
    ) -> Result<Self, Error>
    where
        F: Target<Args, Passing>,
        F::Output: Serialize,
    {
        let _ = target;
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for args in args {
            F::give(&args, &mut bytes)?;
            ends.push(bytes.len());
        }
        let calls = ends.len();
        let chunk = chunk(calls);
        let last = ends.last().copied();
        let ends: Vec<usize> = ends.into_iter().skip(chunk - 1).step_by(chunk).collect();
        let ends = match last {
            Some(last) if !calls.is_multiple_of(chunk) => [ends, vec![last]].concat(),
            _ => ends,
        };
        let results = Results {
            bytes: Vec::new(),
            places: vec![0..0; ends.len()],
            left: ends.len(),
            failure: None,
        };
        Ok(Job {
            entry: distance(run_calls::<F, Args, Passing>)?,
            calls,
            chunk,
            args: bytes,
            ends,
            results: Mutex::new(results),
        })
    }

    /// What goes before a task's arguments: the entry and the number of calls.
    fn head(&self, task: usize) -> [u8; 16] {
        let calls = self.chunk.min(self.calls - task * self.chunk);
        let mut head = [0; 16];
        head[..8].copy_from_slice(&self.entry.to_le_bytes());
        head[8..].copy_from_slice(&(calls as u64).to_le_bytes());
        head
    }

    fn args(&self, task: usize) -> &[u8] {
        let start = if task == 0 { 0 } else { self.ends[task - 1] };
        &self.args[start..self.ends[task]]
    }

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_done(&self) -> bool {
        let results = self.lock();
        results.left == 0 || results.failure.is_some()
    }

    /// Hands each task's results to `each`.
    fn results(
        &self,
        mut each: impl FnMut(usize, &mut &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let results = self.lock();
        if let Some(cause) = &results.failure {
            return Err(cause.to_error());
        }
        for (task, place) in results.places.iter().enumerate() {
            let mut bytes = &results.bytes[place.clone()];
            each(self.chunk.min(self.calls - task * self.chunk), &mut bytes)?;
            if !bytes.is_empty() {
                let more = bytes.len();
                return Err(Error::Decode(format!(
                    "a task's results: {more} bytes too many"
                )));
            }
        }
        Ok(())
    }

    /// The results of all calls.
    fn all<R: DeserializeOwned>(&self) -> Result<Vec<R>, Error> {
        let mut all = Vec::with_capacity(self.calls);
        self.results(|calls, bytes| {
            for _ in 0..calls {
                all.push(decode(bytes)?);
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// What a worker runs for one task.
fn run_calls<F, Args, Passing>(input: &mut &[u8], output: &mut Vec<u8>) -> Result<(), Error>
where
    F: Target<Args, Passing>,
    F::Output: Serialize,
{
    let calls = input
        .split_off(..8)
        .expect("a task starts with the number of its calls");
    let calls = u64::from_le_bytes(calls.try_into().expect("8 bytes"));
    for _ in 0..calls {
        encode(&only::<F>().take_and_call(input)?, output)?;
    }
    match input.len() {
        0 => Ok(()),
        more => Err(Error::Decode(format!(
            "a task's arguments: {more} bytes too many"
        ))),
    }
}

/// One task of a job.
struct Task {
    job: Arc<Job>,
    index: usize,
}

impl Task {
    fn fail(&self, cause: Cause) {
        let mut results = self.job.lock();
        results.left -= 1;
        results.failure.get_or_insert(cause);
    }
}

/// A worker, seen from the pool.
struct Worker {
    child: Arc<Child>,
    channel: Channel,
    /// Its initializer has returned.
    ready: bool,
    /// The tasks it was given and has not answered, with their numbers.
    tasks: VecDeque<(u64, Task)>,
    /// How many tasks it was given in all, those included that were taken back.
    numbered: u64,
    /// How many tasks it may still be given.
    left: usize,
    /// How much of the last task has been sent; `None` if all of it.
    sent: Option<usize>,
    /// The first part of an answer that comes in several frames.
    part: Vec<u8>,
    /// It was told to end.
    stopping: bool,
}

struct State {
    workers: Vec<Worker>,
    /// Jobs of which not all tasks have been given out, and the next of each.
    pending: VecDeque<(Arc<Job>, usize)>,
    /// Tasks that were given out and came back; they go first.
    returned: VecDeque<Task>,
    phase: Phase,
    /// How many waiting threads look for results themselves.
    helpers: usize,
    /// How many sleep until there is progress.
    sleepers: usize,
    /// How many workers have become ready.
    started: usize,
    /// How many have died since, without becoming ready.
    failures: usize,
    /// All workers have ended, and no new one will start.
    finished: bool,
}

enum Phase {
    Open,
    Closed,
    Ended(Cause),
}

struct Shared {
    state: Mutex<State>,
    /// Some job is done, or the pool is ready or finished.
    progress: Condvar,
    /// Workers write to it when the manager sleeps, and we when it should look.
    bell: EventFd,
    processes: usize,
    max_tasks: usize,
    greeting: Vec<u8>,
    handles: Vec<OwnedFd>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the manager look.
    fn ring(&self) {
        _ = self.bell.write(1);
    }

    fn submit(&self, job: &Arc<Job>) -> Result<(), Error> {
        let mut state = self.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Closed => return Err(Error::Closed),
            Phase::Ended(cause) => return Err(cause.to_error()),
        }
        if !job.ends.is_empty() {
            state.pending.push_back((job.clone(), 0));
            state.give_out();
        }
        Ok(())
    }

    /// Waits until `done`, and helps meanwhile: as long as results come
    /// quickly, it takes them here, and the manager can sleep.
    fn wait(&self, deadline: Option<Instant>, done: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        if done(&state) {
            return true;
        }
        state.helpers += 1;
        state.set_asleep(false);
        drop(state);
        let late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        while spin(|| {
            let mut state = self.lock();
            state.work(self) || done(&state)
        }) && !done(&self.lock())
            && !late()
        {}
        let mut state = self.lock();
        state.helpers -= 1;
        if state.helpers == 0 && !state.set_asleep(true) {
            self.ring();
        }
        while !done(&state) && !late() {
            state.sleepers += 1;
            state = match deadline {
                None => self
                    .progress
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    let waited = self.progress.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            state.sleepers -= 1;
        }
        done(&state)
    }

    /// What the manager does, until the pool has ended.
    fn manage(&self) {
        let mut dead = Vec::new();
        while !self.lock().bury(&dead, self) {
            self.start_workers();
            // As in `wait`, unless somebody there does it already.
            while spin(|| {
                let mut state = self.lock();
                state.helpers == 0 && state.work(self)
            }) {}
            dead = self.sleep();
        }
        self.lock().finished = true;
        self.progress.notify_all();
    }

    fn start_workers(&self) {
        while self.lock().lacks_workers(self.processes) {
            let worker = Worker::start(self);
            let mut state = self.lock();
            match worker {
                Ok(worker) if let Phase::Ended(_) = state.phase => worker.child.kill(),
                Ok(worker) => state.workers.push(worker),
                Err(error) => {
                    // At the start it is an error. Later the system may have
                    // room again, and other workers go on.
                    let starting = state.started < self.processes;
                    if starting || state.workers.is_empty() && state.fails_again() {
                        state.end(Cause::Broken(Arc::new(error)));
                        self.notify(&state);
                    }
                    return;
                }
            }
        }
    }

    /// Sleeps until a worker has something to say, or is dead, or somebody
    /// rings; returns who is dead.
    fn sleep(&self) -> Vec<u32> {
        let mut state = self.lock();
        if state.helpers == 0 && !state.set_asleep(true) {
            return Vec::new();
        }
        let children: Vec<_> = state
            .workers
            .iter()
            .map(|worker| worker.child.clone())
            .collect();
        let retry = state
            .lacks_workers(self.processes)
            .then(|| Instant::now() + RETRY);
        drop(state);
        let mut fds = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            children
                .iter()
                .map(|child| PollFd::new(child.as_fd(), PollFlags::POLLIN)),
        );
        poll(&mut fds, retry).expect("poll needs no memory that is not there");
        _ = self.bell.read();
        let dead = fds[1..]
            .iter()
            .zip(&children)
            .filter(|(fd, _)| fd.any() == Some(true));
        dead.map(|(_, child)| child.pid()).collect()
    }

    fn notify(&self, state: &State) {
        if state.sleepers > 0 {
            self.progress.notify_all();
        }
    }
}

impl Worker {
    fn start(pool: &Shared) -> Result<Self, Error> {
        let channel = Channel::new()?;
        let mut handles = Vec::new();
        for handle in [channel.as_fd(), pool.bell.as_fd()] {
            handles.push(handle.try_clone_to_owned().map_err(system("dup"))?);
        }
        for handle in &pool.handles {
            handles.push(handle.try_clone().map_err(system("dup"))?);
        }
        Ok(Worker {
            child: Arc::new(Child::spawn(&pool.greeting, &handles)?),
            channel,
            ready: false,
            tasks: VecDeque::new(),
            numbered: 0,
            left: pool.max_tasks,
            sent: None,
            part: Vec::new(),
            stopping: false,
        })
    }

    fn may_take(&self) -> bool {
        self.ready && !self.stopping && self.left > 0 && self.sent.is_none()
    }

    fn give(&mut self, task: Task) {
        self.tasks.push_back((self.numbered, task));
        self.numbered += 1;
        self.left -= 1;
        self.sent = Some(0);
        self.send();
    }

    /// Sends what is left of the last task, as far as there is room.
    fn send(&mut self) -> bool {
        let (Some(mut sent), Some((_, task))) = (self.sent, self.tasks.back()) else {
            return false;
        };
        let before = sent;
        let Task { job, index } = task;
        let all = self
            .channel
            .send(&job.head(*index), job.args(*index), 0, &mut sent);
        self.sent = (!all).then_some(sent);
        self.channel.wake_worker();
        all || sent > before
    }

    /// Takes back the tasks that the worker has not begun, but for one that is
    /// on its way.
    fn take_back(&mut self, returned: &mut VecDeque<Task>) -> bool {
        let on_its_way = if self.sent.is_some() {
            self.tasks.pop_back()
        } else {
            None
        };
        let end = self.numbered - u64::from(on_its_way.is_some());
        let first = self.channel.reclaim(end);
        while let Some((number, task)) = self.tasks.pop_back_if(|(number, _)| *number >= first) {
            debug_assert!(number < end);
            returned.push_front(task);
            self.left += 1;
        }
        self.tasks.extend(on_its_way);
        first < end
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.channel.stop();
    }

    /// Takes the worker's answers; tells whether there were any.
    fn take_answers(&mut self) -> Result<bool, Answer> {
        let mut any = false;
        while let Some((flags, len)) = self.channel.peek().map_err(|_| Answer::Corrupt)? {
            any = true;
            if flags & MORE != 0 || flags & FAILED != 0 || !self.part.is_empty() || !self.ready {
                self.channel.take(len, &mut self.part);
                if flags & MORE == 0 {
                    self.take_part(flags)?;
                }
                continue;
            }
            let (_, task) = self.tasks.pop_front().ok_or(Answer::Corrupt)?;
            let mut results = task.job.lock();
            let start = results.bytes.len();
            self.channel.take(len, &mut results.bytes);
            results.finish(&task, start);
        }
        Ok(any)
    }

    /// Takes an answer that is not a small result.
    fn take_part(&mut self, flags: u32) -> Result<(), Answer> {
        let bytes = mem::take(&mut self.part);
        let failure = || decode::<Failure>(&mut &bytes[..]).map_err(|_| Answer::Corrupt);
        if !self.ready {
            if flags & FAILED != 0 {
                return Err(Answer::CannotStart(failure()?));
            }
            self.ready = true;
            return Ok(());
        }
        let (_, task) = self.tasks.pop_front().ok_or(Answer::Corrupt)?;
        if flags & FAILED != 0 {
            task.fail(Cause::Failure(self.child.pid(), failure()?));
            return Ok(());
        }
        let mut results = task.job.lock();
        let start = results.bytes.len();
        if start == 0 {
            results.bytes = bytes;
        } else {
            results.bytes.extend(bytes);
        }
        results.finish(&task, start);
        Ok(())
    }
}

/// An answer that ends the worker.
enum Answer {
    /// Its initializer failed.
    CannotStart(Failure),
    /// It is not what a worker writes.
    Corrupt,
}

impl Results {
    fn finish(&mut self, task: &Task, start: usize) {
        self.places[task.index] = start..self.bytes.len();
        self.left -= 1;
    }
}

impl State {
    /// Takes what has been answered and gives out tasks; tells whether there
    /// was anything to do.
    fn work(&mut self, pool: &Shared) -> bool {
        if let Phase::Ended(_) = self.phase {
            return false;
        }
        let mut any = false;
        let mut cause = None;
        let mut ready = 0;
        for worker in &mut self.workers {
            let was_ready = worker.ready;
            match worker.take_answers() {
                Ok(answers) => any |= answers,
                Err(Answer::CannotStart(failure)) => {
                    let error = failure.of(worker.child.pid());
                    cause = Some(Cause::Broken(Arc::new(error)));
                }
                // It dies of it, and its death is dealt with as any other.
                Err(Answer::Corrupt) => _ = worker.child.signal(libc::SIGKILL),
            }
            any |= worker.send();
            ready += usize::from(worker.ready && !was_ready);
        }
        if ready > 0 {
            self.started += ready;
            self.failures = 0;
        }
        if let Some(cause) = cause {
            self.end(cause);
        }
        if any {
            self.give_out();
            self.let_go();
            pool.notify(self);
        }
        any
    }

    /// Gives out tasks, to those who have the fewest first. Rings hold many, so
    /// that a worker need not wait for its next; when one has none, it is given
    /// what another one has not begun.
    fn give_out(&mut self) {
        let takers = |workers: &[Worker]| {
            workers
                .iter()
                .filter(|worker| worker.may_take())
                .map(|worker| worker.tasks.len())
                .min()
        };
        while let Some(fewest) = takers(&self.workers)
            && (self.give_round(fewest) || (fewest == 0 && self.take_back()))
        {}
    }

    /// Gives a task to each worker that has so few; tells whether there was one.
    fn give_round(&mut self, fewest: usize) -> bool {
        let mut any = false;
        for worker in &mut self.workers {
            if worker.may_take() && worker.tasks.len() <= fewest {
                let Some(task) = next_task(&mut self.returned, &mut self.pending) else {
                    break;
                };
                worker.give(task);
                any = true;
            }
        }
        any
    }

    /// Takes back what the worker with the most tasks has not begun.
    fn take_back(&mut self) -> bool {
        let most = self
            .workers
            .iter_mut()
            .max_by_key(|worker| worker.tasks.len());
        most.is_some_and(|worker| worker.tasks.len() > 1 && worker.take_back(&mut self.returned))
    }

    /// Lets workers end that have done their last task.
    fn let_go(&mut self) {
        let all = matches!(self.phase, Phase::Closed) && self.is_idle();
        for worker in &mut self.workers {
            if !worker.stopping && (all || worker.left == 0 && worker.tasks.is_empty()) {
                worker.stop();
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.returned.is_empty()
            && self.workers.iter().all(|worker| worker.tasks.is_empty())
    }

    fn lacks_workers(&self, processes: usize) -> bool {
        self.workers.len() < processes
            && match self.phase {
                Phase::Open => true,
                Phase::Closed => !self.is_idle(),
                Phase::Ended(_) => false,
            }
    }

    /// Asks to be told of answers, or not to be; tells whether there is none.
    fn set_asleep(&self, asleep: bool) -> bool {
        self.workers.iter().fold(true, |quiet, worker| {
            let quiet = worker.channel.set_pool_asleep(asleep) && quiet;
            quiet && !(worker.sent.is_some() && worker.channel.is_read())
        })
    }

    /// Removes the dead. What they were doing fails, and what else they had
    /// goes to others. Tells whether the pool has ended.
    fn bury(&mut self, dead: &[u32], pool: &Shared) -> bool {
        self.work(pool);
        for pid in dead {
            let Some(index) = self.workers.iter().position(|w| w.child.pid() == *pid) else {
                continue;
            };
            let worker = self.workers.remove(index);
            let exitcode = worker.child.exitcode().ok().flatten().unwrap_or(0);
            let claimed = worker.channel.claimed();
            for (number, task) in worker.tasks {
                if number < claimed {
                    task.fail(Cause::Ended(*pid, exitcode));
                } else {
                    self.returned.push_back(task);
                }
            }
            if !worker.ready && !worker.stopping && self.fails_again() {
                self.end(Cause::Broken(Arc::new(ended(*pid, exitcode))));
            }
        }
        if !dead.is_empty() {
            self.give_out();
            self.let_go();
            pool.notify(self);
        }
        self.workers.is_empty()
            && match self.phase {
                Phase::Open => false,
                Phase::Closed => self.is_idle(),
                Phase::Ended(_) => true,
            }
    }

    fn fails_again(&mut self) -> bool {
        self.failures += 1;
        self.failures > PATIENCE
    }

    /// Ends the workers and all that is not done.
    fn end(&mut self, cause: Cause) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        for worker in &mut self.workers {
            _ = worker.child.signal(libc::SIGKILL);
            self.returned
                .extend(worker.tasks.drain(..).map(|(_, task)| task));
        }
        let jobs = self.pending.drain(..).map(|(job, _)| job);
        for job in jobs.chain(self.returned.drain(..).map(|task| task.job)) {
            job.lock().failure.get_or_insert(cause.clone());
        }
        self.phase = Phase::Ended(cause);
    }
}

/// The next task: one that came back, or the next of the oldest job.
fn next_task(
    returned: &mut VecDeque<Task>,
    pending: &mut VecDeque<(Arc<Job>, usize)>,
) -> Option<Task> {
    returned.pop_front().or_else(|| {
        let (job, next) = pending.front_mut()?;
        let task = Task {
            job: job.clone(),
            index: *next,
        };
        *next += 1;
        if *next == job.ends.len() {
            pending.pop_front();
        }
        Some(task)
    })
}

/// What a worker does after it has heard its greeting, until it is told to end.
/// The socket stays open for as long, for it ends the worker with its parent.
pub(super) fn work(
    socket: &Socket,
    initializer: Option<u64>,
    mut args: &[u8],
    mut handles: Vec<OwnedFd>,
) -> Result<(), Error> {
    ignore_interrupts();
    let missing = || Error::Corrupt("greeting: descriptors are missing".into());
    let initializers_handles = handles.split_off(handles.len().min(2));
    let bell = handles.pop().ok_or_else(missing)?;
    let channel = Channel::open(handles.pop().ok_or_else(missing)?)?;
    let mut end = WorkerEnd { channel, bell };
    let _ = socket;

    let started = from_handles(initializers_handles, || perform(initializer, &mut args));
    end.answer(started.as_ref().map(|_| &[][..]));
    if started.is_err() {
        std::process::exit(1);
    }
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for number in 0.. {
        input.clear();
        if !end.receive(&mut input) {
            break;
        }
        if end.channel.claim(number) {
            output.clear();
            let mut rest = &input[..];
            let entry = rest.split_off(..8).ok_or_else(missing)?;
            let entry = find(u64::from_le_bytes(entry.try_into().expect("8 bytes")));
            let outcome = entry.and_then(|entry| call(entry, &mut rest, &mut output));
            end.answer(outcome.as_ref().map(|()| &output[..]));
        }
    }
    Ok(())
}

/// The worker's end of the channel, and the pool's bell.
struct WorkerEnd {
    channel: Channel,
    bell: OwnedFd,
}

impl WorkerEnd {
    /// Waits for a message; there is none when the worker is to end.
    fn receive(&mut self, message: &mut Vec<u8>) -> bool {
        loop {
            match self.channel.peek().expect("the pool writes what it should") {
                Some((flags, len)) => {
                    self.channel.take(len, message);
                    if flags & MORE == 0 {
                        return true;
                    }
                }
                None if self.channel.is_stopped() => return false,
                None => self.wait(Awaited::Task),
            }
        }
    }

    fn answer(&mut self, outcome: Result<&[u8], &Failure>) {
        let mut bytes = Vec::new();
        let (body, flags) = match outcome {
            Ok(result) => (result, 0),
            Err(failure) => {
                encode(failure, &mut bytes).expect("texts can be encoded");
                (&bytes[..], FAILED)
            }
        };
        let mut sent = 0;
        while !self.channel.send(&[], body, flags, &mut sent) {
            self.wait(Awaited::Room);
        }
        self.tell();
    }

    /// Wakes the pool if it sleeps.
    fn tell(&self) {
        if self.channel.pool_asleep() {
            _ = nix::unistd::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn wait(&self, awaited: Awaited) {
        if !spin(|| self.channel.has(awaited)) {
            self.tell();
            self.channel.sleep(awaited);
        }
    }
}
