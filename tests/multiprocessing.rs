//! The multiprocessing examples, proven.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::process::ExitCode;

use shared::multiprocessing::{self, Process, Queue};
use tests::{
    Example, Language, Program, RUNS, Suite, command, example, numbered, python, run, script,
};

fn main() -> ExitCode {
    multiprocessing::init();

    let mut suite = Suite::new();
    let process = example!("process");

    suite.prove(
        process,
        "ends after its five workers",
        ends_after_five_processes,
    );
    suite.prove(example!("pool"), "prints the squares in order", |program| {
        for _ in 0..RUNS {
            let run = program.run().succeeded();
            assert_eq!(run.stdout, "[1, 4, 9, 16, 25]\n");
            assert!(run.forked);
        }
    });
    suite.prove(example!("shared_memory"), "adds up", shared_memory_adds_up);
    suite.prove(
        example!("process_queue"),
        "consumes what was produced before",
        |program| {
            let expected = [numbered("Produced #"), numbered("Consumed #")].concat();
            for _ in 0..RUNS {
                let run = program.run().succeeded();
                assert_eq!(run.lines(), expected);
                assert!(run.forked);
            }
        },
    );

    suite.test("process.rs differs: a worker's failure", move || {
        fails_with_its_worker(process)
    });
    suite.python_test("process.py differs: a worker's failure", move || {
        goes_on_without_its_worker(process);
    });
    suite.test("process_queue.rs differs: empty after put", || {
        let q = Queue::new().unwrap();
        for i in 0..10_000 {
            q.put(i).unwrap();
            assert!(!q.is_empty());
            assert_eq!(q.get().unwrap(), i);
            assert!(q.is_empty());
        }
    });
    suite.python_test("process_queue.py differs: empty after put", || {
        let code = "from multiprocessing import Queue\n\
            q = Queue()\n\
            while True:\n    \
                q.put(0)\n    \
                if q.empty(): break\n    \
                q.get()\n\
            q.get()";
        run(python().args(["-c", code])).succeeded();
    });
    suite.test(
        "process_queue.rs differs: join before the queue is read",
        || {
            let q = Queue::new().unwrap();
            let produce = |q: &Queue<Vec<u8>>| q.put(vec![7; 1 << 20]).unwrap();
            Process::new(produce, (&q,))
                .start()
                .unwrap()
                .join()
                .unwrap();
            assert_eq!(q.get().unwrap(), [7; 1 << 20]);
        },
    );
    suite.python_test(
        "process_queue.py differs: join before the queue is read",
        || {
            let code = "import multiprocessing; multiprocessing.set_start_method('fork')\n\
            q = multiprocessing.Queue()\n\
            p = multiprocessing.Process(target=q.put, args=(bytes(1 << 20),))\n\
            p.start()\n\
            p.join(1)\n\
            assert p.is_alive()\n\
            q.get()\n\
            p.join()";
            run(python().args(["-c", code])).succeeded();
        },
    );
    suite.run()
}

/// Five lines in any order, each from a process of its own, then the last one.
fn ends_after_five_processes(program: Program) {
    for _ in 0..RUNS {
        let run = program.run().succeeded();
        let mut lines = run.lines();
        assert_eq!(lines.pop(), Some("All processes have finished."));
        lines.sort_unstable();
        let (workers, pids): (Vec<_>, HashSet<u32>) = lines
            .into_iter()
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(worker, pid)| (worker, pid.parse::<u32>().unwrap()))
            .unzip();
        assert_eq!(workers, numbered("Worker # is running in process"));
        assert_eq!(pids.len(), 5);
        assert!(!pids.contains(&run.pid));
    }
}

/// Rust prints the sums. What Python loses is missing in its own.
fn shared_memory_adds_up(program: Program) {
    for _ in 0..RUNS {
        let run = program.run().succeeded();
        assert!(run.forked);
        if program.language == Language::Rust {
            assert_eq!(
                run.stdout,
                "shared_num: 10\nshared_arr: [11, 12, 13, 14, 15]\n"
            );
            continue;
        }
        let text = run.stdout.strip_prefix("shared_num: ").unwrap();
        let (num, arr) = text.split_once("\nshared_arr: [").unwrap();
        let arr = arr.strip_suffix("]\n").unwrap().split(", ");
        let sums: Vec<u32> = [num]
            .into_iter()
            .chain(arr)
            .map(|sum| sum.parse().unwrap())
            .collect();
        assert_eq!(sums.len(), 6);
        for (start, sum) in (0..).zip(sums) {
            assert!((start..=start + 10).contains(&sum));
        }
    }
}

/// With a full disk for stdout, each worker panics in its `println!`. That
/// must reach `main` through `join`, and not its own `println!` later.
fn fails_with_its_worker(example: Example) {
    let run = run(command("sh").args(["-c", "exec \"$0\" >/dev/full", example.rust]));
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(run.orphans, 0);
    let (_, error) = run
        .stderr
        .split_once("\nError: process ")
        .expect("main fails");
    assert!(error.contains(" panicked at "));
    assert!(error.contains(": failed printing to stdout"));
}

/// Python's workers fail in `print`, too, but only they hear of it.
fn goes_on_without_its_worker(example: Example) {
    let run = run(script("fail_in_print.py").args([example.python, "2 is running"]));
    assert!(run.status.success());
    assert_eq!(run.lines().last(), Some(&"All processes have finished."));
    assert_eq!(run.lines().len(), 5);
    assert!(run.stderr.contains("RuntimeError: fails here"));
}
