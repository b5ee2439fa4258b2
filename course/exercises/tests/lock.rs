use std::sync::Mutex;
use std::thread;

use exercises::check::{Meeting, within};
use exercises::lock::{heaviest, record};

const STUCK: &str = "the program did not end: is a lock taken twice by one thread?";

#[test]
fn the_largest_weight_is_returned() {
    within(STUCK, || {
        assert_eq!(heaviest(vec![3, 9, 4], |item| 10 * item), 90);
        assert_eq!(
            heaviest(vec![], |item| item),
            0,
            "a weight of an earlier call was returned: each call needs a `Mutex` of its own"
        );
    });
}

#[test]
fn only_a_larger_weight_is_stored() {
    within(STUCK, || {
        let largest = Mutex::new(5);
        record(&largest, 3);
        assert_eq!(*largest.lock().unwrap(), 5, "a smaller weight was stored");
        record(&largest, 8);
        assert_eq!(
            *largest.lock().unwrap(),
            8,
            "a larger weight was not stored"
        );
    });
}

#[test]
fn all_boxes_are_weighed_at_the_same_time() {
    static SCALES: Meeting = Meeting::of(5);
    within(STUCK, || {
        heaviest(vec![1, 2, 3, 4, 5], |item| {
            SCALES.wait();
            item
        });
        SCALES.assert("the boxes were weighed one after the other");
    });
}

#[test]
fn no_weight_is_lost_under_pressure() {
    within(STUCK, || {
        for _ in 0..500 {
            let largest = Mutex::new(0);
            thread::scope(|scope| {
                // All threads wait for the lock before the first one gets it.
                let held = largest.lock().unwrap();
                for weight in 1..=8 {
                    let largest = &largest;
                    scope.spawn(move || record(largest, weight));
                }
                thread::yield_now();
                drop(held);
            });
            let found = largest.into_inner().unwrap();
            assert_eq!(
                found, 8,
                "a larger weight was lost: hold the lock from the comparison to the store"
            );
        }
    });
}
