use std::iter;
use std::process;
use std::thread;
use std::time::Duration;

use exercises::check::{Parcel, Scales, succeed, within};
use exercises::process_queue::weigh_all;

const STUCK: &str = "the consumers did not end: does `get` have a limit?";

#[test]
fn all_parcels_are_weighed() {
    within(STUCK, || {
        let weight = succeed(weigh_all((1..=100).map(Parcel::new)));
        assert_eq!(
            weight, 5050,
            "a parcel was left in the queue, or weighed twice"
        );
        assert_eq!(succeed(weigh_all([])), 0);
    });
}

#[test]
fn two_processes_weigh_at_the_same_time() {
    within(STUCK, || {
        let scales = Scales::of(2);
        succeed(weigh_all([scales.parcel(1), scales.parcel(2)]));
        scales.assert("the parcels were weighed one after the other");
        let processes = scales.processes();
        assert!(
            !processes.contains(&process::id()),
            "a parcel was weighed in the parent"
        );
        assert_eq!(
            processes.len(),
            2,
            "the parcels were not weighed in two processes"
        );
    });
}

#[test]
fn consumers_end_when_no_parcel_has_come_for_half_a_second() {
    within(STUCK, || {
        let scales = Scales::of(2);
        let both = [scales.parcel(1), scales.parcel(2)].into_iter();
        let too_late = iter::once_with(|| {
            thread::sleep(Duration::from_secs(2));
            Parcel::new(4)
        });
        let weight = succeed(weigh_all(both.chain(too_late)));
        assert_eq!(weight, 3, "a consumer waited for more than half a second");
    });
}

#[test]
fn consumers_wait_for_a_slow_producer() {
    within(STUCK, || {
        // Each parcel is produced when the one before is being weighed.
        let scales: Vec<_> = (0..20).map(|_| Scales::of(2)).collect();
        let produced = (0..=20_usize).map_while(|i| {
            if let Some(last) = i.checked_sub(1) {
                scales[last].parcel(0).weigh();
                // Without consumers there is nothing to wait for.
                scales[last].have_met().then_some(())?;
            }
            Some(
                scales
                    .get(i)
                    .map_or(Parcel::new(1), |scales| scales.parcel(1)),
            )
        });
        let weight = succeed(weigh_all(produced));
        scales[0].assert("nobody weighed a parcel while the next one was produced");
        assert_eq!(
            weight, 21,
            "a parcel was left in the queue: a consumer ended too early"
        );
    });
}
