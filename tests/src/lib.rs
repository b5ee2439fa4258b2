//! Runs an example, in Rust and in Python, against one specification.

#![forbid(unsafe_code)]

mod server;
pub mod specifications;

pub use server::{Server, full_port, page, respond};

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::iter;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{LazyLock, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, killpg};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

/// How long a program may run before the watchdog kills it.
pub const RUN_LIMIT: Duration = Duration::from_secs(60);

/// How long a test may run.
const TEST_LIMIT: Duration = Duration::from_secs(180);

/// How often a quick example runs, to meet different interleavings.
pub const RUNS: usize = 50;

/// How many tests run at a time: most of them sleep.
const THREADS: usize = 8;

/// One of the fourteen, made by [`example!`].
#[derive(Clone, Copy)]
pub struct Example {
    /// Its name, the stem of both files.
    pub name: &'static str,
    /// The Rust program.
    pub rust: &'static str,
    /// The Python program.
    pub python: &'static str,
}

/// Finds an example's two programs. Cargo tells a binary's place only to the
/// tests of its own package, so this has to be a macro.
#[macro_export]
macro_rules! example {
    ($name:literal) => {
        $crate::Example {
            name: $name,
            rust: env!(concat!("CARGO_BIN_EXE_", $name)),
            python: concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/", $name, ".py"),
        }
    };
}

impl Example {
    /// The text of its Rust file.
    pub fn source(&self) -> String {
        fs::read_to_string(Path::new(self.python).with_extension("rs")).unwrap()
    }
}

/// What a program is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// The example.
    Rust,
    /// Its counterpart.
    Python,
}

/// An example in one of its languages.
#[derive(Clone, Copy)]
pub struct Program {
    /// The language.
    pub language: Language,
    example: Example,
}

impl Program {
    /// Its file.
    pub fn path(&self) -> &'static str {
        match self.language {
            Language::Rust => self.example.rust,
            Language::Python => self.example.python,
        }
    }

    /// The command that runs it.
    pub fn command(&self) -> Command {
        let mut command = match self.language {
            Language::Rust => return command(self.path()),
            Language::Python => python(),
        };
        command.arg(self.path());
        command
    }

    /// Runs it without arguments.
    pub fn run(&self) -> Run {
        run(&mut self.command())
    }

    /// Runs it often enough to meet different interleavings. Each run has to
    /// keep to the specification.
    pub fn keeps_to(&self, specification: fn(Run)) {
        for _ in 0..RUNS {
            specification(self.run());
        }
    }
}

