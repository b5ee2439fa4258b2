use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use exercises::check::{Parcel, Scales, interrupt, succeed, within};
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
        let stock = Array::new([0, 0]).unwrap();
        let booked = AtomicU32::new(0);
        let book_one = || {
            book(&stock, 0, 1);
            booked.fetch_add(1, Ordering::Relaxed);
        };
        interrupt(book_one, book_one);
        let booked = booked.into_inner();
        assert_eq!(
            stock.to_vec(),
            [booked, booked],
            "a booking was lost: hold the lock from the read to the write"
        );
    });
}

#[test]
fn the_total_is_always_the_sum() {
    within(STUCK, || {
        let stock = Array::new([0, 0]).unwrap();
        let watch = || {
            let seen = stock.to_vec();
            assert_eq!(
                seen[0], seen[1],
                "somebody saw a total that is not the sum: change both under one lock"
            );
        };
        interrupt(|| book(&stock, 0, 1), watch);
    });
}
