//! A pool of worker processes. This page says which way a task takes, what happens
//! when a worker dies, what a pool costs, and which lock guards what.
//!
//! One call of a method of `Pool` is a *job*. It is cut into *tasks*, which the pool
//! gives to its *workers*; a task is one or more calls of the target. A *run* is tasks
//! of a job that follow one another; a worker gets them in one message, but begins,
//! answers and loses them one by one.
//!
//! # The modules, in the order in which a task meets them
//!
//! - This module has the methods that Python's `Pool` has.
//! - [`job`] encodes the arguments of one call, cuts them into tasks, and collects
//!   the results.
//! - [`inner`] has the state and its lock, and the threads that submit, wait and poll.
//! - [`state`] is everything that happens under the lock, to workers and tasks.
//! - [`dispatch`] chooses which worker gets which task.
//! - [`handle`] is the pool's handle on one worker.
//! - [`channel`] is the shared memory between the two, and the claim of a task.
//! - [`worker`] is the worker process.
//! - [`result`] has [`AsyncResult`] and [`Imap`], on which the caller waits.
//!
//! The other modules are [`manager`], a thread that starts workers and reaps those
//! that have ended (collects their exit status, as Unix requires), [`watcher`], a
//! thread that notices their deaths, [`alarm`], which wakes the manager, and
//! [`fork`], which distinguishes a process from its copies. Each module imports only
//! from those that stand below it here:
//!
//! ```text
//! mod
//! manager   result
//! inner
//! state
//! dispatch
//! handle                       worker
//! watcher
//! alarm   channel   job   fork
//! ```
//!
//! # A task's way
//!
//! ```text
//!       parent process                                  worker process
//!
//! Pool::map
//!   │ Job::new           encodes and cuts into tasks
//!   │ State::submit
//!   ▼
//! Backlog                tasks that no worker has
//!   │ dispatch           a run to the worker with the fewest tasks
//!   ▼
//! WorkerHandle ────────► ring of tasks ───────────────► receive
//!   │ assign                                            claim
//!   │                                                   run_calls  decodes, calls, encodes
//!   ▼                                                     │
//! WorkerHandle ◄──────── ring of results ◄────────────── send_outcome
//!   │ receive_results                                   pool_to_wake
//!   ▼
//! Job                    collects the results
//!   │ outcome
//!   ▼
//! AsyncResult::get       decodes them
//! ```
//!
//! # When a worker dies
//!
//! 1. The kernel makes the worker's pidfd readable, and the [`watcher`] raises
//!    the alarm. A busy manager looks every 10 ms. The tests allow 100 ms from the
//!    death to the error (`fails_alone` in `tests/multiprocessing/pool.rs`).
//! 2. The [`manager`] receives what the worker had answered, so its finished
//!    tasks succeed.
//! 3. It reaps the process. The task that the worker had claimed fails with an
//!    error that says how the process ended, [`Error::Killed`] for a signal; the
//!    tasks that it had not claimed go to other workers. At most one task fails.
//!    [`channel`] says what a death after each step of the worker leaves.
//! 4. It starts another worker. If more than eight in a row end before they are
//!    ready, the pool fails with [`Error::WorkerStart`].
//!
//! A worker that is stopped, by SIGSTOP or a debugger, does not end, and no event
//! announces it. A check every 100 ms takes its tasks back if it could have begun one
//! since the last check and has not
//! (`a_task_goes_to_another_worker_if_its_worker_is_stopped`). The task that it is
//! running is waited for.
//!
//! # Costs
//!
//! - A pool has two threads in the parent, manager and watcher, and three
//!   descriptors: the alarm, an epoll set and an eventfd.
//! - For each worker the parent has three more descriptors, for the channel, the
//!   pidfd and the socket, and a mapping of 260 KiB.
//! - A worker has three descriptors, for the channel, the alarm and the socket, and
//!   the same mapping. Its pages are allocated when they are first written.
//!
//! `a_pool_has_as_many_descriptors_and_threads_as_its_docs_say` holds the numbers of
//! the parent.
//!
//! # Locks
//!
//! - `PoolInner::state` guards the workers, the backlog, the phase and the pool's ends
//!   of the channels. It is held for short work that never waits.
//! - `Job::progress` guards the results that have come. It is held to add one, also
//!   while `state` is held.
//! - `Watcher::ended` guards the IDs of workers that have ended. It is held to add or
//!   take some, also while `state` is held.
//! - `Pool::manager` guards the handle of the manager's thread. It is held to take it.
//!
//! The last three are never held when another lock is taken. `Job::outcome` is set
//! once and read without a lock, so that decoding a result, which runs the user's
//! code, blocks no other thread. In the worker only the main thread uses the channel,
//! so it needs no lock, and no lock is shared between processes.

