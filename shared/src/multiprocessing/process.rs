//! The parent's view of a process, from [`Process::new`] to [`Process::join`].
//!
//! # From `Process::new` to `join`
//!
//! ```text
//!          parent                                 child
//!
//!  1  process.rs  Process::new
//!  2  process.rs  Builder::start
//!  3  child.rs    Child::spawn
//!  4  spawn.rs    clone, execve ------------>  main
//!  5  child.rs    sends the start message      start.rs    init
//!                   ---- socket on stdin --->  start.rs    run_child
//!  6                                           entry.rs    run_entry
//!  7                                           target.rs   Target::call
//!  8                <--- socket: report -----  start.rs    report
//!  9  child.rs    wait, exit_status  <-------  exit
//! 10  process.rs  Process::join
//! ```
//!
//! 1. `Process::new` encodes the arguments, puts the *start message* before
//!    them, which names the function to call, and duplicates the descriptors of
//!    all queues, values, arrays and connections among the arguments. An error
//!    is kept for `start`, as Python raises it there.
//! 2. `Builder::start` takes the message and the descriptors.
//! 3. `Child::spawn` makes a pair of sockets. One end becomes the child's stdin.
//!    An environment variable tells the new process that it is a child, and by
//!    which inode number it recognizes that socket.
//! 4. `spawn` runs this executable again and returns the child's PID and its
//!    pidfd, a descriptor that stands for this process even after the PID has
//!    been given to another one.
//! 5. The parent sends the start message. The child's `main` calls `init`, which
//!    finds the variable, checks the socket, receives the message and asks the
//!    kernel to kill this process when the parent's end is closed ([`start`]
//!    has the details).
//! 6. `run_entry` finds the *entry* at the offset in the start message: a
//!    function that knows the types of the target and its arguments.
//! 7. The entry decodes the arguments, calls the target and encodes the result.
//!    `run_entry` turns a panic into a `Failure`.
//! 8. The child sends its report, a `Result` of the encoded result or the
//!    `Failure`, and exits.
//! 9. The pidfd becomes readable when the child has ended, whatever ended it.
//!    `waitid` then returns the exit code or the signal, an `ExitStatus`.
//! 10. `join` receives the report, if there is one, and decodes the result.
//!
//! # From the end of a child to the error in `join`
//!
//! ```text
//! The child                     report              ExitStatus   join returns
//!
//! returned from its target      the result          Exited(0)    the result
//! panicked                      Failure::Panicked   Exited(1)    Error::Panicked
//! could not decode or encode    Failure::Decode     Exited(1)    Error::Decode
//!                                   or Encode                        or Encode
//! did not come to its target    Failure::Start      Exited(2)    Error::ChildStart
//! called exit(N)                none                Exited(N)    Error::Exited
//! was killed                    none                Killed(N)    Error::Killed
//! was killed after its report   the result          Killed(N)    Error::Killed
//! reported, status lost*        the result          Unknown      the result
//! did not report, status lost*  none                Unknown      Error::ExitUnknown
//!
//! * because other code in the parent collected the exit status
//! ```
//!
//! # Why `join` waits for the end before it reads the report
//!
//! A process has succeeded only if it also *ends* well, so `join` must wait for
//! the end in any case. Once the child has ended, there is nothing else to wait
//! for: a report that is not there will not come. To wait for the report instead
//! could take for ever: a child that dies sends none, and if `fork` has made a copy
//! of it that lives on, the copy holds the socket open, so no end of the stream
//! comes either.
//!
//! This does not deadlock on a large result, because the child does not wait for
//! its report to be read: a report that is too large for a packet is sent in a
//! memfd ([`socket`]).
//!
//! [`start`]: super::start
//! [`socket`]: super::socket

use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use nix::libc;

use super::child::{Child, ExitStatus, Purpose, exit_error, start_message};
use super::codec::{collect_handles, decode};
use super::entry::{entry_offset, run_target};
use super::error::{Error, Failure};
use super::format::Encoder;
use super::target::Target;
use super::wait::deadline;

