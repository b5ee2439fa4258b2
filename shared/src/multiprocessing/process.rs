use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use nix::libc;

use super::child::{Child, ExitStatus, exit_error};
use super::codec::{decode, decoder, encode, forbid_handles, with_handles};
use super::error::{Error, Failure};
use super::format::Encoder;
use super::memory::deadline;
use super::role::{Role, start_message};
use super::target::{Target, entry_offset, zero_sized_value};

/// A child process: `multiprocessing.Process`.
///
/// The child is this program run again, as with Python's start method `spawn`:
/// it shares nothing with its parent but what it is given as arguments.
/// Unlike in Python, what the target returns or how it failed reaches
/// [`join`](Self::join), and no child outlives its parent, even one that is
/// killed by SIGKILL. A handle that is dropped waits for the process; a
/// daemon's kills it. In a copy that `fork` made of the parent, dropping a
/// handle does neither.
///
/// The child has the parent's environment, working directory, umask, priority
/// and the three standard streams, but stdin is `/dev/null`. As in Python, it
/// inherits no other descriptor. No signal is blocked, and SIGTERM is not
/// ignored; other signals that the parent ignores are.
///
/// A target must not close descriptors that it did not open, as
/// `close_range(3, ..)` does: its result is lost, which `join` says, and nothing
/// ends it with its parent any more.
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
    start_message: Result<(Vec<u8>, Vec<OwnedFd>), Error>,
    name: Option<String>,
    daemon: bool,
    result: PhantomData<fn() -> R>,
}

impl<R: Serialize + DeserializeOwned> Process<R> {
    /// Prepares a process that calls `target` with `args`, a tuple of up to
    /// eight: `Process(target=worker, args=(i,))`.
    ///
    /// The target is a function or a closure that captures nothing. Arguments
    /// go over as bytes, by serde; shared memory, queues and pipes as
    /// themselves. A reference goes over as what it refers to.
    #[expect(
        clippy::new_ret_no_self,
        reason = "as in Python, start() makes the process"
    )]
    pub fn new<F, Args, Passing>(target: F, args: Args) -> Builder<R>
    where
        F: Target<Args, Passing, Output = R>,
    {
        let _ = target;
        let start_message = with_handles(|| {
            let mut bytes = start_message(
                Role::Process,
                Some(entry_offset(run_target::<F, Args, Passing>)?),
            )?;
            F::encode_args(&args, &mut Encoder::new(&mut bytes))?;
            Ok(bytes)
        });
        Builder {
            start_message,
            name: None,
            daemon: false,
            result: PhantomData,
        }
    }
}

/// What the child runs.
pub(super) fn run_target<F, Args, Passing>(
    input: &'static [u8],
    output: &mut Vec<u8>,
) -> Result<(), Error>
where
    F: Target<Args, Passing>,
    F::Output: Serialize,
{
    let mut decoder = decoder::<Args>(input)?;
    let args = F::decode_args(&mut decoder)?;
    forbid_handles();
    encode(&zero_sized_value::<F>().call(args), output)
}

impl<R> Builder<R> {
    /// Names the process; `Process-1` and so on if it is not named.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether dropping the handle kills the process rather than waits for it.
    pub fn daemon(mut self, daemon: bool) -> Self {
        self.daemon = daemon;
        self
    }

    /// Starts the process: `p.start()`.
    ///
    /// # Errors
    /// [`Error::NotInitialized`] if `main` did not call [`init`](super::init);
    /// [`Error::Encode`] if an argument cannot be encoded; or the system has no
    /// more processes, descriptors or memory, or lacks `/proc` or `/dev/null`.
    pub fn start(self) -> Result<Process<R>, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let (start_message, handles) = self.start_message?;
        let child = Child::spawn(&start_message, &handles)?;
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
    /// The process's number: `p.pid`.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// The process's name: `p.name`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has not ended yet: `p.is_alive()`. If it has, it is reaped,
    /// as in Python: no zombie is left.
    pub fn is_alive(&self) -> bool {
        self.child
            .exit_status()
            .is_ok_and(|status| status.is_none())
    }

    /// How the process ended: `p.exitcode`. 0 if the target returned, 1 if it
    /// panicked, the code it exited with, or -N if signal N ended it.
    ///
    /// `None` if the process has not ended, or if it has and how is unknown, as
    /// in Python: SIGCHLD is ignored, or other code in this program waits for
    /// every child and collected its exit status. [`is_alive`](Self::is_alive)
    /// tells the two apart.
    pub fn exitcode(&self) -> Option<i32> {
        match self.child.exit_status().ok()?? {
            ExitStatus::Exited(code) => Some(code),
            ExitStatus::Killed(signal) => Some(-signal),
            ExitStatus::Unknown => None,
        }
    }

    /// Asks the process to end, by SIGTERM: `p.terminate()`. Nothing happens
    /// if it has ended.
    ///
    /// # Errors
    /// The system refuses.
    pub fn terminate(&self) -> Result<(), Error> {
        self.child.signal(libc::SIGTERM)
    }

    /// Ends the process, by SIGKILL: `p.kill()`. Nothing happens if it has
    /// ended.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&self) -> Result<(), Error> {
        self.child.signal(libc::SIGKILL)
    }

    /// Waits for the process to end, but not longer than `timeout`, and tells
    /// whether it has: `p.join(timeout)`.
    ///
    /// # Errors
    /// The system refuses.
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, Error> {
        let ended = self.child.wait(deadline(timeout))?;
        if ended {
            self.child.exit_status()?;
        }
        Ok(ended)
    }
}

impl<R: DeserializeOwned> Process<R> {
    /// Waits for the process to end and returns what its target returned.
    ///
    /// # Errors
    /// How the process failed: [`Error::Panicked`], [`Error::Killed`],
    /// [`Error::Exited`], or [`Error::ExitUnknown`] if nothing can tell;
    /// [`Error::Decode`] in the child if it is an argument,
    /// here if it is the result; [`Error::Encode`] if the result cannot be
    /// encoded; [`Error::ChildStart`] if the child could not run its target;
    /// [`Error::InvalidInput`] in a copy that `fork` made of the parent.
    pub fn join(self) -> Result<R, Error> {
        if !self.child.is_ours() {
            return Err(Error::InvalidInput("can only join a child process".into()));
        }
        let pid = self.pid();
        self.child.wait(None)?;
        let status = self.child.exit_status()?.unwrap_or(ExitStatus::Unknown);
        let mut report = Vec::new();
        match self.child.socket.recv(&mut report, Some(Instant::now())) {
            Ok(_) => {}
            Err(Error::Eof | Error::Timeout) => return Err(exit_error(pid, status)),
            Err(error) => return Err(error),
        }
        let outcome: Result<Vec<u8>, Failure> = decode(&mut &report[..])?;
        let result = outcome.map_err(|failure| failure.of(pid))?;
        match status {
            // Where the status is unknown, its target has returned all the same.
            ExitStatus::Exited(0) | ExitStatus::Unknown => decode(&mut &result[..]),
            // It had its result, but did not come to its end.
            status => Err(exit_error(pid, status)),
        }
    }
}

impl<R> Drop for Process<R> {
    fn drop(&mut self) {
        if !self.child.is_ours() {
            // A copy that `fork` made: the process is still wanted elsewhere.
        } else if self.daemon {
            self.child.kill();
        } else {
            _ = self.child.wait(None);
            _ = self.child.exit_status();
        }
    }
}
