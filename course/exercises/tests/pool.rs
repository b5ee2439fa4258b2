use std::process;

use exercises::check::{Parcel, Scales, succeed, within};
use exercises::pool::{prices, report_weights};

const STUCK: &str = "the program did not end: does a task wait for another one?";
const WRONG_PRICE: &str = "a price is wrong, or not in the place of its parcel";

#[test]
fn the_prices_are_in_the_order_of_the_parcels() {
    within(STUCK, || {
        // The first parcel is weighed together with the last one.
        let scales = Scales::of(2);
        let parcel = |n| match n {
            1 | 100 => scales.parcel(n),
            _ => Parcel::new(n),
        };
        let parcels = (1..=100).map(|n| (parcel(n), 2)).collect();
        let prices = succeed(prices(parcels));
        assert!(
            prices.into_iter().eq((1..=100).map(|n| 2 * n)),
            "{WRONG_PRICE}"
        );
    });
}

#[test]
fn four_parcels_are_weighed_at_the_same_time() {
    within(STUCK, || {
        let scales = Scales::of(4);
        let parcels = (1..=4).map(|n| (scales.parcel(n), 10)).collect();
        assert_eq!(succeed(prices(parcels)), [10, 20, 30, 40], "{WRONG_PRICE}");
        scales.assert("the four parcels were not weighed at the same time");
        let processes = scales.processes();
        assert!(
            !processes.contains(&process::id()),
            "a parcel was weighed in the parent"
        );
        assert_eq!(
            processes.len(),
            4,
            "the parcels were not weighed in four processes"
        );
    });
}

#[test]
fn each_weight_is_reported_once() {
    within(STUCK, || {
        let mut reported = Vec::new();
        let parcels = (1..=100).map(Parcel::new).collect();
        succeed(report_weights(parcels, |weight| reported.push(weight)));
        reported.sort_unstable();
        assert!(
            reported.into_iter().eq(1..=100),
            "a weight is missing, or came twice"
        );
    });
}

#[test]
fn a_failure_of_a_task_is_not_ignored() {
    within(STUCK, || {
        let parcels = vec![Parcel::new(1), Parcel::deadly(), Parcel::new(2)];
        let returned = report_weights(parcels, |_| {});
        assert!(
            returned.is_err(),
            "a task failed, and nobody was told: a weight is a `Result`"
        );
    });
}

#[test]
fn a_weight_waits_for_no_other() {
    within(STUCK, || {
        // The first parcel is weighed when the second one is being reported.
        let scales = Scales::of(2);
        let parcels = vec![scales.parcel(1), Parcel::new(2)];
        let reporting = scales.parcel(2);
        succeed(report_weights(parcels, |weight| {
            if weight == 2 {
                reporting.weigh();
            }
        }));
        scales.assert("a weight that was known had to wait for one that was not");
    });
}
