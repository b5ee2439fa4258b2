use std::iter;
use std::sync::Mutex;

use exercises::check::{Meeting, within};
use exercises::thread_queue::share_out;

const STUCK: &str = "the consumers did not end: is a sender of the channel still alive?";

#[test]
fn each_item_is_handled_once_and_both_consumers_end() {
    static HANDLED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    within(STUCK, || {
        let counts = share_out(Box::new(0..1000), |item| HANDLED.lock().unwrap().push(item));
        let mut handled = HANDLED.lock().unwrap();
        handled.sort_unstable();
        assert!(
            handled.iter().copied().eq(0..1000),
            "an item was left, or handled twice"
        );
        assert_eq!(counts[0] + counts[1], 1000, "the counts are wrong");
    });
}

#[test]
fn consumers_wait_for_a_slow_producer() {
    static FIRST: Meeting = Meeting::of(2);
    static HANDLED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    within(STUCK, || {
        // The second item is produced when the first one is being handled.
        let second = iter::once_with(|| {
            FIRST.wait();
            2
        });
        share_out(Box::new(iter::once(1).chain(second)), |item| {
            if item == 1 {
                FIRST.wait();
            }
            HANDLED.lock().unwrap().push(item);
        });
        let handled = HANDLED.lock().unwrap().len();
        assert_eq!(
            handled, 2,
            "an item was left: a consumer ended while the producer was at work"
        );
        FIRST.assert("nobody handled an item while the next one was produced");
    });
}

#[test]
fn no_item_waits_for_a_busy_consumer() {
    static LAST: Meeting = Meeting::of(2);
    within(STUCK, || {
        // One consumer handles the first item until the other has the last one.
        let handle = |item| {
            if item == 0 || item == 4 {
                LAST.wait();
            }
        };
        share_out(Box::new(0..5), handle);
        LAST.assert("an item waited for a busy consumer while the other one was free");
    });
}

#[test]
fn both_consumers_work_at_the_same_time() {
    static INSIDE: Meeting = Meeting::of(2);
    within(STUCK, || {
        let counts = share_out(Box::new(0..2), |_| INSIDE.wait());
        INSIDE.assert("the consumers did not work at the same time");
        assert_eq!(counts, [1, 1], "the counts are wrong");
    });
}
