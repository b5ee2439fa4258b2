//! What the threads of the parent do with a pool: the manager, which starts
//! workers and reaps them, the watcher, which sees them end, and those that
//! submit tasks and wait for results.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::channel::{Alarm, Channel, FAILED, MORE, SIZE};
use super::fork::Original;
use super::job::{Cause, Job, Task};
use crate::multiprocessing::child::{Child, exit_error};
use crate::multiprocessing::codec::decode;
use crate::multiprocessing::error::{Error, Failure, system};
use crate::multiprocessing::memory::{deadline, is_past, spin, too_large, wait_on};

/// How long a busy manager works before it checks for dead workers.
const DEATH_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// How long the pool waits until it tries again to start or to reap a worker.
const RETRY: Duration = Duration::from_millis(50);

/// How often the pool looks whether a worker has been stopped, as by SIGSTOP.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How many workers may fail to start, one after the other, before the pool
/// gives up.
const MAX_START_FAILURES: usize = 8;

/// How long `terminate` waits for workers that it could not kill, because they
/// belong to another user by now, or are in an uninterruptible system call.
const TERMINATE_LIMIT: Duration = Duration::from_secs(5);

/// A worker, seen from the pool.
struct Worker {
    /// Unlike its process number, no other worker gets it.
    id: u64,
    child: Child,
    channel: Channel,
    /// Its initializer has returned.
    ready: bool,
    /// The tasks it was given and has not answered, with their numbers.
    tasks: VecDeque<(u64, Task)>,
    /// How many tasks it was given in all, those included that were taken back.
    numbered: u64,
    /// How many tasks it may still be given.
    left: usize,
    /// What remains to be sent of the last task.
    unsent: Unsent,
    /// The first parts of an answer that comes in several frames.
    part: Part,
    /// It was told to end.
    stopping: bool,
    /// It was seen to have ended, and is to be reaped.
    ended: bool,
    /// What the last check found that it had to do next.
    next: Option<Next>,
    /// It has not done it since. It seems to be stopped.
    stuck: bool,
}

/// What remains to be sent of a task.
#[derive(Clone, Copy, PartialEq)]
enum Unsent {
    Nothing,
    /// All but so many bytes.
    Rest(usize),
    /// The end of a message whose task was taken back.
    End,
}

/// An answer that comes in several frames.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// The size of what has come. It is more than there are `bytes` if there
    /// was no memory for them.
    size: usize,
}

/// What a worker has to do next.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    /// To read on from here and begin a task.
    Begin(u64),
    /// To end.
    End,
}

struct State {
    workers: Vec<Worker>,
    /// Jobs not all of whose tasks have been given to a worker, and the next
    /// task of each.
    pending: VecDeque<(Arc<Job>, usize)>,
    /// Tasks that were taken back from a worker; they go first.
    requeued: VecDeque<Task>,
    phase: Phase,
    /// How many waiting threads look for results themselves.
    pollers: usize,
    /// How many sleep until there is progress.
    blocked: usize,
    /// Whether the manager checks the workers every now and then. It does not
    /// when the pool was idle at the last check.
    checking: bool,
    /// When the workers were checked last.
    checked: Instant,
    /// How many workers were started, ready or not.
    ids: u64,
    /// How many workers have become ready.
    started: usize,
    /// How many have ended since, without becoming ready.
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
    /// Wakes the manager.
    alarm: Alarm,
    /// Tells the watcher which workers have ended.
    ends: Epoll,
    /// The workers that the watcher has seen end.
    seen: Mutex<Vec<u64>>,
    /// Readable when the watcher should end.
    unwatch: EventFd,
    /// The process that made the pool.
    pub(super) maker: Original,
    pub(super) processes: usize,
    max_tasks: usize,
    start_message: Vec<u8>,
    handles: Vec<OwnedFd>,
}

