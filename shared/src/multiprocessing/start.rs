//! The start of a child. [`init`] finds out that this process is a child, receives
//! what it is to run, runs it, and reports how that ended.
//!
//! This module stands above all others, because it runs both kinds of children:
//! those of a [`process`](super::process), and the workers of a pool.
//!
//! # What a child does, function by function
//!
//! ```text
//! main
//!   init                     finds the environment variable
//!     find_socket            checks that stdin is the parent's socket
//!     run_child
//!       prepare              makes /dev/null its stdin, receives the start message
//!         die_with_parent    lets the kernel kill this process at the parent's death
//!       run                  decodes the start message, and either
//!         entry::run_entry       finds the entry; makes a failure of a panic
//!           entry::run_target    decodes the arguments; encodes the result
//!             Target::call       calls the target
//!         report                 sends the result or the failure
//!       or
//!         pool::run_worker   runs the tasks of a pool until it is asked to exit
//!       and then exits
//! ```
//!
//! # How a child ends with its parent
//!
//! The invariant: *a child runs its target only while a process holds the parent's
//! end of its socket.* Only the parent holds it, and copies that `fork` makes of
//! the parent; it is closed on `execve`. The kernel closes it when its last holder
//! ends, however that happens, SIGKILL included. So no child outlives its parent,
//! and no thread or signal handler of the parent has to work for that.
//!
//! The steps in order, and what follows if the parent dies after each of them:
//!
//! 1. The parent makes the pair of sockets. *There is no child yet.*
//! 2. The child starts with its end as stdin, and runs `main` up to `init`.
//!    *`find_socket` sees that the other end is closed, and the child exits.*
//! 3. The child waits for the start message. *It receives the end of the stream
//!    instead, and exits.*
//! 4. The child has received the message. *The look in step 6 finds the other end
//!    closed, and the child exits.*
//! 5. `die_with_parent` asks the kernel to send SIGKILL on the next event of the
//!    socket. *The closing is that event, and the kernel kills the child.*
//! 6. `die_with_parent` looks whether the other end was closed before step 5.
//!    *As after step 5.*
//! 7. The child runs its target, and reports. *As after step 5.*
//!
//! Not only the closing would kill the child, but any event of the socket: a message
//! that arrives, or, if the child has found the socket full, room that the parent
//! makes by reading. So the parent sends nothing after the start message, and reads
//! the report only after the child's end.
//!
//! The children of a child end with it in the same way, one generation after the
//! other. A task of a pool may close the socket of its worker. A worker therefore
//! also asks the kernel, by PR_SET_PDEATHSIG, for SIGKILL at its parent's death.
//!
//! The tests `when_the_parent_is_killed_every_descendant_is_gone_within_a_second`
//! and `an_orphan_exits_without_a_message` show it.

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

use super::child::{Purpose, StartMessage};
use super::codec::{decode, encode, provide_handles};
use super::entry::{install_panic_hook, run_entry};
use super::error::{Error, Failure, system};
use super::pool;
use super::role::{CHILD_TEST, CHILD_VARIABLE, RUNS_TARGET, Role, role};
use super::socket::Socket;

/// Call this first in `main`, where Python has `if __name__ == '__main__':` or
/// `freeze_support()`. In a child process it runs the target and never returns.
///
/// In the parent it only records that it was called. Before that no process can be
/// started, because its child would run `main` as well and start a process in its
/// turn, without end. It costs one look into the environment. A test has no `main`:
/// see [`init_tests`](super::init_tests).
///
/// A child knows what it is by the environment variable `SHARED_MULTIPROCESSING`,
/// which names its parent and the socket that its parent has put on its stdin. The
/// variable is removed then, unless the process has other threads already, which
/// might be reading the environment. A program that a child starts may therefore
/// inherit the variable; it sees that another process is its parent, and starts as
/// a parent itself.
///
/// # Exits
/// With a message and code 2, before anything is run, if the variable has a value
/// that no parent writes, or if it names this process's parent, but stdin is not
/// the socket, for example because `main` replaced it before `init`. To go on as a
/// parent might start processes without end.
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
/// With tokio, too, call it before the runtime is built. In the body of
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
    let mut role = role();
    if *role == Role::ChildAmongTests && !RUNS_TARGET.get() {
        drop(role);
        // This is another test, which must not run in a child. The process ends
        // when its target has returned.
        loop {
            thread::park();
        }
    }
    if *role != Role::Unknown {
        return;
    }
    let Some(mark) = env::var_os(CHILD_VARIABLE) else {
        *role = Role::Parent;
        return;
    };
    match find_socket(&mark) {
        Ok(None) => *role = Role::Parent,
        Ok(Some(socket)) => {
            let among_tests = gettid() != getpid() && CHILD_TEST.get().is_none();
            *role = match among_tests {
                false => Role::Child,
                true => Role::ChildAmongTests,
            };
            RUNS_TARGET.set(true);
            drop(role);
            run_child(&socket);
        }
        Err(error) => {
            eprintln!(
                "the environment variable {CHILD_VARIABLE} is set, but this is no child process \
                 of shared::multiprocessing: {error}"
            );
            std::process::exit(2);
        }
    }
}

