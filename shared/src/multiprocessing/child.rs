//! A child process: this program, run again with a socket on its stdin.
//!
//! Over the socket the parent sends one greeting: what to run, its arguments
//! and their descriptors. The socket is also what ties the two together: when
//! the parent is gone the kernel kills the child, whatever it is doing.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, parent_id};
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::prctl::set_name;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::sys::stat::fstat;
use nix::unistd::{dup2_stdin, getuid};
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode, from_handles};
use super::error::{Error, Failure, system};
use super::memory::poll;
use super::socket::Socket;
use super::target::{Entry, entry};

/// Marks a child in its environment; its value is the socket's inode number,
/// so that a mark gone astray fits no other socket.
const MARK: &str = "SHARED_MULTIPROCESSING";

static INITIALIZED: AtomicBool = AtomicBool::new(false);

pub(super) fn is_initialized() -> bool {
    INITIALIZED.load(Ordering::Relaxed)
}

/// Leaves SIGINT to the parent: Ctrl-C goes to all processes of a terminal.
pub(super) fn ignore_interrupts() {
    // SAFETY: no handler is installed, and none is replaced that this module
    // or the standard library relies on.
    _ = unsafe { signal(Signal::SIGINT, SigHandler::SigIgn) };
}

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
    pid: u32,
    pidfd: OwnedFd,
    /// How it ended, once somebody has asked and it had.
    status: Mutex<Option<ExitStatus>>,
    pub(super) socket: Socket,
}

/// What the child does with what it was sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Role {
    /// Runs the entry and ends.
    Process,
    /// Runs the entry, if there is one, and then a pool's tasks.
    Worker,
}

#[derive(Serialize, Deserialize)]
struct Greeting {
    role: Role,
    /// The distance of the entry, if there is one.
    entry: Option<u64>,
}

/// The bytes that tell a child what to run; the arguments' bytes follow.
pub(super) fn greeting(role: Role, entry: Option<u64>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    encode(&Greeting { role, entry }, &mut bytes)?;
    Ok(bytes)
}

impl Child {
    pub(super) fn spawn(greeting: &[u8], handles: &[OwnedFd]) -> Result<Self, Error> {
        if !is_initialized() {
            return Err(Error::NotInitialized);
        }
        let (ours, theirs) = Socket::pair()?;
        let mark = fstat(&theirs).map_err(system("fstat"))?.st_ino;
        let mut args = env::args_os();
        let mut command = Command::new("/proc/self/exe");
        if let Some(name) = args.next() {
            command.arg0(name);
        }
        command
            .args(args)
            .env(MARK, mark.to_string())
            .stdin(OwnedFd::from(theirs));
        let mut process = command.spawn().map_err(system("starting a process"))?;
        // Closes the child's end here, or its death would not be seen.
        drop(command);
        let pid = process.id();
        let pidfd = pidfd_open(pid).inspect_err(|_| {
            _ = process.kill();
            _ = process.wait();
        })?;
        let child = Child {
            pid,
            pidfd,
            status: Mutex::new(None),
            socket: ours,
        };
        match child.socket.send(greeting, handles) {
            // It is gone already; who waits for it will see how.
            Ok(()) | Err(Error::BrokenPipe) => Ok(child),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
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
            Err(errno) => Err(system("pidfd_send_signal")(errno)),
        }
    }

    /// Ends the process and waits until it has.
    pub(super) fn kill(&self) {
        _ = self.signal(libc::SIGKILL);
        _ = self.wait(None);
        _ = self.exit_status();
    }
}

