//! A mutex between threads that can be waited for until a deadline, which std's
//! cannot. [`socket`](super::socket) uses it; below it is only
//! [`wait`](super::wait).

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::error::Error;
use super::wait::{is_past, wait_on};

/// The value is taken out while it is locked, so that the inner mutex is held only
/// for a moment and never poisoned by a panic of the one that has the value.
pub(super) struct TimedMutex<T> {
    state: Mutex<State<T>>,
    free: Condvar,
}

struct State<T> {
    /// `None` while a thread has it.
    value: Option<T>,
    /// How many threads wait. If none does, the system call that would wake one is
    /// saved.
    waiting: usize,
}

impl<T> TimedMutex<T> {
    pub(super) fn new(value: T) -> Self {
        TimedMutex {
            state: Mutex::new(State {
                value: Some(value),
                waiting: 0,
            }),
            free: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks it; [`Error::Timeout`] if another thread has it until the deadline.
    pub(super) fn lock(&self, deadline: Option<Instant>) -> Result<TimedGuard<'_, T>, Error> {
        let mut state = self.state();
        loop {
            if let Some(value) = state.value.take() {
                return Ok(TimedGuard {
                    mutex: self,
                    value: Some(value),
                });
            }
            if is_past(deadline) {
                return Err(Error::Timeout);
            }
            state.waiting += 1;
            state = wait_on(&self.free, state, deadline);
            state.waiting -= 1;
        }
    }

    /// Returns what `look` returns for the value, or `None` if a thread has it.
    pub(super) fn look<R>(&self, look: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        self.state().value.as_ref().and_then(look)
    }
}

pub(super) struct TimedGuard<'a, T> {
    mutex: &'a TimedMutex<T>,
    /// `None` only while it is dropped.
    value: Option<T>,
}

impl<T> Deref for TimedGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is not dropped yet")
    }
}

impl<T> DerefMut for TimedGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is not dropped yet")
    }
}

impl<T> Drop for TimedGuard<'_, T> {
    fn drop(&mut self) {
        let mut state = self.mutex.state();
        state.value = self.value.take();
        let has_waiters = state.waiting > 0;
        drop(state);
        if has_waiters {
            self.mutex.free.notify_one();
        }
    }
}
