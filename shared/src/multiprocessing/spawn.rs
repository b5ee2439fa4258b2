//! Runs this program again, as `posix_spawn` would: the child shares this
//! process's memory until it runs the program, so that a large process starts
//! one as quickly as a small one.
//!
//! The standard library's `Command` leaves three things to be desired. A child
//! would inherit each descriptor that is not close-on-exec, which Python
//! closes; a signal that this thread blocks, so that `terminate` did nothing;
//! and it is known by its number alone, which may be another process's by the
//! time that a descriptor is opened for it.

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

/// What running it fails with, which is most often that it is not there.
const RUNNING: &str = "running /proc/self/exe (is /proc mounted?)";

/// What the child gets.
pub(super) struct Program<'a> {
    pub(super) args: Vec<CString>,
    pub(super) env: Vec<CString>,
    pub(super) stdin: BorrowedFd<'a>,
    /// Its own output, if it is not to be this process's.
    pub(super) stdout: Option<BorrowedFd<'a>>,
}

/// Starts the program; returns the child's number and its descriptor.
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
    // A handler of this process must not run in the child, which would be in
    // this process's memory.
    let mask = block_signals()?;
    // SAFETY: the stack is the child's alone, and the plan outlives its use:
    // with CLONE_VFORK this thread sleeps until the child runs the program or
    // has ended. What the child does until then is said at `child`.
    let pid = Errno::result(unsafe {
        libc::clone(child, stack.top(), flags, plan.cast(), &raw mut pidfd)
    });
    restore_signals(&mask);
    let pid = pid.map_err(system("clone"))?;
    // SAFETY: the kernel has just opened it for us. It closes on exec.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    // SAFETY: the child does not use the plan any more.
    match unsafe { (*plan).failure } {
        None => Ok((pid as u32, pidfd)),
        Some((call, errno)) => {
            // Something else may have collected it, which does no harm.
            _ = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED);
            Err(system(call)(errno))
        }
    }
}

/// What the child needs to know, prepared because it must not allocate.
struct Plan<'a> {
    args: *const *const c_char,
    env: *const *const c_char,
    stdin: RawFd,
    stdout: Option<RawFd>,
    close: Close<'a>,
    /// Why the program does not run.
    failure: Option<(&'static str, Errno)>,
}

/// How the child closes what it was not given.
enum Close<'a> {
    Range,
    /// These were open; the kernel is older than 5.9 or forbids the call.
    Listed(&'a [RawFd]),
}

/// The child until it runs the program. It shares this process's memory and may
/// have come while other threads hold locks, so it makes system calls, writes
/// to the plan, and does nothing else: no allocation, no panic.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `spawn` gave the address of a plan that nobody else uses now.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    plan.failure = Some(run(plan));
    127
}

/// Runs the program; returns only what failed.
fn run(plan: &Plan<'_>) -> (&'static str, Errno) {
    reset_signal_handlers();
    let streams = [(Some(plan.stdin), 0), (plan.stdout, 1)];
    for (from, to) in streams {
        if let Some(from) = from
            && let Err(errno) = becomes(from, to)
        {
            return ("dup2", errno);
        }
    }
    match plan.close {
        Close::Range => _ = close_range(3, libc::c_uint::MAX),
        Close::Listed(fds) => fds.iter().filter(|fd| **fd > 2).for_each(|fd| {
            // SAFETY: the child's table of descriptors is its own, and it needs
            // no more of them.
            unsafe { libc::close(*fd) };
        }),
    }
    restore_signals(&SigSet::empty());
    // SAFETY: the pointers lead to texts that end with a zero, and the lists of
    // them end with a null pointer.
    unsafe { libc::execve(PROGRAM.as_ptr(), plan.args, plan.env) };
    (RUNNING, Errno::last())
}

/// Makes `to` the same as `from`, and open in the program that will run.
fn becomes(from: RawFd, to: RawFd) -> Result<(), Errno> {
    // SAFETY: the child's table of descriptors is its own.
    Errno::result(unsafe {
        if from == to {
            libc::fcntl(to, libc::F_SETFD, 0)
        } else {
            libc::dup2(from, to)
        }
    })
    .map(drop)
}

/// Undoes what would be wrong in the program: handlers, which are of the memory
/// that the child leaves, and, as `Command` does, what Rust's runtime did to
/// SIGPIPE. What else is ignored stays so, as SIGHUP under nohup, but for
/// SIGTERM, because `terminate` has to end the process.
fn reset_signal_handlers() {
    for signal in 1..=SIGNALS {
        // SAFETY: zeroes are a valid action, the default one, and the kernel
        // writes to the other one. Numbers that it does not know it refuses.
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

/// It cannot fail: `block_signals` did not.
fn restore_signals(mask: &SigSet) {
    _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(mask), None);
}

/// Returns whether the system has done so.
fn close_range(first: libc::c_uint, last: libc::c_uint) -> bool {
    // SAFETY: called for descriptors that cannot exist, or in the child, whose
    // table is its own.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// Whether the system has `close_range`, found out once with no descriptor.
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

fn pointers(texts: &[CString]) -> Vec<*const c_char> {
    let texts = texts.iter().map(|text| text.as_ptr());
    texts.chain([ptr::null()]).collect()
}

/// The child's stack until it runs the program.
struct Stack(*mut u8);

impl Stack {
    /// Far more than system calls need, even unoptimised.
    const LAYOUT: Layout = match Layout::from_size_align(32 * 1024, 16) {
        Ok(layout) => layout,
        Err(_) => panic!("the alignment is a power of two"),
    };

    fn new() -> Result<Self, Error> {
        // SAFETY: the layout has a size.
        let start = unsafe { alloc(Self::LAYOUT) };
        if start.is_null() {
            return Err(system("malloc")(Errno::ENOMEM));
        }
        Ok(Stack(start))
    }

    /// Stacks grow downwards.
    fn top(&self) -> *mut c_void {
        // SAFETY: this is the end of what was allocated.
        unsafe { self.0.add(Self::LAYOUT.size()).cast() }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it was allocated so, and the child has left it.
        unsafe { dealloc(self.0, Self::LAYOUT) };
    }
}
