//! How the pool notices that a worker has died, whatever the cause: the pidfd of
//! each worker is in an epoll set, on which a thread of its own sleeps.
//!
//! The manager cannot wait for these descriptors itself, because it sleeps on
//! the [`Alarm`], which is a futex, and no system call waits for both. So the
//! watcher records which worker has ended and raises the alarm, and the manager
//! reaps the worker.

use std::mem;
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::alarm::Alarm;
use crate::multiprocessing::error::{Error, system};

pub(super) struct Watcher {
    epoll: Epoll,
    /// Readable when the watcher's thread should end.
    stop: EventFd,
    /// The IDs of the workers that have ended and that the manager has not
    /// taken. It is locked only to add or take some.
    ended: Mutex<Vec<u64>>,
}

/// Stands for `stop` among the IDs of workers.
const STOP: u64 = u64::MAX;

impl Watcher {
    pub(super) fn new() -> Result<Self, Error> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system("epoll_create"))?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let stop = EventFd::from_flags(flags).map_err(system("eventfd"))?;
        epoll
            .add(&stop, EpollEvent::new(EpollFlags::EPOLLIN, STOP))
            .map_err(system("epoll_ctl"))?;
        Ok(Watcher {
            epoll,
            stop,
            ended: Mutex::new(Vec::new()),
        })
    }

    /// Watches a worker by its pidfd until that is closed.
    pub(super) fn add(&self, pidfd: impl AsFd, id: u64) -> Result<(), Error> {
        // One event is enough, because `ended` keeps it.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        self.epoll
            .add(pidfd, EpollEvent::new(flags, id))
            .map_err(system("epoll_ctl"))
    }

    /// What the watcher's thread does until [`stop`](Self::stop) is called.
    pub(super) fn run(&self, alarm: &Alarm) {
        let mut events = [EpollEvent::empty(); 16];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                // Other code in this program has closed the descriptor.
                Err(_) => return,
            };
            let ids = events[..count].iter().map(EpollEvent::data);
            if ids.clone().any(|id| id == STOP) {
                return;
            }
            self.lock().extend(ids);
            alarm.raise();
        }
    }

    pub(super) fn stop(&self) {
        _ = self.stop.write(1);
    }

    /// Whether a worker has ended that the manager has not taken.
    pub(super) fn has_ended(&self) -> bool {
        !self.lock().is_empty()
    }

    /// The workers that have ended since the last call.
    pub(super) fn take_ended(&self) -> Vec<u64> {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u64>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
