//! The executor and the asyncio queue under a model checker: Shuttle runs each
//! test two thousand times, and each time it chooses another order in which the
//! threads go on at their locks, wake-ups and atomics.
//!
//! The tests compile the library's own source a second time, with Shuttle's
//! locks and threads in place of std's. Of tokio they use the real `Notify`,
//! which never blocks a thread, with a point before each operation at which
//! Shuttle may switch threads.

#![cfg(all(feature = "asyncio", feature = "threading"))]
#![forbid(unsafe_code)]

// The source of the library says `crate::sync` and `tokio::sync`; in this test,
// both mean the module `sync` below.
extern crate self as tokio;
extern crate tokio as real_tokio;

#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../src/asyncio.rs"]
mod asyncio;
#[allow(dead_code, unused_imports, reason = "a model uses part of the library")]
#[path = "../src/concurrent/futures/mod.rs"]
mod concurrent_futures;
mod watchdog;

/// Takes the place of `tokio::task`.
mod task {
    pub use real_tokio::task::coop;
}

/// Takes the place of `src/sync.rs` and of `tokio::sync`.
mod sync {
    pub use shuttle::sync::*;

    pub mod thread {
        pub use shuttle::thread::*;
        use std::io;

        /// Adds two things to Shuttle's `Builder`: it can spawn in a scope, and
        /// it refuses to start threads with certain names, as a system does
        /// that has no threads left.
        pub struct Builder(String);

        impl Builder {
            pub fn new() -> Self {
                Self(String::new())
            }

            pub fn name(self, name: String) -> Self {
                Self(name)
            }

            pub fn spawn<T: Send + 'static>(
                self,
                main: impl FnOnce() -> T + Send + 'static,
            ) -> io::Result<JoinHandle<T>> {
                match self.0.as_str() {
                    "none_0" | "one_1" => Err(io::ErrorKind::WouldBlock.into()),
                    _ => shuttle::thread::Builder::new().name(self.0).spawn(main),
                }
            }

            pub fn spawn_scoped<'scope, T: Send + 'scope>(
                self,
                scope: &'scope Scope<'scope, '_>,
                main: impl FnOnce() -> T + Send + 'scope,
            ) -> io::Result<ScopedJoinHandle<'scope, T>> {
                Ok(scope.spawn(main))
            }
        }
    }

    use real_tokio::sync::futures::Notified;

    /// A point at which Shuttle may switch to another thread.
    fn switch() {
        atomic::AtomicBool::new(false).load(atomic::Ordering::SeqCst);
    }

    pub struct Notify(real_tokio::sync::Notify);

    impl Notify {
        pub fn new() -> Self {
            Self(real_tokio::sync::Notify::new())
        }

        pub fn notified(&self) -> Notified<'_> {
            switch();
            self.0.notified()
        }

        pub fn notify_waiters(&self) {
            switch();
            self.0.notify_waiters();
        }
    }

    /// Calls `ready` only once, because time does not pass in a model.
    pub fn spin_until(ready: impl Fn() -> bool) {
        ready();
    }
}

use asyncio::Queue;
use concurrent_futures::{Error, ThreadPoolExecutor};
use futures::future::{FutureExt, join};
use shuttle::future::{JoinHandle, block_on};
use shuttle::sync::Barrier;
use shuttle::sync::mpsc::{self, Receiver, Sender};
use shuttle::thread;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use watchdog::watchdog;

/// Runs the model in random schedules, and in schedules that are drawn so that
/// rare orders of a few events are likely.
fn check(model: fn()) {
    let _watchdog = watchdog();
    shuttle::check_random(model, 1_000);
    shuttle::check_pct(model, 1_000, 3);
}

/// Counts calls. It uses std's atomic, which adds no schedules to the model.
#[derive(Clone, Default)]
struct Count(Arc<AtomicUsize>);

impl Count {
    fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

mod thread_pool_executor {
    use super::*;

