use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use nix::errno::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything that can go wrong in this module: Python's `queue.Empty`,
/// `EOFError`, `TimeoutError` and their kin, and what Python cannot say, the
/// way in which a process ended.
///
/// It can be part of what a target returns, as in `Result<T, Error>`.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// [`init`](super::init) was not called, so a child would run `main` again;
    /// or, in tests, [`init_tests`](super::init_tests) was not written.
    #[error(
        "call shared::multiprocessing::init() first in main; in tests, \
         write shared::multiprocessing::init_tests!(); once in the crate"
    )]
    NotInitialized,

    /// The target panicked, as an exception in Python.
    #[error("process {pid} panicked at {location}: {message}")]
    Panicked {
        /// The process it ran in.
        pid: u32,
        /// What was said.
        message: String,
        /// The place as `file:line:column`.
        location: String,
        /// The stack at the panic.
        backtrace: String,
    },

    /// A signal ended the process.
    #[error("process {pid} was killed by {}", signal_name(*signal))]
    Killed {
        /// The process.
        pid: u32,
        /// The signal's number, 9 for SIGKILL.
        signal: i32,
    },

    /// The process exited before the result of its target was sent. Either the
    /// target did not return, or it closed the socket to the parent process, as
    /// `close_range(3, ..)` does; then the process says so on its stderr.
    #[error("process {pid} exited with code {code} before its result was sent")]
    Exited {
        /// The process.
        pid: u32,
        /// Its exit code, which may be 0.
        code: i32,
    },

    /// The process ended, and how is unknown, because something else in this
    /// program collected its exit status. The cause is that SIGCHLD is ignored,
    /// or that other code waits for every child, as `waitpid(-1)` does.
    #[error(
        "process {pid} ended before its result was sent, and how is unknown: \
         something else collected its exit status (SIGCHLD is ignored, or other \
         code in this program waits for every child)"
    )]
    ExitUnknown {
        /// The process.
        pid: u32,
    },

    /// The process came to [`init`](super::init), but could not run its target.
    #[error("process {pid} cannot start: {reason}")]
    ChildStart {
        /// The process.
        pid: u32,
        /// What it met.
        reason: String,
    },

    /// A value could not be encoded for another process.
    #[error("cannot encode {0}")]
    Encode(String),

    /// The bytes of a value could not be decoded.
    #[error("cannot decode {0}")]
    Decode(String),

    /// Shared memory holds what no process of this program writes.
    #[error("corrupt {0}")]
    Corrupt(String),

    /// Nothing is there to get: `queue.Empty`.
    #[error("the queue is empty")]
    Empty,

    /// There is no room: `queue.Full`.
    #[error("the queue is full")]
    Full,

    /// The time given has passed: `TimeoutError`.
    #[error("timed out")]
    Timeout,

    /// The other end is closed and all it sent has been read: `EOFError`.
    #[error("the other end is closed")]
    Eof,

    /// The other end is closed: `BrokenPipeError`.
    #[error("cannot send: the other end is closed")]
    BrokenPipe,

    /// The pool takes no more tasks: `ValueError("Pool not running")`.
    #[error("the pool is closed")]
    Closed,

    /// The pool was terminated before the task was done.
    #[error("the pool was terminated")]
    Terminated,

    /// A pool's workers cannot start.
    #[error("a worker cannot start: {0}")]
    WorkerStart(
        #[source]
        #[serde(with = "pointed_to")]
        Arc<Error>,
    ),

    /// An argument is out of its range: `ValueError`.
    #[error("{0}")]
    InvalidInput(String),

    /// The system refused: `OSError`.
    #[error("{call}: {source}")]
    System {
        /// What was asked of it.
        #[serde(deserialize_with = "name_of_a_call")]
        call: Call,
        /// What it answered. In another process it has the same number, or the
        /// same words if it has none.
        #[serde(with = "number_or_words")]
        source: io::Error,
    },
}

/// Names what the system was asked, for `map_err`.
pub(super) fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::System {
        call,
        source: source.into(),
    }
}

/// Under a name, or serde would take the text from the message, where it does
/// not stay.
type Call = &'static str;

/// There are few, so each is kept once for the rest of the process.
fn name_of_a_call<'de, D: Deserializer<'de>>(from: D) -> Result<Call, D::Error> {
    static CALLS: Mutex<BTreeSet<Call>> = Mutex::new(BTreeSet::new());
    let name = String::deserialize(from)?;
    let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match calls.get(&*name) {
        Some(known) => known,
        None => {
            let name: Call = name.leak();
            calls.insert(name);
            name
        }
    })
}

mod pointed_to {
    use super::*;

    pub fn serialize<S: Serializer>(error: &Arc<Error>, to: S) -> Result<S::Ok, S::Error> {
        (**error).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Error>, D::Error> {
        Error::deserialize(from).map(Arc::new)
    }
}

mod number_or_words {
    use super::*;

    pub fn serialize<S: Serializer>(error: &io::Error, to: S) -> Result<S::Ok, S::Error> {
        error.raw_os_error().ok_or(error.to_string()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<io::Error, D::Error> {
        Ok(match Result::<i32, String>::deserialize(from)? {
            Ok(number) => io::Error::from_raw_os_error(number),
            Err(words) => io::Error::other(words),
        })
    }
}

fn signal_name(signal: i32) -> impl fmt::Display {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_string(),
        Err(Errno::EINVAL | _) => format!("signal {signal}"),
    }
}

/// The part of [`Error`] that a child can report of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Failure {
    Panicked {
        message: String,
        location: String,
        backtrace: String,
    },
    Encode(String),
    Decode(String),
    Start(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::Encode(what) => Failure::Encode(what),
            Error::Decode(what) => Failure::Decode(what),
            other => Failure::Decode(other.to_string()),
        }
    }
}

impl Failure {
    /// As an error of the process `pid`.
    pub(super) fn into_error(self, pid: u32) -> Error {
        match self {
            Failure::Panicked {
                message,
                location,
                backtrace,
            } => Error::Panicked {
                pid,
                message,
                location,
                backtrace,
            },
            Failure::Encode(what) => Error::Encode(what),
            Failure::Decode(what) => Error::Decode(what),
            Failure::Start(reason) => Error::ChildStart { pid, reason },
        }
    }
}
