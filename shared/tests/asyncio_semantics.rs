//! Whether tokio and `futures` behave like asyncio where the asyncio examples
//! rely on it. The comment on each test begins with the answer.
//!
//! Time is paused in these tests: it jumps to the next timer when every task
//! waits, so a second takes no time and comes out exact.

#![cfg(feature = "asyncio")]
#![forbid(unsafe_code)]

mod watchdog;

use futures::future::{join_all, try_join_all};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};
use watchdog::watchdog;

const SECOND: Duration = Duration::from_secs(1);

/// What the tasks of a test would print.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<String>>>);

impl Output {
    fn print(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    fn lines(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

mod create_task {
    use super::*;

    /// Yes: neither `create_task` nor `tokio::spawn` runs the task at once.
    #[tokio::test(start_paused = true)]
    async fn a_task_starts_only_when_its_creator_waits() {
        let _watchdog = watchdog();
        let output = Output::default();
        let task = tokio::spawn({
            let output = output.clone();
            async move { output.print("task") }
        });
        output.print("creator");
        task.await.unwrap();
        assert_eq!(output.lines(), "creator task");
    }

    /// Yes, on the current-thread runtime.
    #[tokio::test(start_paused = true)]
    async fn tasks_start_in_the_order_in_which_they_were_created() {
        let _watchdog = watchdog();
        let output = Output::default();
        let tasks = (0..3).map(|i| {
            let output = output.clone();
            tokio::spawn(async move {
                output.print(format!("S{i}"));
                sleep(SECOND).await;
                output.print(format!("F{i}"));
            })
        });
        join_all(tasks).await;
        assert_eq!(output.lines(), "S0 S1 S2 F0 F1 F2");
    }

    /// Yes: they sleep at the same time.
    #[tokio::test(start_paused = true)]
    async fn five_tasks_of_a_second_take_a_second() {
        let _watchdog = watchdog();
        let start = Instant::now();
        join_all((0..5).map(|_| tokio::spawn(sleep(SECOND)))).await;
        // Timers count in whole milliseconds and round up.
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    /// Yes: `cancel` takes effect where the task waits.
    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_ends_at_its_await() {
        let _watchdog = watchdog();
        let output = Output::default();
        let task = tokio::spawn({
            let output = output.clone();
            async move {
                output.print("before");
                sleep(SECOND).await;
                output.print("after");
            }
        });
        yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(output.lines(), "before");
    }

    /// No: Python may destroy a task that no variable refers to; tokio runs it.
    #[tokio::test(start_paused = true)]
    async fn a_task_whose_handle_is_dropped_runs_on() {
        let _watchdog = watchdog();
        let output = Output::default();
        drop(tokio::spawn({
            let output = output.clone();
            async move {
                sleep(SECOND).await;
                output.print("done");
            }
        }));
        sleep(2 * SECOND).await;
        assert_eq!(output.lines(), "done");
    }
}

mod gather {
    use super::*;

    async fn after(seconds: u32, result: Result<u32, u32>) -> Result<u32, u32> {
        sleep(seconds * SECOND).await;
        result
    }

    /// Yes: it does not matter which of them is done first.
    #[tokio::test(start_paused = true)]
    async fn results_come_in_the_order_of_the_arguments() {
        let _watchdog = watchdog();
        let gathered = try_join_all([after(3, Ok(3)), after(1, Ok(1)), after(2, Ok(2))]);
        assert_eq!(gathered.await, Ok(vec![3, 1, 2]));
    }

    /// Yes: the order of the list does not matter, and the other tasks are not
    /// waited for.
    #[tokio::test(start_paused = true)]
    async fn the_failure_that_is_first_in_time_is_returned() {
        let _watchdog = watchdog();
        let start = Instant::now();
        let gathered = try_join_all([after(3, Err(3)), after(1, Err(1)), after(5, Ok(5))]);
        assert_eq!(gathered.await, Err(1));
        assert_eq!(start.elapsed().as_secs(), 1);
    }

    /// Yes, if the futures were spawned: the other tasks run on. Futures that
    /// were not spawned are dropped, which cancels them, as `TaskGroup` does.
    #[tokio::test(start_paused = true)]
    async fn a_failure_leaves_the_other_tasks_alone() {
        let _watchdog = watchdog();
        let output = Output::default();
        let work = |seconds, fails| {
            let output = output.clone();
            async move {
                sleep(seconds * SECOND).await;
                output.print(format!("{seconds}"));
                if fails { Err(()) } else { Ok(()) }
            }
        };
        let spawned = try_join_all([work(1, true), work(2, false)].map(|work| {
            let task = tokio::spawn(work);
            async { task.await.unwrap() }
        }));
        assert!(spawned.await.is_err());
        sleep(5 * SECOND).await;
        assert_eq!(output.lines(), "1 2");

        assert!(try_join_all([work(3, true), work(4, false)]).await.is_err());
        sleep(5 * SECOND).await;
        assert_eq!(output.lines(), "1 2 3");
    }

    /// No: `gather` raises the exception of a task. A panic is an error of the
    /// task's `JoinHandle`, and the code that awaits the handle deals with it.
    #[tokio::test(start_paused = true)]
    async fn a_panic_is_seen_where_the_task_is_awaited() {
        let _watchdog = watchdog();
        let tasks = (0..3).map(|i| tokio::spawn(async move { assert_ne!(i, 1) }));
        let results = join_all(tasks).await;
        let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, true, false]);
    }
}

mod semaphore {
    use super::*;

    /// Yes: as in the example, two at a time and in order.
    #[tokio::test(start_paused = true)]
    async fn waiters_are_served_in_order() {
        let _watchdog = watchdog();
        let output = Output::default();
        let semaphore = Arc::new(Semaphore::new(2));
        let tasks = (0..5).map(|i| {
            let (output, semaphore) = (output.clone(), semaphore.clone());
            tokio::spawn(async move {
                let _permit = semaphore.acquire().await.unwrap();
                output.print(format!("S{i}"));
                sleep(SECOND).await;
                output.print(format!("F{i}"));
            })
        });
        join_all(tasks).await;
        assert_eq!(output.lines(), "S0 S1 F0 F1 S2 S3 F2 F3 S4 F4");
    }

    /// Yes: a permit that is given back belongs to the waiter at once, even
    /// before the waiter runs.
    #[tokio::test(start_paused = true)]
    async fn a_new_call_does_not_overtake_a_waiter() {
        let _watchdog = watchdog();
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.acquire().await.unwrap();
        let waiter = tokio::spawn(semaphore.clone().acquire_owned());
        yield_now().await;
        drop(permit);
        assert!(semaphore.try_acquire().is_err());
        drop(waiter.await.unwrap());
        assert!(semaphore.try_acquire().is_ok());
    }

    /// Yes: the permit of the cancelled waiter is not lost.
    #[tokio::test(start_paused = true)]
    async fn cancelling_a_woken_waiter_passes_its_permit_on() {
        let _watchdog = watchdog();
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.acquire().await.unwrap();
        let first = tokio::spawn(semaphore.clone().acquire_owned());
        let second = tokio::spawn(semaphore.clone().acquire_owned());
        yield_now().await;
        drop(permit);
        first.abort();
        assert!(second.await.unwrap().is_ok());
        assert!(first.await.unwrap_err().is_cancelled());
    }

    /// Yes: leaving `async with` by an exception releases, and so does a panic.
    #[tokio::test(start_paused = true)]
    async fn a_failing_task_gives_its_permit_back() {
        let _watchdog = watchdog();
        let semaphore = Arc::new(Semaphore::new(1));
        let same = semaphore.clone();
        let task = tokio::spawn(async move {
            let _permit = same.acquire().await.unwrap();
            panic!("while it holds the permit");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(semaphore.available_permits(), 1);
    }
}