    #[test]
    fn every_call_is_called_once_and_its_result_arrives() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            let calls = Count::default();
            thread::scope(|scope| {
                for n in [10, 20] {
                    let (executor, calls) = (&executor, &calls);
                    scope.spawn(move || {
                        let futures = [n, n + 1].map(|n| {
                            let calls = calls.clone();
                            executor.submit(move || {
                                calls.up();
                                n
                            })
                        });
                        assert_eq!(futures.map(|future| future.result().unwrap()), [n, n + 1]);
                    });
                }
            });
            drop(executor);
            assert_eq!(calls.get(), 4);
        });
    }

    #[test]
    fn map_yields_in_order_and_the_next_call_is_not_held_up() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            let squares = executor.map(|n| n * n, 0..3);
            let after = executor.submit(|| 7);
            assert!(squares.eq([0, 1, 4]));
            assert_eq!(after.result().unwrap(), 7);
        });
    }

    #[test]
    fn a_scoped_executor_is_done_when_its_scope_ends() {
        check(|| {
            let calls = Count::default();
            thread::scope(|scope| {
                let executor = ThreadPoolExecutor::builder()
                    .max_workers(2)
                    .build_scoped(scope);
                drop(executor.map(|()| calls.up(), [(); 3]));
            });
            assert_eq!(calls.get(), 3);
        });
    }

    #[test]
    fn calls_in_a_row_use_one_thread() {
        check(|| {
            let executor = ThreadPoolExecutor::new(3);
            let mut threads = HashSet::new();
            for _ in 0..2 {
                threads.insert(executor.submit(|| thread::current().id()).result().unwrap());
                threads.extend(executor.map(|()| thread::current().id(), [()]));
            }
            assert_eq!(threads.len(), 1);
        });
    }

    #[test]
    fn calls_that_wait_for_each_other_get_a_thread_each() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let same = executor.clone();
            let outer = executor.submit(move || same.submit(|| 7).result().unwrap());
            assert_eq!(outer.result().unwrap(), 7);
        });
    }

    #[test]
    fn calls_that_meet_at_a_barrier_get_a_thread_each_even_if_threads_sleep() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            // The second time there are two threads, and one may be asleep.
            for _ in 0..2 {
                let barrier = Barrier::new(2);
                let meet = move |()| _ = barrier.wait();
                assert_eq!(executor.map(meet, [(); 2]).count(), 2);
            }
        });
    }

    #[test]
    fn a_thread_that_has_done_one_item_and_has_another_is_not_idle() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(3));
            let (release, released) = mpsc::channel::<()>();
            let mut results = executor.map(
                |waits: Option<Receiver<()>>| waits.map(|waits| waits.recv()),
                [None, Some(released)],
            );
            assert!(results.next().is_some());
            // The other item occupies one thread, these calls need two more.
            let same = executor.clone();
            let outer = executor.submit(move || same.submit(|| 7).result().unwrap());
            assert_eq!(outer.result().unwrap(), 7);
            drop(release);
        });
    }

    #[test]
    fn a_call_runs_unless_it_was_cancelled() {
        check(|| {
            let executor = ThreadPoolExecutor::new(1);
            let calls = Count::default();
            let call = calls.clone();
            let future = Arc::new(executor.submit(move || call.up()));
            let same = future.clone();
            let cancel = thread::spawn(move || same.cancel());
            let result = future.result();
            let cancelled = cancel.join().unwrap();
            assert_eq!(matches!(result, Err(Error::Cancelled)), cancelled);
            drop(executor);
            assert_eq!(calls.get(), usize::from(!cancelled));
        });
    }

    #[test]
    fn a_callback_is_called_once_whenever_it_is_added() {
        check(|| {
            let executor = ThreadPoolExecutor::new(1);
            let calls = Count::default();
            let future = executor.submit(|| ());
            for _ in 0..2 {
                let calls = calls.clone();
                future.add_done_callback(move |future| {
                    assert!(future.done());
                    calls.up();
                });
            }
            drop(executor);
            assert_eq!(calls.get(), 2);
        });
    }

    #[test]
    fn a_call_submitted_during_shutdown_runs_or_is_rejected() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            thread::scope(|scope| {
                let submit = scope.spawn(|| executor.submit(|| 7));
                executor.shutdown();
                match submit.join().unwrap().result() {
                    Ok(n) => assert_eq!(n, 7),
                    Err(error) => assert!(matches!(error, Error::Shutdown)),
                }
            });
        });
    }

    #[test]
    fn after_shutdown_cancel_futures_no_call_starts_and_every_wait_ends() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            let calls = Count::default();
            let called = calls.clone();
            let mut results = executor.map(move |()| called.up(), [(); 4]);
            let future = executor.submit(|| ());
            let reader = thread::spawn(move || {
                catch_unwind(AssertUnwindSafe(|| results.by_ref().count())).unwrap_or(0)
            });
            executor.shutdown_cancel_futures();
            let cancelled = future.cancelled();
            executor.shutdown();
            let read = reader.join().unwrap();
            assert!(read == 0 || read == 4 && calls.get() == 4);
            assert_eq!(future.result().is_err(), cancelled);
        });
    }

    #[test]
    fn the_call_after_a_map_that_is_dropped_half_read_runs() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            let mut results = executor.map(|n| n, 0..4);
            let after = executor.submit(|| 7);
            assert_eq!(results.next(), Some(0));
            drop(results);
            assert_eq!(after.result().unwrap(), 7);
        });
    }

    #[test]
    fn maps_and_shutdowns_can_be_repeated() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            for _ in 0..2 {
                assert!(executor.map(|n| n * n, 0..3).eq([0, 1, 4]));
            }
            let unread = executor.map(|n| n, 0..2);
            let same = executor.clone();
            let other = thread::spawn(move || {
                same.shutdown();
                same.shutdown_nowait();
                same.shutdown();
            });
            executor.shutdown();
            executor.shutdown();
            other.join().unwrap();
            assert!(unread.eq([0, 1]), "both have waited for it");
        });
    }

    #[test]
    fn all_threads_that_wait_for_one_result_wake_and_one_gets_it() {
        check(|| {
            let executor = ThreadPoolExecutor::new(1);
            let future = Arc::new(executor.submit(|| 7));
            let same = future.clone();
            let other = thread::spawn(move || same.result());
            let results = [future.result(), other.join().unwrap(), future.result()];
            let got = results.iter().filter(|result| matches!(result, Ok(7)));
            assert_eq!(got.count(), 1);
            let taken = results
                .iter()
                .filter(|result| matches!(result, Err(Error::Taken)));
            assert_eq!(taken.count(), 2);
        });
    }

    /// Submits a call when it is dropped, and waits for it. If a thread of the
    /// pool drops it, the call needs another thread.
    struct SubmitsOnDrop(Arc<ThreadPoolExecutor<'static>>, Sender<()>);

    impl Drop for SubmitsOnDrop {
        fn drop(&mut self) {
            assert_eq!(self.0.submit(|| 7).result().unwrap(), 7);
            self.1.send(()).unwrap();
        }
    }

    /// Has `submit` submit a call after which a thread of the pool drops the
    /// value. That thread must not count as idle while it does.
    fn assert_dropped_by_a_busy_thread(
        submit: impl FnOnce(&ThreadPoolExecutor<'static>, SubmitsOnDrop),
    ) {
        let executor = Arc::new(ThreadPoolExecutor::new(2));
        let (sender, dropped) = mpsc::channel();
        submit(&executor, SubmitsOnDrop(executor.clone(), sender));
        dropped.recv().unwrap();
        executor.shutdown();
        assert!(dropped.recv().is_err(), "it is dropped once");
    }

    #[test]
    fn a_thread_that_drops_an_abandoned_result_is_not_idle() {
        check(|| {
            assert_dropped_by_a_busy_thread(|executor, value| {
                drop(executor.submit(move || value));
            });
        });
    }

    #[test]
    fn a_thread_that_drops_the_result_of_a_map_is_not_idle() {
        check(|| {
            assert_dropped_by_a_busy_thread(|executor, value| {
                drop(executor.map(|value| value, [value]));
            });
        });
    }

    #[test]
    fn a_thread_that_drops_the_function_of_a_map_is_not_idle() {
        check(|| {
            assert_dropped_by_a_busy_thread(|executor, value| {
                drop(executor.map(move |()| _ = &value, [()]));
            });
        });
    }

    #[test]
    fn a_thread_that_drops_a_result_with_its_last_callback_is_not_idle() {
        check(|| {
            let called = Count::default();
            assert_dropped_by_a_busy_thread(|executor, value| {
                let future = executor.submit(move || value);
                for _ in 0..2 {
                    let called = called.clone();
                    future.add_done_callback(move |_| called.up());
                }
            });
            assert_eq!(called.get(), 2);
        });
    }

    #[test]
    fn map_buffered_yields_in_order_and_keeps_within_its_buffer() {
        check(|| {
            let executor = ThreadPoolExecutor::new(2);
            let calls = Count::default();
            let called = calls.clone();
            let call = move |n| {
                called.up();
                n
            };
            let mut results = executor.map_buffered(call, 0.., 2);
            let after = executor.submit(|| 7);
            for n in 0..3 {
                assert!(calls.get() <= n + 2);
                assert_eq!(results.next(), Some(n));
            }
            drop(results);
            assert_eq!(after.result().unwrap(), 7);
            drop(executor);
            assert!((3..=5).contains(&calls.get()));
        });
    }

    #[test]
    fn map_buffered_during_shutdown_yields_what_was_submitted() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let same = executor.clone();
            let mut results = executor.map_buffered(|n| n, 0..5, 2);
            let other = thread::spawn(move || same.shutdown());
            let mut yielded = Vec::new();
            let panic = catch_unwind(AssertUnwindSafe(|| yielded.extend(results.by_ref())));
            assert!(yielded.iter().copied().eq(0..yielded.len()));
            assert!(yielded.len() >= 2);
            assert_eq!(panic.is_ok(), yielded.len() == 5);
            assert_eq!(results.next(), None);
            other.join().unwrap();
        });
    }

    #[test]
    fn submit_fails_only_if_not_a_single_thread_can_start() {
        check(|| {
            let none = ThreadPoolExecutor::builder().thread_name_prefix("none");
            let executor = none.build();
            for _ in 0..2 {
                let error = executor.submit(|| 7).result().unwrap_err();
                assert!(matches!(error, Error::Spawn(_)));
            }

            let one = ThreadPoolExecutor::builder().thread_name_prefix("one");
            let executor = one.build();
            let [a, b] = [7, 8].map(|n| executor.submit(move || n));
            assert_eq!([a, b].map(|future| future.result().unwrap()), [7, 8]);
        });
    }

    #[test]
    fn every_wait_ends_when_an_initializer_panics() {
        check(|| {
            let first = Count::default();
            let executor = ThreadPoolExecutor::builder()
                .max_workers(2)
                .initializer(move || {
                    first.up();
                    if first.get() == 1 {
                        // Unlike `panic!`, says nothing.
                        resume_unwind(Box::new(()));
                    }
                })
                .build();
            for future in [1, 2, 3].map(|n| executor.submit(move || n)) {
                let result = future.result();
                assert!(
                    matches!(result, Ok(1..=3) | Err(Error::Broken)),
                    "{result:?}"
                );
            }
            executor.shutdown();
            assert!(executor.submit(|| ()).result().is_err());
        });
    }

    #[test]
    fn a_call_can_drop_its_executor_and_pending_calls_still_run() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let own = Arc::new(Mutex::new(None));
            let taken = own.clone();
            let call = executor.submit(move || {
                drop::<Option<Arc<ThreadPoolExecutor>>>(taken.lock().unwrap().take())
            });
            let pending = executor.submit(|| 7);
            *own.lock().unwrap() = Some(executor);
            call.result().unwrap();
            assert_eq!(pending.result().unwrap(), 7);
            drop(own);
        });
    }

    #[test]
    fn several_calls_can_shut_down_their_executor_at_once() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            for _ in 0..2 {
                let same = executor.clone();
                drop(executor.submit(move || same.shutdown()));
            }
            executor.shutdown();
        });
    }
}

