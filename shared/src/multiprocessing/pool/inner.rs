//! What the parent's threads share of a pool: its [`State`] under a lock, and what
//! wakes threads that wait. The [`Pool`](super::Pool), its results and its
//! [`manager`](super::manager) each have an `Arc` of it.
//!
//! # Who receives the results
//!
//! A thread that waits for a result polls the channels itself as long as results
//! come quickly ([`poll_results`](PoolInner::poll_results)), and naps in between.
//! Meanwhile the manager sleeps, and no other thread has to be woken. After a
//! millisecond without a result the thread blocks on a condition variable, and leaves
//! the channels to the manager, which polls in the same way and then sleeps on the
//! alarm. A thread that is done leaves them to the manager too. But if it may come
//! again soon, as one that asks an `Imap` for one result after the other, the manager
//! only looks every 10 ms, as long as the workers have all tasks already. All of them
//! call [`State::advance`] under the lock, so it does not matter who does.
//!
//! Invariant: if no thread polls, then results raise the alarm, or the manager looks
//! for them within 10 ms, and [`receive`](PoolInner::receive) does at once.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::alarm::Alarm;
use super::channel::PoolSleep;
use super::fork::ForkGeneration;
use super::handle::WorkerSettings;
use super::job::{Cause, Job};
use super::state::{CHECK_INTERVAL, State};
use super::watcher::Watcher;
use crate::multiprocessing::error::Error;
use crate::multiprocessing::wait::{deadline, is_past, spin, wait_on};

/// How long `terminate` waits for workers that it could not kill, because they
/// belong to another user by now, or are in an uninterruptible system call.
const TERMINATE_LIMIT: Duration = Duration::from_secs(5);

/// How long a thread that waits for results sleeps before it looks for them. A worker
/// wakes it earlier only when it has nothing else to do, because to wake a thread
/// takes longer than many short tasks.
const NAP: Duration = Duration::from_micros(100);

/// After how long without a result it leaves the results to the manager.
const PATIENCE: Duration = Duration::from_millis(1);

pub(super) struct PoolInner {
    state: Mutex<State>,
    /// Some job is done, or the pool has started or is finished.
    progress: Condvar,
    /// Wakes the manager.
    pub(super) alarm: Alarm,
    pub(super) watcher: Watcher,
    /// The process that made the pool.
    maker: ForkGeneration,
    pub(super) processes: usize,
    pub(super) settings: WorkerSettings,
}

impl std::fmt::Debug for PoolInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolInner")
            .field("processes", &self.processes)
            .finish_non_exhaustive()
    }
}

