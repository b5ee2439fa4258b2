//! The result of a call: the [`Future`] that its caller holds, and the slot
//! that the caller shares with the thread that runs the call.

use super::error::{Error, catch_and_ignore};
use super::pool::Busy;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, spin_until};
use std::time::Duration;
use std::{fmt, mem};

/// `concurrent.futures.Future`: the result of a call, which may still be
/// running.
///
/// In Python the result is shared and can be read again and again. Here it has
/// one owner: the first call of [`result`](Self::result) moves it out.
///
/// As in Python, dropping a future does not cancel its call. A result that
/// is left in the future is dropped with it. If the call is still running when
/// the future is dropped, the thread that runs it drops the result.
///
/// A thread that waits for the result spins for 50 us, then sleeps.
#[must_use = "a panic of the call, or its rejection, is reported only through this future"]
pub struct Future<T>(Arc<Slot<T>>);

impl<T> Future<T> {
    /// Makes the future and the slot of a call that has not started.
    pub(super) fn pending() -> (Self, Arc<Slot<T>>) {
        let slot = Arc::new(Slot::new());
        (Self(slot.clone()), slot)
    }

    pub(super) fn failed(error: Error) -> Self {
        let (future, slot) = Self::pending();
        slot.reject(error);
        future
    }

    /// `future.result()`: waits for the call and moves its result out.
    ///
    /// # Errors
    /// [`Error::Panicked`] if the call panicked, where Python raises what the
    /// call raised. [`Error::Cancelled`], [`Error::Broken`],
    /// [`Error::Shutdown`] or [`Error::Spawn`] if the call never started.
    /// [`Error::Taken`] if the result or the panic was moved out before.
    pub fn result(&self) -> Result<T, Error> {
        self.0.wait(None)
    }

    /// `future.result(timeout)`: like [`result`](Self::result), but waits no
    /// longer than `timeout`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; the call goes on and can be waited for again. All
    /// others are those of [`result`](Self::result).
    pub fn result_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.0.wait(Some(timeout))
    }

    /// `future.done()`: returns whether the call has returned, panicked, or
    /// was cancelled or rejected.
    pub fn done(&self) -> bool {
        self.0.lock().is_done()
    }

    /// `future.running()`: returns whether the call has started and not ended.
    pub fn running(&self) -> bool {
        matches!(self.0.lock().stage, Stage::Running(_))
    }

    /// `future.cancelled()`: returns whether the call was cancelled.
    pub fn cancelled(&self) -> bool {
        self.0.lock().is_cancelled()
    }

    /// `future.cancel()`: cancels the call if it has not started, and returns
    /// whether it is cancelled.
    pub fn cancel(&self) -> bool {
        self.0.reject(Error::Cancelled) || self.cancelled()
    }

    /// `future.add_done_callback(fn)`: calls `callback` with this future when
    /// the call is done.
    ///
    /// The thread that runs or cancels the call also runs the callback. If the
    /// call is done already, this thread runs it at once. Callbacks are called
    /// in the order in which they were added.
    ///
    /// A panic of a callback is reported on stderr, as any panic is. It stops
    /// neither the other callbacks nor the thread.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(1);
    /// let future = executor.submit(|| 2 + 2);
    /// future.add_done_callback(|future| println!("{:?}", future.result()));
    /// ```
    pub fn add_done_callback(&self, callback: impl FnOnce(&Self) + Send + 'static)
    where
        T: Send + 'static,
    {
        let mut state = self.0.lock();
        state.readers += 1;
        let future = Self(self.0.clone());
        let call = move || {
            // This catches the panic before `future` is dropped, because that
            // may drop the result, and a second panic there would abort the
            // process.
            catch_and_ignore(|| callback(&future));
        };
        match &mut state.stage {
            Stage::Pending(callbacks) | Stage::Running(callbacks) => {
                return callbacks.push(Box::new(call));
            }
            Stage::Done(_) | Stage::Taken => {}
        }
        drop(state);
        catch_and_ignore(call);
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

// Not derived, because a result need not be `Debug`. It is not shown.
impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.0.lock().stage {
            Stage::Pending(_) => "Pending".to_string(),
            Stage::Running(_) => "Running".to_string(),
            Stage::Done(Ok(_)) => "Finished".to_string(),
            Stage::Done(Err(error)) => format!("{error:?}"),
            Stage::Taken => "Taken".to_string(),
        };
        // Writes without the lock, because `f` may use the future.
        f.debug_struct("Future")
            .field("state", &format_args!("{state}"))
            .finish()
    }
}