/// A command without what the caller's environment would change in an example.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    for name in [
        "PYTHONUNBUFFERED",
        "RUST_BACKTRACE",
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
    ] {
        command.env_remove(name);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Python 3.11 or newer, for those tests that need it.
pub fn python() -> Command {
    command(PYTHON.as_deref().expect("python3"))
}

/// A Python script that lies beside the tests.
pub fn script(name: &str) -> Command {
    let mut command = python();
    command.arg(format!("{}/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// The interpreter itself: what is called `python3` may be a script that looks
/// for one at each call.
static PYTHON: LazyLock<Option<String>> = LazyLock::new(|| {
    let code = "import sys; assert sys.version_info >= (3, 11); print(sys.executable)";
    ask_python("python3", code)
});

static AIOHTTP: LazyLock<bool> = LazyLock::new(|| {
    let python = PYTHON.as_deref();
    python.is_some_and(|python| ask_python(python, "import aiohttp").is_some())
});

/// What a Python program needs and is not here.
pub fn missing(needs_aiohttp: bool) -> Option<&'static str> {
    match *PYTHON {
        None => Some("no python3 of version 3.11 or newer"),
        Some(_) if needs_aiohttp && !*AIOHTTP => Some("python3 has no aiohttp"),
        Some(_) => None,
    }
}

fn ask_python(python: &str, code: &str) -> Option<String> {
    let output = command(python).args(["-c", code]).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_string())
}

/// The tests of one section.
pub struct Suite {
    tests: Vec<Trial>,
    /// How long each test that is added from here on may run.
    pub limit: Duration,
    /// Whether the tests added from here on run only if `--ignored` asks for it.
    pub on_request: bool,
}

impl Default for Suite {
    fn default() -> Self {
        Self::new()
    }
}

impl Suite {
    /// An empty suite. From here on the process adopts what its descendants
    /// leave behind.
    pub fn new() -> Self {
        set_child_subreaper(true).unwrap();
        Self {
            tests: Vec::new(),
            limit: TEST_LIMIT,
            on_request: false,
        }
    }

    /// Adds a test.
    pub fn test(&mut self, name: impl Into<String>, test: impl FnOnce() + Send + 'static) {
        self.add(name.into(), || None, test);
    }

    /// Adds a test that needs Python, and aiohttp if its name begins with
    /// `fetch`. Where that is missing it is skipped, but fails if `CI=true`.
    pub fn python_test(&mut self, name: impl Into<String>, test: impl FnOnce() + Send + 'static) {
        let name = name.into();
        let needs_aiohttp = name.starts_with("fetch");
        self.add(name, move || missing(needs_aiohttp), test);
    }

    /// Adds one test for each language: the program keeps to `specification`.
    pub fn prove(
        &mut self,
        example: Example,
        what: &str,
        specification: impl Fn(Program) + Clone + Send + 'static,
    ) {
        let name = example.name;
        let rust = Program {
            language: Language::Rust,
            example,
        };
        let python = Program {
            language: Language::Python,
            example,
        };
        let check = specification.clone();
        self.test(format!("{name}.rs {what}"), move || check(rust));
        self.python_test(format!("{name}.py {what}"), move || specification(python));
    }

    fn add(
        &mut self,
        name: String,
        missing: impl FnOnce() -> Option<&'static str> + Send + 'static,
        test: impl FnOnce() + Send + 'static,
    ) {
        let limit = self.limit;
        let test = Trial::ignorable_test(name.clone(), move || match missing() {
            None => watch(name, limit, test).map(|()| Completion::Completed),
            Some(missing) if env::var("CI").is_ok_and(|ci| ci == "true") => Err(missing.into()),
            Some(missing) => Ok(Completion::ignored_with(missing)),
        });
        self.tests.push(test.with_ignored_flag(self.on_request));
    }

    /// Runs the tests that the command line asks for.
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert(THREADS);
        let conclusion = libtest_mimic::run(&arguments, self.tests);

        // A test that took too long may have left a program running.
        for group in mem::take(&mut *RUNNING.lock().unwrap()) {
            let _ = killpg(group, Signal::SIGKILL);
        }
        let left = waitpid(None, Some(WaitPidFlag::WNOHANG));
        if !conclusion.has_failed() && left != Err(Errno::ECHILD) {
            eprintln!("a test has left a process behind: {left:?}");
            return ExitCode::FAILURE;
        }
        conclusion.exit_code()
    }
}

/// Runs a test in a thread that bears its name. One that takes too long fails.
fn watch(
    name: String,
    limit: Duration,
    test: impl FnOnce() + Send + 'static,
) -> Result<(), Failed> {
    let (done, news) = mpsc::channel::<()>();
    let test = thread::Builder::new().name(name).spawn(move || {
        let _done = done;
        test();
    })?;
    if news.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
        return Err(format!("still running after {limit:?}").into());
    }
    test.join().unwrap_or_else(|panic| resume_unwind(panic));
    Ok(())
}

/// A program that has ended. While a test panics, it tells all of it.
#[derive(Clone)]
pub struct Run {
    /// What was run.
    pub command: String,
    /// Its process.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// When each line came, since the start.
    pub times: Vec<Duration>,
    /// What it complained of.
    pub stderr: String,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it had child processes.
    pub forked: bool,
    /// How many processes it did not wait for.
    pub orphans: u32,
    /// Whether it was Python that ran.
    pub is_python: bool,
}

impl Run {
    /// What it printed, by lines, each of which is whole.
    pub fn lines(&self) -> Vec<&str> {
        assert!(self.stdout.ends_with('\n'), "the last line is not ended");
        self.stdout.lines().collect()
    }

    /// Checks that it ended well: status 0, no complaint, no process left.
    pub fn succeeded(self) -> Self {
        assert!(self.status.success());
        assert_eq!(self.stderr, "");
        self.leaves_no_process();
        self
    }

    /// Checks that it has waited for each of its processes. Python need not:
    /// from 3.14 on, its fork server ends after it.
    pub fn leaves_no_process(&self) {
        assert!(
            self.orphans == 0 || self.is_python,
            "a process is left behind"
        );
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "--- {}", self.command)?;
        writeln!(f, "--- {}, after {:?}", self.status, self.elapsed)?;
        writeln!(f, "--- stdout\n{}", self.stdout)?;
        writeln!(f, "--- stderr\n{}", self.stderr)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if thread::panicking() {
            eprint!("{self}");
        }
    }
}

/// Waits for a process to end. The page faults of children that it has waited
/// for are told as long as it has not been waited for itself.
fn has_waited_for_children(pid: u32) -> bool {
    let ended = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
    waitid(Id::Pid(Pid::from_raw(pid as i32)), ended).unwrap();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.split(' ').nth(8) != Some("0")
}

