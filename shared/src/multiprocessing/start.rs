//! The start of a child: `init` finds out that this process is one, receives
//! what it is to run, runs it, and reports how that ended.
//!
//! The socket on which it is told is also what ties it to its parent: when the
//! parent is gone, the kernel kills the child, whatever it is doing.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::Instant;
use std::{env, fs, io, thread};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::poll::PollFlags;
use nix::sys::prctl::set_name;
use nix::sys::socket::{SockType, UnixCredentials, getsockopt, sockopt};
use nix::sys::stat::fstat;
use nix::unistd::{
    dup2_stdin, dup2_stdout, getegid, geteuid, getgid, getpid, gettid, getuid, setresgid, setresuid,
};

use super::codec::{decode, encode, from_handles};
use super::entry::{install_panic_hook, run_entry};
use super::error::{Error, Failure, system};
use super::pool;
use super::role::{CHILD_TEST, CHILD_VARIABLE, RUNS_TARGET, Role, StartMessage, State, state};
use super::socket::Socket;

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
    let Some(mark) = env::var_os(CHILD_VARIABLE) else {
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
            eprintln!("{CHILD_VARIABLE} is set, but this is no child process: {error}");
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
        unsafe { env::remove_var(CHILD_VARIABLE) };
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
    install_panic_hook();
    let before = fstat(socket).map(|stat| stat.st_ino);
    let pid = std::process::id();
    let mut rest = body;
    let mut code = 0;
    let start_message: Result<StartMessage, Error> = decode(&mut rest);
    match start_message {
        Ok(StartMessage {
            role: Role::Process,
            entry,
        }) => {
            let outcome = from_handles(handles, || run_entry(entry, rest));
            code = i32::from(outcome.is_err());
            if std::process::id() != pid {
                // The answer is the target's, and not that of a copy which
                // `fork` made of it and which returned as well.
                eprintln!("a copy of process {pid} made by fork ends where its target returned");
                std::process::exit(1);
            }
            // Its descriptor may be of something else by now.
            if fstat(socket).map(|stat| stat.st_ino) == before {
                report(socket, &outcome);
            } else {
                eprintln!("the result is lost: the target closed the socket to the parent process");
                code = 1;
            }
        }
        Ok(StartMessage {
            role: Role::Worker,
            entry,
        }) => {
            if let Err(error) = pool::work(entry, rest, handles) {
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
    let sent = encode(outcome, &mut bytes).and_then(|()| socket.send(&bytes, &[]));
    if let Err(error) = sent {
        // A large result needs memory and a file in memory; the reason why they
        // cannot be had does not.
        let failure = Failure::Encode(format!("the result: {error}"));
        bytes.clear();
        encode(&Err::<Vec<u8>, _>(failure), &mut bytes).expect("texts can be encoded");
        _ = socket.send(&bytes, &[]);
    }
}
