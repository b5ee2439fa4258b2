//! A child process, seen from its parent: it is started and told what to do,
//! waited for, and sent signals.
//!
//! What the child does with what it is told is in [`start`](super::start). Above
//! this module are [`process`](super::process) and the pool; below it,
//! [`spawn`](super::spawn) runs the program, and [`socket`](super::socket) carries
//! the messages.

use std::env;
use std::ffi::{CString, OsString};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{Shutdown, shutdown};
use nix::sys::stat::fstat;
use serde::{Deserialize, Serialize};

use super::codec::encode;
use super::error::{Error, system};
use super::role::{CHILD_TEST, CHILD_VARIABLE, is_initialized};
use super::socket::Socket;
use super::spawn::{Program, spawn};
use super::wait::{deadline, poll};

/// What a child is started for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// To run the entry, report its result, and end.
    Process,
    /// To run the entry, if there is one, and then a pool's tasks.
    Worker,
}

/// The first message to a child.
#[derive(Serialize, Deserialize)]
pub(super) struct StartMessage {
    pub(super) purpose: Purpose,
    /// The offset of the entry in the executable. A pool without an initializer
    /// has none.
    pub(super) entry: Option<u64>,
}

/// The bytes of a start message; those of the entry's arguments follow.
pub(super) fn start_message(purpose: Purpose, entry: Option<u64>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode(&StartMessage { purpose, entry }, &mut bytes)?;
    Ok(bytes)
}

/// A child, seen from its parent.
#[derive(Debug)]
pub(super) struct Child {
    /// The PID of the process that started it. A copy that `fork` made of that
    /// process has another one, and must leave the child alone.
    parent: u32,
    pid: u32,
    pidfd: OwnedFd,
    /// How it ended, once `exit_status` has found that out.
    status: Mutex<Option<ExitStatus>>,
    pub(super) socket: Socket,
}

impl Child {
    /// Starts a child and sends it a start message with these descriptors.
    pub(super) fn spawn(start_message: &[u8], handles: &[OwnedFd]) -> Result<Self, Error> {
        if !is_initialized() {
            return Err(Error::NotInitialized);
        }
        let (ours, theirs) = Socket::pair()?;
        let inode = fstat(&theirs).map_err(system("fstat"))?.st_ino;
        let mark = format!("{inode}:{}", std::process::id());
        // The child will open it as well. If it is missing, that is an error of
        // `start` already.
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(system("opening /dev/null"))?;
        // In a test, the child's test harness prints a report of its own before
        // `init` is called. That goes to /dev/null; `send` sends the real stdout.
        let test = CHILD_TEST.get();
        let (pid, pidfd) = spawn(&Program {
            args: arguments(test.copied())?,
            env: environment(&mark)?,
            stdin: theirs.as_fd(),
            stdout: test.is_some().then_some(null.as_fd()),
        })?;
        // Only the child has its end now, so that its death closes it.
        drop(theirs);
        let child = Child {
            parent: std::process::id(),
            pid,
            pidfd,
            status: Mutex::new(None),
            socket: ours,
        };
        match child.send(test.is_some(), start_message, handles) {
            // If the child has died already, `join` will report it, and how it died.
            Ok(()) | Err(Error::BrokenPipe) => Ok(child),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    /// Sends the start message; in a test, this process's stdout goes before it.
    fn send(&self, test: bool, start_message: &[u8], handles: &[OwnedFd]) -> Result<(), Error> {
        if test {
            let stdout = match io::stdout().as_fd().try_clone_to_owned() {
                // This process has none, so the child gets none.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => None,
                stdout => Some(stdout.map_err(system("dup"))?),
            };
            self.socket.send(&[], stdout.as_slice())?;
        }
        self.socket.send(start_message, handles)
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether this process started the child, and is no copy that `fork` made.
    pub(super) fn is_ours(&self) -> bool {
        self.parent == std::process::id()
    }

    /// Waits until the deadline for the child to end; returns whether it has.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        poll(
            &mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)],
            deadline,
        )
    }

    /// How the child ended, if it has; this reaps it.
    pub(super) fn exit_status(&self) -> Result<Option<ExitStatus>, Error> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            *status = match wait_on_pidfd(&self.pidfd) {
                // There is no status to collect. Either the child has ended and
                // something else collected it, or it runs, but is not this
                // process's child, because this is a copy that `fork` made.
                Err(Errno::ECHILD) => self
                    .wait(Some(Instant::now()))?
                    .then_some(ExitStatus::Unknown),
                answer => answer.map_err(system("waitid"))?,
            };
        }
        Ok(*status)
    }

    /// Sends a signal. Does nothing if the child has ended.
    pub(super) fn signal(&self, signal: i32) -> Result<(), Error> {
        // SAFETY: the descriptor is open, and the null pointer says that no
        // further information goes with the signal.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.pidfd.as_raw_fd(),
                signal,
                0,
                0,
            )
        };
        match Errno::result(answer) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(Errno::EPERM) if signal == libc::SIGKILL && self.kill_by_socket()? => Ok(()),
            Err(errno) => Err(system("pidfd_send_signal")(errno)),
        }
    }

    /// Shuts down the socket, whereupon the kernel kills the child, as when its
    /// parent is gone. This works even where this process may not send the child
    /// a signal, because one of the two has changed its user. It does not wait.
    pub(super) fn shut_socket(&self) {
        _ = shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both);
    }

    /// Shuts down the socket and returns whether the child has ended soon after.
    fn kill_by_socket(&self) -> Result<bool, Error> {
        // It takes far less, unless the child never came to `init`.
        const PATIENCE: Duration = Duration::from_secs(1);
        self.shut_socket();
        self.wait(deadline(PATIENCE))
    }

    /// Kills the child, waits for its end and reaps it. If that is refused, it
    /// does not wait.
    pub(super) fn kill(&self) {
        if self.signal(libc::SIGKILL).is_ok() {
            _ = self.wait(None);
            _ = self.exit_status();
        }
    }
}

