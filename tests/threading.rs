//! The threading examples, proven.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use tests::{
    Example, Language, Program, RUNS, Suite, command, example, numbered, python, run, script,
};

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let thread = example!("thread");
    let thread_subclass = example!("thread_subclass");

    suite.prove(thread, "ends after its five workers", |program| {
        ends_after_five(program, "Worker", "All threads have finished.");
    });
    suite.prove(thread_subclass, "ends after its five threads", |program| {
        ends_after_five(program, "Thread", "All threads have finished.");
    });
    suite.prove(
        example!("thread_pool"),
        "prints the squares in order",
        |program| {
            for _ in 0..RUNS {
                assert_eq!(program.run().succeeded().stdout, "[1, 4, 9, 16, 25]\n");
            }
        },
    );
    suite.prove(example!("lock"), "counts a thousand threads", |program| {
        for _ in 0..RUNS {
            let run = program.run().succeeded();
            assert_eq!(run.stdout, "Final counter value: 1000\n");
        }
    });
    suite.prove(
        example!("thread_queue"),
        "consumes in order what was produced",
        queue_in_order,
    );

    for example in [thread, thread_subclass] {
        let name = example.name;
        suite.test(
            format!("{name}.rs fails when a thread has failed"),
            move || {
                fails_with_its_thread(example);
            },
        );
        suite.python_test(
            format!("{name}.py exits with 0 though a thread has failed"),
            move || {
                goes_on_without_its_thread(example);
            },
        );
    }
    suite.python_test(
        "thread_subclass.py raises without super().__init__()",
        move || {
            raises_without_super(thread_subclass);
        },
    );
    suite.run()
}

/// Five lines in any order, then the last one.
fn ends_after_five(program: Program, who: &str, end: &str) {
    for _ in 0..RUNS {
        let run = program.run().succeeded();
        assert!(!run.forked);
        let mut lines = run.lines();
        assert_eq!(lines.pop(), Some(end));
        lines.sort_unstable();
        assert_eq!(lines, numbered(&format!("{who} # is running")));
    }
}

/// Both in order; an item is announced as produced before the next one can be
/// consumed. Python may lose the last items, Rust none.
fn queue_in_order(program: Program) {
    for _ in 0..RUNS {
        let run = program.run().succeeded();
        let lines = run.lines();
        let (produced, consumed): (Vec<_>, Vec<_>) = lines
            .iter()
            .copied()
            .partition(|line| line.starts_with("Produced"));
        assert_eq!(produced, numbered("Produced #"));
        assert_eq!(consumed, numbered("Consumed #")[..consumed.len()]);
        if program.language == Language::Rust {
            assert_eq!(consumed.len(), 5);
        }
        let place = |line: &&str| lines.iter().position(|other| other == line);
        for (before, after) in produced.iter().zip(consumed.iter().skip(1)) {
            assert!(place(before) < place(after), "{after:?} before {before:?}");
        }
    }
}

/// With a full disk for stdout, each thread panics in its `println!`. That
/// must reach `main` through `join`, and not its own `println!` later.
fn fails_with_its_thread(example: Example) {
    let run = run(command("sh").args(["-c", "exec \"$0\" >/dev/full", example.rust]));
    assert_eq!(run.status.code(), Some(101));
    let (_, main) = run.stderr.split_once("thread 'main'").expect("main fails");
    let reason = main.lines().nth(1).unwrap();
    assert!(
        reason.starts_with("called `Result::unwrap()` on an `Err` value"),
        "{reason}"
    );
}

/// Python's threads fail in `print`, too, but only they hear of it.
fn goes_on_without_its_thread(example: Example) {
    let run = run(script("fail_in_print.py").args([example.python, "2 is running"]));
    assert!(run.status.success());
    assert_eq!(run.lines().last(), Some(&"All threads have finished."));
    assert_eq!(run.lines().len(), 5);
    assert!(run.stderr.contains("RuntimeError: fails here"));
}

/// A thread that was not made by `Thread.__init__` cannot start, and
/// `threading.Thread(self)` takes the object for a thread group.
fn raises_without_super(example: Example) {
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
        let run = run(python().args(["-c", code, example.python, call]));
        assert_eq!(run.status.code(), Some(1));
        assert_eq!(run.stderr.lines().last(), Some(error));
    }
}
