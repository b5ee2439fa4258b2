use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use exercises::check::paused;
use exercises::semaphore::run_all;
use futures::FutureExt;
use shared::asyncio::Queue;
use tokio::time::{Instant, sleep};

const STUCK: &str = "`run_all` did not return: does it wait for a permit that nobody releases?";

fn queue_of(numbers: impl IntoIterator<Item = u32>) -> Queue<u32> {
    let queue = Queue::new();
    for number in numbers {
        queue.try_put(number).unwrap();
    }
    queue
}

#[test]
fn each_job_runs_once_to_its_end() {
    static ENDED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
    paused(STUCK, || async {
        let job = |n| {
            let work = async move {
                sleep(Duration::from_secs(1)).await;
                ENDED.lock().unwrap().push(n);
            };
            work.boxed()
        };
        run_all(&queue_of(0..10), job).await;
        let mut ended = ENDED.lock().unwrap();
        ended.sort_unstable();
        assert!(
            ended.iter().copied().eq(0..10),
            "`run_all` returned before all jobs had ended"
        );
    });
}

#[test]
fn three_jobs_run_at_a_time() {
    static RUNNING: AtomicU32 = AtomicU32::new(0);
    static MOST: AtomicU32 = AtomicU32::new(0);
    paused(STUCK, || async {
        let job = |_| {
            let work = async {
                let running = RUNNING.fetch_add(1, Ordering::Relaxed) + 1;
                MOST.fetch_max(running, Ordering::Relaxed);
                sleep(Duration::from_secs(1)).await;
                RUNNING.fetch_sub(1, Ordering::Relaxed);
            };
            work.boxed()
        };
        run_all(&queue_of(0..7), job).await;
        let most = MOST.load(Ordering::Relaxed);
        assert!(
            most <= 3,
            "more than three jobs ran at the same time: does the task hold its permit?"
        );
        assert_ne!(most, 1, "the jobs ran one after the other");
        assert_eq!(most, 3, "only two jobs ran at the same time");
    });
}

#[test]
fn a_job_starts_as_soon_as_another_ends() {
    paused(STUCK, || async {
        let start = Instant::now();
        // One long job and four short ones: these take turns beside it.
        let job = |n| sleep(Duration::from_secs(if n == 0 { 4 } else { 2 })).boxed();
        run_all(&queue_of(0..5), job).await;
        let seconds = start.elapsed().as_secs();
        assert_eq!(seconds, 4, "a job did not start although a permit was free");
    });
}

#[test]
fn a_job_that_panics_releases_its_permit() {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    paused(STUCK, || async {
        let job = |n| {
            let work = async move {
                STARTED.fetch_add(1, Ordering::Relaxed);
                assert!(n >= 3, "the first three jobs fail");
            };
            work.boxed()
        };
        // `run_all` may panic, too, before the last jobs have begun.
        let queue = queue_of(0..6);
        let all = AssertUnwindSafe(run_all(&queue, job));
        let _ = all.catch_unwind().await;
        sleep(Duration::from_secs(1)).await;
        let started = STARTED.load(Ordering::Relaxed);
        assert_eq!(started, 6, "a job was not called after others had panicked");
    });
}

#[test]
fn a_job_stays_in_the_queue_until_it_may_run() {
    paused(STUCK, || async {
        let queue = queue_of(0..10);
        let watch = async {
            sleep(Duration::from_millis(500)).await;
            queue.len()
        };
        let job = |_| sleep(Duration::from_secs(1)).boxed();
        let (left, ()) = tokio::join!(watch, run_all(&queue, job));
        assert!(
            left >= 7,
            "a job was taken from the queue before it could run"
        );
    });
}
