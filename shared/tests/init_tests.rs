//! Processes in plain `#[test]`s: a test crate needs `init_tests!`, and nothing else.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod watchdog;

use std::io::Write as _;
use std::process::Command;
use std::{env, io};

use shared::multiprocessing::{Pool, Process, Queue};
use watchdog::watchdog;

shared::multiprocessing::init_tests!();

fn square(n: i64) -> i64 {
    n * n
}

fn factorial(n: u64) -> u64 {
    match n {
        0 => 1,
        n => {
            n * Process::new(factorial, (n - 1,))
                .start()
                .unwrap()
                .join()
                .unwrap()
        }
    }
}

#[test]
fn a_process_returns_its_result() {
    let _watchdog = watchdog();
    let p = Process::new(square, (3,)).start().unwrap();
    assert_eq!(p.join().unwrap(), 9);
}

#[test]
fn a_pool_maps() {
    let _watchdog = watchdog();
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(square, 1..=5).unwrap(), [1, 4, 9, 16, 25]);
}

#[test]
fn children_start_children() {
    let _watchdog = watchdog();
    let p = Process::new(factorial, (3,)).start().unwrap();
    assert_eq!(p.join().unwrap(), 6);
    let pool = Process::new(|| Pool::new(2).unwrap().map(square, [2, 3]).unwrap(), ());
    assert_eq!(pool.start().unwrap().join().unwrap(), [4, 9]);
}

/// Tests in a module, and with a runtime around them, can start processes, too.
mod inner {
    use super::*;

    #[tokio::test]
    async fn a_target_runs_in_no_runtime_of_its_test() {
        let _watchdog = watchdog();
        fn blocks() -> i64 {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async { 5 })
        }
        let p = Process::new(blocks, ()).start().unwrap();
        assert_eq!(p.join().unwrap(), 5);
    }
}

/// The test below runs this one, and expects these two lines from the child.
#[test]
fn prints_in_a_child() {
    let _watchdog = watchdog();
    let numbers = Queue::new().unwrap();
    let prints = |numbers: &Queue<i64>| {
        println!("printed by a child");
        // `println!` may be captured by a test harness; this never is.
        writeln!(io::stdout(), "written by a child").unwrap();
        numbers.put(square(4)).unwrap();
    };
    let p = Process::new(prints, (&numbers,)).start().unwrap();
    p.join().unwrap();
    assert_eq!(numbers.get().unwrap(), 16);
}

#[test]
fn a_child_runs_no_other_test_and_prints_no_report() {
    let _watchdog = watchdog();
    let runs: [&[&str]; 3] = [
        // As `cargo test` does, on one thread, and as `cargo nextest` does.
        &["prints_in_a_child", "--test-threads=8"],
        &["prints_in_a_child", "--test-threads=1"],
        &["prints_in_a_child", "--exact", "--nocapture"],
    ];
    for arguments in runs {
        let output = Command::new(env::current_exe().unwrap())
            .args(arguments)
            .output()
            .unwrap();
        let words = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?}: {words}");
        for line in [
            "running 1 test",
            "printed by a child",
            "written by a child",
            "test result:",
        ] {
            assert_eq!(words.matches(line).count(), 1, "{arguments:?}: {words}");
        }
    }
}
