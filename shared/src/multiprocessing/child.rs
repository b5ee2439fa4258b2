//! A child process: this program, run again with a socket on its stdin.
//!
//! Over the socket the parent sends one greeting: what to run, its arguments
//! and their descriptors. The socket is also what ties the two together: when
//! the parent is gone the kernel kills the child, whatever it is doing.

use std::any::{Any, TypeId};
use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::parent_id;
use std::panic::{self, AssertUnwindSafe, Location};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, thread};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::prctl::set_name;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{Shutdown, SockType, UnixCredentials, getsockopt, shutdown, sockopt};
use nix::sys::stat::fstat;
use nix::unistd::{
    dup2_stdin, dup2_stdout, getegid, geteuid, getgid, getpid, gettid, getuid, setresgid, setresuid,
};
use serde::{Deserialize, Serialize};

use super::codec::{decode, encode, from_handles};
use super::error::{Error, Failure, system};
use super::memory::{deadline, poll};
use super::socket::Socket;
use super::spawn::{Program, spawn};
use super::target::{Entry, entry};

/// Marks a child in its environment. Its value is the inode number of the
/// socket on the child's stdin and the parent's process id, so that a program
/// which inherits it from a child can tell that it is not meant.
const MARK: &str = "SHARED_MULTIPROCESSING";

/// What `init` has found this process to be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Parent,
    Child,
    /// A child that came to `init` in the middle of a program, most likely in
    /// one test of many: the other threads run tests that are not its business.
    ChildAmongTests,
}

static STATE: Mutex<State> = Mutex::new(State::Unknown);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// Whether this thread runs the child's target.
    static RUNS_TARGET: Cell<bool> = const { Cell::new(false) };
}

/// The test in which a child finds `init`, if this is a test program.
static CHILD_TEST: OnceLock<&str> = OnceLock::new();

/// What [`init_tests`](super::init_tests) calls before `main` runs.
#[doc(hidden)]
pub fn note_child_test(path: &'static str) {
    // Test harnesses name a test without its crate.
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    _ = CHILD_TEST.set(name);
}

/// Whether this thread may start a process, because a child would come to
/// `init` before it could start one in its turn.
pub(super) fn is_initialized() -> bool {
    match *state() {
        State::Unknown => CHILD_TEST.get().is_some(),
        State::Parent | State::Child => true,
        State::ChildAmongTests => RUNS_TARGET.get(),
    }
}

