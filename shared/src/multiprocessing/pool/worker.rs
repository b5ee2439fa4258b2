//! What a worker does.

use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;

use nix::libc;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::channel::{Alarm, Channel, FAILED, MORE, WaitFor};
use super::fork::Original;
use crate::multiprocessing::codec::{encode, provide_handles};
use crate::multiprocessing::entry::{call, resolve_entry, run_entry};
use crate::multiprocessing::error::{Error, Failure, system};
use crate::multiprocessing::memory::{spin, too_large};

/// How much memory a worker keeps for its next task.
const KEEP: usize = 1 << 20;

/// What a worker does after it has received its start message, until it is told to end.
pub(in crate::multiprocessing) fn work(
    initializer: Option<u64>,
    args: &'static [u8],
    mut handles: Vec<OwnedFd>,
) -> Result<(), Error> {
    ignore_interrupts();
    // The socket from the parent ties this process to it, until a task closes
    // all descriptors. This holds without any. The signal comes when the thread
    // ends that started this process: the pool's manager, which outlives it.
    set_pdeathsig(Signal::SIGKILL).map_err(system("prctl(PR_SET_PDEATHSIG)"))?;
    let original = Original::current();
    let missing = || Error::Corrupt("start message: descriptors are missing".into());
    let initializers_handles = handles.split_off(handles.len().min(2));
    let alarm = Alarm::open(handles.pop().ok_or_else(missing)?)?;
    let channel = Channel::open(handles.pop().ok_or_else(missing)?)?;
    // Never dropped: if a task has closed the descriptors in here, files of its
    // own may have got their numbers, and would be closed.
    let mut end = ManuallyDrop::new(WorkerEnd { channel, alarm });

    let started = provide_handles(initializers_handles, || run_entry(initializer, args));
    end_if_copy(original);
    end.answer(started.as_ref().map(|_| &[][..]));
    if started.is_err() {
        std::process::exit(1);
    }
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for number in 0.. {
        // One large task should not cost memory for ever.
        input.clear();
        input.shrink_to(KEEP);
        let Some(received) = end.receive(&mut input) else {
            break;
        };
        if end.channel.claim(number) {
            output.clear();
            output.shrink_to(KEEP);
            let outcome = received.and_then(|()| {
                let (entry, args) = input
                    .split_first_chunk()
                    .expect("a task starts with its function");
                call(
                    resolve_entry(u64::from_le_bytes(*entry))?,
                    args,
                    &mut output,
                )
            });
            end_if_copy(original);
            end.answer(outcome.as_ref().map(|()| &output[..]));
        }
    }
    Ok(())
}

/// Ends a copy of the worker that `fork` made within a task. The copy comes out
/// of the task as the worker does, and would answer in its place.
fn end_if_copy(original: Original) {
    if !original.is_here() {
        let text = b"a pool's task has forked: the copy of its worker ends where the task does\n";
        // Not by `eprintln`, whose lock another thread may have held.
        _ = nix::unistd::write(std::io::stderr(), text);
        // SAFETY: it ends this process, and runs nothing of it before.
        unsafe { libc::_exit(1) };
    }
}

/// The worker's end of the channel, and what wakes the pool.
struct WorkerEnd {
    channel: Channel,
    alarm: Alarm,
}

impl WorkerEnd {
    /// Waits for a message. There is none if the worker is to end, and a
    /// failure if there is no memory for it.
    fn receive(&mut self, message: &mut Vec<u8>) -> Option<Result<(), Failure>> {
        let (mut size, mut fits) = (0, true);
        loop {
            match self.channel.peek().expect("the pool writes what it should") {
                Some((flags, len)) => {
                    size += len;
                    fits &= self.channel.take(len, message);
                    if !fits {
                        // The rest of it is not kept, either.
                        *message = Vec::new();
                    }
                    if flags & MORE == 0 {
                        let failure = || too_large("a task's arguments", size as u64).into();
                        return Some(fits.then_some(()).ok_or_else(failure));
                    }
                }
                None if self.channel.is_stopped() => return None,
                None => self.wait(WaitFor::Task),
            }
        }
    }

    fn answer(&mut self, outcome: Result<&[u8], &Failure>) {
        let mut bytes = Vec::new();
        let (body, flags) = match outcome {
            Ok(result) => (result, 0),
            Err(failure) => {
                encode(failure, &mut bytes).expect("texts can be encoded");
                (&bytes[..], FAILED)
            }
        };
        let mut sent = 0;
        while !self.channel.send(&[], body, flags, &mut sent) {
            self.wait(WaitFor::Room);
        }
        self.notify_pool();
    }

    /// Wakes the pool if it sleeps.
    fn notify_pool(&self) {
        if self.channel.pool_asleep() {
            self.alarm.raise();
        }
    }

    fn wait(&self, what: WaitFor) {
        if !spin(|| self.channel.has(what)) {
            self.notify_pool();
            self.channel.sleep(what);
        }
    }
}

/// Leaves SIGINT to the parent: Ctrl-C goes to all processes of a terminal.
///
/// A handler that does nothing serves better than to ignore the signal: a
/// program that a task starts would go on ignoring it, and would survive Ctrl-C.
fn ignore_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = |handler| SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, and none is replaced that this module
    // or the standard library relies on.
    let before = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::Handler(nothing))) };
    // Where it was ignored already, as in a shell's background, it stays so.
    if before.is_ok_and(|before| matches!(before.handler(), SigHandler::SigIgn)) {
        // SAFETY: as above.
        _ = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::SigIgn)) };
    }
}
