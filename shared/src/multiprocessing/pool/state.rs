//! The state of a pool: its workers, the tasks that none of them has, and whether
//! it still takes tasks. One lock guards all of it, in
//! [`inner`](super::inner). What is done here takes a short time and never
//! waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::channel::PoolSleep;
use super::dispatch::{Backlog, dispatch};
use super::handle::{WorkerFault, WorkerHandle};
use super::job::{Cause, Job};
use crate::multiprocessing::child::exit_error;
use crate::multiprocessing::error::Error;

/// How often the pool checks for workers that have been stopped, as by SIGSTOP.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How many workers may fail to start, one after the other, before the pool
/// gives up.
const MAX_START_FAILURES: usize = 8;

pub(super) struct State {
    /// How many workers there should be.
    processes: usize,
    workers: Vec<WorkerHandle>,
    backlog: Backlog,
    phase: Phase,
    /// When the workers were checked last.
    last_check: Instant,
    /// The ID of the worker that was started last.
    last_id: u64,
    /// How many workers have become ready since the pool was made.
    ready_count: usize,
    /// How many have ended since the last one became ready, without becoming so.
    start_failures: usize,

    // Who waits; see `inner` and `manager`.
    /// How many waiting threads receive results themselves.
    pub(super) pollers: usize,
    /// A thread has received results since the manager last looked, and is done.
    pub(super) was_polled: bool,
    /// The manager looks for results every now and then, and is not woken for them.
    pub(super) manager_ticks: bool,
    /// How many threads sleep until there is progress.
    pub(super) blocked: usize,
    /// Whether the manager wakes up to check the workers. If not, the pool is
    /// idle, and the next job has to wake it.
    pub(super) is_checked: bool,
    /// All workers have ended, no new one will start, and the watcher has ended.
    pub(super) is_finished: bool,
}

enum Phase {
    Open,
    /// It takes no more jobs.
    Closed,
    /// It was terminated or has failed; all its jobs have failed.
    Ended(Cause),
}

impl State {
    pub(super) fn new(processes: usize) -> Self {
        State {
            processes,
            workers: Vec::new(),
            backlog: Backlog::default(),
            phase: Phase::Open,
            last_check: Instant::now(),
            last_id: 0,
            ready_count: 0,
            start_failures: 0,
            pollers: 0,
            was_polled: false,
            manager_ticks: false,
            blocked: 0,
            is_checked: false,
            is_finished: false,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open)
    }

    /// Why the pool has ended, if it was not closed.
    pub(super) fn cause(&self) -> Option<&Cause> {
        match &self.phase {
            Phase::Ended(cause) => Some(cause),
            Phase::Open | Phase::Closed => None,
        }
    }

    /// Whether no task waits or is being run.
    pub(super) fn is_idle(&self) -> bool {
        self.backlog.is_empty() && self.workers.iter().all(|worker| worker.task_count() == 0)
    }
}

/// Tasks and results.
impl State {
    /// Takes a job and gives its tasks to workers.
    pub(super) fn submit(&mut self, job: &Arc<Job>) -> Result<(), Error> {
        match &self.phase {
            Phase::Open => {}
            Phase::Closed => return Err(Error::Closed),
            Phase::Ended(cause) => return Err(cause.to_error()),
        }
        if job.tasks() > 0 {
            self.backlog.add(job.clone());
            self.dispatch();
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        dispatch(&mut self.backlog, &mut self.workers);
    }

    /// Receives the results that have come and gives out tasks. Returns whether
    /// there was anything to do.
    pub(super) fn advance(&mut self) -> bool {
        if self.cause().is_some() {
            return false;
        }
        let mut any = false;
        let mut start_failure = None;
        for worker in &mut self.workers {
            let was_ready = worker.is_ready;
            match worker.receive_results() {
                Ok(received) => any |= received,
                Err(WorkerFault::InitializerFailed(failure)) => {
                    start_failure = Some(failure.into_error(worker.pid()));
                }
                // Its death is then noticed as any other's.
                Err(WorkerFault::Corrupt) => worker.kill(),
            }
            any |= worker.send_unsent();
            if worker.is_ready && !was_ready {
                self.ready_count += 1;
                self.start_failures = 0;
            }
        }
        if let Some(error) = start_failure {
            self.end(Cause::StartFailed(Arc::new(error)));
        }
        if any {
            self.dispatch();
            self.retire_idle();
        }
        any
    }

    /// Whether the workers have been sent all tasks.
    pub(super) fn is_all_sent(&self) -> bool {
        self.backlog.is_empty() && self.workers.iter().all(WorkerHandle::is_all_sent)
    }

    /// Makes results wake the pool, and returns whether it may sleep. It may not if
    /// there is something to do already, because nothing will wake it for that.
    pub(super) fn fall_asleep(&self, sleep: PoolSleep) -> bool {
        self.set_sleep(sleep);
        self.cause().is_some() || !self.workers.iter().any(WorkerHandle::has_work_for_pool)
    }

    /// Sets when results wake the pool. They need not while a thread looks for them.
    pub(super) fn set_sleep(&self, sleep: PoolSleep) {
        for worker in &self.workers {
            worker.set_pool_sleep(sleep);
        }
    }
}

/// The lives of the workers.
impl State {
    /// If another worker should be started, returns the ID for it. A worker that
    /// was asked to exit and does not is replaced nevertheless.
    pub(super) fn next_worker(&mut self) -> Option<u64> {
        self.lacks_workers().then(|| {
            self.last_id += 1;
            self.last_id
        })
    }

