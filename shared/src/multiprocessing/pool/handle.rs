//! The pool's handle on one worker: starts its process, sends it tasks, receives
//! its results, takes back tasks, and ends it.
//!
//! Above stand [`dispatch`](super::dispatch) and [`state`](super::state). Nothing
//! here waits, because the pool's state is locked meanwhile; only `start` is
//! called without the lock.

use std::collections::VecDeque;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};

use nix::libc;

use super::alarm::Alarm;
use super::channel::{Channel, Frame, PoolSleep, RING_SIZE};
use super::job::{Cause, Run};
use super::watcher::Watcher;
use crate::multiprocessing::allocation::too_large;
use crate::multiprocessing::child::{Child, ExitStatus};
use crate::multiprocessing::codec::decode;
use crate::multiprocessing::error::{Error, Failure, system};

/// After how many bytes a worker that was woken for its first task is woken again:
/// about two hundred short tasks, or one long task.
const WAKE_SIZE: u64 = 1 << 13;

/// A worker, seen from the pool.
pub(super) struct WorkerHandle {
    /// Unlike its process ID, no other worker of the pool gets it.
    pub(super) id: u64,
    child: Child,
    channel: Channel,
    /// Its initializer has returned.
    pub(super) is_ready: bool,
    /// The tasks that it has been given and has not answered, with the number of the
    /// first one of each run.
    runs: VecDeque<(u64, Run)>,
    /// How many tasks these are.
    task_count: usize,
    /// The number of the next task that is sent over the channel.
    next_number: u64,
    /// How many more tasks it may be given.
    tasks_left: usize,
    unsent: Unsent,
    /// The header of the last message.
    header: Vec<u8>,
    /// How many bytes it had been sent when it was last woken.
    woken_at: u64,
    partial: PartialOutcome,
    /// It has been asked to exit.
    pub(super) is_retiring: bool,
    /// The watcher has seen it end, and it is to be reaped.
    pub(super) has_ended: bool,
    /// What it had to do next when it was last checked.
    expected: Option<Expected>,
    /// It had not done that by the next check, so it seems to be stopped.
    pub(super) is_stuck: bool,
}

/// What remains to be sent of the last message.
#[derive(Clone, Copy, PartialEq)]
enum Unsent {
    Nothing,
    /// The bytes of the last run from this one on.
    RunFrom(usize),
    /// An empty last frame, because the run was taken back when a part of it had been
    /// sent.
    LastFrame,
}

/// The first frames of a result or a failure.
#[derive(Default)]
struct PartialOutcome {
    bytes: Vec<u8>,
    /// How many bytes have come. `bytes` has fewer if there was no memory for them.
    size: usize,
}

/// What a worker has to do next.
#[derive(Clone, Copy, PartialEq)]
enum Expected {
    /// To begin the task with this number, having read this many bytes so far.
    Begin(u64, u64),
    Exit,
}

/// How all workers of a pool are started.
pub(super) struct WorkerSettings {
    pub(super) start_message: Vec<u8>,
    /// The descriptors among the initializer's arguments.
    pub(super) handles: Vec<OwnedFd>,
    pub(super) max_tasks: usize,
}

/// Why a worker cannot be used any more, as seen from what it sent.
pub(super) enum WorkerFault {
    /// Its initializer failed.
    InitializerFailed(Failure),
    /// It sent something that no worker sends.
    Corrupt,
}

