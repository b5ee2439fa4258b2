use std::panic::catch_unwind;
use std::sync::{Arc, OnceLock};
use std::thread;

use exercises::check::{Meeting, within};
use exercises::thread_subclass::{Computation, sum_all};
use shared::threading::Thread;

const STUCK: &str = "the program did not end: does a thread wait for another one?";

#[test]
fn run_stores_the_result_in_the_object() {
    within(STUCK, || {
        let result = Arc::new(OnceLock::new());
        let t = Computation {
            number: 3,
            compute: |n| n * n,
            result: result.clone(),
        };
        t.start().join().unwrap();
        assert_eq!(result.get(), Some(&9), "`run` stored no result");
    });
}

#[test]
fn the_results_are_added() {
    within(STUCK, || {
        assert_eq!(
            sum_all(vec![1, 2, 3], |n| n * n),
            14,
            "the sum is wrong: each object needs a `OnceLock` of its own"
        );
        assert_eq!(sum_all(vec![], |n| n), 0);
    });
}

#[test]
fn a_slow_result_is_waited_for() {
    within(STUCK, || {
        let slow = |n| {
            thread::sleep(std::time::Duration::from_millis(50));
            n
        };
        assert_eq!(
            sum_all(vec![1, 2, 3], slow),
            6,
            "a result is missing in the sum: join each thread before its result is read"
        );
    });
}

#[test]
fn five_threads_run_at_the_same_time() {
    static INSIDE: Meeting = Meeting::of(5);
    within(STUCK, || {
        sum_all(vec![1, 2, 3, 4, 5], |n| {
            INSIDE.wait();
            n
        });
        INSIDE.assert("the five ran one after the other");
    });
}

#[test]
fn a_panic_of_a_thread_is_not_ignored() {
    const WAITED: &str = "a thread panicked, and its result was waited for: join it first";
    let divide = |n| 10_u32.checked_div(n).unwrap();
    within(WAITED, move || {
        assert_eq!(sum_all(vec![1, 2], divide), 15);
        let returned = catch_unwind(|| sum_all(vec![1, 0], divide));
        assert!(
            returned.is_err(),
            "a thread panicked, and nobody was told: `join` returned an error"
        );
    });
}
