//! What wakes a pool's manager: a counter in memory that the pool shares with all
//! its workers, used as a futex.
//!
//! A worker raises it for a result if the pool sleeps, and the
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
    /// How many times it has been raised.
    count: AtomicU32,
    /// How many times naps were ended.
    naps: AtomicU32,
}

// SAFETY: zeroes are a valid value, and the field is an atomic.
unsafe impl Header for AlarmHeader {}

impl Alarm {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Alarm(SharedMemory::new(Kind::Alarm, 0)?))
    }

    /// A worker's end of it.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Alarm(SharedMemory::open(Kind::Alarm, fd)?))
    }

    /// How many times it has been raised. The manager reads this before it looks
    /// for something to do, so that what comes after its look ends its sleep.
    pub(super) fn count(&self) -> u32 {
        self.0.header().count.load(SeqCst)
    }

    /// Wakes the manager, or keeps it from going to sleep.
    pub(super) fn raise(&self) {
        let count = &self.0.header().count;
        count.fetch_add(1, SeqCst);
        futex_wake(count);
    }

    /// How many times naps were ended, for [`nap`](Self::nap).
    pub(super) fn naps(&self) -> u32 {
        self.0.header().naps.load(SeqCst)
    }

    /// Wakes the threads that nap.
    pub(super) fn end_nap(&self) {
        let naps = &self.0.header().naps;
        naps.fetch_add(1, SeqCst);
        futex_wake(naps);
    }

    /// Sleeps until the naps are ended or `deadline` has passed, unless they were
    /// ended since `naps` was read. It may also return early.
    pub(super) fn nap(&self, naps: u32, deadline: Option<Instant>) {
        futex_wait(&self.0.header().naps, naps, deadline);
    }

    /// Sleeps until the alarm is raised or `deadline` has passed, unless it has
    /// been raised since `count` was read. It may also return early.
    pub(super) fn wait(&self, count: u32, deadline: Option<Instant>) {
        futex_wait(&self.0.header().count, count, deadline);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