/// A child process: `multiprocessing.Process`.
///
/// The child is this program run again, as with Python's start method `spawn`:
/// it shares nothing with its parent but what it is given as arguments.
/// Unlike in Python, [`join`](Self::join) returns the target's result or the
/// reason why there is none, and no child outlives its parent, even a parent
/// that is killed by SIGKILL.
///
/// Dropping a `Process` waits for the child to end; if it is a
/// [`daemon`](Builder::daemon), dropping kills it instead. In a copy that
/// `fork` made of the parent, dropping does neither.
///
/// The child has the parent's environment, working directory, umask, priority
/// and standard streams, except that its stdin is `/dev/null`. As in Python, it
/// inherits no other descriptor. It starts with no signal blocked, and ignores
/// the signals that the parent ignores, except SIGTERM and SIGPIPE.
///
/// A target must not close descriptors that it did not open, as
/// `close_range(3, ..)` does: its result is then lost, which `join` reports, and
/// the child no longer ends with its parent.
///
/// A process costs what the system takes to run a program, about a
/// millisecond.
///
/// ```
/// use shared::multiprocessing::{self, Process};
///
/// fn worker(num: u64) -> u64 {
///     num * num
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let p = Process::new(worker, (3,)).start()?;
///     assert_eq!(p.join()?, 9);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Process<R> {
    child: Child,
    name: String,
    daemon: bool,
    result: PhantomData<fn() -> R>,
}

/// A process that has not started yet, from [`Process::new`].
#[derive(Debug)]
#[must_use = "a process does nothing until it is started"]
pub struct Builder<R> {
    /// The start message with the arguments, and their descriptors.
    message: Result<(Vec<u8>, Vec<OwnedFd>), Error>,
    name: Option<String>,
    daemon: bool,
    result: PhantomData<fn() -> R>,
}

impl<R: Serialize + DeserializeOwned> Process<R> {
    /// Prepares a process that calls `target` with `args`, a tuple of up to
    /// eight: `Process(target=worker, args=(i,))`.
    ///
    /// The target is a function or a closure that captures nothing. Arguments
    /// are copied, by serde, and the target gets a reference to a copy where it
    /// takes a reference. Values, arrays, queues and connections are not copied:
    /// both processes use the same one.
    #[expect(
        clippy::new_ret_no_self,
        reason = "as in Python, start() makes the process"
    )]
    pub fn new<F, Args, Passing>(target: F, args: Args) -> Builder<R>
    where
        F: Target<Args, Passing, Output = R>,
    {
        // The type is enough: `zero_sized_value` makes the value in the child.
        let _ = target;
        let message = collect_handles(|| {
            let entry = entry_offset(run_target::<F, Args, Passing>)?;
            let mut bytes = start_message(Purpose::Process, Some(entry))?;
            F::encode_args(&args, &mut Encoder::new(&mut bytes))?;
            Ok(bytes)
        });
        Builder {
            message,
            name: None,
            daemon: false,
            result: PhantomData,
        }
    }
}

impl<R> Builder<R> {
    /// Names the process; without a name it is `Process-1` and so on.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether dropping the [`Process`] kills the child instead of waiting for
    /// it: `daemon=True`.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Starts the process: `p.start()`.
    ///
    /// # Errors
    /// [`Error::NotInitialized`] if `main` did not call [`init`](super::init);
    /// [`Error::Encode`] if an argument cannot be encoded;
    /// [`Error::InvalidInput`] if the target is not in the executable itself;
    /// [`Error::System`] if the system has no more processes, descriptors or
    /// memory, or lacks `/proc` or `/dev/null`.
    pub fn start(self) -> Result<Process<R>, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let (message, handles) = self.message?;
        let child = Child::spawn(&message, &handles)?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Ok(Process {
            child,
            name: self.name.unwrap_or_else(|| format!("Process-{number}")),
            daemon: self.daemon,
            result: PhantomData,
        })
    }
}