/// The number by which the watcher knows `Shared::unwatch`.
const UNWATCH: u64 = u64::MAX;

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
        start_message: Vec<u8>,
        handles: Vec<OwnedFd>,
    ) -> Result<Self, Error> {
        let ends = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system("epoll_create"))?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let unwatch = EventFd::from_flags(flags).map_err(system("eventfd"))?;
        ends.add(&unwatch, EpollEvent::new(EpollFlags::EPOLLIN, UNWATCH))
            .map_err(system("epoll_ctl"))?;
        Ok(Shared {
            state: Mutex::new(State {
                workers: Vec::new(),
                pending: VecDeque::new(),
                requeued: VecDeque::new(),
                phase: Phase::Open,
                pollers: 0,
                blocked: 0,
                checking: false,
                checked: Instant::now(),
                ids: 0,
                started: 0,
                failures: 0,
                finished: false,
            }),
            progress: Condvar::new(),
            alarm: Alarm::new()?,
            ends,
            seen: Mutex::new(Vec::new()),
            unwatch,
            maker: Original::current(),
            processes,
            max_tasks,
            start_message,
            handles,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen(&self) -> MutexGuard<'_, Vec<u64>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error in a copy of the maker: a lock may be held for ever there, and
    /// nothing answers.
    pub(super) fn check_maker(&self) -> Result<(), Error> {
        if self.maker.is_here() {
            return Ok(());
        }
        Err(Error::InvalidInput(
            "a pool can be used only in the process that made it, not in a copy made by fork"
                .into(),
        ))
    }

    pub(super) fn submit(&self, job: &Arc<Job>) -> Result<(), Error> {
        self.check_maker()?;
        let mut state = self.lock();
        match &state.phase {
            Phase::Open => {}
            Phase::Closed => return Err(Error::Closed),
            Phase::Ended(cause) => return Err(cause.to_error()),
        }
        if job.tasks() > 0 {
            state.pending.push_back((job.clone(), 0));
            state.dispatch();
            if !state.checking {
                state.checking = true;
                drop(state);
                self.alarm.raise();
            }
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
            state.retire_idle();
        }
        drop(state);
        self.alarm.raise();
    }

    /// Ends the workers and waits until they have, but not for ever for any
    /// that cannot be killed; returns whether all have.
    pub(super) fn terminate(&self) -> bool {
        self.lock().end(Cause::Terminated);
        self.alarm.raise();
        self.wait(deadline(TERMINATE_LIMIT), |state| state.finished)
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
        self.poll_results(|state| done(state) || late());
        let mut state = self.lock();
        while !done(&state) && !late() {
            let check = Instant::now() + CHECK_INTERVAL;
            let until = deadline.map_or(check, |deadline| deadline.min(check));
            state.blocked += 1;
            state = wait_on(&self.progress, state, Some(until));
            state.blocked -= 1;
            // The manager may be busy: to start a worker can take long.
            if is_past(Some(check)) {
                state.work(self);
                state.check_workers();
            }
        }
        done(&state)
    }

    /// Takes results here until `done`, as long as they come quickly; the
    /// manager can sleep meanwhile, and no thread has to be woken for them.
    fn poll_results(&self, done: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        state.pollers += 1;
        state.set_asleep(false);
        drop(state);
        while spin(|| {
            let mut state = self.lock();
            state.work(self) || done(&state)
        }) && !done(&self.lock())
        {}
        let mut state = self.lock();
        state.pollers -= 1;
        if state.pollers == 0 && !state.set_asleep(true) {
            self.alarm.raise();
        }
    }

    /// What the manager does, until the pool has ended.
    pub(super) fn manage(&self) {
        thread::scope(|scope| {
            let watcher = thread::Builder::new()
                .name("pool watcher".into())
                .spawn_scoped(scope, || self.watch());
            match watcher {
                Ok(_) => self.manage_workers(),
                Err(error) => {
                    let error = system("starting a thread")(error);
                    self.lock().end(Cause::StartFailed(Arc::new(error)));
                }
            }
            _ = self.unwatch.write(1);
        });
        self.lock().finished = true;
        self.progress.notify_all();
    }

    /// What the watcher does, until it is told to end: it tells the manager
    /// which workers have ended. The manager cannot do so itself, because it
    /// sleeps on the alarm, and no system call waits for both.
    fn watch(&self) {
        let mut events = [EpollEvent::empty(); 16];
        loop {
            let count = match self.ends.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // This program has closed descriptors that it does not know.
                Err(_) => return,
            };
            let ids = events[..count].iter().map(EpollEvent::data);
            if ids.clone().any(|id| id == UNWATCH) {
                return;
            }
            self.seen().extend(ids);
            self.alarm.raise();
        }
    }

    fn manage_workers(&self) {
        let mut rested = false;
        while !self.reap() {
            self.start_workers();
            // As in `poll_results`, unless a thread there does it already.
            let start = Instant::now();
            while spin(|| {
                let mut state = self.lock();
                state.pollers == 0 && state.work(self)
            }) && start.elapsed() < DEATH_CHECK_INTERVAL
            {}
            self.lock().check_workers();
            rested = self.sleep(rested);
        }
    }

    /// Reaps the workers that have ended; returns whether the pool has.
    fn reap(&self) -> bool {
        let seen = mem::take(&mut *self.seen());
        self.lock().reap(&seen, self)
    }

    fn start_workers(&self) {
        loop {
            let mut state = self.lock();
            if !state.lacks_workers(self.processes) {
                return;
            }
            state.ids += 1;
            let id = state.ids;
            drop(state);
            let worker = Worker::start(self, id).map_err(name_limit);
            let mut state = self.lock();
            match worker {
                Ok(mut worker) => {
                    if let Phase::Ended(_) = state.phase {
                        worker.kill();
                    }
                    state.workers.push(worker);
                }
                Err(error) => {
                    // At the start it is an error. Later the system may have
                    // room again, and other workers go on.
                    let starting = state.started < self.processes;
                    if starting || state.workers.is_empty() && state.fails_again() {
                        state.end(Cause::StartFailed(Arc::new(error)));
                        self.notify(&state);
                        self.alarm.raise();
                    }
                    return;
                }
            }
        }
    }

    /// Sleeps until the alarm is raised, or it is time to check the workers.
    /// Returns whether nothing happened until then; `rested` is what the last
    /// call returned.
    fn sleep(&self, rested: bool) -> bool {
        // Read first, so that what happens from here on ends the sleep.
        let count = self.alarm.count();
        let mut state = self.lock();
        // Whoever polls for results takes them.
        let busy = state.pollers == 0 && !state.set_asleep(true);
        if busy || !self.seen().is_empty() {
            return false;
        }
        let retry =
            state.lacks_workers(self.processes) || state.workers.iter().any(|worker| worker.ended);
        // An idle pool sleeps for good, but only if nothing has happened for a
        // while: each call of `apply` leaves it idle for a moment.
        state.checking = !(rested && state.is_idle());
        let timeout = if retry {
            Some(RETRY)
        } else {
            state.checking.then_some(CHECK_INTERVAL)
        };
        drop(state);
        let until = timeout.and_then(deadline);
        self.alarm.wait(count, until);
        is_past(until)
    }

    fn notify(&self, state: &State) {
        if state.blocked > 0 {
            self.progress.notify_all();
        }
    }
}

