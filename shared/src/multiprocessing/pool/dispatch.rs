//! Which worker gets which tasks: the [`Backlog`] of tasks that no worker has, and
//! [`dispatch`], which hands them out.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;

use super::handle::WorkerHandle;
use super::job::{Cause, Job, Run};

/// The most bytes of several tasks that are sent in one message.
const MAX_RUN_SIZE: usize = 1 << 13;

/// The most tasks that are sent in one message.
const MAX_RUN: usize = 64;

/// The tasks that no worker has.
#[derive(Default)]
pub(super) struct Backlog {
    /// The jobs of which some tasks have not been given to a worker. Tasks that were
    /// taken back from a worker go first.
    runs: VecDeque<Run>,
    /// How many tasks there are.
    len: usize,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a job that has at least one task.
    pub(super) fn add(&mut self, job: Arc<Job>) {
        self.len += job.tasks();
        self.runs.push_back(Run::all(job));
    }

    /// Puts tasks that were taken back from a worker before all others, in their
    /// order. Returns whether there were any.
    pub(super) fn requeue(&mut self, runs: impl DoubleEndedIterator<Item = Run>) -> bool {
        let before = self.len;
        for run in runs.rev() {
            self.len += run.len();
            self.runs.push_front(run);
        }
        self.len > before
    }

    /// Removes the first tasks, no more than `most`.
    fn next(&mut self, most: usize) -> Option<Run> {
        let first = self.runs.front_mut()?;
        let run = first.take_first(most, MAX_RUN_SIZE);
        self.len -= run.len();
        if first.len() == 0 {
            self.runs.pop_front();
        }
        Some(run)
    }

    /// Fails all its tasks.
    pub(super) fn fail(&mut self, cause: &Cause) {
        mem::take(self)
            .runs
            .into_iter()
            .for_each(|run| run.fail(cause));
    }
}

/// Gives tasks to the workers, first to those that have the fewest, until there
/// are no more tasks or no room for them. A worker has many tasks in its
/// channel, so that it need not wait for the next one. When there are no more
/// tasks, a worker without any gets some that another one has not begun.
///
/// A worker is woken for its first task, so that all workers begin at once, and
/// then only after many short tasks (`WAKE_SIZE` in [`handle`](super::handle)), and
/// for the rest at the end of this function. If it were woken for each task, it
/// would finish a short one and sleep again before the next one is sent. With many
/// workers, each task would then cost a wake-up, which takes as long as a hundred
/// short tasks.
pub(super) fn dispatch(backlog: &mut Backlog, workers: &mut [WorkerHandle]) {
    while let Some(fewest) = fewest_tasks(workers)
        && (dispatch_round(fewest, backlog, workers)
            || fewest == 0 && steal_from_busiest(backlog, workers))
    {}
    workers.iter_mut().for_each(WorkerHandle::wake);
}

/// How many tasks a worker has that can take another one and has the fewest.
fn fewest_tasks(workers: &[WorkerHandle]) -> Option<usize> {
    let takers = workers.iter().filter(|worker| worker.can_take_a_task());
    takers.map(WorkerHandle::task_count).min()
}

/// Gives a run of tasks to each worker that has no more tasks than `fewest`. Returns
/// whether there was a task.
fn dispatch_round(fewest: usize, backlog: &mut Backlog, workers: &mut [WorkerHandle]) -> bool {
    let mut any = false;
    let share = backlog.len / workers.len();
    for worker in workers {
        if worker.can_take_a_task() && worker.task_count() <= fewest {
            // A worker without many tasks gets single ones, so that tasks begin in
            // their order.
            let most = (worker.task_count() / 8).min(share).min(MAX_RUN);
            let Some(run) = backlog.next(most.min(worker.tasks_left())) else {
                break;
            };
            worker.assign(run);
            any = true;
        }
    }
    any
}

/// Takes back what the worker with the most tasks has not begun. Returns whether
/// it had such tasks.
fn steal_from_busiest(backlog: &mut Backlog, workers: &mut [WorkerHandle]) -> bool {
    workers
        .iter_mut()
        .max_by_key(|worker| worker.task_count())
        .filter(|worker| worker.task_count() > 1)
        .is_some_and(|worker| backlog.requeue(worker.take_back()))
}