/// The five lines of a pattern, with 0 to 4 in the place of `#`.
pub fn numbered(pattern: &str) -> [String; 5] {
    [0, 1, 2, 3, 4].map(|i| pattern.replace('#', &i.to_string()))
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Run {
    Running::start(command, RUN_LIMIT).finish()
}

/// A new terminal: the end that reads what was printed, and the end to print to.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let reader = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&reader)?;
    unlockpt(&reader)?;
    let writer = File::options()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(ptsname_r(&reader)?)?;
    // Otherwise a carriage return would come before each line feed.
    let mut settings = tcgetattr(&writer)?;
    cfmakeraw(&mut settings);
    tcsetattr(&writer, SetArg::TCSANOW, &settings)?;
    Ok((reader.into(), writer.into()))
}

/// The process groups of the programs that run.
static RUNNING: Mutex<BTreeSet<Pid>> = Mutex::new(BTreeSet::new());

/// A program that runs, in a process group of its own. Whoever drops it before
/// its end, or waits for longer than the limit, kills the group.
pub struct Running {
    command: String,
    is_python: bool,
    child: Child,
    stdout: BufReader<File>,
    read: String,
    times: Vec<Duration>,
    /// When the latest bytes came. Lines that come together have one time.
    arrived: Duration,
    stderr: JoinHandle<String>,
    started: Instant,
    finished: Sender<()>,
    watchdog: JoinHandle<bool>,
}

impl Running {
    /// Starts a program.
    pub fn start(command: &mut Command, limit: Duration) -> Self {
        let (reader, writer) = io::pipe().unwrap();
        Self::start_with(command, limit, reader.into(), writer.into())
    }

    /// Starts a program that prints to a terminal, so that each of its lines
    /// comes when it is printed.
    pub fn start_in_terminal(command: &mut Command, limit: Duration) -> Self {
        let (reader, writer) = terminal().unwrap();
        Self::start_with(command, limit, reader, writer)
    }

    fn start_with(
        command: &mut Command,
        limit: Duration,
        stdout: OwnedFd,
        writer: OwnedFd,
    ) -> Self {
        let started = Instant::now();
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        // The command keeps the writing end, without which no end would come.
        command.stdout(Stdio::null());
        let group = Pid::from_raw(child.id() as i32);
        RUNNING.lock().unwrap().insert(group);
        let stdout = BufReader::new(File::from(stdout));
        let mut stderr = child.stderr.take().unwrap();
        let (finished, news) = mpsc::channel();
        Self {
            command: format!(
                "{:?}",
                iter::once(command.get_program())
                    .chain(command.get_args())
                    .collect::<Vec<_>>()
            ),
            is_python: Some(command.get_program()) == PYTHON.as_deref().map(OsStr::new),
            child,
            stdout,
            read: String::new(),
            times: Vec::new(),
            arrived: Duration::ZERO,
            stderr: thread::spawn(move || {
                let mut text = Vec::new();
                stderr.read_to_end(&mut text).unwrap();
                String::from_utf8_lossy(&text).into_owned()
            }),
            started,
            finished,
            watchdog: thread::spawn(move || {
                let late = news.recv_timeout(limit).is_err();
                if late {
                    let _ = killpg(group, Signal::SIGKILL);
                }
                RUNNING.lock().unwrap().remove(&group);
                late
            }),
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for it to print this line.
    pub fn wait_for_line(&mut self, line: &str) {
        while !self.read.ends_with(&format!("{line}\n")) {
            assert!(self.read_line(), "no line {line:?} in {:?}", self.read);
        }
    }

    /// Reads a line and notes when it came. Returns whether there was one.
    fn read_line(&mut self) -> bool {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            if self.stdout.buffer().is_empty() {
                match self.stdout.fill_buf() {
                    Ok([]) => break,
                    Ok(_) => self.arrived = self.started.elapsed(),
                    // The end of a terminal that no process has open any more.
                    Err(error) if error.raw_os_error() == Some(Errno::EIO as i32) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let buffer = self.stdout.buffer();
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(buffer.len(), |end| end + 1);
            line.extend_from_slice(&buffer[..count]);
            self.stdout.consume(count);
        }
        if line.is_empty() {
            return false;
        }
        self.times.push(self.arrived);
        self.read += &String::from_utf8_lossy(&line);
        true
    }

    /// Waits for it and for every process that it has left behind to end.
    pub fn finish(mut self) -> Run {
        while self.read_line() {}
        let pid = self.child.id();
        let has_waited = has_waited_for_children(pid);
        let status = self.child.wait().unwrap();
        let elapsed = self.started.elapsed();

        // What nobody waited for is a child of this process now.
        let mut orphans = 0;
        loop {
            match waitpid(Pid::from_raw(-(pid as i32)), None) {
                Ok(_) => orphans += 1,
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }

        let _ = self.finished.send(());
        let late = self.watchdog.join().unwrap();
        let run = Run {
            command: self.command,
            pid,
            status,
            stdout: self.read,
            times: self.times,
            stderr: self.stderr.join().unwrap(),
            elapsed,
            forked: has_waited || orphans > 0,
            orphans,
            is_python: self.is_python,
        };
        assert!(!late, "killed by the watchdog");
        run
    }
}
