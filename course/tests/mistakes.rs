//! The mistakes that the pages show compile without a warning and go wrong in
//! every run. What they print is recorded by
//! `cargo test -p course --test mistakes -- --ignored record`.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use course::example::Example;
use course::mistakes::{self, Mistake};
use course::programs::{self, Built};
use course::root;

/// How often each mistake is run.
const RUNS: usize = 3;

/// How long a program may take to its first line or to its end.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a program that never ends prints nothing. Between two lines, the
/// mistakes pause for a hundredth of a second at most.
const SILENCE: Duration = Duration::from_secs(2);

static MISTAKES: LazyLock<Vec<Mistake>> = LazyLock::new(|| mistakes::read().unwrap());

/// All of them are built once, for all tests.
static BUILT: LazyLock<Vec<Built>> = LazyLock::new(|| mistakes::build(&MISTAKES).unwrap());

/// A run of a program.
#[derive(Debug)]
struct Run {
    /// What it printed, line by line.
    lines: Vec<String>,
    /// What it printed to standard error.
    stderr: String,
    /// Its exit code, or `None` if it went silent and was killed.
    exit_code: Option<i32>,
}

impl Run {
    fn new(program: &Path, never_ends: bool) -> Run {
        let mut child = Command::new(program)
            .env_remove("RUST_BACKTRACE")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        // Closed when the program and its child processes have ended.
        let (sender, printed) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            for line in stdout.lines() {
                let _ = sender.send(line.unwrap());
            }
        });

        let mut lines = Vec::new();
        let is_killed = loop {
            let wait = if never_ends && !lines.is_empty() {
                SILENCE
            } else {
                LIMIT
            };
            match printed.recv_timeout(wait) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break false,
                Err(RecvTimeoutError::Timeout) => {
                    child.kill().unwrap();
                    break true;
                }
            }
        };
        let status = child.wait().unwrap();
        assert!(
            never_ends || !is_killed,
            "{program:?} goes on after {LIMIT:?}: {lines:?}"
        );
        Run {
            lines,
            stderr: stderr.join().unwrap(),
            exit_code: if is_killed { None } else { status.code() },
        }
    }

    /// Its lines in alphabetical order, because several threads or processes
    /// have printed them.
    fn sorted(&self) -> Vec<&str> {
        let mut lines: Vec<_> = self.lines.iter().map(String::as_str).collect();
        lines.sort_unstable();
        lines
    }

    /// The number before ` of ` in its only line, and the number after it.
    fn count(&self) -> (u32, u32) {
        let [line] = &self.lines[..] else {
            panic!("not one line: {self:?}");
        };
        let numbers: Vec<_> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [count, all] = numbers[..] else {
            panic!("not two numbers: {line}");
        };
        (count, all)
    }
}