type Callback = Box<dyn FnOnce() + Send>;

/// The place where the outcome of one call is stored: its result, or the error
/// with which it ended.
pub(super) struct Slot<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

struct State<T> {
    stage: Stage<T>,
    /// Whether a thread may be asleep until the call is done. If not, `publish`
    /// saves the notification.
    has_waiters: bool,
    /// The number of futures or iterators that can ask for the result. The last
    /// one drops a result that is still stored. A result that comes later is
    /// not stored at all, because then an idle thread might have to drop it.
    readers: u32,
}

enum Stage<T> {
    Pending(Vec<Callback>),
    Running(Vec<Callback>),
    Done(Result<T, Error>),
    /// The outcome has been moved out, or dropped because no reader is left.
    Taken,
}

impl<T> State<T> {
    fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_) | Stage::Taken)
    }

    fn is_cancelled(&self) -> bool {
        matches!(self.stage, Stage::Done(Err(Error::Cancelled)))
    }
}

impl<T> Slot<T> {
    /// Makes the slot of a call that has not started and has one reader.
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                stage: Stage::Pending(Vec::new()),
                has_waiters: false,
                readers: 1,
            }),
            done: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap()
    }

    /// Marks the call as running, and returns false if it was cancelled before.
    pub(super) fn start(&self) -> bool {
        let mut state = self.lock();
        let Stage::Pending(callbacks) = &mut state.stage else {
            return false;
        };
        state.stage = Stage::Running(mem::take(callbacks));
        true
    }

    /// Ends a call that has not started with this error, and returns false if
    /// it has started.
    pub(super) fn reject(&self, error: Error) -> bool {
        let state = self.lock();
        let pending = matches!(state.stage, Stage::Pending(_));
        if pending {
            self.publish(state, Err(error), None);
        }
        pending
    }

    /// Ends the call with this outcome. `busy` is passed with the last call of
    /// a job, after which the thread is idle.
    pub(super) fn finish(&self, outcome: Result<T, Error>, busy: Option<Busy<'_>>) {
        self.publish(self.lock(), outcome, busy);
    }

    /// Stores the outcome, wakes the waiting threads and runs the callbacks.
    fn publish(
        &self,
        mut state: MutexGuard<'_, State<T>>,
        outcome: Result<T, Error>,
        busy: Option<Busy<'_>>,
    ) {
        let (Stage::Pending(callbacks) | Stage::Running(callbacks)) =
            mem::replace(&mut state.stage, Stage::Done(outcome))
        else {
            unreachable!("a call ends once")
        };
        let unwanted = match state.readers {
            0 => Some(mem::replace(&mut state.stage, Stage::Taken)),
            _ => None,
        };
        // Drops `busy` while the slot is locked, unless the thread still has
        // callbacks to run or the result to drop.
        let _busy = busy.filter(|_| unwanted.is_some() || !callbacks.is_empty());
        let has_waiters = state.has_waiters;
        drop(state);
        if has_waiters {
            self.done.notify_all();
        }
        for callback in callbacks {
            catch_and_ignore(callback);
        }
        if let Some(unwanted) = unwanted {
            catch_and_ignore(|| drop(unwanted));
        }
    }

    /// Removes a reader. The last one drops the outcome, if it is stored.
    pub(super) fn abandon(&self) {
        let mut state = self.lock();
        state.readers -= 1;
        let last = state.readers == 0 && state.is_done();
        let unwanted = last.then(|| mem::replace(&mut state.stage, Stage::Taken));
        // Without the lock, because this runs the destructor of the result.
        drop(state);
        drop(unwanted);
    }

    /// Waits until the call is done, and moves its outcome out.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<T, Error> {
        let is_undone = |state: &mut State<T>| !state.is_done();
        let mut state = self.lock();
        if is_undone(&mut state) {
            if timeout != Some(Duration::ZERO) {
                drop(state);
                spin_until(|| self.lock().is_done());
                state = self.lock();
            }
            state.has_waiters = true;
            state = match timeout {
                None => self.done.wait_while(state, is_undone).unwrap(),
                Some(timeout) => {
                    let waited = self.done.wait_timeout_while(state, timeout, is_undone);
                    waited.unwrap().0
                }
            };
        }
        if !state.is_done() {
            return Err(Error::Timeout);
        }
        // Not moved out, because a cancelled call stays cancelled.
        if state.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match mem::replace(&mut state.stage, Stage::Taken) {
            Stage::Done(outcome) => outcome,
            _ => Err(Error::Taken),
        }
    }
}