/// The socket on stdin, if it is the one that the parent made for this process;
/// `None` if the variable was inherited and is meant for another process.
fn find_socket(mark: &OsStr) -> Result<Option<Socket>, Error> {
    let refuse = |why: &str| Err(Error::InvalidInput(why.into()));
    let numbers = mark.to_str().and_then(|mark| mark.split_once(':'));
    let numbers = numbers.and_then(|(inode, pid)| Some((inode.parse().ok()?, pid.parse().ok()?)));
    let Some((inode, parent)): Option<(libc::ino_t, u32)> = numbers else {
        return refuse("its value is not one that a parent writes; unset it");
    };
    let stdin = io::stdin();
    if getsockopt(&stdin, sockopt::SockType).ok() != Some(SockType::SeqPacket)
        || fstat(&stdin).ok().map(|stat| stat.st_ino) != Some(inode)
    {
        return match parent == parent_id() {
            // Inherited from a child, which had another parent.
            false => Ok(None),
            true => refuse(
                "stdin is not the socket that the variable names; call `init` before anything \
                 replaces stdin",
            ),
        };
    }
    let peer = getsockopt(&stdin, sockopt::PeerCredentials).map_err(system("SO_PEERCRED"))?;
    let socket = Socket::from(stdin.as_fd().try_clone_to_owned().map_err(system("dup"))?);
    if peer.pid() != parent_id() as i32 {
        exit_if_orphaned(&socket)?;
        return refuse("the socket on stdin was made by a process that is not the parent");
    }
    match limit_privileges_to(&peer)? {
        true => Ok(Some(socket)),
        false => refuse("the socket on stdin was made by another user"),
    }
}

/// Gives up privileges that the process that made the socket does not have;
/// returns whether this process then has no more than that one.
///
/// This matters if the executable is set-user-ID: then anybody can run it, with a
/// socket of their own on stdin, and it must not run *their* target as another
/// user. A set-user-ID parent may have given up its privileges for a while, and
/// `execve` has given them to the child again.
fn limit_privileges_to(peer: &UnixCredentials) -> Result<bool, Error> {
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

/// All that a child does after it has found its socket.
fn run_child(socket: &Socket) -> ! {
    match prepare(socket) {
        Ok((message, handles)) => run(socket, message.leak(), handles),
        Err(error) => {
            eprintln!("a child process cannot start: {error}");
            report(socket, &Err(Failure::Start(error.to_string())));
            std::process::exit(2);
        }
    }
}

/// Prepares the process for its target (environment, name, stdin), receives the
/// start message and its descriptors, and ties the process's life to its parent's.
fn prepare(socket: &Socket) -> Result<(Vec<u8>, Vec<OwnedFd>), Error> {
    if is_single_threaded() {
        // SAFETY: there is no other thread that could read the environment.
        unsafe { env::remove_var(CHILD_VARIABLE) };
    }
    set_process_name();
    let null = File::open("/dev/null").map_err(system("opening /dev/null"))?;
    dup2_stdin(null).map_err(system("dup2"))?;
    if CHILD_TEST.get().is_some() {
        receive_stdout(socket)?;
    }
    let mut message = Vec::new();
    let handles = receive(socket, &mut message)?;
    die_with_parent(socket)?;
    Ok((message, handles))
}

/// Receives a message. If there is none, the parent is gone, and this process exits
/// without a message, because nobody is left to read one.
fn receive(socket: &Socket, message: &mut Vec<u8>) -> Result<Vec<OwnedFd>, Error> {
    match socket.recv(message, None) {
        Err(Error::Eof) => std::process::exit(1),
        answer => answer,
    }
}

/// Receives the parent's stdout, if it has one. In a test, a child starts with
/// /dev/null instead, because the test harness in it prints lines such as `running 1
/// test` before the target runs.
fn receive_stdout(socket: &Socket) -> Result<(), Error> {
    let stdout = receive(socket, &mut Vec::new())?;
    // What the harness has printed goes where it belongs, to /dev/null.
    _ = io::stdout().flush();
    for stdout in stdout {
        dup2_stdout(stdout).map_err(system("dup2"))?;
    }
    Ok(())
}

/// Whether this process certainly has one thread only.
fn is_single_threaded() -> bool {
    // The kernel refuses this to a process with several threads. To a process with
    // one it does nothing.
    // SAFETY: the call takes no pointers, and changes nothing.
    match Errno::result(unsafe { libc::unshare(libc::CLONE_THREAD) }) {
        Ok(_) => true,
        Err(Errno::EINVAL) => false,
        // Many containers forbid the call.
        Err(_) => fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1),
    }
}