impl WorkerHandle {
    pub(super) fn start(
        id: u64,
        settings: &WorkerSettings,
        alarm: &Alarm,
        watcher: &Watcher,
    ) -> Result<Self, Error> {
        let channel = Channel::new()?;
        let mut handles = Vec::new();
        for handle in [channel.as_fd(), alarm.as_fd()] {
            handles.push(handle.try_clone_to_owned().map_err(system("dup"))?);
        }
        for handle in &settings.handles {
            handles.push(handle.try_clone().map_err(system("dup"))?);
        }
        let child = Child::spawn(&settings.start_message, &handles)?;
        if let Err(error) = watcher.add(&child, id) {
            child.kill();
            return Err(error);
        }
        Ok(WorkerHandle {
            id,
            child,
            channel,
            is_ready: false,
            runs: VecDeque::new(),
            task_count: 0,
            next_number: 0,
            tasks_left: settings.max_tasks,
            unsent: Unsent::Nothing,
            header: Vec::new(),
            woken_at: 0,
            partial: PartialOutcome::default(),
            is_retiring: false,
            has_ended: false,
            expected: None,
            is_stuck: false,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }
}

/// Tasks on their way to the worker.
impl WorkerHandle {
    /// How many tasks it has been given and has not answered.
    pub(super) fn task_count(&self) -> usize {
        self.task_count
    }

    /// How many more tasks it may be given.
    pub(super) fn tasks_left(&self) -> usize {
        self.tasks_left
    }

    pub(super) fn can_take_a_task(&self) -> bool {
        self.is_ready
            && !self.is_retiring
            && !self.is_stuck
            && self.tasks_left > 0
            && self.unsent == Unsent::Nothing
    }

    /// Whether it has answered the last task that it may be given.
    pub(super) fn is_used_up(&self) -> bool {
        self.tasks_left == 0 && self.task_count == 0
    }

    /// Whether it has been sent all of its tasks.
    pub(super) fn is_all_sent(&self) -> bool {
        self.unsent == Unsent::Nothing
    }

    /// Gives it tasks, which it must be able to take. A call of
    /// [`wake`](Self::wake) has to follow, but other tasks may come before it.
    pub(super) fn assign(&mut self, run: Run) {
        run.write_header(&mut self.header);
        let len = run.len();
        self.runs.push_back((self.next_number, run));
        self.next_number += len as u64;
        self.task_count += len;
        self.tasks_left -= len;
        self.unsent = Unsent::RunFrom(0);
        self.send_unsent();
    }

    /// Sends what remains of the last message as far as there is room, and
    /// returns whether anything was sent. A call of [`wake`](Self::wake) has to
    /// follow.
    pub(super) fn send_unsent(&mut self) -> bool {
        let channel = &mut self.channel;
        let sent_before = channel.bytes_sent();
        let all = match (&mut self.unsent, self.runs.back()) {
            (Unsent::RunFrom(start), Some((_, run))) => {
                channel.send(&self.header, run.args(), false, start)
            }
            (Unsent::LastFrame, _) => channel.send(&[], &[], false, &mut 0),
            _ => return false,
        };
        if all {
            self.unsent = Unsent::Nothing;
        }
        let sent = channel.bytes_sent();
        if self.task_count == 1 || sent - self.woken_at >= WAKE_SIZE {
            self.wake();
        }
        sent > sent_before
    }

    /// Wakes it if it sleeps and has been sent something since it was last woken.
    pub(super) fn wake(&mut self) {
        let sent = self.channel.bytes_sent();
        if mem::replace(&mut self.woken_at, sent) < sent {
            self.channel.wake_worker();
        }
    }

    /// Takes back the tasks that the worker has not begun. It keeps a task of which a
    /// part was sent, unless it seems to be stopped. A call of [`wake`](Self::wake) has
    /// to follow.
    pub(super) fn take_back(&mut self) -> impl DoubleEndedIterator<Item = Run> + use<> {
        let mut unsent = None;
        if let Unsent::RunFrom(start) = self.unsent
            && (start == 0 || !self.is_stuck)
        {
            unsent = self.runs.pop_back();
        }
        let end = unsent
            .as_ref()
            .map_or(self.next_number, |(first, _)| *first);
        let first = self.channel.claim_below(end);
        let mut taken = self.split_off_runs(first);
        match unsent {
            // The worker has seen nothing of it.
            Some((first, run)) if self.unsent == Unsent::RunFrom(0) => {
                self.next_number = first;
                self.unsent = Unsent::Nothing;
                taken.push_back((first, run));
            }
            Some(kept) => self.runs.push_back(kept),
            None if self.unsent != Unsent::Nothing => {
                self.unsent = Unsent::LastFrame;
                self.send_unsent();
            }
            None => {}
        }
        let count: usize = taken.iter().map(|(_, run)| run.len()).sum();
        self.task_count -= count;
        self.tasks_left += count;
        taken.into_iter().map(|(_, run)| run)
    }

    /// Removes the tasks with this number and greater ones, and returns them.
    fn split_off_runs(&mut self, number: u64) -> VecDeque<(u64, Run)> {
        let middle = self.runs.partition_point(|(first, _)| *first < number);
        let mut greater = self.runs.split_off(middle);
        if let Some((first, run)) = self.runs.back_mut()
            && number < *first + run.len() as u64
        {
            greater.push_front((number, run.split_off((number - *first) as usize)));
        }
        greater
    }

    /// Removes the first task, which has been answered: `complete` removes it from its
    /// run.
    fn remove_answered(
        &mut self,
        complete: impl FnOnce(&mut Channel, &mut Run),
    ) -> Result<(), WorkerFault> {
        let (first, run) = self.runs.front_mut().ok_or(WorkerFault::Corrupt)?;
        complete(&mut self.channel, run);
        *first += 1;
        self.task_count -= 1;
        if run.len() == 0 {
            self.runs.pop_front();
        }
        Ok(())
    }
}

/// Results on their way back.
impl WorkerHandle {
    /// Receives the worker's results and returns whether there were any. It
    /// receives no more at a time than the ring holds, because the pool is
    /// locked meanwhile.
    pub(super) fn receive_results(&mut self) -> Result<bool, WorkerFault> {
        let mut received = 0;
        while received < RING_SIZE
            && let Some(frame) = self
                .channel
                .next_frame()
                .map_err(|_| WorkerFault::Corrupt)?
        {
            received += frame.size();
            let is_partial = frame.continues || self.partial.size > 0;
            if is_partial || frame.is_failure || !self.is_ready {
                self.receive_part(frame)?;
                continue;
            }
            // The common case, a small result, is copied once.
            let pid = self.child.pid();
            self.remove_answered(|channel, run| {
                run.append_results(
                    |results| channel.read(frame, results),
                    || Cause::Failure(pid, results_too_large(frame.len)),
                );
            })?;
        }
        if received > 0 {
            // It may be waiting for room.
            self.channel.wake_worker();
        }
        Ok(received > 0)
    }

    /// Receives a frame of a large result, of a failure, or of the initializer's
    /// outcome.
    fn receive_part(&mut self, frame: Frame) -> Result<(), WorkerFault> {
        self.partial.size += frame.len;
        if !self.channel.read(frame, &mut self.partial.bytes) {
            self.partial.bytes = Vec::new();
        }
        if frame.continues {
            return Ok(());
        }
        let PartialOutcome { bytes, size } = mem::take(&mut self.partial);
        let failure = if bytes.len() < size {
            Some(results_too_large(size))
        } else if frame.is_failure {
            Some(decode(&mut &bytes[..]).map_err(|_| WorkerFault::Corrupt)?)
        } else {
            None
        };
        if !self.is_ready {
            self.is_ready = failure.is_none();
            return failure.map_or(Ok(()), |failure| {
                Err(WorkerFault::InitializerFailed(failure))
            });
        }
        let pid = self.child.pid();
        self.remove_answered(|_, run| match failure {
            Some(failure) => run.fail_first(&Cause::Failure(pid, failure)),
            None => run.store_results(bytes),
        })
    }

    /// Sets how the pool sleeps.
    pub(super) fn set_pool_sleep(&self, sleep: PoolSleep) {
        self.channel.set_pool_sleep(sleep);
    }

    /// Whether there is a result to receive, or room to send more of a task.
    pub(super) fn has_work_for_pool(&self) -> bool {
        !self.channel.is_empty() || self.unsent != Unsent::Nothing && self.channel.is_all_read()
    }
}

/// The worker's life.
impl WorkerHandle {
    /// Notices that a worker has not begun a task since the last check, although
    /// it had nothing else to do: it may have been stopped, by SIGSTOP or a
    /// debugger. Returns whether this is so for the first time. The worker
    /// recovers when it has read all that it was sent.
    pub(super) fn check(&mut self) -> bool {
        let expected = self.expected();
        let was_stuck = self.is_stuck;
        self.is_stuck = if was_stuck {
            self.is_retiring || !self.channel.is_all_read()
        } else {
            expected.is_some() && expected == self.expected
        };
        self.expected = expected;
        self.is_stuck && !was_stuck
    }

    /// What it has to do next, unless it is doing it or waits for the pool.
    fn expected(&self) -> Option<Expected> {
        if self.is_retiring {
            return Some(Expected::Exit);
        }
        let (number, _) = self.runs.front()?;
        let has_begun = self.channel.claimed() > *number;
        let waits_for_rest = self.unsent != Unsent::Nothing && self.channel.is_all_read();
        (!has_begun && !waits_for_rest).then(|| Expected::Begin(*number, self.channel.bytes_read()))
    }

    /// Asks it to exit when it has done its tasks.
    pub(super) fn retire(&mut self) {
        self.is_retiring = true;
        self.channel.request_exit();
    }

    /// Ends the process, whatever it is doing, and does not wait for its end.
    pub(super) fn kill(&mut self) {
        // Signal 0 only asks whether a signal may be sent.
        if self.child.signal(0).is_ok() {
            _ = self.child.signal(libc::SIGKILL);
            return;
        }
        // The kernel kills a worker whose socket is shut. If a task has closed
        // the worker's end of it, the worker exits when its task returns.
        self.child.shut_socket();
        self.channel.request_exit();
    }

    /// How it ended, if it has; then the process is reaped. If a debugger traces
    /// it, this may be a moment after the watcher has seen it end.
    pub(super) fn exit_status(&self) -> Option<ExitStatus> {
        self.child.exit_status().ok().flatten()
    }

    /// Fails all its tasks.
    pub(super) fn fail_tasks(&mut self, cause: &Cause) {
        self.task_count = 0;
        self.runs.drain(..).for_each(|(_, run)| run.fail(cause));
    }

    /// After its end and after its last result was received: fails the task that
    /// it had begun, and returns those that it had not.
    pub(super) fn fail_begun(
        mut self,
        status: ExitStatus,
    ) -> impl DoubleEndedIterator<Item = Run> + use<> {
        let rest = self.split_off_runs(self.channel.claimed());
        let cause = Cause::Ended(self.child.pid(), status);
        self.fail_tasks(&cause);
        rest.into_iter().map(|(_, run)| run)
    }
}

fn results_too_large(size: usize) -> Failure {
    too_large("a task's results", size as u64).into()
}
