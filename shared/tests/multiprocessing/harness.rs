//! Runs each test in a process of its own, under a watchdog, and checks that the
//! test leaves no process, descriptor, thread, mapping or file behind.
//!
//! The test runner starts this executable again with the environment variable
//! `SHARED_TEST` set to the name of one test. That process is a subreaper
//! (`PR_SET_CHILD_SUBREAPER`): orphans among its descendants become its children,
//! so a process that the test leaves is seen as a child when the test has ended.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use shared::multiprocessing;

/// The variable that names the test or program that a process runs. Its
/// descendants inherit it.
const TEST: &str = "SHARED_TEST";
/// The variable by which all processes of one test are found.
const RUN: &str = "SHARED_TEST_RUN";
/// The variable that tells a process that `shared::multiprocessing` started it
/// as a child.
pub const MARK: &str = "SHARED_MULTIPROCESSING";
/// How long a test may take before the watchdog kills its processes.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Functions with their names.
type Named = &'static [(&'static str, fn())];

/// One module of tests.
pub struct Suite {
    pub name: &'static str,
    pub tests: Named,
    /// What a test runs as a separate program with [`itself`]. A program decides
    /// itself whether to call `init`, and is not checked for what it leaves.
    pub programs: Named,
}

/// Makes a [`Named`] list of functions.
macro_rules! named {
    ($($function:ident),* $(,)?) => {
        &[$((stringify!($function), $function as fn())),*]
    };
}

