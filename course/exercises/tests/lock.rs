use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use exercises::check::{Meeting, interrupt, within};
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
        let largest = Mutex::new(0);
        let weighed = AtomicU32::new(0);
        let recorded = AtomicU32::new(0);
        let record_one = || {
            let weight = weighed.fetch_add(1, Ordering::SeqCst);
            record(&largest, weight);
            recorded.fetch_max(weight, Ordering::SeqCst);
            // What the other thread has recorded so far is stored by now.
            let expected = recorded.load(Ordering::SeqCst);
            assert!(
                *largest.lock().unwrap() >= expected,
                "a larger weight was lost: hold the lock from the comparison to the store"
            );
        };
        interrupt(record_one, record_one);
    });
}
