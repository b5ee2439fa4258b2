//! What wakes a pool's manager, and threads that nap: counters in memory that the pool
//! shares with all its workers, used as futexes.
//!
//! A worker raises the alarm for a result if the manager sleeps, and the
//! [`watcher`](super::watcher) raises it for a death. It is no eventfd, because a
//! worker whose task has closed the descriptor could not write to it, or would
//! write into another file that got its number.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Instant;

use crate::multiprocessing::error::Error;
use crate::multiprocessing::memory::{AtomicU32, Header, Kind, SharedMemory};
use crate::multiprocessing::wait::{futex_wait, futex_wake};

pub(super) struct Alarm(SharedMemory<AlarmHeader>);

#[repr(C)]
struct AlarmHeader {
    manager: Bell,
    napping: Bell,
}

// SAFETY: zeroes are a valid value, and each field is an atomic.
unsafe impl Header for AlarmHeader {}

impl Alarm {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Alarm(SharedMemory::new(Kind::Alarm, 0)?))
    }

    /// A worker's end of it.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Alarm(SharedMemory::open(Kind::Alarm, fd)?))
    }

    /// Wakes the manager, or keeps it from going to sleep.
    pub(super) fn raise(&self) {
        self.manager().ring();
    }

    /// On which the manager sleeps.
    pub(super) fn manager(&self) -> &Bell {
        &self.0.header().manager
    }

    /// On which threads nap.
    pub(super) fn napping(&self) -> &Bell {
        &self.0.header().napping
    }
}

/// A futex on which threads sleep until it is rung: how many times it was.
#[repr(C)]
pub(super) struct Bell(AtomicU32);

impl Bell {
    /// How many times it was rung. A thread reads this before it looks for something
    /// to do, so that what comes after its look ends its sleep.
    pub(super) fn count(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Wakes those that sleep, and keeps others from going to sleep.
    pub(super) fn ring(&self) {
        self.0.fetch_add(1, SeqCst);
        futex_wake(&self.0);
    }

    /// Sleeps until it is rung or `deadline` has passed, unless it was rung since
    /// `count` was read. It may also return early.
    pub(super) fn wait(&self, count: u32, deadline: Option<Instant>) {
        futex_wait(&self.0, count, deadline);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
