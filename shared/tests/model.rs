//! The executor and the asyncio queue under a model checker: Shuttle runs
//! each test some thousand times, and chooses anew each time who goes on at
//! each lock, each wake-up and each atomic.
//!
//! It is the library's own source, compiled once more over Shuttle's
//! primitives in place of std's, and over tokio's `Notify` with a switch
//! before each of its operations, none of which blocks a thread.

#![cfg(all(feature = "asyncio", feature = "threading"))]
#![forbid(unsafe_code)]

// For the library's source, this file is its crate and tokio as well.
extern crate self as tokio;
extern crate tokio as real_tokio;

#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../src/asyncio.rs"]
mod asyncio;
#[allow(dead_code, unused_imports, reason = "a model uses part of the library")]
#[path = "../src/concurrent/futures/mod.rs"]
mod executor;
mod watchdog;

/// Stands for tokio's.
mod task {
    pub use real_tokio::task::coop;
}

/// Stands for `src/sync.rs`.
mod sync {
    pub use shuttle::sync::*;

    pub mod thread {
        pub use shuttle::thread::*;
        use std::io;

        /// Shuttle's cannot spawn in a scope, and the system of this one has
        /// no thread left for certain names.
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

    /// Where others may go on.
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

    /// Asks once: in a model, time is what others do meanwhile.
    pub fn spin_until(ready: impl Fn() -> bool) {
        ready();
    }
}

use asyncio::Queue;
use executor::{Error, ThreadPoolExecutor};
use futures::future::{FutureExt, join};
use shuttle::future::{block_on, spawn};
use shuttle::sync::Barrier;
use shuttle::sync::mpsc::{self, Receiver, Sender};
use shuttle::thread;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use watchdog::watchdog;

/// Runs the model in schedules drawn at random, and in ones drawn so that
/// rare orders of a few events come up often.
fn check(model: fn()) {
    let _watchdog = watchdog();
    shuttle::check_random(model, 1_000);
    shuttle::check_pct(model, 1_000, 3);
}

/// Counts calls. Not a primitive of the model, to leave its schedules alone.
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
    fn calls_that_meet_get_a_thread_each_though_threads_are_asleep() {
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
    fn what_is_cancelled_is_never_called_and_all_else_is() {
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
    fn submit_beside_shutdown_is_done_or_refused() {
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
    fn nothing_starts_after_shutdown_cancel_futures_and_nobody_waits_for_ever() {
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
    fn a_begun_map_that_is_dropped_strands_nobody() {
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
    fn maps_and_shutdowns_may_be_repeated() {
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
    fn whoever_waits_for_one_result_is_woken_and_one_gets_it() {
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

    /// Has a call done when it is dropped, and then says so. If a thread of the
    /// pool drops it, the call needs another thread.
    struct Needy(Arc<ThreadPoolExecutor<'static>>, Sender<()>);

    impl Needy {
        fn new(executor: &Arc<ThreadPoolExecutor<'static>>) -> (Self, Receiver<()>) {
            let (sender, dropped) = mpsc::channel();
            (Self(executor.clone(), sender), dropped)
        }
    }

    impl Drop for Needy {
        fn drop(&mut self) {
            assert_eq!(self.0.submit(|| 7).result().unwrap(), 7);
            self.1.send(()).unwrap();
        }
    }

    #[test]
    fn a_thread_that_drops_a_result_nobody_wants_is_not_idle() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let (needy, dropped) = Needy::new(&executor);
            drop(executor.submit(move || needy));
            dropped.recv().unwrap();
            executor.shutdown();
            assert!(dropped.recv().is_err(), "it is dropped once");
        });
    }

    #[test]
    fn a_thread_that_drops_the_result_of_a_map_is_not_idle() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let (needy, dropped) = Needy::new(&executor);
            drop(executor.map(|needy| needy, [needy]));
            dropped.recv().unwrap();
            executor.shutdown();
            assert!(dropped.recv().is_err(), "it is dropped once");
        });
    }

    #[test]
    fn a_thread_that_drops_the_function_of_a_map_is_not_idle() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let (needy, dropped) = Needy::new(&executor);
            drop(executor.map(move |()| _ = &needy, [()]));
            dropped.recv().unwrap();
            executor.shutdown();
            assert!(dropped.recv().is_err(), "it is dropped once");
        });
    }

    #[test]
    fn a_thread_that_drops_a_result_with_its_last_callback_is_not_idle() {
        check(|| {
            let executor = Arc::new(ThreadPoolExecutor::new(2));
            let (needy, dropped) = Needy::new(&executor);
            let called = Count::default();
            let future = executor.submit(move || needy);
            for _ in 0..2 {
                let called = called.clone();
                future.add_done_callback(move |_| called.up());
            }
            drop(future);
            dropped.recv().unwrap();
            executor.shutdown();
            assert_eq!(called.get(), 2);
            assert!(dropped.recv().is_err(), "it is dropped once");
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
    fn map_buffered_beside_shutdown_yields_what_was_submitted() {
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
    fn a_system_without_threads_is_an_error_and_with_few_none() {
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
    fn nobody_waits_for_ever_when_an_initializer_panics() {
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
    fn a_call_that_drops_its_executor_ends_and_so_does_what_is_pending() {
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
    fn a_call_may_shut_down_beside_others() {
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

    #[test]
    fn every_item_is_got_once_and_join_sees_them_all_done() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            let producers = [10, 20].map(|n| {
                let queue = queue.clone();
                spawn(async move {
                    queue.put(n).await;
                    queue.put(n + 1).await;
                })
            });
            let consumers = [(); 2].map(|()| {
                let queue = queue.clone();
                spawn(async move {
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
            let producer = queue.clone();
            spawn(async move {
                for i in 0..4 {
                    producer.put(i).await;
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
    fn a_cancelled_get_loses_no_item_and_strands_nobody() {
        check(|| {
            let queue = Arc::new(Queue::new());
            let [cancelled, other] = [(); 2].map(|()| {
                let queue = queue.clone();
                spawn(async move { queue.get().await })
            });
            let producer = queue.clone();
            let producer = spawn(async move {
                producer.put(1).await;
                producer.put(2).await;
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
    fn a_cancelled_put_takes_no_place_and_strands_nobody() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            queue.try_put(0).unwrap();
            let [cancelled, other] = [1, 2].map(|n| {
                let queue = queue.clone();
                spawn(async move { queue.put(n).await })
            });
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
                let queue = queue.clone();
                spawn(async move {
                    // Twice, as the notice of one zero may come after the
                    // other task has put its next item.
                    for _ in 0..2 {
                        let done = Count::default();
                        queue.put(done.clone()).await;
                        queue.join().await;
                        assert_eq!(done.get(), 1);
                    }
                })
            });
            let worker = queue.clone();
            spawn(async move {
                for _ in 0..4 {
                    worker.get().await.up();
                    worker.task_done();
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
            let producer = queue.clone();
            spawn(async move {
                for i in 0..4 {
                    producer.put(i).await;
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
    fn what_is_dropped_while_it_waits_may_be_tried_again() {
        check(|| {
            let queue = Arc::new(Queue::with_maxsize(1));
            let producer = queue.clone();
            let producer = spawn(async move {
                for i in 0..3 {
                    if producer.put(i).now_or_never().is_none() {
                        producer.put(i).await;
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
    fn a_join_that_is_dropped_does_not_hold_up_the_next() {
        check(|| {
            let queue = Arc::new(Queue::new());
            queue.try_put(()).unwrap();
            let joins = [(); 2].map(|()| {
                let queue = queue.clone();
                spawn(async move { queue.join().await })
            });
            let worker = queue.clone();
            let worker = thread::spawn(move || worker.task_done());
            let [dropped, other] = joins;
            dropped.abort();
            block_on(async {
                other.await.unwrap();
                queue.join().await;
                queue.put(()).await;
                let again = queue.clone();
                spawn(async move { again.task_done() });
                queue.join().await;
            });
            worker.join().unwrap();
        });
    }

    #[test]
    fn whoever_joins_is_woken() {
        check(|| {
            let queue = Arc::new(Queue::new());
            queue.try_put(()).unwrap();
            let joins = [(); 2].map(|()| {
                let queue = queue.clone();
                spawn(async move { queue.join().await })
            });
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
