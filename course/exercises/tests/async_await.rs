use std::time::Duration;

use exercises::async_await::compute_all;
use exercises::check::paused;
use tokio::time::{Instant, sleep};

const STUCK: &str = "`compute_all` did not end: is there a future that nobody awaits?";

#[test]
fn five_sleeps_of_a_second_take_a_second() {
    paused(STUCK, || async {
        let start = Instant::now();
        let compute = async |n| {
            sleep(Duration::from_secs(1)).await;
            n * n
        };
        assert_eq!(
            compute_all(vec![1, 2, 3, 4, 5], compute).await,
            [1, 4, 9, 16, 25]
        );
        let seconds = start.elapsed().as_secs();
        assert_eq!(
            seconds, 1,
            "the five did not sleep at the same time: a future begins when it is awaited"
        );
    });
}

#[test]
fn the_results_are_in_the_order_of_the_numbers() {
    paused(STUCK, || async {
        let compute = async |n| {
            sleep(Duration::from_secs(u64::from(10 - n))).await;
            n
        };
        let results = compute_all(vec![1, 2, 3], compute).await;
        assert_eq!(
            results,
            [1, 2, 3],
            "the results are not in the order of the numbers"
        );
    });
}

#[test]
fn a_coroutine_may_borrow() {
    paused(STUCK, || async {
        let table = [10, 20, 30];
        let compute = async |n: u32| table[n as usize];
        assert_eq!(compute_all(vec![2, 0], compute).await, [30, 10]);
    });
}
