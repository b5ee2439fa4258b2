//! Python's `concurrent.futures`.

#![forbid(unsafe_code)]

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread::{self, JoinHandle, ThreadId};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Why a [`Future`] has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `CancelledError`: cancelled before it started.
    #[error("the task was cancelled before it started")]
    Cancelled,
    /// `TimeoutError`: not done in the time given; it goes on.
    #[error("the task did not finish in time")]
    Timeout,
    /// The task panicked, as a Python task raises.
    #[error("the task panicked: {0}")]
    Panicked(Panic),
    /// `RuntimeError`: submitted after the shutdown.
    #[error("cannot schedule new futures after shutdown")]
    Shutdown,
    /// `BrokenThreadPool`: the initializer panicked in a worker.
    #[error("a thread initializer failed, the thread pool is not usable anymore")]
    Broken,
    /// The system gave the pool not one thread.
    #[error("cannot start a worker thread: {0}")]
    Spawn(#[source] io::Error),
    /// The result was moved out by an earlier call.
    #[error("the result has been taken already")]
    Taken,
}

/// What a task panicked with. Shows its message.
pub struct Panic(Mutex<Box<dyn Any + Send>>);

impl Panic {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        Self(Mutex::new(payload))
    }

    /// Lets the panic go on in this thread, as [`resume_unwind`] does.
    pub fn resume(self) -> ! {
        resume_unwind(self.0.into_inner().unwrap())
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.lock().unwrap();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        f.write_str(message.unwrap_or("a payload that is not text"))
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

type Callback<T> = Box<dyn FnOnce(&Future<T>) + Send>;

/// `concurrent.futures.Future`.
#[must_use = "a panic of the task, or the refusal to run it, is told here only"]
pub struct Future<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

struct State<T> {
    stage: Stage<T>,
    callbacks: Vec<Callback<T>>,
    waiters: usize,
}

enum Stage<T> {
    Pending,
    Running,
    Cancelled,
    Finished(Result<T, Error>),
    Taken,
}

impl<T> Future<T> {
    /// `future.result()`: waits for the task and moves its result out.
    pub fn result(&self) -> Result<T, Error> {
        self.result_timeout(Duration::MAX)
    }

    /// `future.result(timeout)`.
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, Error> {
        let mut state = self.0.lock();
        state.waiters += 1;
        (state, _) = self
            .0
            .done
            .wait_timeout_while(state, timeout, |state| !state.is_done())
            .unwrap();
        state.waiters -= 1;
        match state.stage {
            Stage::Pending | Stage::Running => Err(Error::Timeout),
            Stage::Cancelled => Err(Error::Cancelled),
            Stage::Taken => Err(Error::Taken),
            Stage::Finished(_) => match mem::replace(&mut state.stage, Stage::Taken) {
                Stage::Finished(outcome) => outcome,
                _ => unreachable!(),
            },
        }
    }

    /// `future.done()`: finished or cancelled.
    pub fn done(&self) -> bool {
        self.0.lock().is_done()
    }

    /// `future.running()`.
    pub fn running(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Running)
    }

    /// `future.cancelled()`.
    pub fn cancelled(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Cancelled)
    }

    /// `future.cancel()`: only what has not started can be cancelled; tells
    /// whether it is.
    pub fn cancel(&self) -> bool {
        let state = self.0.lock();
        match state.stage {
            Stage::Pending => {
                self.0.finish(state, Stage::Cancelled, || ());
                true
            }
            Stage::Cancelled => true,
            _ => false,
        }
    }

    /// `future.add_done_callback(fn)`: called by the thread that ends the
    /// task, or at once by this one if the task is done.
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static) {
        let mut state = self.0.lock();
        if !state.is_done() {
            state.callbacks.push(Box::new(callback));
            return;
        }
        drop(state);
        let _ = catch_unwind(AssertUnwindSafe(|| callback(self)));
    }
}

impl<T> State<T> {
    fn is_done(&self) -> bool {
        !matches!(self.stage, Stage::Pending | Stage::Running)
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }

    fn finish(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State<T>>,
        stage: Stage<T>,
        free: impl Fn(),
    ) {
        let callbacks = mem::take(&mut state.callbacks);
        if callbacks.is_empty() {
            free();
        }
        state.stage = stage;
        let waiters = state.waiters;
        drop(state);
        if waiters > 0 {
            self.done.notify_all();
        }
        if callbacks.is_empty() {
            return;
        }
        let future = Future(self.clone());
        for callback in callbacks {
            let _ = catch_unwind(AssertUnwindSafe(|| callback(&future)));
        }
        free();
    }
}

trait Job: Send {
    /// `free` is called once, when the worker can take another job.
    fn run(self: Box<Self>, free: &dyn Fn());
    fn refuse(self: Box<Self>, error: Error);
}

struct Task<F, T> {
    function: F,
    future: Arc<Shared<T>>,
}

impl<T: Send, F: FnOnce() -> T + Send> Job for Task<F, T> {
    fn run(self: Box<Self>, free: &dyn Fn()) {
        let Task { function, future } = *self;
        let mut state = future.lock();
        if !matches!(state.stage, Stage::Pending) {
            drop(state);
            free();
            return;
        }
        state.stage = Stage::Running;
        drop(state);
        let outcome = catch_unwind(AssertUnwindSafe(function))
            .map_err(|payload| Error::Panicked(Panic::new(payload)));
        future.finish(future.lock(), Stage::Finished(outcome), free);
    }

    fn refuse(self: Box<Self>, error: Error) {
        let state = self.future.lock();
        if matches!(state.stage, Stage::Pending) {
            let stage = match error {
                Error::Cancelled => Stage::Cancelled,
                error => Stage::Finished(Err(error)),
            };
            self.future.finish(state, stage, || ());
        }
    }
}

/// `concurrent.futures.ThreadPoolExecutor`.
pub struct ThreadPoolExecutor {
    pool: Arc<Pool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Pool {
    queue: Mutex<Queue>,
    work: Condvar,
    /// Workers that wait for a job or are about to look for one.
    idle: AtomicUsize,
    max_workers: usize,
    thread_name_prefix: String,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
}

struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    workers: Vec<ThreadId>,
    waiting: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Open,
    Shutdown,
    Broken,
}

/// Sets up a [`ThreadPoolExecutor`].
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    thread_name_prefix: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Builder {
    /// At most so many threads; without it `min(32, cores + 4)`, as in Python.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// The threads are named `{prefix}_{number}`.
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.thread_name_prefix = Some(prefix.into());
        self
    }

    /// Each thread calls this before its first task.
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// The executor; its threads start when they are needed.
    pub fn build(self) -> ThreadPoolExecutor {
        static COUNTER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let max_workers = self.max_workers.unwrap_or_else(|| {
            32.min(std::thread::available_parallelism().map_or(1, |n| n.get()) + 4)
        });
        assert!(max_workers > 0, "max_workers must be greater than 0");
        ThreadPoolExecutor {
            pool: Arc::new(Pool {
                queue: Mutex::new(Queue {
                    jobs: VecDeque::new(),
                    workers: Vec::new(),
                    waiting: 0,
                    phase: Phase::Open,
                }),
                work: Condvar::new(),
                idle: AtomicUsize::new(0),
                max_workers,
                thread_name_prefix: self.thread_name_prefix.unwrap_or_else(|| {
                    format!(
                        "ThreadPoolExecutor-{}",
                        COUNTER.fetch_add(1, Ordering::Relaxed)
                    )
                }),
                initializer: self.initializer,
            }),
            threads: Mutex::default(),
        }
    }
}

impl ThreadPoolExecutor {
    /// `ThreadPoolExecutor(max_workers)`.
    ///
    /// # Panics
    /// When `max_workers` is 0.
    pub fn new(max_workers: usize) -> Self {
        Self::builder().max_workers(max_workers).build()
    }