impl<R> Process<R> {
    /// The process's PID: `p.pid`.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The process's name: `p.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the process has not ended yet: `p.is_alive()`. As in Python, this
    /// reaps a process that has ended, so that no zombie is left.
    pub fn is_alive(&self) -> bool {
        self.child
            .exit_status()
            .is_ok_and(|status| status.is_none())
    }

    /// How the process ended: `p.exitcode`. 0 if the target returned, 1 if it
    /// panicked, the code that it exited with, or -N if signal N ended it.
    ///
    /// `None` if the process has not ended. As in Python, `None` also if it has
    /// ended and its exit status is unknown, because SIGCHLD is ignored or other
    /// code in this program waits for every child and collected the status.
    /// [`is_alive`](Self::is_alive) distinguishes the two.
    pub fn exitcode(&self) -> Option<i32> {
        match self.child.exit_status().ok()?? {
            ExitStatus::Exited(code) => Some(code),
            ExitStatus::Killed(signal) => Some(-signal),
            ExitStatus::Unknown => None,
        }
    }

    /// Asks the process to end, by SIGTERM: `p.terminate()`. Does nothing if the
    /// process has ended.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses, because one of the two processes
    /// has changed its user.
    pub fn terminate(&self) -> Result<(), Error> {
        self.child.signal(libc::SIGTERM)
    }

    /// Ends the process, by SIGKILL: `p.kill()`. Does nothing if the process has
    /// ended.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses and the process cannot be ended by
    /// closing its socket, either, because it has not come to `init`.
    pub fn kill(&self) -> Result<(), Error> {
        self.child.signal(libc::SIGKILL)
    }

    /// Waits for the process to end, but not longer than `timeout`, and returns
    /// whether it has ended: `p.join(timeout)`.
    ///
    /// # Errors
    /// [`Error::System`] if the system cannot wait, for lack of memory.
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        let ended = self.child.wait(deadline(timeout))?;
        if ended {
            // As in Python, no zombie is left.
            self.child.exit_status()?;
        }
        Ok(ended)
    }
}

impl<R: DeserializeOwned> Process<R> {
    /// Waits for the process to end and returns what its target returned.
    ///
    /// # Errors
    /// - [`Error::Panicked`], [`Error::Killed`] or [`Error::Exited`] if that is
    ///   how the process ended, [`Error::ExitUnknown`] if it did not send a
    ///   result and its exit status is unknown;
    /// - [`Error::Decode`] if the child could not decode an argument, or this
    ///   process the result; [`Error::Encode`] if the child could not encode the
    ///   result;
    /// - [`Error::ChildStart`] if the child could not get as far as its target;
    /// - [`Error::InvalidInput`] in a copy that `fork` made of the parent.
    pub fn join(self) -> Result<R, Error> {
        if !self.child.is_ours() {
            return Err(Error::InvalidInput(
                "only the process that started a child can join it, not a copy made by fork".into(),
            ));
        }
        let pid = self.pid();
        // The end comes first, and the report afterwards: see the module.
        self.child.wait(None)?;
        let status = self.child.exit_status()?.unwrap_or(ExitStatus::Unknown);
        let mut report = Vec::new();
        match self.child.socket.recv(&mut report, Some(Instant::now())) {
            Ok(_) => {}
            Err(Error::Eof | Error::Timeout) => return Err(exit_error(pid, status)),
            Err(error) => return Err(error),
        }
        let outcome: Result<Vec<u8>, Failure> = decode(&mut &report[..])?;
        let result = outcome.map_err(|failure| failure.into_error(pid))?;
        match status {
            // Where the status is unknown, there is still the result.
            ExitStatus::Exited(0) | ExitStatus::Unknown => decode(&mut &result[..]),
            // The child sent its result, but then did not end well.
            status => Err(exit_error(pid, status)),
        }
    }
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        if !self.child.is_ours() {
            // A copy that `fork` made must not end or reap its parent's child.
        } else if self.daemon {
            self.child.kill();
        } else {
            _ = self.child.wait(None);
            _ = self.child.exit_status();
        }
    }
}