/// Readable when the process has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The error for a process that ended so, and reported nothing else.
pub(super) fn ended(pid: u32, status: ExitStatus) -> Error {
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

fn pidfd_open(pid: u32) -> Result<OwnedFd, Error> {
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = Errno::result(fd).map_err(system("pidfd_open"))?;
    // SAFETY: the kernel has just opened it for us. It closes on exec.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Stands first in `main`, as `if __name__ == '__main__':` does in Python, or
/// `freeze_support()`: in a child process it runs the target and exits there.
///
/// In the parent it only notes that it was called; no process starts before.
/// It costs a look into the environment.
///
/// A child is marked by a variable in the environment. One that is there by
/// mistake is refused, with a message and exit code 2, before anything is run.
///
/// ```
/// use shared::multiprocessing;
///
/// fn main() {
///     multiprocessing::init();
///     // What stands here runs in the parent only.
/// }
/// ```
pub fn init() {
    match env::var(MARK) {
        Err(_) => INITIALIZED.store(true, Ordering::Relaxed),
        Ok(mark) => match boot(&mark) {
            Ok((socket, body, handles)) => run(socket, body.leak(), handles),
            Err(error) => {
                eprintln!("{MARK} is set, but this is no child process: {error}");
                std::process::exit(2);
            }
        },
    }
}

/// Finds the parent and hears its greeting.
fn boot(mark: &str) -> Result<(Socket, Vec<u8>, Vec<OwnedFd>), Error> {
    let socket = parents_socket(mark)?;
    // SAFETY: `init` is the first thing that `main` does, so no other thread
    // reads the environment.
    unsafe { env::remove_var(MARK) };
    INITIALIZED.store(true, Ordering::Relaxed);
    take_name();
    let null = File::open("/dev/null").map_err(system("/dev/null"))?;
    dup2_stdin(null).map_err(system("dup2"))?;
    let mut body = Vec::new();
    let handles = match socket.recv(&mut body, None) {
        Err(Error::Eof) => std::process::exit(1),
        answer => answer?,
    };
    die_with_peer(&socket)?;
    Ok((socket, body, handles))
}

/// Goes by the program's name in lists of processes, and not by `exe`.
fn take_name() {
    let program = env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    // A name that cannot be had is not worth an error.
    _ = CString::new(name.as_bytes()).map(|name| set_name(&name));
}

/// The socket on stdin, if it is the one that our parent made for us.
fn parents_socket(mark: &str) -> Result<Socket, Error> {
    let refuse = |why: &str| Error::InvalidInput(format!("stdin {why}"));
    let stdin = io::stdin();
    if getsockopt(&stdin, sockopt::SockType).ok() != Some(SockType::SeqPacket) {
        return Err(refuse("is not the socket of a parent process"));
    }
    let inode = fstat(&stdin).map_err(system("fstat"))?.st_ino;
    if mark != inode.to_string() {
        return Err(refuse("is another socket than the variable names"));
    }
    let peer = getsockopt(&stdin, sockopt::PeerCredentials).map_err(system("SO_PEERCRED"))?;
    if peer.uid() != getuid().as_raw() {
        return Err(refuse("is another user's socket"));
    }
    if peer.pid() != parent_id() as i32 {
        return Err(refuse("is not the parent's socket"));
    }
    Ok(stdin
        .as_fd()
        .try_clone_to_owned()
        .map_err(system("dup"))?
        .into())
}

/// From now on the kernel kills this process when the other end is closed.
/// Nothing else is sent this way, for any event would do so.
fn die_with_peer(socket: &Socket) -> Result<(), Error> {
    let fd = socket.as_fd().as_raw_fd();
    let checked = |answer| Errno::result(answer).map(drop).map_err(system("fcntl"));
    // SAFETY: these set numbers on an open descriptor.
    unsafe {
        checked(libc::fcntl(fd, libc::F_SETOWN, std::process::id()))?;
        checked(libc::fcntl(fd, 10 /* F_SETSIG */, libc::SIGKILL))?;
    }
    fcntl(socket, FcntlArg::F_SETFL(OFlag::O_ASYNC | OFlag::O_RDWR)).map_err(system("fcntl"))?;
    // It may have closed before that.
    exit_if_abandoned(socket)
}

/// Ends this process if its parent is gone: nobody is there to tell.
fn exit_if_abandoned(socket: &Socket) -> Result<(), Error> {
    if socket.poll(PollFlags::empty(), Some(Instant::now()))? {
        std::process::exit(1);
    }
    Ok(())
}

/// What a child does: all that its parent said, and then it exits.
fn run(socket: Socket, body: &'static [u8], handles: Vec<OwnedFd>) -> ! {
    note_panics();
    let mut rest = body;
    let mut code = 0;
    let greeting: Result<Greeting, Error> = decode(&mut rest);
    match greeting {
        Ok(Greeting {
            role: Role::Process,
            entry,
        }) => {
            let outcome = from_handles(handles, || perform(entry, rest));
            code = i32::from(outcome.is_err());
            report(&socket, &outcome);
        }
        Ok(Greeting {
            role: Role::Worker,
            entry,
        }) => {
            if let Err(error) = super::pool::work(entry, rest, handles) {
                eprintln!("a pool's worker cannot work: {error}");
                code = 1;
            }
        }
        Err(error) => report(&socket, &Err(Failure::Decode(error.to_string()))),
    }
    std::process::exit(code)
}

/// Tells the parent how it went. If the parent is gone, so are we.
fn report(socket: &Socket, outcome: &Result<Vec<u8>, Failure>) {
    let mut bytes = Vec::new();
    encode(outcome, &mut bytes).expect("bytes and texts can be encoded");
    if let Err(error) = socket.send(&bytes, &[]) {
        // A large result needs a file in memory; the reason why it cannot be
        // had does not.
        let failure = Failure::Encode(format!("the result: {error}"));
        bytes.clear();
        encode(&Err::<Vec<u8>, _>(failure), &mut bytes).expect("texts can be encoded");
        _ = socket.send(&bytes, &[]);
    }
}

/// Runs the entry at a distance, if there is one.
pub(super) fn perform(distance: Option<u64>, args: &'static [u8]) -> Result<Vec<u8>, Failure> {
    let mut result = Vec::new();
    if let Some(distance) = distance {
        call(find(distance)?, args, &mut result)?;
    }
    Ok(result)
}

/// The entry that our parent names.
pub(super) fn find<'a>(distance: u64) -> Result<Entry<'a>, Failure> {
    // SAFETY: our parent tells only what it had from `distance`, and it is the
    // same image as we are. For a process and an initializer that was an
    // `Entry<'static>`, and for a task one of any lifetime.
    unsafe { entry(distance) }.map_err(Failure::from)
}

thread_local! {
    /// Whether a panic here is the target's.
    static CALLING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

/// Calls an entry; a panic in it becomes a failure.
pub(super) fn call<'a>(
    entry: Entry<'a>,
    input: &'a [u8],
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    CALLING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| entry(input, output)));
    CALLING.set(false);
    match outcome {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(payload) => Err(PANIC.take().unwrap_or_else(|| {
            // No hook has seen it: `resume_unwind`, or the target's own hook.
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied());
            panicked(text, None, String::new())
        })),
    }
}

fn panicked(text: Option<&str>, location: Option<&Location<'_>>, backtrace: String) -> Failure {
    Failure::Panicked {
        message: text.unwrap_or("a value that is no text").to_string(),
        location: location.map_or("an unknown place".to_string(), Location::to_string),
        backtrace,
    }
}

/// Keeps what a panic in a target says, besides printing it as ever.
fn note_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if CALLING.get() {
            let backtrace = Backtrace::force_capture().to_string();
            PANIC.set(Some(panicked(
                info.payload_as_str(),
                info.location(),
                backtrace,
            )));
        }
    }));
}
