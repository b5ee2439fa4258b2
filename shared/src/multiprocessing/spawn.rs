//! Runs this executable again.
//!
//! This works as `posix_spawn` does: the child shares this process's memory until
//! it calls `execve`, so that a large process starts a child as quickly as a small
//! one. The standard library's `Command` does not serve, for three reasons:
//!
//! - Its children inherit each descriptor that is not close-on-exec. Python closes
//!   them.
//! - Its children start with the signals blocked that the starting thread blocks,
//!   so that `terminate` might do nothing.
//! - It returns a PID, and no pidfd on stable Rust. If other code reaped the child
//!   before a pidfd was opened, the PID, and so the pidfd, might be another process's.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::{fs, ptr};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use nix::sys::wait::{Id, WaitPidFlag, waitid};

use super::error::{Error, system};

/// This program: the same file, even if another one has taken its name.
const PROGRAM: &CStr = c"/proc/self/exe";

/// Names the failed `execve`; the usual cause is that the file is not there.
const EXECVE: &str = "running /proc/self/exe (is /proc mounted?)";

/// What the child starts with.
pub(super) struct Program<'a> {
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) stdin: BorrowedFd<'a>,
    /// `None` for this process's own.
    pub(super) stdout: Option<BorrowedFd<'a>>,
}

/// Starts the program; returns the child's PID and pidfd.
pub(super) fn spawn(program: &Program<'_>) -> Result<(u32, OwnedFd), Error> {
    let args = pointers(&program.args);
    let env = pointers(&program.env);
    let listed;
    let close = if can_close_range() {
        Close::Range
    } else {
        listed = open_descriptors()?;
        Close::Listed(&listed)
    };
    let mut plan = Plan {
        args: args.as_ptr(),
        env: env.as_ptr(),
        stdin: program.stdin.as_raw_fd(),
        stdout: program.stdout.map(|fd| fd.as_raw_fd()),
        close,
        failure: None,
    };
    let stack = Stack::new()?;
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let plan: *mut Plan<'_> = &mut plan;
    // No signal handler may run in the child, because it would change this
    // process's memory.
    let mask = block_signals()?;
    // SAFETY: the stack is the child's alone, and stack, plan and arguments outlive
    // their use, because with CLONE_VFORK this thread sleeps until the child has
    // called `execve` or has ended. `child_main` does nothing before that which
    // would be wrong in memory that it shares.
    let pid = Errno::result(unsafe {
        libc::clone(child_main, stack.top(), flags, plan.cast(), &raw mut pidfd)
    });
    restore_signals(&mask);
    let pid = pid.map_err(system("clone"))?;
    // SAFETY: the kernel has just opened it, and nothing else knows it. It is
    // close-on-exec.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: the plan is alive, and the child does not use it any more.
    match unsafe { (*plan).failure } {
        None => Ok((pid as u32, pidfd)),
        Some((call, errno)) => {
            // Reaps the child. It does no harm if other code has done so already.
            _ = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED);
            Err(system(call)(errno))
        }
    }
}

/// What the child is to do. All of it is prepared in the parent, because the child
/// must not allocate.
struct Plan<'a> {
    args: *const *const c_char,
    env: *const *const c_char,
    stdin: RawFd,
    stdout: Option<RawFd>,
    close: Close<'a>,
    /// Set by the child: which call failed, and how.
    failure: Option<(&'static str, Errno)>,
}

/// How the child closes the descriptors other than stdin, stdout and stderr.
enum Close<'a> {
    /// By `close_range`.
    Range,
    /// One by one, because the kernel is older than 5.9 or forbids the call. These
    /// were open in the parent.
    Listed(&'a [RawFd]),
}

/// What the child does until it runs the program. It shares the parent's memory,
/// and other threads of the parent may hold locks, so it only makes system calls
/// and writes to the plan. It does not allocate and does not panic.
extern "C" fn child_main(plan: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes the address of a plan that nothing else uses now.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.failure = Some(execute(plan));
    127
}

