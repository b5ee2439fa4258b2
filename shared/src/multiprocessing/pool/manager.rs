//! What the threads of the parent do with a pool: the manager's, which starts
//! workers and sees them die, and those that give out tasks and wait.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::channel::{Channel, FAILED, MORE};
use super::job::{Cause, Job, Task};
use crate::multiprocessing::child::{Child, ended};
use crate::multiprocessing::codec::decode;
use crate::multiprocessing::error::{Error, Failure, system};
use crate::multiprocessing::memory::{deadline, is_past, poll, spin, wait_on};

/// How long the dead of a busy pool may go unseen.
const UNSEEN: Duration = Duration::from_millis(10);

/// How long the pool waits until it tries again to start a worker.
const RETRY: Duration = Duration::from_millis(50);

/// How many workers may die one after the other before they are ready, until
/// the pool gives up.
const PATIENCE: usize = 8;

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

pub(super) struct Shared {
    state: Mutex<State>,
    /// Some job is done, or the pool is ready or finished.
    progress: Condvar,
    /// Workers write to it when the manager sleeps, and we when it should look.
    bell: EventFd,
    pub(super) processes: usize,
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
    pub(super) fn new(
        processes: usize,
        max_tasks: usize,
        greeting: Vec<u8>,
        handles: Vec<OwnedFd>,
    ) -> Result<Self, Error> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Shared {
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
            bell: EventFd::from_flags(flags).map_err(system("eventfd"))?,
            processes,
            max_tasks,
            greeting,
            handles,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the manager look.
    fn ring(&self) {
        _ = self.bell.write(1);
    }

    pub(super) fn submit(&self, job: &Arc<Job>) -> Result<(), Error> {
        let mut state = self.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Closed => return Err(Error::Closed),
            Phase::Ended(cause) => return Err(cause.to_error()),
        }
        if job.tasks() > 0 {
            state.pending.push_back((job.clone(), 0));
            state.give_out();
        }
        Ok(())
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.lock().phase, Phase::Open)
    }

    /// Why the pool has ended, if it did not close.
    pub(super) fn cause(&self) -> Option<Cause> {
        match &self.lock().phase {
            Phase::Ended(cause) => Some(cause.clone()),
            Phase::Open | Phase::Closed => None,
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        if let Phase::Open = state.phase {
            state.phase = Phase::Closed;
            state.let_go();
        }
        drop(state);
        self.ring();
    }

    pub(super) fn terminate(&self) {
        self.lock().end(Cause::Terminated);
        self.ring();
        self.wait_until_finished();
    }

    pub(super) fn wait_until_finished(&self) {
        self.wait(None, |state| state.finished);
    }

    /// Waits until all workers are ready, or cannot be.
    pub(super) fn wait_until_started(&self) {
        self.wait(None, |state| {
            state.started >= self.processes || state.finished
        });
    }

    /// Waits until `done`.
    pub(super) fn wait_until(&self, deadline: Option<Instant>, done: impl Fn() -> bool) -> bool {
        self.wait(deadline, |_| done())
    }

    fn wait(&self, deadline: Option<Instant>, done: impl Fn(&State) -> bool) -> bool {
        let late = || is_past(deadline);
        if done(&self.lock()) {
            return true;
        }
        self.help(|state| done(state) || late());
        let mut state = self.lock();
        while !done(&state) && !late() {
            state.sleepers += 1;
            state = wait_on(&self.progress, state, deadline);
            state.sleepers -= 1;
        }
        done(&state)
    }

    /// Takes results here until `done`, as long as they come quickly; the
    /// manager can sleep meanwhile, and no thread has to be woken for them.
    fn help(&self, done: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        state.helpers += 1;
        state.set_asleep(false);
        drop(state);
        while spin(|| {
            let mut state = self.lock();
            state.work(self) || done(&state)
        }) && !done(&self.lock())
        {}
        let mut state = self.lock();
        state.helpers -= 1;
        if state.helpers == 0 && !state.set_asleep(true) {
            self.ring();
        }
    }

    /// What the manager does, until the pool has ended.
    pub(super) fn manage(&self) {
        let mut dead = Vec::new();
        while !self.lock().bury(&dead, self) {
            self.start_workers();
            // As in `help`, unless somebody there does it already.
            let start = Instant::now();
            while spin(|| {
                let mut state = self.lock();
                state.helpers == 0 && state.work(self)
            }) && start.elapsed() < UNSEEN
            {}
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
                        self.ring();
                    }
                    return;
                }
            }
        }
    }

    /// Sleeps until a worker has something to say, or is dead, or somebody
    /// rings; returns who is dead.
    fn sleep(&self) -> Vec<u32> {
        let state = self.lock();
        // Even then it looks for deaths.
        let busy = state.helpers == 0 && !state.set_asleep(true);
        let children: Vec<_> = state
            .workers
            .iter()
            .map(|worker| worker.child.clone())
            .collect();
        let retry = busy.then_some(Duration::ZERO);
        let retry = retry.or(state.lacks_workers(self.processes).then_some(RETRY));
        drop(state);
        let mut fds = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        fds.extend(
            children
                .iter()
                .map(|child| PollFd::new(child.as_fd(), PollFlags::POLLIN)),
        );
        if poll(&mut fds, retry.and_then(deadline)).is_err() {
            // The limit of descriptors is lower than what is open: any may be
            // dead, and who is not is left alone.
            thread::sleep(RETRY);
            return children.iter().map(|child| child.pid()).collect();
        }
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
        while let Some((_, task)) = self.tasks.pop_back_if(|(number, _)| *number >= first) {
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
            task.succeed(|results| self.channel.take(len, results));
        }
        if any {
            // It may wait for room to say more.
            self.channel.wake_worker();
        }
        Ok(any)
    }

    /// Takes an answer that is not a small result.
    fn take_part(&mut self, flags: u32) -> Result<(), Answer> {
        let bytes = mem::take(&mut self.part);
        let failure = if flags & FAILED == 0 {
            None
        } else {
            Some(decode(&mut &bytes[..]).map_err(|_| Answer::Corrupt)?)
        };
        if !self.ready {
            self.ready = failure.is_none();
            return failure.map_or(Ok(()), |failure| Err(Answer::CannotStart(failure)));
        }
        let (_, task) = self.tasks.pop_front().ok_or(Answer::Corrupt)?;
        match failure {
            Some(failure) => task.fail(Cause::Failure(self.child.pid(), failure)),
            None => task.succeed(|results| {
                if results.is_empty() {
                    *results = bytes;
                } else {
                    results.extend(bytes);
                }
            }),
        }
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
        if let Phase::Ended(_) = self.phase {
            return true;
        }
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
            let Ok(Some(status)) = self.workers[index].child.exit_status() else {
                continue;
            };
            let worker = self.workers.remove(index);
            let claimed = worker.channel.claimed();
            for (number, task) in worker.tasks {
                if number < claimed {
                    task.fail(Cause::Ended(*pid, status));
                } else {
                    self.returned.push_back(task);
                }
            }
            if !worker.ready && !worker.stopping && self.fails_again() {
                self.end(Cause::Broken(Arc::new(ended(*pid, status))));
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
            job.fail(cause.clone());
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
        if *next == job.tasks() {
            pending.pop_front();
        }
        Some(task)
    })
}