impl Worker {
    fn start(pool: &Shared, id: u64) -> Result<Self, Error> {
        let channel = Channel::new()?;
        let mut handles = Vec::new();
        for handle in [channel.as_fd(), pool.alarm.as_fd()] {
            handles.push(handle.try_clone_to_owned().map_err(system("dup"))?);
        }
        for handle in &pool.handles {
            handles.push(handle.try_clone().map_err(system("dup"))?);
        }
        let child = Child::spawn(&pool.start_message, &handles)?;
        // Once: the manager remembers which have ended.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        if let Err(errno) = pool.ends.add(child.as_fd(), EpollEvent::new(flags, id)) {
            child.kill();
            return Err(system("epoll_ctl")(errno));
        }
        Ok(Worker {
            id,
            child,
            channel,
            ready: false,
            tasks: VecDeque::new(),
            numbered: 0,
            left: pool.max_tasks,
            unsent: Unsent::Nothing,
            part: Part::default(),
            stopping: false,
            ended: false,
            next: None,
            stuck: false,
        })
    }

    fn may_take(&self) -> bool {
        self.ready
            && !self.stopping
            && !self.stuck
            && self.left > 0
            && self.unsent == Unsent::Nothing
    }

    fn assign(&mut self, task: Task) {
        self.tasks.push_back((self.numbered, task));
        self.numbered += 1;
        self.left -= 1;
        self.unsent = Unsent::Rest(0);
        self.send();
    }

    /// Sends what remains of the last task, as far as there is room.
    fn send(&mut self) -> bool {
        let channel = &mut self.channel;
        let (all, any) = match (self.unsent, self.tasks.back()) {
            (Unsent::Rest(before), Some((_, Task { job, index }))) => {
                let mut sent = before;
                let all = channel.send(&job.head(*index), job.args(*index), 0, &mut sent);
                self.unsent = Unsent::Rest(sent);
                (all, sent > before)
            }
            (Unsent::End, _) => {
                let all = channel.send(&[], &[], 0, &mut 0);
                (all, all)
            }
            _ => return false,
        };
        if all {
            self.unsent = Unsent::Nothing;
        }
        channel.wake_worker();
        all || any
    }

    /// Takes back the tasks that the worker has not begun, but for one that is
    /// being sent, unless it is `stuck`.
    fn take_back(&mut self, requeued: &mut VecDeque<Task>) -> bool {
        let sending = if !self.stuck && self.unsent != Unsent::Nothing {
            self.tasks.pop_back()
        } else {
            None
        };
        let end = self.numbered - u64::from(sending.is_some());
        let first = self.channel.reclaim(end);
        let begun = self.tasks.partition_point(|(number, _)| *number < first);
        for (_, task) in self.tasks.drain(begun..).rev() {
            requeued.push_front(task);
            self.left += 1;
        }
        if sending.is_none() && self.unsent != Unsent::Nothing {
            self.unsent = Unsent::End;
            self.send();
        }
        self.tasks.extend(sending);
        first < end
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.channel.stop();
    }

    /// Ends the process, whatever it does, and does not wait for its end.
    fn kill(&mut self) {
        // Signal 0 only asks whether a signal may be sent.
        if self.child.signal(0).is_ok() {
            _ = self.child.signal(libc::SIGKILL);
            return;
        }
        self.child.shut_socket();
        // If a task has closed the worker's end of it, the worker ends when its
        // task does.
        self.channel.stop();
    }

    /// What it has to do next, unless it does it already or waits for the pool.
    fn next(&self) -> Option<Next> {
        if self.stopping {
            return Some(Next::End);
        }
        let (number, _) = self.tasks.front()?;
        let begun = self.channel.claimed() > *number;
        let waits = self.unsent != Unsent::Nothing && self.channel.is_read();
        (!begun && !waits).then(|| Next::Begin(self.channel.read()))
    }

    /// Takes the worker's answers, but not more at a time than the channel
    /// holds, because the pool is locked meanwhile; returns whether there were
    /// any.
    fn receive_results(&mut self) -> Result<bool, WorkerFault> {
        let mut taken = 0;
        while taken < SIZE
            && let Some((flags, len)) = self.channel.peek().map_err(|_| WorkerFault::Corrupt)?
        {
            taken += 8 + len as u64;
            if flags & MORE != 0 || flags & FAILED != 0 || self.part.size > 0 || !self.ready {
                self.part.size += len;
                if !self.channel.take(len, &mut self.part.bytes) {
                    self.part.bytes = Vec::new();
                }
                if flags & MORE == 0 {
                    self.receive_part(flags)?;
                }
                continue;
            }
            let (_, task) = self.tasks.pop_front().ok_or(WorkerFault::Corrupt)?;
            let pid = self.child.pid();
            task.succeed(
                |results| self.channel.take(len, results),
                || Cause::Failure(pid, too_large("a task's results", len as u64).into()),
            );
        }
        if taken > 0 {
            // It may wait for room to say more.
            self.channel.wake_worker();
        }
        Ok(taken > 0)
    }

    /// Takes an answer that is not a small result.
    fn receive_part(&mut self, flags: u32) -> Result<(), WorkerFault> {
        let pid = self.child.pid();
        let Part { bytes, size } = mem::take(&mut self.part);
        let failure = if bytes.len() < size {
            Some(too_large("a task's results", size as u64).into())
        } else if flags & FAILED != 0 {
            Some(decode(&mut &bytes[..]).map_err(|_| WorkerFault::Corrupt)?)
        } else {
            None
        };
        if !self.ready {
            self.ready = failure.is_none();
            return failure.map_or(Ok(()), |failure| Err(WorkerFault::CannotStart(failure)));
        }
        let (_, task) = self.tasks.pop_front().ok_or(WorkerFault::Corrupt)?;
        match failure {
            Some(failure) => task.fail(Cause::Failure(pid, failure)),
            None => task.succeed_with(bytes),
        }
        Ok(())
    }
}