    /// `ThreadPoolExecutor(thread_name_prefix=.., initializer=..)`.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `executor.submit(fn)`.
    pub fn submit<T, F>(&self, function: F) -> Future<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let future = Arc::new(Shared {
            state: Mutex::new(State {
                stage: Stage::Pending,
                callbacks: Vec::new(),
                waiters: 0,
            }),
            done: Condvar::new(),
        });
        self.push(Box::new(Task {
            function,
            future: future.clone(),
        }));
        Future(future)
    }

    /// `executor.map(fn, items)`.
    pub fn map<T, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> impl Iterator<Item = R> + use<T, R, F, I>
    where
        I: IntoIterator<Item = T>,
        F: Fn(T) -> R + Send + Sync + 'static,
        T: Send + 'static,
        R: Send + 'static,
    {
        let function = Arc::new(function);
        let futures: Vec<_> = items
            .into_iter()
            .map(|item| {
                let function = function.clone();
                self.submit(move || function(item))
            })
            .collect();
        futures.into_iter().map(|future| match future.result() {
            Ok(result) => result,
            Err(Error::Panicked(panic)) => panic.resume(),
            Err(error) => panic!("{error}"),
        })
    }

    /// `executor.shutdown()`: what was submitted still runs, and this waits
    /// for it.
    pub fn shutdown(&self) {
        self.shutdown_nowait();
        let me = thread::current().id();
        if self.pool.lock().workers.contains(&me) {
            return;
        }
        for thread in self.threads.lock().unwrap().drain(..) {
            thread.join().expect("a worker does not panic");
        }
    }

    /// `executor.shutdown(wait=False)`.
    pub fn shutdown_nowait(&self) {
        let mut queue = self.pool.lock();
        if queue.phase == Phase::Open {
            queue.phase = Phase::Shutdown;
        }
        drop(queue);
        self.pool.work.notify_all();
    }

    /// `executor.shutdown(wait=False, cancel_futures=True)`.
    pub fn shutdown_cancel_futures(&self) {
        self.shutdown_nowait();
        let jobs = mem::take(&mut self.pool.lock().jobs);
        for job in jobs {
            job.refuse(Error::Cancelled);
        }
    }

    fn push(&self, job: Box<dyn Job>) {
        let mut queue = self.pool.lock();
        match queue.phase {
            Phase::Open => {}
            Phase::Shutdown => {
                drop(queue);
                return job.refuse(Error::Shutdown);
            }
            Phase::Broken => {
                drop(queue);
                return job.refuse(Error::Broken);
            }
        }
        queue.jobs.push_back(job);
        let wake = queue.waiting > 0;
        if queue.jobs.len() > self.pool.idle.load(Ordering::Relaxed)
            && queue.workers.len() < self.pool.max_workers
        {
            let name = format!("{}_{}", self.pool.thread_name_prefix, queue.workers.len());
            let pool = self.pool.clone();
            match thread::Builder::new().name(name).spawn(move || pool.work()) {
                Ok(thread) => {
                    self.pool.idle.fetch_add(1, Ordering::Relaxed);
                    queue.workers.push(thread.thread().id());
                    self.threads.lock().unwrap().push(thread);
                }
                Err(error) if queue.workers.is_empty() => {
                    let job = queue.jobs.pop_back().expect("just pushed");
                    drop(queue);
                    job.refuse(Error::Spawn(error));
                    return;
                }
                Err(_) => {}
            }
        }
        drop(queue);
        if wake {
            self.pool.work.notify_one();
        }
    }
}

impl Drop for ThreadPoolExecutor {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }

    fn work(&self) {
        if let Some(initializer) = &self.initializer
            && catch_unwind(AssertUnwindSafe(initializer)).is_err()
        {
            let mut queue = self.lock();
            queue.phase = Phase::Broken;
            let jobs = mem::take(&mut queue.jobs);
            drop(queue);
            self.work.notify_all();
            for job in jobs {
                job.refuse(Error::Broken);
            }
            return;
        }
        while let Some(job) = self.next() {
            job.run(&|| {
                self.idle.fetch_add(1, Ordering::Relaxed);
            });
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                self.idle.fetch_sub(1, Ordering::Relaxed);
                return Some(job);
            }
            if queue.phase != Phase::Open {
                return None;
            }
            queue.waiting += 1;
            queue = self.work.wait(queue).unwrap();
            queue.waiting -= 1;
        }
    }
}