pub fn main(suites: &[Suite]) -> ExitCode {
    let running = env::var(TEST).ok();
    let all = |select: fn(&Suite) -> Named| {
        suites.iter().flat_map(move |suite| {
            select(suite)
                .iter()
                .map(move |(name, run)| (format!("{}::{name}", suite.name), *run))
        })
    };
    if let Some((_, program)) =
        all(|suite| suite.programs).find(|(name, _)| Some(name) == running.as_ref())
    {
        if env::var_os(MARK).is_none() {
            // The program ends with its test. What ends its children is under
            // test.
            prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
        }
        program();
        return ExitCode::SUCCESS;
    }
    multiprocessing::init();
    if let Some(running) = running {
        let (_, body) = all(|suite| suite.tests)
            .find(|(name, _)| *name == running)
            .unwrap();
        run_and_check(body);
        return ExitCode::SUCCESS;
    }
    let trials = all(|suite| suite.tests)
        .map(|(name, _)| Trial::test(name.clone(), move || run_in_process(&name)))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Runs one test in a process of its own. A failure contains all its output.
fn run_in_process(name: &str) -> Result<(), Failed> {
    let run = format!("{}:{name}", process::id());
    let (mut reader, writer) = io::pipe()?;
    let mut test = itself(name)
        .env(RUN, &run)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;

    let mut output = Vec::new();
    let mut problems = String::new();
    thread::scope(|scope| -> io::Result<()> {
        let (done, ended) = mpsc::channel::<()>();
        let watchdog = scope.spawn(|| match { ended }.recv_timeout(WATCHDOG) {
            Err(RecvTimeoutError::Timeout) => {
                let stacks = stacks(&run);
                kill_all(&run);
                format!("killed by the watchdog after {WATCHDOG:?}, in this state:\n{stacks}")
            }
            _ => String::new(),
        });
        // The output ends when the last process ends that has it open.
        let read = reader.read_to_end(&mut output).and(test.wait());
        drop(done);
        problems.push_str(&watchdog.join().unwrap());
        let status = read?;
        if !status.success() {
            writeln!(problems, "{status}").unwrap();
        }
        Ok(())
    })?;
    let left = stacks(&run);
    if !left.is_empty() {
        kill_all(&run);
        write!(problems, "processes left behind:\n{left}").unwrap();
    }
    match problems.as_str() {
        "" => Ok(()),
        problems => Err(format!("{problems}\n{}", String::from_utf8_lossy(&output)).into()),
    }
}

/// Runs one test's body and checks that it leaves nothing behind.
fn run_and_check(body: fn()) {
    prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
    prctl::set_child_subreaper(true).unwrap();
    let before = resources();
    let (unlimited, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    body();
    setrlimit(Resource::RLIMIT_NOFILE, unlimited, hard).unwrap();
    assert_eq!(
        waitpid(None, Some(WaitPidFlag::WNOHANG)),
        Err(Errno::ECHILD),
        "a child is left"
    );
    // A thread is still listed for a moment after it was joined.
    let left = || resources().difference(&before).cloned().collect::<Vec<_>>();
    within(Duration::from_secs(5), || left().is_empty())
        .unwrap_or_else(|()| panic!("left behind: {:#?}", left()));
}

/// What a test has to release: descriptors, mappings of memfds, threads, and
/// files in `/dev/shm`.
fn resources() -> BTreeSet<String> {
    let listed = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let descriptors = listed("/proc/self/fd")
        .into_iter()
        .filter_map(|path| {
            Some(format!(
                "{} -> {}",
                path.display(),
                path.read_link().ok()?.display()
            ))
        })
        .filter(|line| !line.contains("/proc/"));
    let names = ["/proc/self/task", "/dev/shm"].into_iter().flat_map(listed);
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mappings = maps
        .lines()
        .filter(|line| line.contains("memfd:"))
        .map(str::to_string);
    descriptors
        .chain(names.map(|path| path.display().to_string()))
        .chain(mappings)
        .collect()
}

/// A command that runs this executable with `name`, a test or a program.
pub fn itself(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.env(TEST, name);
    command
}

/// Polls until `happened`. Only for what cannot be waited for as an event.
pub fn within(time: Duration, happened: impl Fn() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + time;
    while !happened() {
        if Instant::now() > deadline {
            return Err(());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Restores a signal's default action, which the process that started this one,
/// or Rust's runtime, may have changed.
pub fn act_by_default(on: Signal) {
    // SAFETY: the default action runs no handler.
    unsafe { signal(on, SigHandler::SigDfl) }.unwrap();
}

/// Waits until every child has ended, including adopted orphans.
pub fn reap_orphans() {
    while waitpid(None, None).is_ok() {}
}

/// What the kernel says of a process or thread in its `stat` file.
pub struct Stat {
    pub state: char,
    pub parent: i32,
}

impl Stat {
    pub fn read(path: &str) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        let mut fields = text.rsplit_once(") ")?.1.split(' ');
        let state = fields.next()?.chars().next()?;
        Some(Stat {
            state,
            parent: fields.next()?.parse().ok()?,
        })
    }
}

/// The IDs of all processes of this machine.
pub fn processes() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The children of a process, without zombies.
pub fn children(parent: u32) -> Vec<i32> {
    let mut all = processes();
    all.retain(|pid| {
        Stat::read(&format!("/proc/{pid}/stat"))
            .is_some_and(|stat| stat.parent == parent as i32 && stat.state != 'Z')
    });
    all
}

/// Whether the process sleeps in a system call.
pub fn is_asleep(pid: u32) -> bool {
    Stat::read(&format!("/proc/{pid}/stat")).is_some_and(|stat| stat.state == 'S')
}

/// Whether SIGSTOP has stopped the process.
pub fn is_stopped(pid: u32) -> bool {
    Stat::read(&format!("/proc/{pid}/stat")).is_some_and(|stat| stat.state == 'T')
}

/// How often the process has begun to sleep or to wait.
pub fn sleeps(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let count = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.unwrap().trim().parse().unwrap()
}

/// Whether the process sleeps on a futex, as it does for a lock or a queue.
pub fn is_waiting(pid: u32) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    call.split(' ').next() == Some(&nix::libc::SYS_futex.to_string())
}

/// How many descriptors this process has open.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many bytes are allocated in all the memfds that this process has open.
pub fn shared_memory() -> u64 {
    memfds()
        .iter()
        .map(|file| file.metadata().unwrap().blocks() * 512)
        .sum()
}

/// The memfds that this process has open, each once.
pub fn memfds() -> Vec<fs::File> {
    let mut seen = BTreeSet::new();
    let links = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    links
        .filter(|path| {
            path.read_link()
                .is_ok_and(|link| link.to_string_lossy().contains("memfd:"))
        })
        .filter(|path| fs::metadata(path).is_ok_and(|metadata| seen.insert(metadata.ino())))
        .map(|path| {
            fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open(path)
                .unwrap()
        })
        .collect()
}

/// The processes of a run.
fn members(run: &str) -> Vec<i32> {
    let mark = format!("{RUN}={run}");
    let mut all = processes();
    all.retain(|pid| {
        fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environ| {
            environ
                .split(|byte| *byte == 0)
                .any(|v| v == mark.as_bytes())
        })
    });
    all
}

/// What every thread of a run is doing, with its stack if gdb is installed.
fn stacks(run: &str) -> String {
    let mut text = String::new();
    for pid in members(run) {
        for task in fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let (stat, syscall) = (read("stat"), read("syscall"));
            let stat = stat.split_inclusive(' ').take(4).collect::<String>();
            writeln!(text, "{stat}in system call {}", syscall.trim()).unwrap();
        }
        let gdb = Command::new("gdb")
            .args([
                "-p",
                &pid.to_string(),
                "-batch",
                "-ex",
                "thread apply all backtrace",
            ])
            .env_remove(RUN)
            .output();
        if let Ok(gdb) = gdb {
            text.push_str(&String::from_utf8_lossy(&gdb.stdout));
        }
    }
    text
}

/// Kills every process of a run.
fn kill_all(run: &str) {
    loop {
        let members = members(run);
        if members.is_empty() {
            return;
        }
        for pid in members {
            // An error means that it has ended already.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Reports that a test is skipped because this machine does not permit what it
/// needs. With `CI=true` that is a failure.
pub fn skip(why: &str) {
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{why}");
    eprintln!("skipped: {why}");
}
