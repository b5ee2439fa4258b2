use std::collections::HashSet;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::thread;

use exercises::check::{Meeting, within};
use exercises::thread::compute_all;

const STUCK: &str = "the program did not end: does a thread wait for another one?";

#[test]
fn the_results_are_returned() {
    within(STUCK, || {
        assert_eq!(
            compute_all(vec![1, 2, 3], |n| n * n),
            [1, 4, 9],
            "the results are wrong"
        );
        assert_eq!(compute_all(vec![], |n| n), []);
    });
}

#[test]
fn five_threads_run_at_the_same_time() {
    static INSIDE: Meeting = Meeting::of(5);
    static THREADS: Mutex<Vec<thread::ThreadId>> = Mutex::new(Vec::new());
    within(STUCK, || {
        compute_all(vec![1, 2, 3, 4, 5], |n| {
            THREADS.lock().unwrap().push(thread::current().id());
            INSIDE.wait();
            n
        });
        INSIDE.assert("the five ran one after the other");
        let threads: HashSet<_> = THREADS.lock().unwrap().drain(..).collect();
        assert_eq!(threads.len(), 5, "each number has a thread of its own");
    });
}

#[test]
fn the_results_are_in_the_order_of_the_numbers() {
    static SECOND_ENDED: Meeting = Meeting::of(2);
    struct ComesWhenItsThreadEnds;
    impl Drop for ComesWhenItsThreadEnds {
        fn drop(&mut self) {
            SECOND_ENDED.wait();
        }
    }
    thread_local! {
        static END: ComesWhenItsThreadEnds = const { ComesWhenItsThreadEnds };
    }
    within(STUCK, || {
        // The first number is computed when the thread of the second one ends.
        let results = compute_all(vec![1, 2], |n| {
            match n {
                1 => SECOND_ENDED.wait(),
                _ => END.with(|_| {}),
            }
            n
        });
        assert_eq!(
            results,
            [1, 2],
            "the results are not in the order of the numbers"
        );
    });
}

#[test]
fn a_panic_of_a_thread_is_not_ignored() {
    let divide = |n| 10_u32.checked_div(n).unwrap();
    within(STUCK, move || {
        assert_eq!(compute_all(vec![1, 2], divide), [10, 5]);
        let returned = catch_unwind(|| compute_all(vec![1, 0], divide));
        assert!(
            returned.is_err(),
            "a thread panicked, and nobody was told: `join` returned an error"
        );
    });
}
