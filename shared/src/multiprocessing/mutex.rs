//! The lock in shared memory: POSIX's robust mutex.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;

use super::error::{Error, system};
use super::memory::is_past;

/// A process-shared robust mutex. If its holder dies, the next thread that locks
/// it gets it together with the answer that this has happened.
#[repr(C)]
pub(super) struct Mutex {
    raw: UnsafeCell<libc::pthread_mutex_t>,
    /// 1 if a holder has died or panicked and the poison was not cleared since.
    pub(super) poisoned: AtomicU32,
}

// SAFETY: it is made to be used by many threads.
unsafe impl Sync for Mutex {}

/// How a lock was taken.
#[derive(PartialEq)]
pub(super) enum Lock {
    /// All is well.
    Clean,
    /// The last holder died with it.
    OwnerDied,
}

impl Mutex {
    /// Makes a mutex of zeroed memory.
    ///
    /// # Safety
    /// Called once, before anybody else can reach it; it never moves.
    pub(super) unsafe fn init(&self) -> Result<(), Error> {
        let mut attributes = MaybeUninit::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: the attributes are initialised before they are used and
        // destroyed after; the mutex is ours alone, as the caller promises.
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

    /// Waits for the lock, or until `deadline`.
    ///
    /// # Panics
    /// If this thread holds it already, or if it is no mutex any more.
    pub(super) fn lock_until(&self, deadline: Option<Instant>) -> Result<Lock, Error> {
        loop {
            let errno = match deadline {
                // SAFETY: `init` made the mutex, and it has not moved.
                None => unsafe { libc::pthread_mutex_lock(self.raw.get()) },
                Some(deadline) => {
                    let until = on_the_wall_clock(deadline);
                    // SAFETY: as above; the time outlives the call.
                    unsafe { libc::pthread_mutex_timedlock(self.raw.get(), &until) }
                }
            };
            // The system waits by the wall clock, which can be set. The time has
            // passed only if it has by the monotonic clock of the deadline.
            if errno == libc::ETIMEDOUT && !is_past(deadline) {
                continue;
            }
            return self.answer(errno);
        }
    }

    /// Waits for the lock.
    #[inline]
    pub(super) fn lock(&self) -> Lock {
        // SAFETY: `init` made the mutex, and it has not moved.
        let errno = unsafe { libc::pthread_mutex_lock(self.raw.get()) };
        match errno {
            0 => Lock::Clean,
            errno => self.answer(errno).expect("a lock without a deadline"),
        }
    }

    /// Takes the lock if it is free; [`Error::Timeout`] if it is not, be it that
    /// this thread holds it.
    pub(super) fn try_lock(&self) -> Result<Lock, Error> {
        // SAFETY: `init` made the mutex, and it has not moved.
        match unsafe { libc::pthread_mutex_trylock(self.raw.get()) } {
            libc::EDEADLK => Err(Error::Timeout),
            errno => self.answer(errno),
        }
    }

    #[cold]
    fn answer(&self, errno: i32) -> Result<Lock, Error> {
        match errno {
            0 => Ok(Lock::Clean),
            libc::EOWNERDEAD => {
                self.poisoned.store(1, Ordering::Relaxed);
                // SAFETY: this thread has just been handed the mutex.
                unsafe { libc::pthread_mutex_consistent(self.raw.get()) };
                Ok(Lock::OwnerDied)
            }
            libc::ETIMEDOUT | libc::EBUSY => Err(Error::Timeout),
            libc::EDEADLK => panic!("this thread holds the lock already"),
            errno => panic!(
                "a lock in shared memory is broken: {}",
                Errno::from_raw(errno)
            ),
        }
    }

    /// Lets go of the lock.
    ///
    /// # Safety
    /// This thread holds it, and lets go of what it guards.
    #[inline]
    pub(super) unsafe fn unlock(&self) {
        // SAFETY: as the caller promises.
        unsafe { libc::pthread_mutex_unlock(self.raw.get()) };
    }
}

fn on_the_wall_clock(deadline: Instant) -> libc::timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let until = now.saturating_add(left);
    libc::timespec {
        tv_sec: libc::time_t::try_from(until.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: until.subsec_nanos() as _,
    }
}
