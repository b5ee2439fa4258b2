//! The multiprocessing examples, proven.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use shared::multiprocessing::{self, Process, Queue};
use tests::{Language, Program, RUNS, Suite, command, example, run, script, specifications};

fn main() -> ExitCode {
    multiprocessing::init();

    let mut suite = Suite::new();
    let process = example!("process");
    let process_queue = example!("process_queue");
    let specifications: [(_, _, fn(Program)); 8] = [
        (process, "ends after its five workers", |program| {
            program.keeps_to(specifications::process);
        }),
        (example!("pool"), "prints the squares in order", |program| {
            program.keeps_to(specifications::pool)
        }),
        (example!("shared_memory"), "adds up", |program| {
            program.keeps_to(specifications::shared_memory);
        }),
        (process_queue, "produces, then consumes", |program| {
            program.keeps_to(specifications::process_queue);
        }),
        (process, "differs: a worker's failure", failure_reaches_join),
        (process, "differs: unbuffered lines", lines_stay_whole),
        (
            process_queue,
            "differs: empty after put",
            queue_has_what_was_put,
        ),
        (
            process_queue,
            "differs: join before get",
            join_waits_for_no_reader,
        ),
    ];
    for (example, what, specification) in specifications {
        suite.prove(example, what, specification);
    }
    suite.run()
}

fn failure_reaches_join(program: Program) {
    match program.language {
        // With a full disk for stdout, each worker panics in its `println!`,
        // and `main` fails through `join` and not in its own `println!` later.
        Language::Rust => {
            let run = run(command("sh").args(["-c", "exec \"$0\" >/dev/full", program.path()]));
            assert_eq!(run.status.code(), Some(1));
            run.leaves_no_process();
            let (_, error) = run
                .stderr
                .split_once("\nError: process ")
                .expect("main fails");
            assert!(error.contains(": failed printing to stdout"));
        }
        // A worker that fails in its `print` is not missed.
        Language::Python => {
            let run = run(script("fail_in_print.py").args([program.path(), "2 is running"]));
            assert!(run.status.success());
            assert_eq!(run.lines().last(), Some(&"All processes have finished."));
            assert_eq!(run.lines().len(), 5);
            assert!(run.stderr.contains("RuntimeError: fails here"));
        }
    }
}

/// In Python the line feed is written after the text, and what another process
/// prints may come in between. Sooner or later it does.
fn lines_stay_whole(program: Program) {
    let unbuffered = || run(program.command().env("PYTHONUNBUFFERED", "1")).succeeded();
    match program.language {
        Language::Rust => {
            for _ in 0..RUNS {
                let run = unbuffered();
                let lines = run.lines();
                assert_eq!(lines.len(), 6);
                assert!(
                    lines
                        .iter()
                        .all(|line| line.matches("process").count() == 1)
                );
            }
        }
        Language::Python => while !unbuffered().lines().contains(&"") {},
    }
}

fn queue_has_what_was_put(program: Program) {
    match program.language {
        Language::Rust => {
            let q = Queue::new().unwrap();
            for i in 0..10_000 {
                q.put(i).unwrap();
                assert!(!q.is_empty());
                assert_eq!(q.get().unwrap(), i);
                assert!(q.is_empty());
            }
        }
        Language::Python => {
            run(&mut script("empty_after_put.py")).succeeded();
        }
    }
}

fn join_waits_for_no_reader(program: Program) {
    match program.language {
        Language::Rust => {
            let q = Queue::new().unwrap();
            let produce = |q: &Queue<Vec<u8>>| q.put(vec![7; 1 << 20]).unwrap();
            let p = Process::new(produce, (&q,)).start().unwrap();
            p.join().unwrap();
            assert_eq!(q.get().unwrap(), [7; 1 << 20]);
        }
        Language::Python => {
            run(&mut script("join_before_get.py")).succeeded();
        }
    }
}
