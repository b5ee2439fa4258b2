//! The queue of jobs, and the threads that run them: when a thread is started,
//! how it waits for a job, when it is woken, and when it ends.

use super::error::{Error, catch_and_ignore};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::thread::{self, ThreadId};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, Weak, spin_until};
use std::collections::VecDeque;
use std::{io, mem};

/// What a thread takes from the queue: one call, or calls that several threads
/// run together.
pub(super) trait Job: Send + Sync {
    /// Runs the job, and drops `busy` when the thread could take another one.
    fn run(&self, busy: Busy<'_>);

    /// Ends all calls that have not started with this error.
    fn reject(&self, error: fn() -> Error);
}

/// Counts a thread as busy until it is dropped.
///
/// It is dropped before the result of the job can be seen, so that a caller
/// that sees the result and submits another call needs no further thread.
/// After that, the thread neither calls code of the user nor drops a value of
/// the user, because a destructor may take as long as a call.
pub(super) struct Busy<'pool>(&'pool AtomicUsize);

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

/// What the executor and its threads share.
pub(super) struct Pool<'scope> {
    queue: Mutex<Queue<'scope>>,
    /// Wakes *parked* threads: those that sleep until there is a job.
    work: Condvar,
    /// The number of threads without a job. It is not part of `queue`, because
    /// a thread adds itself while it has a slot locked. The lock of the slot
    /// makes this visible to the reader of the result.
    idle: AtomicUsize,
    /// `join` holds this lock while it joins, so that a concurrent `join` also
    /// returns only after all threads have ended. It is called only when the
    /// queue is closed. From then on `push` does not take this lock any more,
    /// so `push` never waits for a thread to end.
    handles: Mutex<Vec<Join<'scope>>>,
    pub(super) max_workers: usize,
    pub(super) thread_name_prefix: String,
    initializer: Option<Initializer>,
    spawn: Spawn<'scope>,
}

pub(super) type Initializer = Box<dyn Fn() + Send + Sync>;

/// Waits until a thread has ended.
type Join<'scope> = Box<dyn FnOnce() + Send + 'scope>;

/// A new thread, or why the system refused to start it.
pub(super) type Spawned<'scope> = io::Result<(ThreadId, Join<'scope>)>;

