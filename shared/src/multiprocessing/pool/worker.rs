//! The worker process: it receives tasks, runs them and sends their results.
//!
//! The child's `start` calls [`run_worker`]. Below stand
//! [`channel`](super::channel), whose documentation says what a death after each
//! step leaves, and the parent module's `entry`, which runs a function and turns
//! a panic into a failure.

use std::mem::{self, ManuallyDrop};
use std::os::fd::OwnedFd;

use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::alarm::Alarm;
use super::channel::{Channel, MAX_BODY, PoolSleep, WaitFor};
use super::fork::ForkGeneration;
use super::job::split_run;
use crate::multiprocessing::allocation::too_large;
use crate::multiprocessing::codec::{encode, provide_handles};
use crate::multiprocessing::entry::{call, resolve_entry, run_entry};
use crate::multiprocessing::error::{Error, Failure, system};
use crate::multiprocessing::wait::spin;

/// How many bytes each of a worker's two buffers keeps from one task to the next.
const KEPT_CAPACITY: usize = 1 << 20;

/// Runs the initializer and then tasks until the pool asks the worker to exit.
/// The first two of `handles` are the channel and the alarm, the others belong
/// to the initializer's arguments.
pub(in crate::multiprocessing) fn run_worker(
    initializer: Option<u64>,
    args: &'static [u8],
    mut handles: Vec<OwnedFd>,
) -> Result<(), Error> {
    handle_interrupts();
    // The socket to the parent ends this process with its parent, but no longer
    // after a task has closed all descriptors. This signal needs no descriptor. The
    // kernel sends it when the thread ends that started this process. That is the
    // pool's manager, which outlives its workers.
    set_pdeathsig(Signal::SIGKILL).map_err(system("prctl(PR_SET_PDEATHSIG)"))?;
    let generation = ForkGeneration::current();
    let missing = || Error::Corrupt("start message: descriptors are missing".into());
    let initializer_handles = handles.split_off(handles.len().min(2));
    let alarm = Alarm::open(handles.pop().ok_or_else(missing)?)?;
    let channel = Channel::open(handles.pop().ok_or_else(missing)?)?;
    // It is never dropped: if a task has closed these descriptors, other files
    // may have got their numbers, and a drop would close those.
    let mut pool = ManuallyDrop::new(PoolEnd {
        channel,
        alarm,
        generation,
        results: Vec::new(),
    });

    let started = provide_handles(initializer_handles, || run_entry(initializer, args));
    exit_if_copy(generation);
    pool.send_outcome(started.as_ref().map(|_| &[][..]));
    if started.is_err() {
        std::process::exit(1);
    }
    // A message with several tasks always fits.
    let mut message = Vec::with_capacity(MAX_BODY);
    let mut number = 0;
    while let Some(received) = pool.receive(&mut message) {
        match received {
            Ok(()) => {
                let (entry, inputs) = split_run(&message);
                for input in inputs {
                    pool.run_task(number, |results| {
                        call(resolve_entry(entry)?, input, results)
                    });
                    number += 1;
                }
            }
            Err(failure) => {
                pool.run_task(number, |_| Err(failure));
                number += 1;
            }
        }
    }
    Ok(())
}

/// Exits in a copy of the worker that a task has made with `fork`. The copy
/// returns from the task as the worker does, and would send a second result.
fn exit_if_copy(generation: ForkGeneration) {
    if !generation.is_current() {
        let text = b"a task of a pool called fork: the copy of the worker exits when it returns \
            from the task\n";
        // `eprintln` takes a lock, which another thread may have held at the fork.
        _ = nix::unistd::write(std::io::stderr(), text);
        // SAFETY: `_exit` ends the process at once and runs no destructor or
        // handler of the copied program.
        unsafe { libc::_exit(1) };
    }
}

/// The pool, seen from a worker.
struct PoolEnd {
    channel: Channel,
    alarm: Alarm,
    generation: ForkGeneration,
    /// A buffer for the results of a task.
    results: Vec<u8>,
}

impl PoolEnd {
    /// Waits for a message, and replaces `message` by it. Returns `None` if the worker
    /// should exit, and a failure if there is no memory for the message, which then
    /// has one task.
    fn receive(&mut self, message: &mut Vec<u8>) -> Option<Result<(), Failure>> {
        let (mut size, mut fits) = (0, true);
        empty(message);
        loop {
            let frame = self.channel.next_frame();
            match frame.expect("the pool writes valid frames") {
                Some(frame) => {
                    size += frame.len;
                    fits &= self.channel.read(frame, message);
                    if !fits {
                        // The rest is read, but not kept.
                        empty(message);
                    }
                    if !frame.continues {
                        let failure = || too_large("a task's arguments", size as u64).into();
                        return Some(fits.then_some(()).ok_or_else(failure));
                    }
                }
                None if self.channel.is_exit_requested() => return None,
                None => self.wait(WaitFor::Task),
            }
        }
    }

    /// Runs the task with this number, unless the pool has taken it back, and sends its
    /// outcome.
    fn run_task(&mut self, number: u64, run: impl FnOnce(&mut Vec<u8>) -> Result<(), Failure>) {
        if self.channel.claim(number) {
            let mut results = mem::take(&mut self.results);
            let outcome = run(&mut results);
            exit_if_copy(self.generation);
            self.send_outcome(outcome.as_ref().map(|()| &results[..]));
            empty(&mut results);
            self.results = results;
        }
    }

    fn send_outcome(&mut self, outcome: Result<&[u8], &Failure>) {
        let mut failure_bytes = Vec::new();
        let body = outcome.unwrap_or_else(|failure| {
            encode(failure, &mut failure_bytes).expect("texts can be encoded");
            &failure_bytes
        });
        let mut sent = 0;
        while !self.channel.send(&[], body, outcome.is_err(), &mut sent) {
            self.wait(WaitFor::Room);
        }
        self.wake_pool(false);
    }

    /// Wakes the pool if it sleeps. `is_idle` says that this worker has nothing else
    /// to do.
    fn wake_pool(&self, is_idle: bool) {
        match self.channel.pool_to_wake(is_idle) {
            PoolSleep::Awake => {}
            PoolSleep::Sleep => self.alarm.raise(),
            PoolSleep::Nap => self.alarm.napping().ring(),
        }
    }

    fn wait(&self, wanted: WaitFor) {
        // It may have results to receive, or have to make room for one.
        self.wake_pool(true);
        if !spin(|| self.channel.is_there(wanted)) {
            self.wake_pool(true);
            self.channel.sleep(wanted);
        }
    }
}

/// Empties a buffer, and gives back the memory of a large one.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT_CAPACITY);
}

/// Makes SIGINT do nothing in this process. A terminal sends Ctrl-C to all its
/// processes, and the parent decides what it means.
///
/// The signal gets a handler that does nothing, and is not ignored, because a
/// program that a task starts would inherit that, and would survive Ctrl-C.
fn handle_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = |handler| SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, and neither this module nor the standard
    // library relies on the one it replaces.
    let before = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::Handler(nothing))) };
    // If it was ignored before, as for a job in a shell's background, it stays so.
    if before.is_ok_and(|before| matches!(before.handler(), SigHandler::SigIgn)) {
        // SAFETY: as above.
        _ = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::SigIgn)) };
    }
}