/// Leaves SIGINT to the parent: Ctrl-C goes to all processes of a terminal.
///
/// A handler that does nothing serves better than to ignore the signal: a
/// program that a task starts would go on ignoring it, and would survive Ctrl-C.
pub(super) fn ignore_interrupts() {
    extern "C" fn nothing(_: libc::c_int) {}
    let action = |handler| SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing, and none is replaced that this module
    // or the standard library relies on.
    let before = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::Handler(nothing))) };
    // Where it was ignored already, as in a shell's background, it stays so.
    if before.is_ok_and(|before| matches!(before.handler(), SigHandler::SigIgn)) {
        // SAFETY: as above.
        _ = unsafe { sigaction(Signal::SIGINT, &action(SigHandler::SigIgn)) };
    }
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
    /// The process that started it. A copy that `fork` made of that one has a
    /// copy of this, but no say in the child's life.
    maker: u32,
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
        match child.send(test.is_some(), greeting, handles) {
            // If it is gone already, its end is seen by the one that waits.
            Ok(()) | Err(Error::BrokenPipe) => Ok(child),
            Err(error) => {
                child.kill();
                Err(error)
            }
        }
    }

    /// Sends what it is to run; in a test its stdout goes before.
    fn send(&self, test: bool, greeting: &[u8], handles: &[OwnedFd]) -> Result<(), Error> {
        if test {
            let stdout = match io::stdout().as_fd().try_clone_to_owned() {
                // There is none, and the child shall have none.
                Err(error) if error.raw_os_error() == Some(libc::EBADF) => None,
                stdout => Some(stdout.map_err(system("dup"))?),
            };
            self.socket.send(&[], stdout.as_slice())?;
        }
        self.socket.send(greeting, handles)
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
            Err(Errno::EPERM) if signal == libc::SIGKILL && self.end_by_socket()? => Ok(()),
            Err(errno) => Err(system("pidfd_send_signal")(errno)),
        }
    }

    /// Ends a child that this process may not send a signal any more, because
    /// it has given up its privileges: when the socket is shut the kernel kills
    /// the child, as when its parent is gone. Returns whether it ended soon.
    fn end_by_socket(&self) -> Result<bool, Error> {
        _ = shutdown(self.socket.as_fd().as_raw_fd(), Shutdown::Both);
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
        .filter(|(name, _)| name != MARK)
        .chain([(MARK.into(), mark.into())])
        .map(|(name, value)| c_string([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect()
}

fn c_string(bytes: Vec<u8>) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::InvalidInput("an argument contains a zero".into()))
}

/// Stands first in `main`, as `if __name__ == '__main__':` does in Python, or
/// `freeze_support()`: in a child process it runs the target and exits there.
///
/// In the parent it only notes that it was called; no process starts before.
/// It costs a look into the environment. A test has no `main`: see
/// [`init_tests`](super::init_tests).
///
/// A child is marked by a variable in the environment, `SHARED_MULTIPROCESSING`,
/// and is a child only if its stdin is the socket of its parent that the
/// variable names. A program that a child starts may inherit the variable if
/// the child had several threads when it called `init`, because then nothing
/// can be removed from the environment; such a program starts as a parent. If
/// the variable holds anything else, or a child's stdin was replaced before
/// `init`, a message and exit code 2 come before anything is run, because to
/// start as a parent there might start processes without end.
///
/// ```
/// use shared::multiprocessing;
///
/// fn main() {
///     multiprocessing::init();
///     // What stands here runs in the parent only.
/// }
/// ```
///
/// With tokio, too, it stands before the runtime is built. In the body of
/// `#[tokio::main]` it would run targets inside the runtime, where they could
/// not block.
///
/// ```
/// use shared::multiprocessing;
///
/// fn main() -> std::io::Result<()> {
///     multiprocessing::init();
///     tokio::runtime::Runtime::new()?.block_on(async {
///         // What stands here runs in the parent only.
///     });
///     Ok(())
/// }
/// ```
pub fn init() {
    let mut state = state();
    if *state == State::ChildAmongTests && !RUNS_TARGET.get() {
        drop(state);
        // Another test, which is not to run in a child. The process ends when
        // the target has returned.
        loop {
            thread::park();
        }
    }
    if *state != State::Unknown {
        return;
    }
    let Some(mark) = env::var_os(MARK) else {
        *state = State::Parent;
        return;
    };
    match parents_socket(&mark) {
        Ok(None) => *state = State::Parent,
        Ok(Some(socket)) => {
            let among_tests = gettid() != getpid() && CHILD_TEST.get().is_none();
            *state = match among_tests {
                false => State::Child,
                true => State::ChildAmongTests,
            };
            RUNS_TARGET.set(true);
            drop(state);
            serve(&socket);
        }
        Err(error) => {
            eprintln!("{MARK} is set, but this is no child process: {error}");
            std::process::exit(2);
        }
    }
}

/// The socket on stdin, if it is the one that our parent made for us, or
/// nothing if the mark is another process's.
fn parents_socket(mark: &OsStr) -> Result<Option<Socket>, Error> {
    let refuse = |why: &str| Err(Error::InvalidInput(why.into()));
    let numbers = mark.to_str().and_then(|mark| mark.split_once(':'));
    let numbers = numbers.and_then(|(inode, pid)| Some((inode.parse().ok()?, pid.parse().ok()?)));
    let Some((inode, parent)): Option<(libc::ino_t, u32)> = numbers else {
        return refuse("it holds what no parent writes");
    };
    let stdin = io::stdin();
    if getsockopt(&stdin, sockopt::SockType).ok() != Some(SockType::SeqPacket)
        || fstat(&stdin).ok().map(|stat| stat.st_ino) != Some(inode)
    {
        // Inherited from a child, which had another parent than we have; or
        // ours, but stdin is not what our parent made it.
        return match parent == parent_id() {
            false => Ok(None),
            true => refuse("stdin is not the socket that the variable names"),
        };
    }
    let peer = getsockopt(&stdin, sockopt::PeerCredentials).map_err(system("SO_PEERCRED"))?;
    let socket = Socket::from(stdin.as_fd().try_clone_to_owned().map_err(system("dup"))?);
    if peer.pid() != parent_id() as i32 {
        exit_if_abandoned(&socket)?;
        return refuse("stdin is not the parent's socket");
    }
    match take_privileges_of(&peer)? {
        true => Ok(Some(socket)),
        false => refuse("stdin is another user's socket"),
    }
}

/// Whether this process has no more privileges than the one that made the
/// socket, which may be anybody's if this file is set-user-ID: whoever runs it
/// chooses its stdin. What the file alone has given is given up again, as when
/// a set-user-ID parent has given it up for a while.
fn take_privileges_of(peer: &UnixCredentials) -> Result<bool, Error> {
    let (user, group) = (getuid(), getgid());
    if peer.gid() != getegid().as_raw() {
        if peer.gid() != group.as_raw() {
            return Ok(false);
        }
        setresgid(group, group, group).map_err(system("setresgid"))?;
    }
    if peer.uid() != geteuid().as_raw() {
        if peer.uid() != user.as_raw() {
            return Ok(false);
        }
        setresuid(user, user, user).map_err(system("setresuid"))?;
    }
    Ok(true)
}

/// What a child does after it has found its parent.
fn serve(socket: &Socket) -> ! {
    match boot(socket) {
        Ok((body, handles)) => run(socket, body.leak(), handles),
        Err(error) => {
            eprintln!("a child process cannot start: {error}");
            report(socket, &Err(Failure::Start(error.to_string())));
            std::process::exit(2);
        }
    }
}

/// Receives what our parent has sent.
fn boot(socket: &Socket) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
    if is_single_threaded() {
        // SAFETY: no other thread is there to read the environment.
        unsafe { env::remove_var(MARK) };
    }
    take_name();
    let null = File::open("/dev/null").map_err(system("opening /dev/null"))?;
    dup2_stdin(null).map_err(system("dup2"))?;
    if CHILD_TEST.get().is_some() {
        take_stdout(socket)?;
    }
    let mut body = Vec::new();
    let handles = receive(socket, &mut body)?;
    die_with_peer(socket)?;
    Ok((body, handles))
}