/// Starts a thread that runs [`Pool::thread_main`].
pub(super) type Spawn<'scope> =
    Box<dyn Fn(thread::Builder, Arc<Pool<'scope>>) -> Spawned<'scope> + Send + Sync + 'scope>;

#[derive(Default)]
struct Queue<'scope> {
    jobs: VecDeque<Arc<dyn Job + 'scope>>,
    /// The jobs of `map`. One may still have items when it is no longer in `jobs`.
    batches: Vec<Weak<dyn Job + 'scope>>,
    /// The threads, in the order in which they were started.
    workers: Vec<ThreadId>,
    /// A thread spins until there is a job, so it need not be woken for one.
    spinning: bool,
    /// The number of threads that sleep, or were woken and have not run yet.
    parked: usize,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Phase {
    #[default]
    Open,
    Shutdown,
    Broken,
}

impl<'scope> Pool<'scope> {
    pub(super) fn new(
        max_workers: usize,
        thread_name_prefix: String,
        initializer: Option<Initializer>,
        spawn: Spawn<'scope>,
    ) -> Self {
        Self {
            queue: Mutex::default(),
            work: Condvar::new(),
            idle: AtomicUsize::new(0),
            handles: Mutex::default(),
            max_workers,
            thread_name_prefix,
            initializer,
            spawn,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<'scope>> {
        self.queue.lock().unwrap()
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        self.lock().check_open()
    }

    /// Returns the number of threads, the number of queued jobs and the phase.
    pub(super) fn snapshot(&self) -> (usize, usize, Phase) {
        let queue = self.lock();
        (queue.workers.len(), queue.jobs.len(), queue.phase)
    }

    /// Queues the jobs, starts threads for those that no idle thread can take,
    /// up to `max_workers`, and wakes parked ones.
    pub(super) fn push(
        self: &Arc<Self>,
        jobs: impl IntoIterator<Item = Arc<dyn Job + 'scope>>,
        batch: Option<Weak<dyn Job + 'scope>>,
    ) -> Result<(), Error> {
        let mut queue = self.lock();
        queue.check_open()?;
        queue.jobs.extend(jobs);
        queue.batches.retain(|batch| batch.strong_count() > 0);
        queue.batches.extend(batch);
        while queue.jobs.len() > self.idle.load(Ordering::Relaxed)
            && queue.workers.len() < self.max_workers
        {
            let name = format!("{}_{}", self.thread_name_prefix, queue.workers.len());
            match (self.spawn)(thread::Builder::new().name(name), self.clone()) {
                Ok((id, join)) => {
                    self.idle.fetch_add(1, Ordering::Relaxed);
                    queue.workers.push(id);
                    self.handles.lock().unwrap().push(join);
                }
                Err(error) if queue.workers.is_empty() => {
                    let jobs = mem::take(&mut queue.jobs);
                    drop(queue);
                    drop(jobs);
                    return Err(Error::Spawn(error));
                }
                // The threads that there are will run the job, only later.
                Err(_) => break,
            }
        }
        // The spinning thread finds one of the jobs by itself.
        let unattended = queue.jobs.len().saturating_sub(usize::from(queue.spinning));
        let to_wake = unattended.min(queue.parked);
        drop(queue);
        for _ in 0..to_wake {
            self.work.notify_one();
        }
        Ok(())
    }

    /// What a thread of the pool runs. It must not panic, because the panic of
    /// a scoped thread makes its scope panic.
    pub(super) fn thread_main(pool: Arc<Self>) {
        pool.worker_loop();
        // A call may have dropped the executor. Then this may be the last
        // reference, and drop the initializer, which is code of the user.
        catch_and_ignore(|| drop(pool));
    }

    fn worker_loop(&self) {
        if let Some(initializer) = &self.initializer
            && !catch_and_ignore(initializer)
        {
            self.close(Phase::Broken);
            return self.reject_pending(|| Error::Broken);
        }
        while let Some((job, busy)) = self.next_job() {
            // Only panics of destructors are caught here: the job itself
            // catches those of its calls.
            catch_and_ignore(move || job.run(busy));
        }
    }

    /// Waits for the next job. Returns `None` when the queue is closed and
    /// empty, which is when the thread ends.
    fn next_job(&self) -> Option<(Arc<dyn Job + 'scope>, Busy<'_>)> {
        let mut queue = self.lock();
        let mut has_spun = false;
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some((job, Busy::new(&self.idle)));
            }
            if queue.phase != Phase::Open {
                return None;
            }
            // One thread at a time spins, once before it sleeps.
            if !has_spun && !queue.spinning {
                queue.spinning = true;
                drop(queue);
                spin_until(|| {
                    let queue = self.lock();
                    !queue.jobs.is_empty() || queue.phase != Phase::Open
                });
                queue = self.lock();
                queue.spinning = false;
                has_spun = true;
            } else {
                queue.parked += 1;
                queue = self.work.wait(queue).unwrap();
                queue.parked -= 1;
                has_spun = false;
            }
        }
    }

    /// Closes the queue for new jobs. Of several phases the first one stays.
    pub(super) fn close(&self, phase: Phase) {
        let mut queue = self.lock();
        if queue.phase == Phase::Open {
            queue.phase = phase;
        }
        drop(queue);
        self.work.notify_all();
    }

    /// Ends all calls that have not started with this error.
    pub(super) fn reject_pending(&self, error: fn() -> Error) {
        let mut queue = self.lock();
        let jobs = mem::take(&mut queue.jobs);
        let batches = mem::take(&mut queue.batches);
        drop(queue);
        for job in batches.iter().filter_map(Weak::upgrade).chain(jobs) {
            catch_and_ignore(move || job.reject(error));
        }
    }

    /// Waits until all threads of the closed pool have ended. A thread of the
    /// pool does not wait, because it would wait for itself.
    pub(super) fn join(&self) {
        if self.lock().workers.contains(&thread::current().id()) {
            return;
        }
        for join in self.handles.lock().unwrap().drain(..) {
            join();
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
}
