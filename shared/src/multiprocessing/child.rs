//! A child process, seen from its parent: this program, run again with a socket
//! on its stdin.
//!
//! Over the socket the parent sends the start message: what to run, its
//! arguments and their descriptors. [`start`](super::start) is what the child
//! does with it.

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

use super::error::{Error, system};
use super::memory::{deadline, poll};
use super::role::{CHILD_TEST, CHILD_VARIABLE, is_initialized};
use super::socket::Socket;
use super::spawn::{Program, spawn};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// It exited with this code.
    Exited(i32),
    /// This signal killed it, whether or not it left a core dump.
    Killed(i32),
    /// Something else collected its exit status, and nothing can tell it any
    /// more: SIGCHLD is ignored, so that the system did, or other code waits
    /// for any child.
    Unknown,
}

/// A child, seen from its parent.
#[derive(Debug)]
pub(super) struct Child {
    /// The process that started it. A copy that `fork` made of that one has a
    /// copy of this, but no say in the child's life.
    maker: u32,
    pid: u32,
    pidfd: OwnedFd,
    /// How it ended, once somebody has asked and it had.
    status: Mutex<Option<ExitStatus>>,
    pub(super) socket: Socket,
}

impl Child {
    pub(super) fn spawn(start_message: &[u8], handles: &[OwnedFd]) -> Result<Self, Error> {
        if !is_initialized() {
            return Err(Error::NotInitialized);
        }
        let (ours, theirs) = Socket::pair()?;
        let inode = fstat(&theirs).map_err(system("fstat"))?.st_ino;
        let mark = format!("{inode}:{}", std::process::id());
        // The child will want it as well, and here is somebody to tell.
        let null = File::options().read(true).write(true).open("/dev/null");
        let null = null.map_err(system("opening /dev/null"))?;
        // What a test harness says in a child is no output of the tests.
        let test = CHILD_TEST.get();
        let (pid, pidfd) = spawn(&Program {
            args: arguments(test.copied())?,
            env: environment(&mark)?,
            stdin: theirs.as_fd(),
            stdout: test.is_some().then_some(null.as_fd()),
        })?;
        // Closes the child's end here, or its death would not be seen.
        drop(theirs);
        let child = Child {
            maker: std::process::id(),
            pid,
            pidfd,
            status: Mutex::new(None),
            socket: ours,
        };
        match child.send(test.is_some(), start_message, handles) {
            // If it is gone already, its end is seen by the one that waits.
            Ok(()) | Err(Error::BrokenPipe) => Ok(child),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    /// Sends what it is to run; in a test its stdout goes before.
    fn send(&self, test: bool, start_message: &[u8], handles: &[OwnedFd]) -> Result<(), Error> {
        if test {
            let stdout = match io::stdout().as_fd().try_clone_to_owned() {
                // There is none, and the child shall have none.
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

    /// Waits until the deadline for the process to end.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        poll(
            &mut [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)],
            deadline,
        )
    }

    /// How it ended, if it has; the process is reaped. It is waited for by its
    /// descriptor, because its number may be another's by now if something
    /// else waits for any child.
    pub(super) fn exit_status(&self) -> Result<Option<ExitStatus>, Error> {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_none() {
            *status = match wait_by_descriptor(&self.pidfd) {
                // Nothing is to be collected. Either it has ended and something
                // else collected it, or it runs, but is not our own child: this
                // is a copy that `fork` made of its parent.
                Err(Errno::ECHILD) => self
                    .wait(Some(Instant::now()))?
                    .then_some(ExitStatus::Unknown),
                answer => answer.map_err(system("waitid"))?,
            };
        }
        Ok(*status)
    }

    /// Whether this process started it, and is no copy of the one that did.
    pub(super) fn is_ours(&self) -> bool {
        self.maker == std::process::id()
    }

    pub(super) fn signal(&self, signal: i32) -> Result<(), Error> {
        // SAFETY: the descriptor is open, and no information goes with it.
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
            Err(Errno::EPERM) if signal == libc::SIGKILL && self.end_without_signal()? => Ok(()),
            Err(errno) => Err(system("pidfd_send_signal")(errno)),
        }
    }

    /// Shuts the socket, whereupon the kernel kills the child, as when its
    /// parent is gone. It serves where this process may not send it a signal,
    /// because one of the two has changed its user, and does not wait.
    pub(super) fn shut_socket(&self) {
        _ = shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both);
    }

    /// Ends the child by its socket; returns whether it ended soon.
    fn end_without_signal(&self) -> Result<bool, Error> {
        self.shut_socket();
        self.wait(deadline(REFUSED))
    }

    /// Ends the process and waits until it has; not for ever if that was
    /// refused.
    pub(super) fn kill(&self) {
        if self.signal(libc::SIGKILL).is_ok() {
            _ = self.wait(None);
            _ = self.exit_status();
        }
    }
}

/// How long a child that may not be sent a signal is waited for. It takes far
/// less to end, unless it never came to `init`.
const REFUSED: Duration = Duration::from_secs(1);

/// Readable when the process has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The error for a process that ended so, and reported nothing else.
pub(super) fn exit_error(pid: u32, status: ExitStatus) -> Error {
    match status {
        ExitStatus::Exited(code) => Error::Exited { pid, code },
        ExitStatus::Killed(signal) => Error::Killed { pid, signal },
        ExitStatus::Unknown => Error::ExitUnknown { pid },
    }
}

/// Collects the exit status of a child that has ended.
fn wait_by_descriptor(pidfd: &OwnedFd) -> Result<Option<ExitStatus>, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let (fd, flags) = (pidfd.as_raw_fd(), libc::WEXITED | libc::WNOHANG);
    // SAFETY: the descriptor is open, and the system fills in what it has to
    // say of a child; zeroes say that it has nothing.
    let (answer, info) = unsafe {
        let answer = libc::waitid(libc::P_PIDFD, fd as u32, info.as_mut_ptr(), flags);
        (answer, info.assume_init())
    };
    Errno::result(answer)?;
    // SAFETY: these fields are there for a child, and else zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some(match info.si_code {
        libc::CLD_EXITED => ExitStatus::Exited(status),
        // CLD_KILLED or CLD_DUMPED
        _ => ExitStatus::Killed(status),
    }))
}

/// The child's arguments: this program's own, or those by which a test harness
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

/// The child's environment: this process's own, and the mark.
fn environment(mark: &str) -> Result<Vec<CString>, Error> {
    env::vars_os()
        .filter(|(name, _)| name != CHILD_VARIABLE)
        .chain([(CHILD_VARIABLE.into(), mark.into())])
        .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::InvalidInput("an argument contains a zero".into()))
}
