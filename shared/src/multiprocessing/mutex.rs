//! The lock in shared memory: POSIX's robust mutex.
//!
//! A thread that waits for the lock sleeps in the kernel, on a futex inside the
//! mutex. Without contention, locking and unlocking are one atomic operation
//! each and no system call.
//!
//! # When the owner dies
//!
//! The C library keeps a list of the robust mutexes that each thread holds, and
//! the kernel knows where that list is. When a thread ends with a lock held, for
//! whatever reason, SIGKILL included, the kernel marks the lock and wakes one
//! waiter. The next thread that locks it gets it, together with the answer
//! EOWNERDEAD. [`Mutex`] then declares it consistent, which keeps it usable, and
//! sets `poisoned`; the lock is never lost, and no waiter needs a time-out to
//! notice a death.
//!
//! What the dead owner left half written is up to the module above:
//!
//! - [`value`](super::value) cannot know what its data means, so it hands the
//!   poison on to its caller, as [`std::sync::Mutex`] does.
//! - [`queue`](super::queue) ignores it, because everything that it changes
//!   under a lock is valid after each single store.
//!
//! The list of held mutexes consists of pointers from each mutex to the next, so
//! a mutex must be neither moved nor unmapped while a thread holds it.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;

use super::error::{Error, system};
use super::wait::{is_past, time_left};

/// A process-shared robust mutex. It guards whatever its header says it guards.
#[repr(C)]
pub(super) struct Mutex {
    raw: UnsafeCell<libc::pthread_mutex_t>,
    /// 1 if an owner died, or panicked, and nobody has cleared this since.
    pub(super) poisoned: AtomicU32,
}

// SAFETY: a pthread mutex is made to be used by many threads.
unsafe impl Sync for Mutex {}

impl Mutex {
    /// Initializes a mutex in zeroed memory.
    ///
    /// # Safety
    /// This is called once, before anybody else can reach the mutex, and the
    /// mutex never moves.
    pub(super) unsafe fn init(&self) -> Result<(), Error> {
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialized before they are used and
        // destroyed afterwards; nobody else can reach the mutex, as the caller
        // promises.
        let errno = unsafe {
            libc::pthread_mutexattr_init(attributes);
            libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED);
            libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST);
            libc::pthread_mutexattr_settype(attributes, libc::PTHREAD_MUTEX_ERRORCHECK);
            let errno = libc::pthread_mutex_init(self.raw.get(), attributes);
            libc::pthread_mutexattr_destroy(attributes);
            errno
        };
        match errno {
            0 => Ok(()),
            errno => Err(system("pthread_mutex_init")(Errno::from_raw(errno))),
        }
    }

    /// Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds it already, or if the mutex has been overwritten.
    #[inline]
    #[track_caller]
    pub(super) fn lock(&self) {
        // SAFETY: `init` initialized the mutex, and it has not moved.
        let errno = unsafe { libc::pthread_mutex_lock(self.raw.get()) };
        if errno != 0 {
            assert!(self.is_acquired(errno), "a lock without a deadline");
        }
    }

    /// Waits for the lock, at most until `deadline`; returns whether this thread
    /// has it now.
    ///
    /// # Panics
    /// As [`lock`](Self::lock).
    #[must_use]
    #[track_caller]
    pub(super) fn lock_until(&self, deadline: Option<Instant>) -> bool {
        let Some(deadline) = deadline else {
            self.lock();
            return true;
        };
        loop {
            let until = wall_clock_time(deadline);
            // SAFETY: `init` initialized the mutex, and it has not moved; the
            // time outlives the call.
            let errno = unsafe { libc::pthread_mutex_timedlock(self.raw.get(), &until) };
            // The C library waits by the wall clock, which can be set. Only the
            // monotonic clock of the deadline says whether the time has passed.
            if errno != libc::ETIMEDOUT || is_past(Some(deadline)) {
                return self.is_acquired(errno);
            }
        }
    }

    /// Takes the lock if it is free; returns whether this thread has it now. It
    /// returns false if this thread held it before.
    #[must_use]
    pub(super) fn try_lock(&self) -> bool {
        // SAFETY: `init` initialized the mutex, and it has not moved.
        match unsafe { libc::pthread_mutex_trylock(self.raw.get()) } {
            libc::EDEADLK => false,
            errno => self.is_acquired(errno),
        }
    }

    /// Returns whether the answer to an attempt to lock means that this thread
    /// has the lock. If its last owner died, the lock is poisoned here.
    #[cold]
    #[track_caller]
    fn is_acquired(&self, errno: i32) -> bool {
        match errno {
            0 => true,
            libc::EOWNERDEAD => {
                self.poisoned.store(1, Ordering::Relaxed);
                // SAFETY: this thread has just acquired the mutex.
                unsafe { libc::pthread_mutex_consistent(self.raw.get()) };
                true
            }
            libc::ETIMEDOUT | libc::EBUSY => false,
            libc::EDEADLK => panic!("this thread holds the lock already"),
            errno => panic!(
                "a lock in shared memory has been overwritten: {}",
                Errno::from_raw(errno)
            ),
        }
    }

    /// Releases the lock.
    ///
    /// # Safety
    /// This thread holds it, and no longer uses what it guards.
    #[inline]
    pub(super) unsafe fn unlock(&self) {
        // SAFETY: as the caller promises.
        unsafe { libc::pthread_mutex_unlock(self.raw.get()) };
    }
}

/// The time of the wall clock at the moment that the monotonic clock reaches
/// `deadline`.
fn wall_clock_time(deadline: Instant) -> libc::timespec {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let until = now.saturating_add(time_left(deadline));
    libc::timespec {
        tv_sec: libc::time_t::try_from(until.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: until.subsec_nanos() as _,
    }
}