    pub(super) fn lacks_workers(&self) -> bool {
        let stays = |worker: &&WorkerHandle| !(worker.is_stuck && worker.is_retiring);
        self.workers.iter().filter(stays).count() < self.processes
            && match self.phase {
                Phase::Open => true,
                Phase::Closed => !self.is_idle(),
                Phase::Ended(_) => false,
            }
    }

    pub(super) fn add_worker(&mut self, mut worker: WorkerHandle) {
        if self.cause().is_some() {
            worker.kill();
        }
        self.workers.push(worker);
    }

    /// Whether all workers have been ready at some time.
    pub(super) fn has_started(&self) -> bool {
        self.ready_count >= self.processes
    }

    /// A worker could not be started. While the pool starts, that ends it. Later
    /// other workers go on, and the system may have room again. Returns whether
    /// the pool has ended.
    pub(super) fn note_start_failure(&mut self, error: Error) -> bool {
        let ends = !self.has_started() || self.workers.is_empty() && self.count_start_failure();
        if ends {
            self.end(Cause::StartFailed(Arc::new(error)));
        }
        ends
    }

    /// Counts a failure to start, and returns whether there were too many.
    fn count_start_failure(&mut self) -> bool {
        self.start_failures += 1;
        self.start_failures > MAX_START_FAILURES
    }

    /// Takes back the tasks of workers that seem to be stopped. Others get the
    /// tasks, and such a worker gets none until it has recovered.
    pub(super) fn check_workers(&mut self) {
        if self.last_check.elapsed() < CHECK_INTERVAL {
            return;
        }
        self.last_check = Instant::now();
        for worker in &mut self.workers {
            if worker.check() {
                self.backlog.requeue(worker.take_back());
            }
        }
        self.dispatch();
    }

    /// Asks workers to exit that have done their last task.
    pub(super) fn retire_idle(&mut self) {
        let all = matches!(self.phase, Phase::Closed) && self.is_idle();
        for worker in &mut self.workers {
            if !worker.is_retiring && (all || worker.is_used_up()) {
                worker.retire();
            }
        }
    }

    /// Reaps the workers that have ended, `ended` among them. The task that each
    /// had begun fails, and its other tasks go to other workers. Returns whether
    /// there was a worker to reap.
    pub(super) fn reap(&mut self, ended: &[u64]) -> bool {
        let mut any = false;
        let mut index = 0;
        while index < self.workers.len() {
            let worker = &mut self.workers[index];
            worker.has_ended |= ended.contains(&worker.id);
            let Some(status) = worker.has_ended.then(|| worker.exit_status()).flatten() else {
                index += 1;
                continue;
            };
            any = true;
            let worker = self.workers.remove(index);
            let (pid, failed_to_start) = (worker.pid(), !worker.is_ready && !worker.is_retiring);
            self.backlog.requeue(worker.fail_begun(status));
            if failed_to_start && self.count_start_failure() {
                self.end(Cause::StartFailed(Arc::new(exit_error(pid, status))));
            }
        }
        if any {
            self.dispatch();
            self.retire_idle();
        }
        any
    }

    /// Whether a worker could not be started or reaped, so that the manager has to
    /// try again.
    pub(super) fn needs_retry(&self) -> bool {
        self.lacks_workers() || self.workers.iter().any(|worker| worker.has_ended)
    }
}

/// The end of the pool.
impl State {
    pub(super) fn close(&mut self) {
        if let Phase::Open = self.phase {
            self.phase = Phase::Closed;
            self.retire_idle();
        }
    }

    /// Kills the workers, and fails all jobs that are not done.
    pub(super) fn end(&mut self, cause: Cause) {
        if self.cause().is_some() {
            return;
        }
        for worker in &mut self.workers {
            worker.kill();
            worker.fail_tasks(&cause);
        }
        self.backlog.fail(&cause);
        self.phase = Phase::Ended(cause);
    }

    /// Whether the pool does not need its manager any more: no worker is left,
    /// and none will be started.
    pub(super) fn is_over(&self) -> bool {
        self.workers.is_empty()
            && match self.phase {
                Phase::Open => false,
                Phase::Closed => self.is_idle(),
                Phase::Ended(_) => true,
            }
    }
}
