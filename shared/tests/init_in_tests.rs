//! Tests that call `init` themselves, without `init_tests!`. A child is then this
//! program run again with all its tests, which start processes in their turn. The
//! tests show that this ends.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod watchdog;

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;
use std::{env, process};

use shared::multiprocessing::{self, Error, Pool, Process};
use watchdog::watchdog;

/// An environment variable with the name of a file, to which each test in each
/// process appends a line when it begins.
const LOG: &str = "SHARED_TEST_LOG";

/// If more tests than this begin, processes are being started without end. The
/// tests exit then, so that their number does not grow.
const MAX_TESTS: usize = 100;

fn begin() {
    if let Some(log) = env::var_os(LOG) {
        let mut file = File::options().append(true).open(&log).unwrap();
        writeln!(file, "{}", process::id()).unwrap();
        if fs::read_to_string(log).unwrap().lines().count() > MAX_TESTS {
            process::exit(3);
        }
    }
}

fn square(n: i64) -> i64 {
    n * n
}

#[test]
fn a_process_returns_its_result() {
    begin();
    multiprocessing::init();
    let _watchdog = watchdog();
    let p = Process::new(square, (3,)).start().unwrap();
    assert_eq!(p.join().unwrap(), 9);
}

#[test]
fn a_pool_maps() {
    begin();
    multiprocessing::init();
    let _watchdog = watchdog();
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(square, 1..=5).unwrap(), [1, 4, 9, 16, 25]);
}

#[test]
fn a_child_starts_a_child() {
    begin();
    multiprocessing::init();
    let _watchdog = watchdog();
    fn parent(n: i64) -> i64 {
        // A target may call `init` again.
        multiprocessing::init();
        Process::new(square, (n,)).start().unwrap().join().unwrap()
    }
    let p = Process::new(parent, (4,)).start().unwrap();
    assert_eq!(p.join().unwrap(), 16);
}

/// Whether this test can start a process depends on whether another test has called
/// `init` by then.
#[test]
fn init_is_not_called_here() {
    begin();
    let _watchdog = watchdog();
    match Process::new(square, (5,)).start() {
        Ok(p) => assert_eq!(p.join().unwrap(), 25),
        Err(error) => assert!(matches!(error, Error::NotInitialized), "{error:?}"),
    }
}

#[test]
fn processes_are_not_started_without_end() {
    multiprocessing::init();
    let _watchdog = watchdog();
    let log = format!("{}/{}.log", env!("CARGO_TARGET_TMPDIR"), process::id());
    for threads in ["--test-threads=1", "--test-threads=8"] {
        File::create(&log).unwrap();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--skip", "processes_are_not_started_without_end", threads])
            .env(LOG, &log)
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{threads}: {words}");
        let begun = fs::read_to_string(&log).unwrap().lines().count();
        assert!((4..=MAX_TESTS).contains(&begun), "{threads}: {begun}");
    }
    fs::remove_file(log).unwrap();
}
