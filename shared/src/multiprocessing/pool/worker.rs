//! What a worker does.

use std::os::fd::OwnedFd;

use super::channel::{Awaited, Channel, FAILED, MORE};
use crate::multiprocessing::child::{call, find, ignore_interrupts, perform};
use crate::multiprocessing::codec::{encode, from_handles};
use crate::multiprocessing::error::{Error, Failure};
use crate::multiprocessing::memory::spin;

/// How much memory a worker keeps for its next task.
const KEEP: usize = 1 << 20;

/// What a worker does after it has heard its greeting, until it is told to end.
pub(in crate::multiprocessing) fn work(
    initializer: Option<u64>,
    args: &'static [u8],
    mut handles: Vec<OwnedFd>,
) -> Result<(), Error> {
    ignore_interrupts();
    let missing = || Error::Corrupt("greeting: descriptors are missing".into());
    let initializers_handles = handles.split_off(handles.len().min(2));
    let bell = handles.pop().ok_or_else(missing)?;
    let channel = Channel::open(handles.pop().ok_or_else(missing)?)?;
    let mut end = WorkerEnd { channel, bell };

    let started = from_handles(initializers_handles, || perform(initializer, args));
    end.answer(started.as_ref().map(|_| &[][..]));
    if started.is_err() {
        std::process::exit(1);
    }
    let (mut input, mut output) = (Vec::new(), Vec::new());
    for number in 0.. {
        // One large task should not cost memory for ever.
        input.clear();
        input.shrink_to(KEEP);
        if !end.receive(&mut input) {
            break;
        }
        if end.channel.claim(number) {
            output.clear();
            output.shrink_to(KEEP);
            let mut rest = &input[..];
            let entry = rest.split_off(..8).ok_or_else(missing)?;
            let entry = find(u64::from_le_bytes(entry.try_into().expect("8 bytes")));
            let outcome = entry.and_then(|entry| call(entry, rest, &mut output));
            end.answer(outcome.as_ref().map(|()| &output[..]));
        }
    }
    Ok(())
}

/// The worker's end of the channel, and the pool's bell.
struct WorkerEnd {
    channel: Channel,
    bell: OwnedFd,
}

impl WorkerEnd {
    /// Waits for a message; there is none when the worker is to end.
    fn receive(&mut self, message: &mut Vec<u8>) -> bool {
        loop {
            match self.channel.peek().expect("the pool writes what it should") {
                Some((flags, len)) => {
                    self.channel.take(len, message);
                    if flags & MORE == 0 {
                        return true;
                    }
                }
                None if self.channel.is_stopped() => return false,
                None => self.wait(Awaited::Task),
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
            self.wait(Awaited::Room);
        }
        self.tell();
    }

    /// Wakes the pool if it sleeps.
    fn tell(&self) {
        if self.channel.pool_asleep() {
            _ = nix::unistd::write(&self.bell, &1u64.to_ne_bytes());
        }
    }

    fn wait(&self, awaited: Awaited) {
        if !spin(|| self.channel.has(awaited)) {
            self.tell();
            self.channel.sleep(awaited);
        }
    }
}