mod alarm;
pub(super) mod channel;
mod dispatch;
mod fork;
mod handle;
mod inner;
mod job;
mod manager;
mod result;
mod state;
mod watcher;
mod worker;

use std::mem;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::handle::WorkerSettings;
use self::inner::PoolInner;
use self::job::{Cause, Job};
use self::manager::{manage, name_limit};
pub use self::result::{AsyncResult, Imap};
pub(super) use self::worker::run_worker;
use super::child::{Purpose, start_message};
use super::codec::collect_handles;
use super::entry::{entry_offset, run_target};
use super::error::{Error, system};
use super::format::Encoder;
use super::role::is_initialized;
use super::target::{Owned, Target};

/// Worker processes that run tasks: `multiprocessing.Pool`.
///
/// If a worker dies, the task that it was running fails with the cause, and no
/// other task does: tasks that it had not begun go to other workers, and a new
/// worker is started. Python's pool would wait for the lost result for ever. The
/// tasks that a worker has not begun also go to others if it is stopped, by
/// SIGSTOP or a debugger.
///
/// A task may do anything to its own process, such as closing all descriptors or
/// replacing the process by another program with `exec`; this affects no result
/// but its own. Workers do not react to SIGINT (Ctrl-C), because the parent
/// decides what it means, and they end with the parent. Dropping a pool terminates
/// it, as leaving `with Pool` does.
///
/// Only the process that made a pool can use it. In a copy made by `fork`, its
/// methods return [`Error::InvalidInput`], and dropping it ends no worker.
///
/// # Costs
/// Arguments and results are encoded, and copied into shared memory and out of
/// it. A task needs a system call only to wake a worker or the parent that
/// sleeps.
///
/// In this process a pool has two threads and three descriptors, and three more
/// descriptors for each worker, so `ulimit -n 1024` allows about 300 workers. (A
/// test holds these numbers.) A worker is a process of about half a megabyte,
/// half of it for tasks and results on their way, and what its tasks allocate. It
/// keeps up to 1 MiB each for the arguments and the results of its next task.
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
/// Its methods block the calling thread, so with tokio they are called in
/// `spawn_blocking`. `main` is not a `#[tokio::main]`, because `init` has to be
/// called before the runtime is built: otherwise the tasks would run inside a
/// runtime.
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
    inner: Arc<PoolInner>,
    /// The manager's thread, until it has been joined.
    manager: Mutex<Option<JoinHandle<()>>>,
}