mod asyncio_queue {
    use super::*;

    /// Spawns a task that uses the queue.
    fn spawn<T, F>(
        queue: &Arc<Queue<T>>,
        task: impl FnOnce(Arc<Queue<T>>) -> F,
    ) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        shuttle::future::spawn(task(queue.clone()))
    }

    #[test]
    fn every_item_is_got_once_and_join_returns_when_all_are_done() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            let producers = [10, 20].map(|n| {
                spawn(&queue, async move |queue| {
                    queue.put(n).await;
                    queue.put(n + 1).await;
                })
            });
            let consumers = [(); 2].map(|()| {
                spawn(&queue, async |queue| {
                    let items = [queue.get().await, queue.get().await];
                    queue.task_done();
                    queue.task_done();
                    items
                })
            });
            block_on(async {
                for producer in producers {
                    producer.await.unwrap();
                }
                queue.join().await;
                let mut items = Vec::new();
                for consumer in consumers {
                    items.extend(consumer.await.unwrap());
                }
                items.sort();
                assert_eq!(items, [10, 11, 20, 21]);
                assert!(queue.is_empty());
            });
        });
    }

    #[test]
    fn one_consumer_gets_the_items_of_one_producer_in_order() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(2));
            spawn(&queue, async |queue| {
                for i in 0..4 {
                    queue.put(i).await;
                }
            });
            block_on(async {
                for i in 0..4 {
                    assert_eq!(queue.get().await, i);
                }
            });
        });
    }

    #[test]
    fn a_cancelled_get_loses_no_item_and_the_other_get_returns() {
        check(|| {
            let queue = Arc::new(Queue::new());
            let [cancelled, other] =
                [(); 2].map(|()| spawn(&queue, async |queue| queue.get().await));
            let producer = spawn(&queue, async |queue| {
                queue.put(1).await;
                queue.put(2).await;
            });
            cancelled.abort();
            block_on(async {
                producer.await.unwrap();
                let mut items = vec![other.await.unwrap()];
                items.extend(cancelled.await.ok());
                items.extend(queue.try_get().ok());
                items.sort();
                assert_eq!(items, [1, 2]);
            });
        });
    }

    #[test]
    fn a_cancelled_put_takes_no_place_and_the_other_put_returns() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            queue.try_put(0).unwrap();
            let [cancelled, other] =
                [1, 2].map(|n| spawn(&queue, async move |queue| queue.put(n).await));
            cancelled.abort();
            block_on(async {
                assert_eq!(queue.get().await, 0);
                let mut items = vec![queue.get().await];
                other.await.unwrap();
                if cancelled.await.is_ok() {
                    items.push(queue.get().await);
                }
                items.retain(|&item| item != 1);
                items.extend(queue.try_get().ok());
                assert_eq!(items, [2]);
                assert!(queue.try_put(3).is_ok(), "the place is free");
            });
        });
    }

    #[test]
    fn join_waits_for_what_was_put_before_it() {
        check(|| {
            let queue = Arc::new(Queue::new());
            let tasks = [(); 2].map(|()| {
                spawn(&queue, async |queue| {
                    // Twice, because the notification of one zero may arrive
                    // after the other task has put its next item.
                    for _ in 0..2 {
                        let done = Count::default();
                        queue.put(done.clone()).await;
                        queue.join().await;
                        assert_eq!(done.get(), 1);
                    }
                })
            });
            spawn(&queue, async |queue| {
                for _ in 0..4 {
                    queue.get().await.up();
                    queue.task_done();
                }
            });
            block_on(async {
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    }

    #[test]
    fn gets_of_one_task_are_served_in_order_whichever_is_polled_first() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(2));
            spawn(&queue, async |queue| {
                for i in 0..4 {
                    queue.put(i).await;
                }
            });
            block_on(async {
                for i in [0, 2] {
                    let (mut first, second) = (pin!(queue.get()), queue.get());
                    let items = match first.as_mut().now_or_never() {
                        Some(item) => (second.await, item),
                        None => join(second, first).await,
                    };
                    assert_eq!(items, (i + 1, i));
                }
            });
        });
    }

    #[test]
    fn a_call_that_is_dropped_while_it_waits_can_be_repeated() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            let producer = spawn(&queue, async |queue| {
                for i in 0..3 {
                    if queue.put(i).now_or_never().is_none() {
                        queue.put(i).await;
                    }
                }
            });
            block_on(async {
                for i in 0..3 {
                    let item = match queue.get().now_or_never() {
                        Some(item) => item,
                        None => queue.get().await,
                    };
                    assert_eq!(item, i);
                }
                producer.await.unwrap();
                assert!(queue.is_empty());
            });
        });
    }

    #[test]
    fn a_dropped_join_does_not_block_the_next_one() {
        check(|| {
            let queue = Arc::new(Queue::new());
            queue.try_put(()).unwrap();
            let [dropped, other] =
                [(); 2].map(|()| spawn(&queue, async |queue| queue.join().await));
            let worker = queue.clone();
            let worker = thread::spawn(move || worker.task_done());
            dropped.abort();
            block_on(async {
                other.await.unwrap();
                queue.join().await;
                queue.put(()).await;
                spawn(&queue, async |queue| queue.task_done());
                queue.join().await;
            });
            worker.join().unwrap();
        });
    }

    #[test]
    fn every_join_is_woken() {
        check(|| {
            let queue = Arc::new(Queue::new());
            queue.try_put(()).unwrap();
            let joins = [(); 2].map(|()| spawn(&queue, async |queue| queue.join().await));
            queue.task_done();
            block_on(async {
                for join in joins {
                    join.await.unwrap();
                }
            });
        });
    }

    #[test]
    fn try_put_and_try_get_keep_within_maxsize() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            queue.try_put(0).unwrap();
            let [getter, putter] = [true, false].map(|gets| {
                let queue = queue.clone();
                thread::spawn(move || match gets {
                    true => queue.try_get().is_ok(),
                    false => queue.try_put(1).is_ok(),
                })
            });
            assert!(queue.len() <= 1);
            assert!(getter.join().unwrap());
            let put = putter.join().unwrap();
            assert_eq!((queue.len(), queue.is_full()), (put.into(), put));
        });
    }
}
