//! The threading examples, proven.

#![forbid(unsafe_code)]

use std::fs;
use std::process::ExitCode;

use tests::{
    Language, Program, RUNS, Run, Suite, command, example, python, run, script, specifications,
};

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let thread = example!("thread");
    let lock = example!("lock");
    let thread_subclass = example!("thread_subclass");
    let specifications: [(_, _, fn(Run)); 5] = [
        (
            thread,
            "ends after its five workers",
            specifications::thread,
        ),
        (
            thread_subclass,
            "ends after its five threads",
            specifications::thread_subclass,
        ),
        (
            example!("thread_pool"),
            "prints the squares in order",
            specifications::thread_pool,
        ),
        (lock, "counts a thousand threads", specifications::lock),
        (
            example!("thread_queue"),
            "consumes what is produced",
            specifications::thread_queue,
        ),
    ];
    for (example, what, specification) in specifications {
        suite.prove(example, what, move |program| {
            program.keeps_to(specification);
        });
    }
    suite.prove(thread, "differs: a worker's failure", failure_reaches_join);
    suite.prove(thread, "differs: unbuffered lines", lines_stay_whole);
    suite.prove(
        thread_subclass,
        "differs: a thread's failure",
        failure_reaches_join,
    );
    suite.prove(
        lock,
        "differs: the counter without its lock",
        move |program| match program.language {
            Language::Rust => does_not_compile_without_lock(lock.source()),
            Language::Python => loses_increments_without_lock(lock.python),
        },
    );
    suite.python_test(
        "thread_subclass.py differs: super().__init__() is forgotten",
        move || {
            raises_without_super(thread_subclass.python);
        },
    );
    suite.run()
}

/// In Python the line feed is written after the text, and what another thread
/// prints may come in between. Sooner or later it does.
fn lines_stay_whole(program: Program) {
    let unbuffered = || run(program.command().env("PYTHONUNBUFFERED", "1"));
    match program.language {
        Language::Rust => {
            for _ in 0..RUNS {
                specifications::thread(unbuffered());
            }
        }
        Language::Python => while !unbuffered().succeeded().lines().contains(&"") {},
    }
}

fn failure_reaches_join(program: Program) {
    match program.language {
        // With a full disk for stdout, each thread panics in its `println!`,
        // and `main` through `join` and not in its own `println!` later.
        Language::Rust => {
            let run = run(command("sh").args(["-c", "exec \"$0\" >/dev/full", program.path()]));
            assert_eq!(run.status.code(), Some(101));
            let (_, main) = run.stderr.split_once("thread 'main'").expect("main fails");
            let reason = main.lines().nth(1).unwrap();
            assert!(reason.starts_with("called `Result::unwrap()` on an `Err` value"));
        }
        // A thread that fails in its `print` is not missed.
        Language::Python => {
            let run = run(script("fail_in_print.py").args([program.path(), "2 is running"]));
            assert!(run.status.success());
            assert_eq!(run.lines().last(), Some(&"All threads have finished."));
            assert_eq!(run.lines().len(), 5);
            assert!(run.stderr.contains("RuntimeError: fails here"));
        }
    }
}

/// The example compiles as it is, but not if it leaves out the locking.
fn does_not_compile_without_lock(source: String) {
    let (locked, unlocked) = ("= COUNTER.lock().unwrap();", "= COUNTER;");
    assert!(source.contains(locked));
    let without_lock = source.replace(locked, unlocked);
    for (name, source) in [("locked", source), ("unlocked", without_lock)] {
        let path = format!("{}/{name}.rs", env!("CARGO_TARGET_TMPDIR"));
        fs::write(&path, source).unwrap();
        let run = run(command("rustc")
            .args(["--edition=2024", "--emit=metadata", "--out-dir"])
            .args([env!("CARGO_TARGET_TMPDIR"), &path]));
        if name == "locked" {
            run.succeeded();
        } else {
            assert_eq!(run.status.code(), Some(1));
            assert!(
                run.stderr
                    .contains("error[E0614]: type `std::sync::Mutex<i32>` cannot be dereferenced")
            );
        }
    }
}

/// Every thread reads the counter before any of them writes it back, so that
/// all of them write the same: 1. Nothing complains.
fn loses_increments_without_lock(path: &str) {
    let code = "import sys, threading\n\
        source = open(sys.argv[1]).read()\n\
        barrier = threading.Barrier(1000)\n\
        for old, new in ('with lock:', 'if True:'), \
            ('temp += 1', 'temp += 1; barrier.wait()'):\n\
        \x20   assert old in source\n\
        \x20   source = source.replace(old, new)\n\
        exec(source, {'__name__': '__main__', 'barrier': barrier})";
    let run = run(python().args(["-c", code, path])).succeeded();
    assert_eq!(run.stdout, "Final counter value: 1\n");
}

/// A thread that was not made by `Thread.__init__` cannot start, and
/// `threading.Thread(self)` takes the object for a thread group.
fn raises_without_super(path: &str) {
    for (call, error) in [
        ("pass", "RuntimeError: thread.__init__() not called"),
        (
            "threading.Thread(self)",
            "AssertionError: group argument must be None for now",
        ),
    ] {
        let code = "import sys; path, call = sys.argv[1:]\n\
            source = open(path).read()\n\
            assert 'super().__init__()' in source\n\
            exec(source.replace('super().__init__()', call), {'__name__': '__main__'})";
        let run = run(python().args(["-c", code, path, call]));
        assert_eq!(run.status.code(), Some(1));
        assert_eq!(run.stderr.lines().last(), Some(error));
    }
}
