use std::collections::HashSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread::{self, ThreadId};

use exercises::check::{Meeting, within};
use exercises::thread_pool::report_each;

const STUCK: &str =
    "the program did not end: does it wait in a channel whose sender is still alive?";

#[test]
fn each_result_is_reported_once() {
    static REPORTED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    within(STUCK, || {
        let numbers = (0..100).collect();
        report_each(
            numbers,
            |n| n + 1,
            |result| REPORTED.lock().unwrap().push(result),
        );
        let mut reported = REPORTED.lock().unwrap();
        reported.sort_unstable();
        assert!(
            reported.iter().copied().eq(1..=100),
            "a result is missing, or came twice"
        );
    });
}

#[test]
fn four_calls_run_at_the_same_time_in_four_threads() {
    static INSIDE: Meeting = Meeting::of(4);
    static THREADS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
    within(STUCK, || {
        let compute = |n| {
            THREADS.lock().unwrap().push(thread::current().id());
            INSIDE.wait();
            n
        };
        report_each((0..20).collect(), compute, |_| {});
        INSIDE.assert("the four calls did not run at the same time");
        let threads: HashSet<_> = THREADS.lock().unwrap().drain(..).collect();
        assert!(threads.len() <= 4, "more than four threads were at work");
    });
}

#[test]
fn a_result_waits_for_no_other() {
    static SECOND: Meeting = Meeting::of(2);
    within(STUCK, || {
        // The first number is computed when the second one is being reported.
        let compute = |n| {
            if n == 1 {
                SECOND.wait();
            }
            n
        };
        let report = |result| {
            if result == 2 {
                SECOND.wait();
            }
        };
        report_each(vec![1, 2], compute, report);
        SECOND.assert("a result that was there had to wait for one that was not");
    });
}

#[test]
fn the_caller_reports() {
    static REPORTERS: Mutex<Vec<ThreadId>> = Mutex::new(Vec::new());
    within(STUCK, || {
        let report = |_| REPORTERS.lock().unwrap().push(thread::current().id());
        report_each(vec![1, 2, 3], |n| n, report);
        let caller = thread::current().id();
        let by_caller = REPORTERS.lock().unwrap().iter().all(|&id| id == caller);
        assert!(by_caller, "`report` was called in a thread of the pool");
    });
}

#[test]
fn a_panic_of_a_call_is_not_ignored() {
    let divide = |n| 10_u32.checked_div(n).unwrap();
    within(STUCK, move || {
        report_each(vec![1, 2], divide, |_| {});
        let returned = catch_unwind(|| report_each(vec![1, 0], divide, |_| {}));
        assert!(
            returned.is_err(),
            "a call panicked, and nobody was told: `report_each` has to look at its `result()`"
        );
    });
}
