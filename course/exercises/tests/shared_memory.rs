use std::process;
use std::thread;

use exercises::check::{Parcel, Scales, succeed, within};
use exercises::shared_memory::{book, book_all};
use shared::multiprocessing::Array;

const STUCK: &str = "the program did not end: is the lock taken by a process that holds it?";

#[test]
fn each_parcel_is_booked_at_its_place() {
    within(STUCK, || {
        let parcels = [(0, 5), (2, 7), (0, 1)];
        let parcels = parcels.map(|(place, weight)| (place, Parcel::new(weight)));
        assert_eq!(
            succeed(book_all(3, parcels.into())),
            [6, 0, 7, 13],
            "the array is wrong: it has three places, and last the sum"
        );
    });
}

#[test]
fn a_failure_of_a_process_is_not_ignored() {
    within(STUCK, || {
        let booked = book_all(1, vec![(0, Parcel::deadly())]);
        assert!(
            booked.is_err(),
            "a process died, and nobody was told: `join` returned an error"
        );
    });
}

#[test]
fn each_parcel_is_weighed_by_a_process_of_its_own() {
    within(STUCK, || {
        let scales = Scales::of(3);
        let parcels = (0..3).map(|n| (0, scales.parcel(n))).collect();
        succeed(book_all(1, parcels));
        scales.assert("the parcels were weighed one after the other");
        let processes = scales.processes();
        assert!(
            !processes.contains(&process::id()),
            "a parcel was weighed in the parent"
        );
        assert_eq!(
            processes.len(),
            3,
            "the parcels were not weighed in three processes"
        );
    });
}

#[test]
fn no_booking_is_lost_under_pressure() {
    within(STUCK, || {
        for _ in 0..300 {
            let stock = Array::new([0, 0]).unwrap();
            thread::scope(|scope| {
                // The threads begin to wait for the lock, and none gets it yet.
                let held = stock.lock().unwrap();
                for _ in 0..8 {
                    // Enough for another thread to come in between even where
                    // they hardly ever run at the same time.
                    scope.spawn(|| (0..100).for_each(|_| book(&stock, 0, 1)));
                }
                thread::yield_now();
                drop(held);
            });
            assert_eq!(
                stock.to_vec(),
                [800, 800],
                "a booking was lost: hold the lock from the read to the write"
            );
        }
    });
}

#[test]
fn the_total_is_always_the_sum() {
    within(STUCK, || {
        for _ in 0..500 {
            let stock = Array::new([0, 0]).unwrap();
            thread::scope(|scope| {
                let held = stock.lock().unwrap();
                let watchers = [(); 4].map(|()| {
                    scope.spawn(|| (0..20).for_each(|_| book(&stock, 0, 1)));
                    scope.spawn(|| [(); 20].map(|()| stock.to_vec()))
                });
                thread::yield_now();
                drop(held);
                for watcher in watchers {
                    let seen = watcher.join().unwrap();
                    assert!(
                        seen.iter().all(|stock| stock[0] == stock[1]),
                        "somebody saw a total that is not the sum: change both under one lock"
                    );
                }
            });
        }
    });
}
