//! Why a call has no result, and how panics of the caller's code are caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{fmt, io, mem};

/// Why a [`Future`](super::Future) has no result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `CancelledError`: the call was cancelled before it started.
    #[error("the call was cancelled before it started")]
    Cancelled,
    /// `TimeoutError`: the call did not end within the timeout.
    #[error("the call did not end within the timeout; it goes on and can be waited for again")]
    Timeout,
    /// The call panicked, where a call in Python raises an exception.
    #[error("the call panicked: {0}")]
    Panicked(Panic),
    /// `RuntimeError`: the call was submitted after the executor was shut down.
    #[error("cannot schedule new futures after shutdown")]
    Shutdown,
    /// `BrokenThreadPool`: the initializer panicked in one of the threads.
    #[error("a thread initializer failed, the thread pool is not usable anymore")]
    Broken,
    /// `RuntimeError`: the executor has no thread, and the system refused to
    /// start one.
    #[error("cannot start a thread for the executor")]
    Spawn(#[source] io::Error),
    /// An earlier call of `result` has moved the result out.
    #[error("the result has been taken already: `result` can return it only once")]
    Taken,
}

/// The payload of a panic. Its `Display` shows the message.
// The mutex is std's even when a model checker replaces `sync`: it only makes the
// type `Sync`, and no thread ever waits for it.
pub struct Panic(std::sync::Mutex<Box<dyn Any + Send>>);

impl Panic {
    /// Returns the payload, for [`resume_unwind`] or a downcast.
    pub fn into_payload(self) -> Box<dyn Any + Send> {
        self.0.into_inner().unwrap()
    }
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = self.0.lock().unwrap();
        if let Some(message) = payload.downcast_ref::<&str>() {
            f.write_str(message)
        } else if let Some(message) = payload.downcast_ref::<String>() {
            f.write_str(message)
        } else {
            f.write_str("a value that is not text")
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

pub(super) fn catch_panic<T>(function: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(function))
        .map_err(|payload| Error::Panicked(Panic(std::sync::Mutex::new(payload))))
}

/// Calls `function`, and returns false if it panicked. The panic itself is
/// ignored: the panic hook has already reported it, and no caller waits for it.
pub(super) fn catch_and_ignore(function: impl FnOnce()) -> bool {
    let Err(payload) = catch_unwind(AssertUnwindSafe(function)) else {
        return true;
    };
    // The payload may have a destructor that panics too. The payload of that
    // second panic is leaked, because its destructor may panic as well.
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    dropped.unwrap_or_else(mem::forget);
    false
}

/// Ends an iterator whose next call has no result: resumes the panic of the call, or
/// panics with the error's message.
#[track_caller]
pub(super) fn resume(error: Error) -> ! {
    match error {
        Error::Panicked(panic) => resume_unwind(panic.into_payload()),
        error => panic!("{error}"),
    }
}
