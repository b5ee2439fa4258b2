//! What can go wrong. At the bottom: every other module uses it.
//!
//! [`Error`] is for users. [`Failure`] is what a child reports of itself, without
//! its PID, which the parent knows.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

use nix::errno::Errno;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Everything that can go wrong in this module: what Python raises, such as
/// `queue.Empty`, `EOFError` and `TimeoutError`, and what Python leaves to
/// `exitcode`, how a process ended without a result.
///
/// It can itself be sent, so a target may return a `Result<T, Error>`.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Error {
    /// [`init`](super::init) was not called in `main`, or in tests
    /// [`init_tests`](super::init_tests) is missing. Python's `RuntimeError` about
    /// the "bootstrapping phase".
    #[error(
        "call shared::multiprocessing::init() first in main; in tests, \
         write shared::multiprocessing::init_tests!(); once in the crate"
    )]
    NotInitialized,

    /// The target panicked, which stands for an exception in Python.
    #[error("process {pid} panicked at {location}: {message}")]
    Panicked {
        /// The process in which it ran.
        pid: u32,
        /// The message of the panic.
        message: String,
        /// The place of the panic, `file:line:column`.
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
    /// target called `exit`, or it closed the socket to the parent process, as
    /// `close_range(3, ..)` does; then the process says so on its stderr. Or the
    /// child's `main` returned without a call of [`init`](super::init).
    #[error("process {pid} exited with code {code} before its result was sent")]
    Exited {
        /// The process.
        pid: u32,
        /// Its exit code, which may be 0.
        code: i32,
    },

    /// The process ended without a result, and how it ended is unknown, because
    /// something else in this program collected its exit status: SIGCHLD is
    /// ignored, or other code waits for every child, as `waitpid(-1)` does.
    #[error(
        "process {pid} ended before its result was sent, and how it ended is unknown: \
         something else collected its exit status (SIGCHLD is ignored, or other \
         code in this program waits for every child)"
    )]
    ExitUnknown {
        /// The process.
        pid: u32,
    },

    /// The process called [`init`](super::init), but could not run its target, for
    /// lack of descriptors or memory.
    #[error("process {pid} cannot start: {reason}")]
    ChildStart {
        /// The process.
        pid: u32,
        /// What went wrong in it.
        reason: String,
    },

    /// A value could not be encoded for another process: the name of its type, and
    /// what serde said.
    #[error("cannot encode {0}")]
    Encode(String),

    /// The bytes of a value could not be decoded: the name of its type, and what
    /// serde said.
    #[error("cannot decode {0}")]
    Decode(String),

    /// Shared memory holds what no process of this program writes.
    #[error("corrupt {0}")]
    Corrupt(String),

    /// The queue has no item: `queue.Empty`.
    #[error("the queue is empty")]
    Empty,

    /// The queue has no room for another item: `queue.Full`.
    #[error("the queue is full")]
    Full,

    /// The time given has passed: `TimeoutError`.
    #[error("timed out")]
    Timeout,

    /// The other end is closed, and all that it sent has been received:
    /// `EOFError`.
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

    /// A pool's workers cannot start, or its initializer failed.
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
        /// The system call, or what it was to do.
        #[serde(deserialize_with = "call_name")]
        call: Call,
        /// What the system answered. In another process it has the same number, or
        /// the same text if it has no number.
        #[serde(with = "number_or_text")]
        source: io::Error,
    },
}

/// Adds the name of the system call to its error, in `map_err`.
pub(super) fn system<E: Into<io::Error>>(call: &'static str) -> impl FnOnce(E) -> Error {
    move |source| Error::System {
        call,
        source: source.into(),
    }
}

/// The name of a system call. It is an alias, because for a field of the type
/// `&'static str` serde's derive would demand that the bytes that are decoded are
/// `'static` as well.
type Call = &'static str;

/// Decodes the name of a call. There are few, so each is leaked once.
fn call_name<'de, D: Deserializer<'de>>(from: D) -> Result<Call, D::Error> {
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

/// Encodes what an `Arc` contains; serde does this only with its feature `rc`.
mod pointed_to {
    use super::*;

    pub fn serialize<S: Serializer>(error: &Arc<Error>, to: S) -> Result<S::Ok, S::Error> {
        (**error).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<Error>, D::Error> {
        Error::deserialize(from).map(Arc::new)
    }
}

mod number_or_text {
    use super::*;

    pub fn serialize<S: Serializer>(error: &io::Error, to: S) -> Result<S::Ok, S::Error> {
        error.raw_os_error().ok_or(error.to_string()).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<io::Error, D::Error> {
        Ok(match Result::<i32, String>::deserialize(from)? {
            Ok(number) => io::Error::from_raw_os_error(number),
            Err(text) => io::Error::other(text),
        })
    }
}

fn signal_name(signal: i32) -> impl fmt::Display {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_string(),
        Err(Errno::EINVAL | _) => format!("signal {signal}"),
    }
}

/// Why a child has no result, as it reports it to its parent. An end by a signal
/// or by `exit` is not among these, because then the child reports nothing.
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
    /// The error for the failure of the process `pid`.
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