/// Runs the program. It returns only if something failed: which call, and how.
fn execute(plan: &Plan<'_>) -> (&'static str, Errno) {
    reset_signal_handlers();
    let streams = [(Some(plan.stdin), 0), (plan.stdout, 1)];
    for (from, to) in streams {
        if let Some(from) = from
            && let Err(errno) = duplicate(from, to)
        {
            return ("dup2", errno);
        }
    }
    match plan.close {
        Close::Range => _ = close_range(3, libc::c_uint::MAX),
        Close::Listed(fds) => fds.iter().filter(|fd| **fd > 2).for_each(|fd| {
            // SAFETY: the child has its own table of descriptors, and uses none
            // of these.
            unsafe { libc::close(*fd) };
        }),
    }
    restore_signals(&SigSet::empty());
    // SAFETY: the pointers lead to strings that end with a zero byte, and the
    // lists of them end with a null pointer.
    unsafe { libc::execve(PROGRAM.as_ptr(), plan.args, plan.env) };
    (EXECVE, Errno::last())
}

/// Makes `to` a duplicate of `from` that stays open in the program.
fn duplicate(from: RawFd, to: RawFd) -> Result<(), Errno> {
    // SAFETY: the child has its own table of descriptors.
    Errno::result(unsafe {
        if from == to {
            libc::fcntl(to, libc::F_SETFD, 0)
        } else {
            libc::dup2(from, to)
        }
    })
    .map(drop)
}

/// Gives each signal that has a handler its default action, because the signals
/// are unblocked before `execve`, and no handler may run in this memory. A signal
/// that is ignored, such as SIGHUP under nohup, stays ignored, except for two:
/// SIGPIPE, which Rust's runtime ignores, and which `Command` resets as well, and
/// SIGTERM, because `terminate` has to end the process.
fn reset_signal_handlers() {
    for signal in 1..=SIGNALS {
        // SAFETY: zeroes are a valid `sigaction`, the default one. The pointers
        // lead to such values or are null, which is allowed. A number that is no
        // signal is an error.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &raw mut action) == 0
                && action.sa_sigaction != libc::SIG_DFL
                && (action.sa_sigaction != libc::SIG_IGN
                    || [libc::SIGTERM, libc::SIGPIPE].contains(&signal))
            {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(signal, &raw const default, ptr::null_mut());
            }
        }
    }
}

/// How many signals Linux has.
const SIGNALS: c_int = 64;

fn block_signals() -> Result<SigSet, Error> {
    let mut before = SigSet::empty();
    pthread_sigmask(
        SigmaskHow::SIG_SETMASK,
        Some(&SigSet::all()),
        Some(&mut before),
    )
    .map_err(system("sigprocmask"))?;
    Ok(before)
}

/// Sets the mask. It cannot fail, because `block_signals` did not.
fn restore_signals(mask: &SigSet) {
    _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
}

/// Closes these descriptors; returns whether the kernel has done so.
fn close_range(first: libc::c_uint, last: libc::c_uint) -> bool {
    // SAFETY: this is called in the child, which has its own table of
    // descriptors, or for descriptors that cannot exist.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// Whether the kernel has `close_range` and allows it; tried once, on descriptors
/// that cannot exist.
fn can_close_range() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| close_range(libc::c_uint::MAX, libc::c_uint::MAX))
}

fn open_descriptors() -> Result<Vec<RawFd>, Error> {
    let listed = fs::read_dir("/proc/self/fd").map_err(system("reading /proc/self/fd"))?;
    let names = listed.flatten().map(|entry| entry.file_name());
    Ok(names
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect())
}

/// The list that `execve` takes: pointers, with a null pointer at the end.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let strings = strings.iter().map(|string| string.as_ptr());
    strings.chain([ptr::null()]).collect()
}

/// The stack on which the child runs until it calls `execve`.
struct Stack(*mut u8);

impl Stack {
    /// Far more than the system calls need, even in an unoptimised build.
    const LAYOUT: Layout = match Layout::from_size_align(32 * 1024, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("the alignment is a power of two"),
    };

    fn new() -> Result<Self, Error> {
        // SAFETY: the layout's size is not zero.
        let start = unsafe { alloc(Self::LAYOUT) };
        if start.is_null() {
            return Err(system("malloc")(Errno::ENOMEM));
        }
        Ok(Stack(start))
    }

    /// Where the child starts, because stacks grow downwards.
    fn top(&self) -> *mut c_void {
        // SAFETY: this is the end of the allocation.
        unsafe { self.0.add(Self::LAYOUT.size()).cast() }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout, and the child has left it.
        unsafe { dealloc(self.0, Self::LAYOUT) };
    }
}