impl PoolInner {
    pub(super) fn new(processes: usize, settings: WorkerSettings) -> Result<Self, Error> {
        Ok(PoolInner {
            state: Mutex::new(State::new(processes)),
            progress: Condvar::new(),
            alarm: Alarm::new()?,
            watcher: Watcher::new()?,
            maker: ForkGeneration::current(),
            processes,
            settings,
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails in a copy of the process that made the pool. There no other thread
    /// exists, and one of them may have held a lock when the copy was made.
    pub(super) fn check_maker(&self) -> Result<(), Error> {
        if self.maker.is_current() {
            return Ok(());
        }
        Err(Error::InvalidInput(
            "a pool works only in the process that made it, and this process is a copy made by \
             fork: make a new pool here"
                .into(),
        ))
    }

    pub(super) fn submit(&self, job: &Arc<Job>) -> Result<(), Error> {
        self.check_maker()?;
        let mut state = self.lock();
        state.submit(job)?;
        let needs_manager = state.manager_ticks && !state.is_all_sent();
        if needs_manager || !state.is_checked && !state.is_idle() {
            state.is_checked = true;
            state.manager_ticks = false;
            drop(state);
            self.alarm.raise();
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().is_open()
    }

    /// Why the pool has ended, if it was not closed.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.lock().cause().cloned()
    }

    pub(super) fn close(&self) {
        self.lock().close();
        self.alarm.raise();
    }

    /// Ends the workers and waits until they have ended, but no longer than
    /// [`TERMINATE_LIMIT`]. Returns whether all have ended.
    pub(super) fn terminate(&self) -> bool {
        self.lock().end(Cause::Terminated);
        self.alarm.raise();
        self.wait(deadline(TERMINATE_LIMIT), |state| state.is_finished)
    }

    pub(super) fn wait_until_finished(&self) {
        self.wait(None, |state| state.is_finished);
    }

    /// Waits until all workers are ready, or the pool has failed.
    pub(super) fn wait_until_started(&self) {
        self.wait(None, |state| state.has_started() || state.is_finished);
    }

    /// Waits until `done` or until the deadline. Returns whether it is done.
    pub(super) fn wait_until(&self, deadline: Option<Instant>, done: impl Fn() -> bool) -> bool {
        self.wait(deadline, |_| done())
    }

    fn wait(&self, deadline: Option<Instant>, done: impl Fn(&State) -> bool) -> bool {
        let is_over = |state: &State| done(state) || is_past(deadline);
        let mut state = self.lock();
        if done(&state) {
            return true;
        }
        state.pollers += 1;
        state.set_sleep(PoolSleep::Awake);
        drop(state);
        let mut last_result = Instant::now();
        loop {
            self.poll_results(|state| !is_over(state));
            let state = self.lock();
            // While workers are missing, the manager is busy, and starts them sooner if
            // no other thread of the process runs.
            let is_impatient = state.lacks_workers() || last_result.elapsed() > PATIENCE;
            if is_over(&state) || is_impatient {
                break;
            }
            drop(state);
            if self.nap(deadline) {
                last_result = Instant::now();
            }
        }
        let mut state = self.lock();
        state.pollers -= 1;
        // A thread that is done may soon wait for the next result, and can receive those
        // that come meanwhile, if the workers have all tasks already.
        state.was_polled = is_over(&state) && state.is_all_sent();
        let waits_for_thread = state.was_polled && state.manager_ticks;
        if state.pollers == 0 && !waits_for_thread && !state.fall_asleep(PoolSleep::Sleep) {
            self.alarm.raise();
        }

        while !is_over(&state) {
            let check = Instant::now() + CHECK_INTERVAL;
            let until = deadline.map_or(check, |deadline| deadline.min(check));
            state.blocked += 1;
            state = wait_on(&self.progress, state, Some(until));
            state.blocked -= 1;
            // The manager may be busy, because it takes long to start a worker.
            if is_past(Some(check)) {
                self.advance(&mut state);
                state.check_workers();
            }
        }
        done(&state)
    }

    /// Sleeps until a worker has nothing else to do, or for [`NAP`]. Returns whether
    /// there were results.
    fn nap(&self, deadline: Option<Instant>) -> bool {
        let napping = self.alarm.napping();
        let count = napping.count();
        if self.lock().fall_asleep(PoolSleep::Nap) {
            let end = Instant::now() + NAP;
            let end = deadline.map_or(end, |deadline| deadline.min(end));
            napping.wait(count, Some(end));
        }
        let mut state = self.lock();
        state.set_sleep(PoolSleep::Awake);
        self.advance(&mut state)
    }

    /// Receives results and gives out tasks, as long as results come quickly and
    /// `wanted` holds.
    pub(super) fn poll_results(&self, wanted: impl Fn(&State) -> bool) {
        while spin(|| {
            let mut state = self.lock();
            self.advance(&mut state) || !wanted(&state)
        }) && wanted(&self.lock())
        {}
    }

    /// Receives the results that have come.
    pub(super) fn receive(&self) {
        self.advance(&mut self.lock());
    }

    fn advance(&self, state: &mut State) -> bool {
        let any = state.advance();
        if any {
            self.notify(state);
        }
        any
    }

    /// Wakes the threads that are blocked, so that they look again.
    pub(super) fn notify(&self, state: &State) {
        if state.blocked > 0 {
            self.progress.notify_all();
        }
    }
}