/// An answer that ends the worker.
enum WorkerFault {
    /// Its initializer failed.
    CannotStart(Failure),
    /// It is not what a worker writes.
    Corrupt,
}

impl State {
    /// Takes what has been answered and gives out tasks; returns whether there
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
            match worker.receive_results() {
                Ok(answers) => any |= answers,
                Err(WorkerFault::CannotStart(failure)) => {
                    let error = failure.into_error(worker.child.pid());
                    cause = Some(Cause::StartFailed(Arc::new(error)));
                }
                // It dies of it, and its death is dealt with as any other.
                Err(WorkerFault::Corrupt) => worker.kill(),
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
            self.dispatch();
            self.retire_idle();
            pool.notify(self);
        }
        any
    }

    /// Gives out tasks, to the workers that have the fewest first. Rings hold
    /// many, so that a worker need not wait for its next; when one has none, it
    /// is given what another one has not begun.
    fn dispatch(&mut self) {
        let takers = |workers: &[Worker]| {
            workers
                .iter()
                .filter(|worker| worker.may_take())
                .map(|worker| worker.tasks.len())
                .min()
        };
        while let Some(fewest) = takers(&self.workers)
            && (self.dispatch_round(fewest) || (fewest == 0 && self.take_back()))
        {}
    }

    /// Gives a task to each worker that has so few; returns whether there was
    /// one.
    fn dispatch_round(&mut self, fewest: usize) -> bool {
        let mut any = false;
        for worker in &mut self.workers {
            if worker.may_take() && worker.tasks.len() <= fewest {
                let Some(task) = next_task(&mut self.requeued, &mut self.pending) else {
                    break;
                };
                worker.assign(task);
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
        most.is_some_and(|worker| worker.tasks.len() > 1 && worker.take_back(&mut self.requeued))
    }

    /// Takes back the tasks of workers that have not begun one since the last
    /// check, though they had nothing else to do: they may have been stopped,
    /// by SIGSTOP or a debugger. Others get the tasks, and such a worker none
    /// until it has read all that it was sent.
    fn check_workers(&mut self) {
        if self.checked.elapsed() < CHECK_INTERVAL {
            return;
        }
        self.checked = Instant::now();
        for worker in &mut self.workers {
            let next = worker.next();
            if worker.stuck {
                worker.stuck = worker.stopping || !worker.channel.is_read();
            } else if next.is_some() && next == worker.next {
                worker.stuck = true;
                worker.take_back(&mut self.requeued);
            }
            worker.next = next;
        }
        self.dispatch();
    }

    /// Lets workers end that have done their last task.
    fn retire_idle(&mut self) {
        let all = matches!(self.phase, Phase::Closed) && self.is_idle();
        for worker in &mut self.workers {
            if !worker.stopping && (all || worker.left == 0 && worker.tasks.is_empty()) {
                worker.stop();
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.pending.is_empty()
            && self.requeued.is_empty()
            && self.workers.iter().all(|worker| worker.tasks.is_empty())
    }

    /// Whether a worker is to be started. One that was told to end and does not
    /// is replaced nevertheless.
    fn lacks_workers(&self, processes: usize) -> bool {
        let leaves = |worker: &&Worker| worker.stuck && worker.stopping;
        let leaving = self.workers.iter().filter(leaves).count();
        self.workers.len() - leaving < processes
            && match self.phase {
                Phase::Open => true,
                Phase::Closed => !self.is_idle(),
                Phase::Ended(_) => false,
            }
    }

    /// Says whether answers should wake the pool; returns whether there is none
    /// to take.
    fn set_asleep(&self, asleep: bool) -> bool {
        if let Phase::Ended(_) = self.phase {
            return true;
        }
        self.workers.iter().fold(true, |quiet, worker| {
            let quiet = worker.channel.set_pool_asleep(asleep) && quiet;
            quiet && !(worker.unsent != Unsent::Nothing && worker.channel.is_read())
        })
    }

    /// Reaps the workers that have ended. The task that each had begun fails,
    /// and its other tasks go to others. Returns whether the pool has ended.
    fn reap(&mut self, seen: &[u64], pool: &Shared) -> bool {
        self.work(pool);
        let mut any = false;
        let mut index = 0;
        while index < self.workers.len() {
            let worker = &mut self.workers[index];
            worker.ended |= seen.contains(&worker.id);
            // The watcher sees it a moment before it can be reaped if it is
            // being traced.
            let status = if worker.ended {
                worker.child.exit_status().ok().flatten()
            } else {
                None
            };
            let Some(status) = status else {
                index += 1;
                continue;
            };
            any = true;
            let worker = self.workers.remove(index);
            let pid = worker.child.pid();
            let claimed = worker.channel.claimed();
            for (number, task) in worker.tasks {
                if number < claimed {
                    task.fail(Cause::Ended(pid, status));
                } else {
                    self.requeued.push_back(task);
                }
            }
            if !worker.ready && !worker.stopping && self.fails_again() {
                self.end(Cause::StartFailed(Arc::new(exit_error(pid, status))));
            }
        }
        if any {
            self.dispatch();
            self.retire_idle();
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
        self.failures > MAX_START_FAILURES
    }

    /// Ends the workers and all that is not done.
    fn end(&mut self, cause: Cause) {
        if let Phase::Ended(_) = self.phase {
            return;
        }
        for worker in &mut self.workers {
            worker.kill();
            self.requeued
                .extend(worker.tasks.drain(..).map(|(_, task)| task));
        }
        let jobs = self.pending.drain(..).map(|(job, _)| job);
        for job in jobs.chain(self.requeued.drain(..).map(|task| task.job)) {
            job.fail(cause.clone());
        }
        self.phase = Phase::Ended(cause);
    }
}

/// Says which limit it is if there are too many descriptors.
pub(super) fn name_limit(error: Error) -> Error {
    match error {
        Error::System { source, .. } if source.raw_os_error() == Some(libc::EMFILE) => {
            system("descriptors for a pool (the limit is RLIMIT_NOFILE, `ulimit -n`)")(source)
        }
        error => error,
    }
}

/// The next task: one that was taken back, or the next of the oldest job.
fn next_task(
    requeued: &mut VecDeque<Task>,
    pending: &mut VecDeque<(Arc<Job>, usize)>,
) -> Option<Task> {
    requeued.pop_front().or_else(|| {
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