/// Settings for a [`Pool`], from [`Pool::builder`]: the arguments of
/// `multiprocessing.Pool(..)`.
///
/// ```
/// use std::sync::OnceLock;
///
/// use shared::multiprocessing::{self, Pool, Value};
///
/// static TOTAL: OnceLock<Value<i32>> = OnceLock::new();
///
/// fn keep(total: Value<i32>) {
///     TOTAL.set(total).expect("a worker starts once");
/// }
///
/// fn add(n: i32) {
///     *TOTAL.get().unwrap().lock().unwrap() += n;
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let total = Value::new(0)?;
///     let pool = Pool::builder()
///         .processes(2)
///         .initializer(keep, (total.clone(),))
///         .max_tasks_per_child(10)
///         .build()?;
///     pool.map(add, 1..=100)?;
///     assert_eq!(total.get(), 5050);
///     Ok(())
/// }
/// ```
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

    /// Starts a [`PoolBuilder`], for settings other than the number of workers.
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
    /// If the task fails: [`Error::Panicked`], [`Error::Killed`],
    /// [`Error::Exited`], [`Error::ExitUnknown`], [`Error::Encode`], or
    /// [`Error::Decode`], which is also the error if there is no memory for the
    /// arguments or the results. If the pool takes no tasks: [`Error::Closed`],
    /// [`Error::Terminated`], [`Error::WorkerStart`], or
    /// [`Error::InvalidInput`] in a copy of the process that `fork` made.
    pub fn apply<F, Args, Passing, R>(&self, target: F, args: Args) -> Result<R, Error>
    where
        F: Target<Args, Passing, Output = R>,
        Args: DeserializeOwned,
        R: Serialize + DeserializeOwned,
    {
        self.apply_async(target, args)?.get()
    }

    /// Calls `target` in a worker, and does not wait for the result:
    /// `pool.apply_async(square, (3,))`.
    ///
    /// # Errors
    /// [`Error::Encode`] if the arguments cannot be encoded, and the errors of
    /// [`apply`](Self::apply) if the pool takes no tasks.
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
        AsyncResult::of_call(&self.inner, target, args)
    }

    /// Calls `target` with each item and returns the results in the items'
    /// order: `pool.map(square, [1, 2, 3, 4, 5])`. The items are cut into about
    /// four chunks for each worker, and a chunk is one task.
    ///
    /// All items are taken and encoded before the first task is sent, as in
    /// Python. [`imap`](Self::imap) takes items as results are taken: use it for
    /// an infinite iterator, or for more items than fit in memory.
    ///
    /// # Errors
    /// The errors of [`apply`](Self::apply). The first failure noticed is returned
    /// at once. The rest of its chunk is skipped, as in Python; all other chunks
    /// still run.
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

    /// Does the same as [`map`](Self::map), in chunks of `chunk_size` items:
    /// `pool.map(square, range(1000), 25)`. If one call fails, its chunk fails.
    ///
    /// # Errors
    /// The errors of [`map`](Self::map), and [`Error::InvalidInput`] if
    /// `chunk_size` is 0.
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
            return Err(Error::InvalidInput(
                "`chunk_size` must be at least 1".into(),
            ));
        }
        let job = Job::new(target, items.into_iter().map(|item| (item,)), |_| {
            chunk_size
        })?;
        AsyncResult::submit(&self.inner, job, Job::results)?.get()
    }

    /// Does the same as [`map`](Self::map), and does not wait for the results:
    /// `pool.map_async(square, items)`.
    ///
    /// # Errors
    /// The errors of [`apply_async`](Self::apply_async).
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

    /// Does the same as [`map`](Self::map), where each item is a tuple of
    /// arguments: `pool.starmap(add, [(1, 2), (3, 4)])`.
    ///
    /// # Errors
    /// The errors of [`map`](Self::map).
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

    /// Does the same as [`starmap`](Self::starmap), and does not wait for the
    /// results: `pool.starmap_async(add, [(1, 2), (3, 4)])`.
    ///
    /// # Errors
    /// The errors of [`apply_async`](Self::apply_async).
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
        let chunks = self.inner.processes * 4;
        let job = Job::new(target, items, |items| items.div_ceil(chunks).max(1))?;
        AsyncResult::submit(&self.inner, job, Job::results)
    }

    /// Calls `target` with each item and yields the results in the items'
    /// order: `pool.imap(square, items)`. Items are taken as results are, at most
    /// 16 for each worker ahead, or 400 if they are small, so there may be infinitely
    /// many. The thread that asks for a result takes them from the iterator, so a slow
    /// iterator delays it.
    ///
    /// There is no chunk size to choose. Each item is a task of its own, which fails
    /// alone; if the iterator yields items quickly, the tasks of several small ones are
    /// sent together.
    pub fn imap<F, A, R, I>(&self, target: F, items: I) -> Imap<'_, F, I::IntoIter, R>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap::new(&self.inner, target, items.into_iter(), true)
    }

    /// Does the same as [`imap`](Self::imap), but yields each result as soon as it
    /// has come: `pool.imap_unordered(square, items)`.
    pub fn imap_unordered<F, A, R, I>(&self, target: F, items: I) -> Imap<'_, F, I::IntoIter, R>
    where
        F: Target<(A,), (Owned,), Output = R>,
        A: Serialize + DeserializeOwned,
        R: Serialize + DeserializeOwned,
        I: IntoIterator<Item = A>,
    {
        Imap::new(&self.inner, target, items.into_iter(), false)
    }

    /// Makes the pool take no more tasks, and lets the workers exit when all are
    /// done: `pool.close()`. In a copy of the process that made the pool this does
    /// nothing.
    pub fn close(&self) {
        if self.inner.check_maker().is_ok() {
            self.inner.close();
        }
    }

    /// Waits until all tasks are done and the workers have ended:
    /// `pool.join()`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the pool is neither closed nor terminated, or
    /// in a copy of the process that made it; [`Error::WorkerStart`] if the pool
    /// failed because workers could not start.
    pub fn join(&self) -> Result<(), Error> {
        self.inner.check_maker()?;
        if self.inner.is_open() {
            return Err(Error::InvalidInput(
                "call `close` or `terminate` before `join`".into(),
            ));
        }
        self.inner.wait_until_finished();
        let manager = self
            .manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(manager) = manager {
            manager.join().expect("the manager does not panic");
        }
        match self.inner.cause() {
            Some(Cause::StartFailed(error)) => Err(Error::WorkerStart(error)),
            _ => Ok(()),
        }
    }

    /// Kills the workers and waits until they have ended: `pool.terminate()`.
    /// Tasks that are not done fail with [`Error::Terminated`].
    ///
    /// It waits no longer than five seconds, because a worker may be impossible
    /// to kill: this process may have given up its privileges since it started
    /// the worker, or the worker is in a system call that cannot be interrupted.
    /// Such a worker exits when its task returns. In a copy of the process that
    /// made the pool `terminate` does nothing.
    pub fn terminate(&self) {
        if self.inner.check_maker().is_ok() {
            self.inner.terminate();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if self.inner.check_maker().is_err() {
            // The thread does not exist in a copy, and so cannot be detached.
            mem::forget(self.manager.get_mut().map(Option::take));
        } else if self.inner.terminate() {
            _ = self.join();
        }
    }
}

