//! Which worker gets which task: the [`Backlog`] of tasks that no worker has, and
//! [`dispatch`], which hands them out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::handle::WorkerHandle;
use super::job::{Cause, Job, Task};

/// The tasks that no worker has.
#[derive(Default)]
pub(super) struct Backlog {
    /// Tasks that were taken back from a worker. They go first.
    requeued: VecDeque<Task>,
    /// The jobs that have tasks that no worker has had, and the index of the
    /// first such task.
    jobs: VecDeque<(Arc<Job>, usize)>,
}

impl Backlog {
    pub(super) fn is_empty(&self) -> bool {
        self.requeued.is_empty() && self.jobs.is_empty()
    }

    /// Adds a job that has at least one task.
    pub(super) fn add(&mut self, job: Arc<Job>) {
        self.jobs.push_back((job, 0));
    }

    /// Puts tasks that were taken back from a worker before all others, in their
    /// order. Returns whether there were any.
    pub(super) fn requeue(&mut self, tasks: impl DoubleEndedIterator<Item = Task>) -> bool {
        let before = self.requeued.len();
        tasks.rev().for_each(|task| self.requeued.push_front(task));
        self.requeued.len() > before
    }

    fn next(&mut self) -> Option<Task> {
        self.requeued.pop_front().or_else(|| {
            let (job, next) = self.jobs.front_mut()?;
            let task = Task {
                job: job.clone(),
                index: *next,
            };
            *next += 1;
            if *next == job.tasks() {
                self.jobs.pop_front();
            }
            Some(task)
        })
    }

    /// Fails all its tasks.
    pub(super) fn fail(&mut self, cause: &Cause) {
        self.requeued.drain(..).for_each(|task| task.fail(cause));
        self.jobs.drain(..).for_each(|(job, _)| job.fail(cause));
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

/// Gives one task to each worker that has no more than `fewest`. Returns whether
/// there was a task.
fn dispatch_round(fewest: usize, backlog: &mut Backlog, workers: &mut [WorkerHandle]) -> bool {
    let mut any = false;
    for worker in workers {
        if worker.can_take_a_task() && worker.task_count() <= fewest {
            let Some(task) = backlog.next() else {
                break;
            };
            worker.assign(task);
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