/// The pidfd, which is readable when the child has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The child's arguments: this program's own, or those with which a test harness
/// runs one test and nothing else.
fn arguments(test: Option<&str>) -> Result<Vec<CString>, Error> {
    let mut arguments: Vec<_> = env::args_os().collect();
    if let Some(test) = test {
        arguments.truncate(1);
        let options = [test, "--exact", "--nocapture", "--test-threads=1"];
        arguments.extend(options.map(OsString::from));
    }
    arguments
        .into_iter()
        .map(|argument| c_string(argument.into_vec()))
        .collect()
}

/// The child's environment: this process's own, and the variable.
fn environment(mark: &str) -> Result<Vec<CString>, Error> {
    env::vars_os()
        .filter(|(name, _)| name != CHILD_VARIABLE)
        .chain([(CHILD_VARIABLE.into(), mark.into())])
        .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| {
        Error::InvalidInput("an argument or environment variable contains a zero byte".into())
    })
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it, whether or not it left a core dump.
    Killed(i32),
    /// The status is lost, because something else collected it: the system, where
    /// SIGCHLD is ignored, or other code in this program that waits for any child.
    Unknown,
}

/// The error for a process that ended like this without a report.
pub(super) fn exit_error(pid: u32, status: ExitStatus) -> Error {
    match status {
        ExitStatus::Exited(code) => Error::Exited { pid, code },
        ExitStatus::Killed(signal) => Error::Killed { pid, signal },
        ExitStatus::Unknown => Error::ExitUnknown { pid },
    }
}

/// Collects the exit status of a child, if it has ended. By its pidfd and not by
/// its PID: if other code waits for any child and has reaped this one, another
/// process may have its PID by now.
fn wait_on_pidfd(pidfd: &OwnedFd) -> Result<Option<ExitStatus>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (fd, flags) = (pidfd.as_raw_fd(), libc::WEXITED | libc::WNOHANG);
    // SAFETY: the descriptor is open and the pointer leads to a `siginfo_t`.
    // Zeroes are a valid one, so it is initialised whether or not the kernel has
    // written to it.
    let (answer, info) = unsafe {
        let answer = libc::waitid(libc::P_PIDFD, fd as u32, info.as_mut_ptr(), flags);
        (answer, info.assume_init())
    };
    Errno::result(answer)?;
    // SAFETY: for a child that has ended the kernel has set these fields; if none
    // has, they are zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some(match info.si_code {
        libc::CLD_EXITED => ExitStatus::Exited(status),
        // CLD_KILLED or CLD_DUMPED
        _ => ExitStatus::Killed(status),
    }))
}