impl PoolBuilder {
    /// Sets how many workers the pool has: `Pool(processes=n)`. The default is
    /// the number of CPUs that this process may use.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Sets a function that each worker calls before its first task:
    /// `Pool(initializer=f, initargs=args)`. Unlike the arguments of tasks, its
    /// arguments may be shared memory, queues and pipes. What it returns is
    /// ignored, as in Python, even an `Err`: to fail, it panics.
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

    /// Sets after how many tasks a worker is replaced by a new one:
    /// `Pool(maxtasksperchild=n)`. A chunk of `map` is one task. By default a
    /// worker is never replaced.
    pub fn max_tasks_per_child(mut self, tasks: usize) -> Self {
        self.max_tasks = Some(tasks);
        self
    }

    /// Starts the workers, and waits until the initializer has returned in each.
    /// If it never returns in one of them, neither does `build`.
    ///
    /// # Errors
    /// [`Error::NotInitialized`] if `main` did not call [`init`](super::init);
    /// [`Error::InvalidInput`] if `processes` or `max_tasks_per_child` is 0;
    /// [`Error::Encode`] if an argument of the initializer cannot be encoded;
    /// [`Error::WorkerStart`] if the initializer fails or ends its process;
    /// [`Error::WorkerStart`] or [`Error::System`] if the system refuses what a
    /// pool needs. The workers that have started are killed.
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
        let settings = WorkerSettings {
            start_message,
            handles,
            max_tasks: self.max_tasks.unwrap_or(usize::MAX),
        };
        let inner = Arc::new(PoolInner::new(processes, settings).map_err(name_limit)?);
        let manager = thread::Builder::new()
            .name("pool manager".into())
            .spawn({
                let inner = inner.clone();
                move || manage(&inner)
            })
            .map_err(system("starting a thread"))?;
        let pool = Pool {
            inner,
            manager: Mutex::new(Some(manager)),
        };
        pool.inner.wait_until_started();
        match pool.inner.cause() {
            Some(cause) => Err(cause.to_error()),
            None => Ok(pool),
        }
    }
}