/// Names the process in lists of processes after the program. It would be called
/// `exe` there, after `/proc/self/exe`.
fn set_process_name() {
    let program = env::args_os().next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    // A missing name is not worth an error.
    _ = CString::new(name.as_bytes()).map(|name| set_name(&name));
}

/// Asks the kernel to kill this process when the parent's end is closed: to send a
/// signal on each event on the socket (O_ASYNC), to this process (F_SETOWN), and
/// SIGKILL instead of SIGIO (F_SETSIG).
fn die_with_parent(socket: &Socket) -> Result<(), Error> {
    let fd = socket.as_fd().as_raw_fd();
    let checked = |answer| Errno::result(answer).map(drop).map_err(system("fcntl"));
    // SAFETY: the descriptor is open, and neither command takes a pointer.
    unsafe {
        checked(libc::fcntl(fd, libc::F_SETOWN, std::process::id()))?;
        checked(libc::fcntl(fd, 10 /* F_SETSIG */, libc::SIGKILL))?;
    }
    fcntl(socket, FcntlArg::F_SETFL(OFlag::O_ASYNC | OFlag::O_RDWR)).map_err(system("fcntl"))?;
    // If it was closed before these calls, that is no event any more.
    exit_if_orphaned(socket)
}

/// Exits in silence if the parent's end is closed.
fn exit_if_orphaned(socket: &Socket) -> Result<(), Error> {
    if socket.poll(PollFlags::empty(), Some(Instant::now()))? {
        std::process::exit(1);
    }
    Ok(())
}

/// Does what the start message says, reports, and exits.
fn run(socket: &Socket, message: &'static [u8], handles: Vec<OwnedFd>) -> ! {
    install_panic_hook();
    let mut args = message;
    let mut code = 0;
    let start_message: Result<StartMessage, Error> = decode(&mut args);
    match start_message {
        Ok(StartMessage {
            purpose: Purpose::Process,
            entry,
        }) => {
            let pid = std::process::id();
            let inode = fstat(socket).map(|stat| stat.st_ino);
            let outcome = provide_handles(handles, || run_entry(entry, args));
            code = i32::from(outcome.is_err());
            if std::process::id() != pid {
                // The target called `fork`, and the copy has returned as well. The
                // report is to be that of the target itself.
                eprintln!("a copy of process {pid} made by fork ends where its target returned");
                std::process::exit(1);
            }
            // A target that closed all descriptors may have opened a file with the
            // same number, to which the report must not be written.
            if fstat(socket).map(|stat| stat.st_ino) == inode {
                report(socket, &outcome);
            } else {
                eprintln!("the result is lost: the target closed the socket to the parent process");
                code = 1;
            }
        }
        Ok(StartMessage {
            purpose: Purpose::Worker,
            entry,
        }) => {
            if let Err(error) = pool::run_worker(entry, args, handles) {
                eprintln!("a pool's worker cannot work: {error}");
                code = 1;
            }
        }
        Err(error) => report(socket, &Err(Failure::Decode(error.to_string()))),
    }
    std::process::exit(code)
}

/// Sends the outcome to the parent. If the parent is dead, an error needs no
/// handling, because the kernel kills this process as well.
fn report(socket: &Socket, outcome: &Result<Vec<u8>, Failure>) {
    let mut bytes = Vec::new();
    let sent = encode(outcome, &mut bytes).and_then(|()| socket.send(&bytes, &[]));
    if let Err(error) = sent {
        // A large result needs memory and a memfd. If one of them is not to be had,
        // the reason is sent instead, which needs neither.
        let failure = Failure::Encode(format!("the result: {error}"));
        bytes.clear();
        encode(&Err::<Vec<u8>, _>(failure), &mut bytes).expect("texts can be encoded");
        _ = socket.send(&bytes, &[]);
    }
}