/// The lines of `stdout` in alphabetical order, with a `#` for each number.
fn shape(stdout: &str) -> Vec<String> {
    let masked = |line: &str| {
        let words = line.split(' ').map(|word| match word.parse::<u32>() {
            Ok(_) => "#",
            Err(_) => word,
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<_> = stdout.lines().map(masked).collect();
    lines.sort_unstable();
    lines
}

/// `pattern` with each of `numbers` in the place of `#`.
fn each<const N: usize>(numbers: [i32; N], pattern: &str) -> [String; N] {
    numbers.map(|number| pattern.replace('#', &number.to_string()))
}

/// Checks that a run of a mistake has gone wrong in the way its page says.
fn check(mistake: &Mistake, run: &Run) {
    let name = format!("{}/{}", mistake.page, mistake.name);
    assert_eq!(run.exit_code, mistake.exit_code, "{name}: {run:?}");
    if let Some(words) = &mistake.words {
        assert!(run.stderr.contains(words), "{name}: {run:?}");
    }
    let lines = &run.lines;
    match (&*mistake.page, &*mistake.name) {
        ("process", "global") => {
            let mut counted = each([0, 1, 2, 3, 4], "Worker # has counted to #").to_vec();
            counted.insert(0, "All processes have counted to 0".to_string());
            assert_eq!(run.sorted(), counted);
        }
        ("pool", "set_in_main") => assert_eq!(*lines, ["[1, 2, 3, 4, 5]"]),
        ("process", "no_init") => assert!(lines.is_empty()),
        ("pool", "in_tokio_main" | "exit_in_task") => assert!(lines.is_empty()),
        ("shared_memory", "locked_twice") => assert!(lines.is_empty()),
        ("shared_memory", "get_then_set") => {
            let (count, all) = run.count();
            assert!(count < all);
        }
        ("process_queue", "no_end") => {
            let all = [
                each([0, 1, 2, 3, 4], "Produced #"),
                each([0, 1, 2, 3, 4], "Consumed #"),
            ];
            assert_eq!(*lines, all.concat());
        }
        ("thread", "not_joined") => assert_eq!(*lines, ["All threads have started."]),
        ("thread", "ignored_join") => {
            let mut printed = each([0, 1, 2, 4], "Worker # is running").to_vec();
            printed.insert(0, "All threads have finished.".to_string());
            assert_eq!(run.sorted(), printed);
            assert!(run.stderr.contains("worker 3 fails"));
        }
        ("thread_pool", "static_executor" | "result_not_read") => {
            assert_eq!(*lines, ["All squares are submitted."]);
        }
        ("lock", "twice") => assert_eq!(*lines, ["Counting to 1"]),
        ("lock", "poisoned") => assert!(lines.is_empty()),
        ("lock", "two_locks") => assert_eq!(run.count(), (1, 100)),
        ("thread_queue", "sender_kept") => {
            let all = [
                each([0, 1, 2, 3, 4], "Consumed #"),
                each([0, 1, 2, 3, 4], "Produced #"),
            ];
            assert_eq!(run.sorted(), all.concat());
        }
        ("thread_subclass", "run_not_start") => {
            let all = each([0, 1, 2, 3, 4], "Thread # is running in the main thread");
            assert_eq!(lines[..5], all);
        }
        ("tasks", "thread_sleep") => {
            let pairs = [0, 1, 2, 3, 4].map(|i| {
                [
                    format!("Worker {i} is starting"),
                    format!("Worker {i} is finished"),
                ]
            });
            assert_eq!(*lines, pairs.concat());
        }
        ("tasks", "not_awaited") => assert_eq!(*lines, ["All tasks have started."]),
        ("fetch", "not_spawned") => {
            let pairs = ["com", "org", "net"].map(|end| {
                let url = format!("http://example.{end}");
                [format!("Fetching {url}"), format!("The page of {url}")]
            });
            assert_eq!(*lines, pairs.concat());
        }
        ("fetch", "still_running") => {
            assert_eq!(lines[0], "Given up: cannot fetch http://example.org");
            let fetched = ["com", "net"].map(|end| format!("Fetched http://example.{end}"));
            assert_eq!(lines[1..], fetched);
        }
        ("async_queue", "no_task_done") => {
            let all = [
                each([0, 1, 2, 3, 4], "Consumed #"),
                each([0, 1, 2, 3, 4], "Produced #"),
            ];
            assert_eq!(run.sorted(), all.concat());
        }
        ("semaphore", "underscore") => {
            assert_eq!(lines[..5], each([0, 1, 2, 3, 4], "Worker # is starting"));
        }
        ("async_queue", "done_twice") => {
            let mut all = each([0, 1, 2, 3, 4], "Produced #").to_vec();
            all.insert(0, "Consumed 0".to_string());
            assert_eq!(run.sorted(), all);
        }
        ("async_await", "not_awaited" | "no_reactor") => assert!(lines.is_empty()),
        _ => panic!("say what goes wrong in {name}"),
    }
}

#[test]
fn each_mistake_compiles_without_a_warning() {
    for (mistake, built) in MISTAKES.iter().zip(&*BUILT) {
        let Built {
            executable,
            diagnostics,
        } = built;
        assert!(executable.is_some(), "{}/{}", mistake.page, mistake.name);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
    }
}

#[test]
fn each_mistake_goes_wrong_in_every_run() {
    thread::scope(|scope| {
        for (mistake, built) in MISTAKES.iter().zip(&*BUILT) {
            let program = built.executable.as_ref().unwrap();
            // Named, so that a panic says which it is.
            let name = format!("{}/{}", mistake.page, mistake.name);
            let run = move || {
                for _ in 0..RUNS {
                    let run = Run::new(program, mistake.exit_code.is_none());
                    check(mistake, &run);
                    let printed = run.lines.join("\n");
                    assert_eq!(shape(&printed), shape(&mistake.stdout), "not as recorded");
                }
            };
            let thread = thread::Builder::new().name(name);
            thread.spawn_scoped(scope, run).unwrap();
        }
    });
}

#[test]
fn each_mistake_is_recorded_without_a_path_of_a_machine() {
    for mistake in &*MISTAKES {
        assert!(!mistake.stderr.contains(" /"), "{}", mistake.stderr);
        assert!(
            mistake.recorded.starts_with("rustc "),
            "{}/{}",
            mistake.page,
            mistake.name
        );
    }
}

#[test]
fn each_page_has_a_mistake_and_no_mistake_is_left_without_a_page() {
    let mut pages: Vec<_> = MISTAKES
        .iter()
        .map(|mistake| mistake.page.clone())
        .collect();
    pages.dedup();
    assert_eq!(pages, Example::names().unwrap());
}

#[test]
fn each_mistake_is_formatted_like_the_rest() {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024"]);
    for mistake in &*MISTAKES {
        rustfmt.arg(root().join(format!(
            "course/mistakes/{}/{}.rs",
            mistake.page, mistake.name
        )));
    }
    assert!(rustfmt.status().unwrap().success());
}

#[test]
#[ignore = "writes what the programs print beside them"]
fn record() {
    let cores = thread::available_parallelism().unwrap();
    let place = format!("{}, {cores} cores", programs::compiler().unwrap());
    for (mistake, built) in MISTAKES.iter().zip(&*BUILT) {
        let run = Run::new(
            built.executable.as_ref().unwrap(),
            mistake.exit_code.is_none(),
        );
        check(mistake, &run);
        let stdout = format!("{place}\n{}", run.lines.join("\n"));
        fs::write(
            mistake.record("stdout"),
            stdout.trim_end().to_string() + "\n",
        )
        .unwrap();
        if !run.stderr.is_empty() {
            let here = format!("{}/", root().display());
            let stderr = run.stderr.trim_start().replace(&here, "");
            fs::write(mistake.record("stderr"), stderr).unwrap();
        }
    }
}