/// Receives a message; where there is none, the parent is gone.
fn receive(socket: &Socket, body: &mut Vec<u8>) -> Result<Vec<OwnedFd>, Error> {
    match socket.recv(body, None) {
        Err(Error::Eof) => std::process::exit(1),
        answer => answer,
    }
}

/// Takes the parent's stdout, which a child in a test does not start with,
/// because its test harness has written what is none of its output.
fn take_stdout(socket: &Socket) -> Result<(), Error> {
    let stdout = receive(socket, &mut Vec::new())?;
    _ = io::stdout().flush();
    for stdout in stdout {
        dup2_stdout(stdout).map_err(system("dup2"))?;
    }
    Ok(())
}

/// Whether it is certain that this process has one thread.
fn is_single_threaded() -> bool {
    // The system refuses this where there are others, and else does nothing.
    // SAFETY: a system call without pointers.
    match Errno::result(unsafe { libc::unshare(libc::CLONE_THREAD) }) {
        Ok(_) => true,
        Err(Errno::EINVAL) => false,
        // Many containers forbid the call.
        Err(_) => fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1),
    }
}

/// Goes by the program's name in lists of processes, and not by `exe`.
fn take_name() {
    let program = env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    // A name that cannot be had is not worth an error.
    _ = CString::new(name.as_bytes()).map(|name| set_name(&name));
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
fn run(socket: &Socket, body: &'static [u8], handles: Vec<OwnedFd>) -> ! {
    note_panics();
    let before = fstat(socket).map(|stat| stat.st_ino);
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
            // Its descriptor may be of something else by now.
            if fstat(socket).map(|stat| stat.st_ino) == before {
                report(socket, &outcome);
            } else {
                eprintln!("the result is lost: the target closed the socket to the parent process");
                code = 1;
            }
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
        Err(error) => report(socket, &Err(Failure::Decode(error.to_string()))),
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
    /// The last panics of this call.
    static PANICS: RefCell<VecDeque<Panic>> = const { RefCell::new(VecDeque::new()) };
}

/// How many panics of a call are kept. It takes more than one, because a target
/// may catch others while the one that ends it is on its way.
const PANICS_KEPT: usize = 8;

/// What the hook was told of a panic.
struct Panic {
    payload: TypeId,
    text: Option<String>,
    location: String,
    /// Its names are looked up only when it is told.
    backtrace: Backtrace,
}

/// Calls an entry; a panic in it becomes a failure.
pub(super) fn call<'a>(
    entry: Entry<'a>,
    input: &'a [u8],
    output: &mut Vec<u8>,
) -> Result<(), Failure> {
    PANICS.take();
    CALLING.set(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| entry(input, output)));
    CALLING.set(false);
    let panics = PANICS.take();
    match outcome {
        Ok(outcome) => outcome.map_err(Failure::from),
        Err(payload) => {
            let failure = panicked(&*payload, panics);
            // To drop it may be to panic again, and again.
            if let Err(next) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                mem::forget(next);
            }
            Err(failure)
        }
    }
}

/// The failure for the panic that ended a call: the last of its panics that had
/// such a payload, since it may have caught others.
fn panicked(payload: &(dyn Any + Send), panics: VecDeque<Panic>) -> Failure {
    let text = text(payload);
    let noted = panics.into_iter().find(|panic| {
        // A text may have become a `String` only after the hook.
        panic.text.as_deref() == text && (text.is_some() || panic.payload == payload.type_id())
    });
    let (location, backtrace) = match noted {
        Some(panic) => (panic.location, panic.backtrace.to_string()),
        // No hook has seen it: `resume_unwind`, or the target's own hook.
        None => ("an unknown place".to_string(), String::new()),
    };
    Failure::Panicked {
        message: text.unwrap_or("a value that is not text").to_string(),
        location,
        backtrace,
    }
}

/// The text of a panic, if it has one.
fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(payload.downcast_ref::<&str>().copied())
}

/// Keeps what a panic in a target says, besides printing it as ever.
fn note_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        print(info);
        if CALLING.get() {
            let location = info.location().map(Location::to_string);
            let panic = Panic {
                payload: info.payload().type_id(),
                text: text(info.payload()).map(str::to_string),
                location: location.unwrap_or("an unknown place".to_string()),
                backtrace: Backtrace::force_capture(),
            };
            PANICS.with_borrow_mut(|panics| {
                panics.truncate(PANICS_KEPT - 1);
                panics.push_front(panic);
            });
        }
    }));
}
