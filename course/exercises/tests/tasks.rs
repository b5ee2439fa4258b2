use std::collections::HashSet;
use std::future;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use exercises::check::paused;
use exercises::tasks::run;
use futures::FutureExt;
use tokio::task::{Id, try_id};
use tokio::time::{Instant, sleep};

const STUCK: &str = "`run` did not return: was the third task not cancelled?";

#[test]
fn the_workers_run_at_the_same_time_to_their_end() {
    static ENDED: AtomicU32 = AtomicU32::new(0);
    paused(STUCK, || async {
        let start = Instant::now();
        let worker = |i| {
            let work = async move {
                sleep(Duration::from_secs(1)).await;
                ENDED.fetch_add(i + 1, Ordering::Relaxed);
            };
            work.boxed()
        };
        run(worker, future::pending().boxed(), || {}).await;
        let ended = ENDED.load(Ordering::Relaxed);
        assert_eq!(
            ended, 3,
            "`worker(0)` and `worker(1)` did not both run to their end"
        );
        let seconds = start.elapsed().as_secs();
        assert_eq!(seconds, 1, "the workers ran one after the other");
    });
}

#[test]
fn each_worker_and_the_third_task_with_its_cleanup_is_a_task() {
    static WORKERS: Mutex<Vec<Option<Id>>> = Mutex::new(Vec::new());
    static THIRD: Mutex<Option<Id>> = Mutex::new(None);
    static CLEANED: Mutex<Option<Id>> = Mutex::new(None);
    paused(STUCK, || async {
        let worker = |_| {
            let work = async {
                WORKERS.lock().unwrap().push(try_id());
                sleep(Duration::from_secs(1)).await;
            };
            work.boxed()
        };
        let background = async {
            *THIRD.lock().unwrap() = try_id();
            future::pending().await
        };
        let cleanup = || *CLEANED.lock().unwrap() = try_id();
        run(worker, background.boxed(), cleanup).await;

        let third = *THIRD.lock().unwrap();
        let mut tasks = WORKERS.lock().unwrap().clone();
        tasks.push(third);
        let tasks: HashSet<_> = tasks.into_iter().flatten().collect();
        assert_eq!(
            tasks.len(),
            3,
            "the workers and `background` are not three tasks"
        );
        assert_eq!(
            *CLEANED.lock().unwrap(),
            third,
            "`cleanup` was not called by the third task"
        );
    });
}

#[test]
fn the_third_task_is_at_work_beside_the_workers() {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    paused(STUCK, || async {
        let background = async {
            loop {
                sleep(Duration::from_millis(300)).await;
                TICKS.fetch_add(1, Ordering::Relaxed);
            }
        };
        run(
            |_| sleep(Duration::from_secs(1)).boxed(),
            background.boxed(),
            || {},
        )
        .await;
        let ticks = TICKS.load(Ordering::Relaxed);
        assert_eq!(
            ticks, 3,
            "the third task was not at work beside the workers"
        );
        sleep(Duration::from_secs(1)).await;
        let later = TICKS.load(Ordering::Relaxed);
        assert_eq!(later, 3, "the third task went on when `run` had returned");
    });
}

#[test]
fn the_third_task_has_cleaned_up_when_run_returns() {
    static WORKING: AtomicU32 = AtomicU32::new(2);
    static CLEANED: AtomicU32 = AtomicU32::new(0);
    paused(STUCK, || async {
        let worker = |_| {
            let work = async {
                sleep(Duration::from_secs(1)).await;
                WORKING.fetch_sub(1, Ordering::Relaxed);
            };
            work.boxed()
        };
        run(worker, future::pending().boxed(), || {
            let working = WORKING.load(Ordering::Relaxed);
            assert_eq!(
                working, 0,
                "the third task cleaned up while a worker was at work"
            );
            CLEANED.fetch_add(1, Ordering::Relaxed);
        })
        .await;
        let cleaned = CLEANED.load(Ordering::Relaxed);
        assert_eq!(
            cleaned, 1,
            "the third task did not clean up before `run` returned"
        );
    });
}
