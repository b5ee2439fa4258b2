//! The manager, a thread of each pool: it starts workers and reaps them, and
//! receives results when no thread that waits for one receives them itself.

use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;

use super::channel::PoolSleep;
use super::handle::WorkerHandle;
use super::inner::PoolInner;
use super::job::Cause;
use super::state::CHECK_INTERVAL;
use crate::multiprocessing::error::{Error, system};
use crate::multiprocessing::wait::{deadline, is_past};

/// How long a busy manager works before it looks for dead workers.
const REAP_INTERVAL: Duration = Duration::from_millis(10);

/// How long the manager leaves results to a thread that has received some, and may
/// come again.
const TICK: Duration = Duration::from_millis(10);

/// How long the manager waits until it tries again to start or to reap a worker.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// What the manager's thread does until the pool has ended.
pub(super) fn manage(pool: &PoolInner) {
    thread::scope(|scope| {
        let watcher = thread::Builder::new()
            .name("pool watcher".into())
            .spawn_scoped(scope, || pool.watcher.run(&pool.alarm));
        match watcher {
            Ok(_) => manage_workers(pool),
            Err(error) => {
                let error = system("starting a thread")(error);
                pool.lock().end(Cause::StartFailed(Arc::new(error)));
            }
        }
        pool.watcher.stop();
    });
    let mut state = pool.lock();
    state.is_finished = true;
    pool.notify(&state);
}

fn manage_workers(pool: &PoolInner) {
    let mut was_quiet = false;
    while !reap(pool) {
        start_workers(pool);
        let start = Instant::now();
        pool.poll_results(|state| {
            state.pollers == 0 && !state.was_polled && start.elapsed() < REAP_INTERVAL
        });
        pool.lock().check_workers();
        was_quiet = sleep(pool, was_quiet);
    }
}

/// Reaps the workers that the watcher has seen end. Returns whether the pool is
/// over.
fn reap(pool: &PoolInner) -> bool {
    let ended = pool.watcher.take_ended();
    let mut state = pool.lock();
    // First what a worker has answered before its death.
    if state.advance() | state.reap(&ended) {
        pool.notify(&state);
    }
    state.is_over()
}

fn start_workers(pool: &PoolInner) {
    loop {
        let Some(id) = pool.lock().next_worker() else {
            return;
        };
        // Without the lock, because it takes milliseconds.
        let worker = WorkerHandle::start(id, &pool.settings, &pool.alarm, &pool.watcher);
        let mut state = pool.lock();
        match worker {
            Ok(worker) => state.add_worker(worker),
            Err(error) => {
                if state.note_start_failure(name_limit(error)) {
                    pool.notify(&state);
                    pool.alarm.raise();
                }
                return;
            }
        }
    }
}

/// Sleeps until the alarm is raised, or until it is time to check the workers.
/// Returns whether nothing happened until then; `was_quiet` is what the last call
/// returned.
fn sleep(pool: &PoolInner, was_quiet: bool) -> bool {
    // Read before the look for work, so that work that comes after the look ends the
    // sleep.
    let count = pool.alarm.manager().count();
    let mut state = pool.lock();
    // A thread that polls takes care of the results, and one that has polled may do so
    // again.
    state.manager_ticks = mem::take(&mut state.was_polled) && state.is_all_sent();
    let is_polled = state.pollers > 0 || state.manager_ticks;
    let has_work = !is_polled && !state.fall_asleep(PoolSleep::Sleep);
    if has_work || pool.watcher.has_ended() {
        return false;
    }
    // An idle pool sleeps without a limit, but only if nothing has happened for
    // a while: between two calls of `apply` it is idle for a moment.
    state.is_checked = !(was_quiet && state.is_idle());
    let timeout = if state.manager_ticks {
        Some(TICK)
    } else if state.needs_retry() {
        Some(RETRY_INTERVAL)
    } else {
        state.is_checked.then_some(CHECK_INTERVAL)
    };
    drop(state);
    let until = timeout.and_then(deadline);
    pool.alarm.manager().wait(count, until);
    is_past(until)
}

/// If the error is a lack of descriptors, makes it name the limit to be raised.
pub(super) fn name_limit(error: Error) -> Error {
    match error {
        Error::System { source, .. } if source.raw_os_error() == Some(libc::EMFILE) => {
            system("descriptors for a pool (raise the limit RLIMIT_NOFILE, `ulimit -n`)")(source)
        }
        error => error,
    }
}
