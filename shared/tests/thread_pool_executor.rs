//! The promises of `shared::concurrent::futures`, seen from outside.
//! `tests/model.rs` runs it under a model checker.

#![cfg(feature = "threading")]
#![forbid(unsafe_code)]

mod watchdog;

use shared::concurrent::futures::{Error, Future, ThreadPoolExecutor};
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt::{self, Debug, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;
use watchdog::watchdog;

const MOMENT: Duration = Duration::from_millis(10);

fn square(n: i32) -> i32 {
    n * n
}

/// Submits a call and waits until it has started. It ends when the sender is
/// used or dropped.
fn occupy(executor: &ThreadPoolExecutor) -> (Sender<()>, Future<()>) {
    let (sender, receiver) = channel();
    let (started, starts) = channel();
    let future = executor.submit(move || {
        started.send(()).unwrap();
        let _ = receiver.recv();
    });
    starts.recv().unwrap();
    (sender, future)
}

/// Returns the message of the panic that `function` ends with.
fn panic_of<T>(function: impl FnOnce() -> T) -> String {
    let Err(panic) = catch_unwind(AssertUnwindSafe(function)) else {
        panic!("it did not panic");
    };
    match panic.downcast::<String>() {
        Ok(message) => *message,
        Err(panic) => panic.downcast::<&str>().unwrap().to_string(),
    }
}

/// Sends when it is dropped.
struct Dropped(Sender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send(()).unwrap();
    }
}

/// Panics when it is dropped, with a payload that does the same.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        if !thread::panicking() {
            // Unlike `panic_any`, this prints nothing.
            resume_unwind(Box::new(Fragile));
        }
    }
}

mod submit {
    use super::*;

    #[test]
    fn result_is_what_the_call_returned() -> Result<(), Error> {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        let future = executor.submit(|| square(3));
        assert_eq!(future.result()?, 9);
        assert!(future.done() && !future.running() && !future.cancelled());
        Ok(())
    }

    #[test]
    fn result_has_one_owner() {
        let _watchdog = watchdog();
        let future = ThreadPoolExecutor::new(1).submit(|| "hello".to_string());
        assert_eq!(future.result().unwrap(), "hello");
        assert!(matches!(future.result(), Err(Error::Taken)));
        assert!(future.done());
    }

    #[test]
    fn result_timeout_gives_up_and_the_call_goes_on() -> Result<(), Error> {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        assert!(matches!(future.result_timeout(MOMENT), Err(Error::Timeout)));
        assert!(matches!(
            future.result_timeout(Duration::ZERO),
            Err(Error::Timeout)
        ));
        assert!(future.running() && !future.done());
        drop(finish);
        future.result_timeout(Duration::MAX)
    }

    #[test]
    fn the_longest_timeout_waits_as_long_as_it_takes() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        thread::scope(|scope| {
            let waits = scope.spawn(|| future.result_timeout(Duration::MAX));
            // Most of the time, it falls asleep meanwhile. If it does not, the
            // test must pass as well.
            thread::park_timeout(MOMENT);
            drop(finish);
            waits.join().unwrap().unwrap();
        });
    }

    #[test]
    fn calls_start_in_the_order_in_which_they_were_submitted() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (sender, order) = channel();
        for i in 0..100 {
            let sender = sender.clone();
            drop(executor.submit(move || sender.send(i)));
        }
        drop(sender);
        assert!(order.iter().eq(0..100));
    }

    #[test]
    fn many_threads_can_submit_and_wait() {
        let _watchdog = watchdog();
        let executor = &ThreadPoolExecutor::new(3);
        thread::scope(|scope| {
            for offset in [0, 1000, 2000] {
                scope.spawn(move || {
                    let futures: Vec<_> = (offset..offset + 1000)
                        .map(|i| executor.submit(move || square(i)))
                        .collect();
                    for (i, future) in (offset..).zip(futures) {
                        assert_eq!(future.result().unwrap(), square(i));
                    }
                });
            }
        });
    }

    #[test]
    fn a_call_can_submit_to_its_own_executor() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(2));
        let same = executor.clone();
        let outer = executor.submit(move || {
            let inner = same.submit(|| square(3));
            inner.result().unwrap()
        });
        assert_eq!(outer.result().unwrap(), 9);
    }

    #[test]
    fn a_panic_is_returned_by_its_future_and_ends_no_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let before = executor.submit(|| thread::current().id());
        let text = executor.submit(|| -> () { panic!("no") });
        let formatted = executor.submit(|| -> () { panic!("no {}", 2) });
        let value = executor.submit(|| -> () { std::panic::panic_any(7) });
        let after = executor.submit(|| thread::current().id());

        let message = |future: Future<()>| future.result().unwrap_err().to_string();
        assert_eq!(message(text), "the call panicked: no");
        assert_eq!(message(formatted), "the call panicked: no 2");
        match value.result() {
            Err(Error::Panicked(panic)) => assert!(panic.into_payload().is::<i32>()),
            other => panic!("{other:?}"),
        }
        assert_eq!(before.result().unwrap(), after.result().unwrap());
    }

    #[test]
    fn a_result_that_panics_when_dropped_ends_no_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let before = executor.submit(|| thread::current().id());
        let (finish, _busy) = occupy(&executor);
        drop(executor.submit(|| Fragile));
        let after = executor.submit(|| thread::current().id());
        drop(finish);
        assert_eq!(before.result().unwrap(), after.result().unwrap());
    }

    #[test]
    fn a_finished_result_is_dropped_with_the_last_future() {
        let _watchdog = watchdog();
        struct Dropper(Sender<ThreadId>);
        impl Drop for Dropper {
            fn drop(&mut self) {
                self.0.send(thread::current().id()).unwrap();
            }
        }
        let executor = ThreadPoolExecutor::new(1);
        let (sender, dropped) = channel();
        let future = executor.submit(move || Dropper(sender));
        executor.submit(|| ()).result().unwrap();
        assert!(future.done() && dropped.try_recv().is_err());
        drop(future);
        assert_eq!(dropped.try_recv().unwrap(), thread::current().id());
    }

    #[test]
    fn results_functions_and_items_can_submit_when_they_are_dropped() {
        let _watchdog = watchdog();
        struct Submitter(Arc<ThreadPoolExecutor<'static>>, Sender<i32>);
        impl Drop for Submitter {
            fn drop(&mut self) {
                let future = self.0.submit(|| square(3));
                self.1.send(future.result().unwrap()).unwrap();
            }
        }
        let executor = Arc::new(ThreadPoolExecutor::new(32));
        let (sender, results) = channel();
        let submitter = || Submitter(executor.clone(), sender.clone());

        let (finish, future) = occupy(&executor);
        let (other, result) = (submitter(), submitter());
        drop(executor.submit(move || drop(other)));
        drop(executor.submit(move || result));
        drop(executor.map(drop, [submitter(), submitter()]));
        drop(executor.map(|item| item, [submitter(), submitter()]));
        let captured = submitter();
        drop(executor.map(move |_| _ = &captured, 0..3));
        drop(finish);
        future.result().unwrap();
        assert!(results.iter().take(7).eq([9; 7]));
        executor.shutdown();
    }

    #[test]
    fn a_call_drops_what_it_owns_before_its_result_can_be_read() {
        let _watchdog = watchdog();
        let owned = Arc::new(());
        let shared = owned.clone();
        let call = move || Arc::strong_count(&shared);
        let executor = ThreadPoolExecutor::new(1);
        assert_eq!(executor.submit(call).result().unwrap(), 2);
        assert_eq!(Arc::strong_count(&owned), 1);
    }
}

mod cancel {
    use super::*;

    #[test]
    fn only_a_call_that_has_not_started_can_be_cancelled() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, running) = occupy(&executor);
        let called = Arc::new(AtomicBool::new(false));
        let call = called.clone();
        let pending = executor.submit(move || call.store(true, Ordering::Relaxed));

        assert!(!running.cancel() && !running.cancelled() && !running.done());
        assert!(pending.cancel() && pending.cancelled() && pending.done());
        assert!(pending.cancel(), "it stays cancelled");
        assert!(!pending.running());
        drop(finish);
        running.result().unwrap();
        assert!(!running.cancel(), "it is done");

        executor.shutdown();
        assert!(!called.load(Ordering::Relaxed));
        for _ in 0..2 {
            assert!(matches!(pending.result(), Err(Error::Cancelled)));
        }
    }

    #[test]
    fn cancelling_wakes_a_waiting_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (_finish, _running) = occupy(&executor);
        let pending = executor.submit(|| ());
        thread::scope(|scope| {
            let waits = scope.spawn(|| pending.result());
            // Most of the time, it falls asleep meanwhile. If it does not, the
            // test must pass as well.
            assert!(matches!(
                pending.result_timeout(MOMENT),
                Err(Error::Timeout)
            ));
            pending.cancel();
            assert!(matches!(waits.join().unwrap(), Err(Error::Cancelled)));
        });
    }

    #[test]
    fn a_cancelled_call_occupies_no_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, running) = occupy(&executor);
        let cancelled: Vec<_> = (0..100).map(|_| executor.submit(|| ())).collect();
        let last = executor.submit(|| square(3));
        assert!(cancelled.iter().all(Future::cancel));
        drop(finish);
        running.result().unwrap();
        assert_eq!(last.result().unwrap(), 9);
    }
}

mod add_done_callback {
    use super::*;

    #[test]
    fn callbacks_are_called_once_in_the_order_in_which_they_were_added() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        let (sender, called) = channel();
        for i in 0..3 {
            let sender = sender.clone();
            future.add_done_callback(move |future| {
                sender.send((i, future.done())).unwrap();
            });
        }
        drop(sender);
        assert!(called.try_recv().is_err(), "not done yet");
        drop(finish);
        let called: Vec<_> = called.iter().collect();
        assert_eq!(called, [(0, true), (1, true), (2, true)]);
    }

    #[test]
    fn a_callback_is_called_at_once_if_the_call_is_done() {
        let _watchdog = watchdog();
        let future = ThreadPoolExecutor::new(1).submit(|| 5);
        future.result().unwrap();
        let (sender, called) = channel();
        future.add_done_callback(move |_| sender.send(thread::current().id()).unwrap());
        assert_eq!(called.try_recv().unwrap(), thread::current().id());
    }

    #[test]
    fn a_callback_can_take_the_result() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (sender, results) = channel();
        let future = executor.submit(|| "hello".to_string());
        future.add_done_callback(move |future| sender.send(future.result()).unwrap());
        assert_eq!(results.recv().unwrap().unwrap(), "hello");
    }

    #[test]
    fn a_callback_that_panics_stops_neither_other_callbacks_nor_the_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        let (sender, called) = channel();
        future.add_done_callback(|_| panic!("in a callback"));
        future.add_done_callback(move |_| sender.send(thread::current().id()).unwrap());
        drop(finish);
        future.result().unwrap();
        let thread = called.recv().expect("the next callback is called");
        let after = executor.submit(|| thread::current().id());
        assert_eq!(after.result().unwrap(), thread, "the thread goes on");

        future.add_done_callback(|_| panic!("in a late callback"));
    }

    #[test]
    fn a_callback_may_panic_with_a_payload_that_panics_when_dropped() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        let (sender, called) = channel();
        future.add_done_callback(|_| resume_unwind(Box::new(Fragile)));
        let captured = Fragile;
        future.add_done_callback(move |_| _ = &captured);
        future.add_done_callback(move |_| sender.send(thread::current().id()).unwrap());
        drop(finish);
        let thread = called.recv().expect("the next callback is called");
        let after = executor.submit(|| thread::current().id());
        assert_eq!(after.result().unwrap(), thread, "the thread goes on");

        future.add_done_callback(|_| resume_unwind(Box::new(Fragile)));
        let fragile = executor.submit(|| Fragile);
        executor.submit(|| ()).result().unwrap();
        fragile.add_done_callback(|_| panic!("and so does the result"));
        std::mem::forget(fragile.result());
    }

    #[test]
    fn the_last_callback_may_drop_a_result_that_panics() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, _busy) = occupy(&executor);
        let future = executor.submit(|| Fragile);
        future.add_done_callback(|_| panic!("in a callback"));
        drop(future);
        let after = executor.submit(|| square(3));
        drop(finish);
        assert_eq!(after.result().unwrap(), 9);
    }

    #[test]
    fn a_callback_may_shut_down_or_drop_the_executor() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(2));
        let (finish, future) = occupy(&executor);
        let pending = executor.submit(|| square(3));
        let same = executor.clone();
        future.add_done_callback(move |_| same.shutdown());
        let (sender, owner) = channel();
        future.add_done_callback(move |_| drop(owner.recv()));
        drop(finish);
        sender.send(executor).unwrap();
        future.result().unwrap();
        assert_eq!(pending.result().unwrap(), 9);
    }

    #[test]
    fn cancelling_calls_the_callbacks() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (_finish, _running) = occupy(&executor);
        let pending = executor.submit(|| ());
        let (sender, called) = channel();
        pending.add_done_callback(move |future| sender.send(future.cancelled()).unwrap());
        pending.cancel();
        assert!(called.try_recv().unwrap());
    }

    #[test]
    fn a_thread_in_a_callback_is_not_idle() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(2));
        let (finish, future) = occupy(&executor);
        let same = executor.clone();
        let (sender, results) = channel();
        future.add_done_callback(move |_| {
            sender.send(same.submit(|| square(3)).result()).unwrap();
        });
        drop(finish);
        assert_eq!(results.recv().unwrap().unwrap(), 9);
    }
}

mod map {
    use super::*;

    #[test]
    fn map_yields_in_the_order_of_the_items() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        let squares: Vec<i32> = executor.map(square, [1, 2, 3, 4, 5]).collect();
        assert_eq!(squares, [1, 4, 9, 16, 25]);
        assert!(executor.map(square, 0..10_000).eq((0..10_000).map(square)));
        assert_eq!(executor.map(square, []).count(), 0);
    }

    #[test]
    fn map_yields_in_order_even_if_the_calls_end_in_reverse() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(3);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| channel::<()>()).unzip();
        let ends = Mutex::new(Vec::new());
        let ends = Arc::new(ends);
        let log = ends.clone();
        let waits = move |(i, receiver): (usize, Receiver<()>)| {
            let _ = receiver.recv();
            log.lock().unwrap().push(i);
            i
        };
        let mut results = executor.map(waits, receivers.into_iter().enumerate());
        for (i, sender) in senders.into_iter().enumerate().rev() {
            drop(sender);
            // The next one may end only after this one.
            while ends.lock().unwrap().last() != Some(&i) {
                thread::yield_now();
            }
        }
        assert!(results.by_ref().eq(0..3));
        assert_eq!(*ends.lock().unwrap(), [2, 1, 0]);
    }

    #[test]
    fn map_submits_everything_when_called() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let (sender, started) = channel();
        let unread = executor.map(move |i: i32| sender.send(i).unwrap(), 0..100);
        let mut all: Vec<i32> = started.iter().take(100).collect();
        all.sort();
        assert!(all.into_iter().eq(0..100));
        drop(unread);
    }

    #[test]
    fn the_calls_of_a_map_run_even_if_it_is_never_read() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let (_finish, _running) = occupy(&executor);
        let (finish, _running) = occupy(&executor);
        let (sender, started) = channel();
        drop(executor.map(move |i: i32| sender.send(i).unwrap(), 0..100));
        drop(finish);
        assert_eq!(started.iter().take(100).count(), 100);
    }

    #[test]
    fn map_yields_the_results_before_a_failing_one_then_its_panic() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (wait, waits) = channel::<()>();
        let waits = Mutex::new(waits);
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let mut results = executor.map(
            move |i| {
                count.fetch_add(1, Ordering::Relaxed);
                match i {
                    2 => panic!("item {i}"),
                    3 => _ = waits.lock().unwrap().recv(),
                    _ => {}
                }
                i
            },
            0..100,
        );
        assert_eq!(results.next(), Some(0));
        assert_eq!(results.next(), Some(1));
        assert_eq!(panic_of(|| results.next()), "item 2");
        assert_eq!(results.next(), None);

        // Item 3 may have started by then, but none after it.
        drop(wait);
        executor.shutdown();
        assert!(ran.load(Ordering::Relaxed) <= 4);
    }

    #[test]
    fn dropping_a_begun_map_cancels_the_calls_that_have_not_started() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (wait, waits) = channel::<()>();
        let waits = Mutex::new(waits);
        let (sender, dropped) = channel();
        let mut results = executor.map(
            move |(i, _item)| {
                if i == 1 {
                    let _ = waits.lock().unwrap().recv();
                }
                i
            },
            (0..100).map(|i| (i, Dropped(sender.clone()))),
        );
        assert_eq!(results.next(), Some(0));
        drop(results);
        // All items but one, which may be in a running call.
        assert_eq!(dropped.iter().take(99).count(), 99);
        drop(wait);
        executor.shutdown();
    }

    #[test]
    fn map_accepts_items_with_an_impossible_size_hint() {
        struct WrongHint(i32);
        impl Iterator for WrongHint {
            type Item = i32;

            fn next(&mut self) -> Option<i32> {
                self.0 -= 1;
                (self.0 >= 0).then_some(self.0)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (usize::MAX, None)
            }
        }
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        assert!(executor.map(square, WrongHint(3)).eq([4, 1, 0]));
        let mut buffered = executor.map_buffered(square, WrongHint(3), usize::MAX);
        assert_eq!(buffered.size_hint(), (3, Some(3)));
        assert!(buffered.by_ref().eq([4, 1, 0]));
    }

    #[test]
    fn a_panic_of_the_items_reaches_the_caller_and_leaves_the_executor_as_it_was() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let items = (0..3).inspect(|i| assert!(*i < 2, "no item {i}"));
        assert_eq!(panic_of(|| executor.map(square, items)), "no item 2");
        assert!(executor.map(square, 0..3).eq([0, 1, 4]));
    }

    #[test]
    fn values_that_panic_when_dropped_stop_no_other_call() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let thread = executor.submit(|| thread::current().id());
        let thread = thread.result().unwrap();

        let (finish, _busy) = occupy(&executor);
        drop(executor.map(|item| item, [Fragile, Fragile, Fragile]));
        drop(executor.map(drop, [Fragile, Fragile, Fragile]));
        let captured = Fragile;
        let read = executor.map(
            move |i| {
                let _ = &captured;
                i
            },
            0..3,
        );
        let mut panics = executor.map(
            |_| -> Fragile { resume_unwind(Box::new(Fragile)) },
            [Fragile, Fragile],
        );
        drop(finish);
        assert!(read.eq(0..3));
        let payload = catch_unwind(AssertUnwindSafe(|| panics.next()))
            .err()
            .unwrap();
        assert!(payload.is::<Fragile>());
        std::mem::forget(payload);
        drop(panics);

        let (finish, _busy) = occupy(&executor);
        let rejected = executor.map(|item| item, [Fragile, Fragile, Fragile]);
        let cancelled = executor.submit({
            let captured = Fragile;
            move || _ = &captured
        });
        cancelled.cancel();
        let last = executor.submit(|| thread::current().id());
        drop(finish);
        assert_eq!(last.result().unwrap(), thread, "the thread goes on");
        drop(rejected);

        let (finish, _busy) = occupy(&executor);
        let cancelled = executor.map(|item| item, [Fragile, Fragile, Fragile]);
        executor.shutdown_cancel_futures();
        drop(finish);
        drop(cancelled);
        let late = panic_of(|| drop(executor.map(|item| item, [Fragile, Fragile])));
        assert_eq!(late, Error::Shutdown.to_string());
    }

    #[test]
    fn a_map_runs_on_all_threads_one_item_each() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        let barrier = Barrier::new(4);
        let meet = move |i: i32| {
            barrier.wait();
            i
        };
        assert!(executor.map(meet, 0..8).eq(0..8));
    }

    #[test]
    fn a_map_leaves_no_thread_idle_while_another_call_waits_behind_it() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(3);
        let (sender, receiver) = channel::<()>();
        let receiver = Arc::new(Mutex::new(receiver));
        let waits = receiver.clone();
        let results = executor.map(move |()| _ = waits.lock().unwrap().recv(), [(), ()]);
        assert_eq!(executor.submit(|| square(3)).result().unwrap(), 9);
        drop(sender);
        assert_eq!(results.count(), 2);
    }

    #[test]
    fn items_may_be_borrowed_in_a_scope() {
        let _watchdog = watchdog();
        let words = ["I", "am"].map(String::from);
        let total = AtomicUsize::new(0);
        thread::scope(|scope| {
            let executor = ThreadPoolExecutor::builder()
                .max_workers(2)
                .build_scoped(scope);
            let lengths = executor.map(|word: &String| word.len(), &words);
            assert!(lengths.eq([1, 2]));
            let add = executor.submit(|| total.fetch_add(words.len(), Ordering::Relaxed));
            add.result().unwrap();
        });
        assert_eq!(total.into_inner(), 2);
    }
}

mod map_buffered {
    use super::*;

    #[test]
    fn it_yields_in_the_order_of_the_items() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        for buffersize in [1, 2, 7, 1_000, usize::MAX] {
            let squares = executor.map_buffered(square, 0..1_000, buffersize);
            assert!(squares.eq((0..1_000).map(square)));
            assert_eq!(executor.map_buffered(square, [], buffersize).count(), 0);
        }
    }

    #[test]
    fn items_may_be_endless() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let squares = executor.map_buffered(square, 0.., 3);
        assert!(squares.take(100).eq((0..100).map(square)));
    }

    /// The calling thread reads the items, so they need not be `Send`.
    #[test]
    fn items_are_read_only_as_fast_as_results() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let read = Rc::new(Cell::new(0));
        let count = read.clone();
        let items = (0..10).inspect(move |_| count.set(count.get() + 1));
        let mut results = executor.map_buffered(square, items, 4);
        assert_eq!(read.get(), 4);
        for i in 0..10 {
            assert_eq!(results.next(), Some(square(i)));
            assert_eq!(read.get(), 10.min(5 + i));
        }
        assert_eq!(results.next(), None);
        assert_eq!(Rc::strong_count(&read), 1, "exhausted items are dropped");
    }

    #[test]
    fn exactly_buffersize_calls_run_ahead() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(8);
        let (sender, started) = channel();
        let call = move |i: i32| {
            sender.send(i).unwrap();
            i
        };
        let mut results = executor.map_buffered(call, 0.., 3);
        let mut first: Vec<_> = started.iter().take(3).collect();
        first.sort();
        assert_eq!(first, [0, 1, 2]);
        for i in 0..20 {
            assert_eq!(results.next(), Some(i));
            assert_eq!(started.recv().unwrap(), i + 3, "without another `next`");
        }
        drop(results);
        executor.shutdown();
        assert!(started.recv().is_err(), "nothing else has started");
    }

    #[test]
    fn dropping_it_once_begun_cancels_the_calls_that_have_not_started() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (wait, waits) = channel::<()>();
        let waits = Mutex::new(waits);
        let (sender, started) = channel();
        let call = move |i: i32| {
            sender.send(i).unwrap();
            if i > 0 {
                let _ = waits.lock().unwrap().recv();
            }
        };
        let mut results = executor.map_buffered(call, 0.., 4);
        assert!(results.next().is_some());
        assert_eq!(started.iter().take(2).last(), Some(1));
        drop(results);
        drop(wait);
        executor.shutdown();
        assert_eq!(started.iter().next(), None);
    }

    #[test]
    fn submitted_calls_run_even_if_it_is_never_read() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, _busy) = occupy(&executor);
        let (sender, started) = channel();
        drop(executor.map_buffered(move |i: i32| sender.send(i).unwrap(), 0.., 4));
        drop(finish);
        assert!(started.iter().eq(0..4));
    }

    #[test]
    fn it_yields_the_results_before_a_failing_one_then_its_panic() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let call = |i| match i {
            2 => panic!("call {i}"),
            _ => i,
        };
        let mut results = executor.map_buffered(call, 0.., 4);
        assert_eq!(results.by_ref().take(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(panic_of(|| results.next()), "call 2");
        assert_eq!((results.next(), results.size_hint()), (None, (0, Some(0))));

        let items = (0..).inspect(|i| assert!(*i < 2, "no item {i}"));
        let mut results = executor.map_buffered(square, items, 4);
        assert_eq!(results.by_ref().take(2).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(panic_of(|| results.next()), "no item 2");
        assert_eq!(results.next(), None);
    }

    #[test]
    fn after_shutdown_it_yields_what_was_submitted_then_panics_with_the_error() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(2);
        let read = Cell::new(0);
        let items = (0..).inspect(|_| read.set(read.get() + 1));
        let mut results = executor.map_buffered(square, items, 3);
        executor.shutdown();
        assert_eq!(results.by_ref().take(3).collect::<Vec<_>>(), [0, 1, 4]);
        let message = Error::Shutdown.to_string();
        assert_eq!(panic_of(|| results.next()), message);
        assert_eq!((results.next(), read.get()), (None, 4));
        let late = panic_of(|| drop(executor.map_buffered(square, 0.., 3)));
        assert_eq!(late, message);
        // No lock is poisoned.
        assert!(matches!(
            executor.submit(|| ()).result(),
            Err(Error::Shutdown)
        ));
    }

    #[test]
    fn a_buffersize_of_0_panics_with_a_message() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let message = panic_of(|| drop(executor.map_buffered(square, 0.., 0)));
        assert_eq!(message, "buffersize must be greater than 0");
    }

    #[test]
    fn items_may_be_borrowed_in_a_scope() {
        let _watchdog = watchdog();
        let words = ["I", "am"].map(String::from);
        thread::scope(|scope| {
            let executor = ThreadPoolExecutor::builder()
                .max_workers(2)
                .build_scoped(scope);
            let lengths = executor.map_buffered(|word: &String| word.len(), &words, 1);
            assert!(lengths.eq([1, 2]));
        });
    }

    #[test]
    fn values_that_panic_when_dropped_stop_no_other_call() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let items = || std::iter::repeat_with(|| Fragile);
        drop(executor.map_buffered(|item| item, items(), 3));
        let mut begun = executor.map_buffered(|item| item, items(), 3);
        std::mem::forget(begun.next());
        drop(begun);
        assert_eq!(executor.submit(|| square(3)).result().unwrap(), 9);
    }
}

mod shutdown {
    use super::*;

    thread_local! {
        static ENDED: Mutex<Option<Dropped>> = const { Mutex::new(None) };
    }

    /// Starts that many threads, each of which sends when it ends.
    fn watch_ends(executor: &ThreadPoolExecutor, threads: usize) -> Receiver<()> {
        let (sender, ended) = channel();
        let barrier = Barrier::new(threads);
        let watch = move |sender| {
            ENDED.with(|ended| *ended.lock().unwrap() = Some(Dropped(sender)));
            barrier.wait();
        };
        executor.map(watch, vec![sender; threads]).for_each(drop);
        ended
    }

    #[test]
    fn shutdown_waits_for_all_calls_and_threads() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(3);
        let ended = watch_ends(&executor, 3);
        let futures: Vec<_> = (0..100)
            .map(|i| executor.submit(move || square(i)))
            .collect();
        executor.shutdown();
        assert!(futures.iter().all(Future::done));
        assert_eq!(ended.try_iter().count(), 3);
        executor.shutdown();
    }

    #[test]
    fn drop_waits_for_all_calls_and_threads() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(3);
        let ended = watch_ends(&executor, 3);
        let futures: Vec<_> = (0..100)
            .map(|i| executor.submit(move || square(i)))
            .collect();
        drop(executor);
        assert!(futures.iter().all(Future::done));
        assert_eq!(ended.try_iter().count(), 3);
    }

    #[test]
    fn every_concurrent_shutdown_waits() {
        let _watchdog = watchdog();
        let executor = &ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(executor);
        let future = &future;
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(move || {
                    executor.shutdown();
                    assert!(future.done());
                });
            }
            drop(finish);
        });
    }

    #[test]
    fn shutdown_nowait_does_not_wait_and_submitted_calls_run() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, running) = occupy(&executor);
        let pending = executor.submit(|| square(3));
        executor.shutdown_nowait();
        assert!(!running.done() && !pending.done());
        drop(finish);
        assert_eq!(pending.result().unwrap(), 9);
    }

    #[test]
    fn shutdown_cancel_futures_cancels_pending_calls() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, running) = occupy(&executor);
        let pending: Vec<_> = (0..100)
            .map(|i| executor.submit(move || square(i)))
            .collect();
        executor.shutdown_cancel_futures();
        assert!(pending.iter().all(Future::cancelled));
        assert!(!running.done());
        drop(finish);
        running.result().unwrap();
    }

    #[test]
    fn shutdown_cancel_futures_cancels_the_rest_of_a_running_map() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (started, starts) = channel();
        let (wait, waits) = channel::<()>();
        let waits = Mutex::new(waits);
        let mut results = executor.map(
            move |i| {
                started.send(()).unwrap();
                let _ = waits.lock().unwrap().recv();
                i
            },
            0..100,
        );
        starts.recv().unwrap();
        executor.shutdown_cancel_futures();
        drop(wait);
        assert_eq!(results.next(), Some(0));
        let message = panic_of(|| results.next());
        assert_eq!(message, Error::Cancelled.to_string());
        drop(results);
        assert_eq!(starts.iter().count(), 0);
    }

    #[test]
    fn submitting_after_shutdown_is_an_error() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        executor.shutdown();
        let future = executor.submit(|| square(3));
        assert!(future.done() && !future.cancelled());
        let message = "cannot schedule new futures after shutdown";
        assert_eq!(future.result().unwrap_err().to_string(), message);
        let map = || drop(executor.map(square, [1, 2, 3]));
        assert_eq!(panic_of(map), message);
    }

    #[test]
    fn a_call_can_shut_down_its_own_executor() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(2));
        let same = executor.clone();
        let call = executor.submit(move || same.shutdown());
        call.result().unwrap();
        assert!(matches!(
            executor.submit(|| ()).result(),
            Err(Error::Shutdown)
        ));
    }

    #[test]
    fn a_call_can_drop_its_own_executor() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(1));
        let (send, receive) = channel::<Arc<ThreadPoolExecutor>>();
        let call = executor.submit(move || drop(receive.recv().unwrap()));
        let pending = executor.submit(|| square(3));
        send.send(executor).unwrap();
        call.result().unwrap();
        assert_eq!(pending.result().unwrap(), 9, "as after shutdown");
    }

    #[test]
    fn a_result_can_drop_the_executor_of_its_call() {
        let _watchdog = watchdog();
        let executor = Arc::new(ThreadPoolExecutor::new(1));
        let (send, receive) = channel::<Arc<ThreadPoolExecutor>>();
        drop(executor.submit(move || receive.recv().unwrap()));
        let pending = executor.submit(|| square(3));
        send.send(executor).unwrap();
        assert_eq!(pending.result().unwrap(), 9, "as after shutdown");
    }

    #[test]
    fn an_executor_dropped_by_a_panic_waits_for_its_calls() {
        let _watchdog = watchdog();
        let (sender, futures) = channel();
        let message = panic_of(|| {
            let executor = ThreadPoolExecutor::new(2);
            for i in 0..100 {
                sender.send(executor.submit(move || square(i))).unwrap();
            }
            panic!("no");
        });
        assert_eq!(message, "no");
        let futures: Vec<_> = futures.try_iter().collect();
        assert!(futures.len() == 100 && futures.iter().all(Future::done));
    }

    #[test]
    fn a_future_outlives_its_executor() {
        let _watchdog = watchdog();
        let mut results = ThreadPoolExecutor::new(2).map(square, [1, 2, 3]);
        assert!(results.by_ref().eq([1, 4, 9]));
    }
}

mod threads {
    use super::*;

    fn current_name() -> String {
        thread::current().name().unwrap().to_string()
    }

    #[test]
    fn zero_workers_panic_with_a_message() {
        let _watchdog = watchdog();
        let message = panic_of(|| ThreadPoolExecutor::new(0));
        assert_eq!(message, "max_workers must be greater than 0");
    }

    #[test]
    fn calls_in_a_row_use_one_thread() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        let threads: HashSet<ThreadId> = (0..3)
            .map(|_| executor.submit(|| thread::current().id()).result().unwrap())
            .chain((0..3).flat_map(|_| executor.map(|()| thread::current().id(), [()])))
            .collect();
        assert_eq!(threads.len(), 1);
    }

    #[test]
    fn calls_that_need_a_thread_each_get_it_up_to_max_workers() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(3);
        let (finish, futures): (Vec<_>, Vec<_>) = (0..3).map(|_| occupy(&executor)).unzip();
        let fourth = executor.submit(|| ());
        assert!(matches!(fourth.result_timeout(MOMENT), Err(Error::Timeout)));
        assert!(!fourth.running());
        drop(finish);
        assert!(futures.iter().all(|future| future.result().is_ok()));
        fourth.result().unwrap();
    }

    /// Tells the test when it is dropped, and then waits for it.
    struct Slow(Sender<()>, Receiver<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            let _ = self.0.send(());
            let _ = self.1.recv();
        }
    }

    /// Has `submit` submit a call after which a thread of the pool drops the
    /// `Slow`. Meanwhile, each of the other threads can run a call.
    fn assert_busy_while_it_drops(submit: impl FnOnce(&ThreadPoolExecutor, Slow)) {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(4);
        let (sender, dropping) = channel();
        let (_end, ends) = channel();
        submit(&executor, Slow(sender, ends));
        dropping.recv().unwrap();
        let others: Vec<_> = (0..3).map(|_| occupy(&executor)).collect();
        assert!(others.iter().all(|(_, future)| future.running()));
    }

    #[test]
    fn a_thread_that_drops_a_result_is_not_idle() {
        assert_busy_while_it_drops(|executor, slow| {
            let (sender, waits) = channel::<()>();
            drop(executor.submit(move || {
                let _ = waits.recv();
                slow
            }));
            drop(sender);
        });
    }

    #[test]
    fn a_thread_that_drops_the_payload_of_a_panic_is_not_idle() {
        assert_busy_while_it_drops(|executor, slow| {
            let slow = Mutex::new(slow);
            let (sender, waits) = channel::<()>();
            drop(executor.submit(move || {
                let _ = waits.recv();
                panic_any(slow)
            }));
            drop(sender);
        });
    }

    #[test]
    fn a_thread_that_drops_a_cancelled_call_is_not_idle() {
        assert_busy_while_it_drops(|executor, slow| {
            let futures: Vec<_> = (0..4).map(|_| occupy(executor)).collect();
            let cancelled = executor.submit(move || drop(slow));
            assert!(cancelled.cancel());
            drop(futures);
        });
    }

    #[test]
    fn a_thread_that_drops_the_results_of_a_map_is_not_idle() {
        for begun in [false, true] {
            assert_busy_while_it_drops(|executor, slow| {
                let (sender, waits) = channel::<()>();
                let (start, started) = channel();
                let items = [None, Some((start, waits, slow))];
                let mut results = executor.map(
                    |item: Option<(Sender<()>, Receiver<()>, Slow)>| {
                        item.map(|(start, waits, slow)| {
                            let _ = start.send(());
                            let _ = waits.recv();
                            slow
                        })
                    },
                    items,
                );
                if begun {
                    assert!(results.next().unwrap().is_none());
                    // A call that has not started would be cancelled.
                    assert_eq!(started.recv(), Ok(()));
                }
                drop(results);
                drop(sender);
            });
        }
    }

    #[test]
    fn a_thread_that_drops_the_function_of_a_map_is_not_idle() {
        for read in [false, true] {
            assert_busy_while_it_drops(|executor, slow| {
                let slow = Mutex::new(slow);
                let results = executor.map(
                    move |i| {
                        let _ = &slow;
                        i
                    },
                    0..3,
                );
                if read {
                    // The last result can be read only after the function
                    // has been dropped.
                    results.take(2).for_each(drop);
                }
            });
        }
    }

    #[test]
    fn a_thread_that_drops_a_callback_is_not_idle() {
        assert_busy_while_it_drops(|executor, slow| {
            let (finish, future) = occupy(executor);
            let slow = Mutex::new(slow);
            future.add_done_callback(move |_| _ = &slow);
            drop(finish);
        });
    }

    #[test]
    fn max_workers_defaults_to_what_python_takes() {
        let _watchdog = watchdog();
        let cores = thread::available_parallelism().unwrap().get();
        let executor = ThreadPoolExecutor::builder().build();
        let (_finish, _futures): (Vec<_>, Vec<_>) =
            (0..32.min(cores + 4)).map(|_| occupy(&executor)).unzip();
        let further = executor.submit(|| ());
        assert!(matches!(
            further.result_timeout(MOMENT),
            Err(Error::Timeout)
        ));
    }

    #[test]
    fn threads_are_named_as_in_python() {
        let _watchdog = watchdog();
        let names = |executor: ThreadPoolExecutor| -> Vec<String> {
            let barrier = Barrier::new(2);
            let name = move |()| {
                barrier.wait();
                current_name()
            };
            let mut names: Vec<_> = executor.map(name, [(); 2]).collect();
            names.sort();
            names
        };
        let executor = ThreadPoolExecutor::builder().max_workers(2);
        let named = executor.thread_name_prefix("fetch").build();
        assert_eq!(names(named), ["fetch_0", "fetch_1"]);

        let number = |name: &str| -> usize {
            let number = name.strip_prefix("ThreadPoolExecutor-").unwrap();
            number.strip_suffix("_0").unwrap().parse().unwrap()
        };
        let first = names(ThreadPoolExecutor::new(2));
        let second = names(ThreadPoolExecutor::new(2));
        assert!(number(&first[0]) < number(&second[0]));
        assert_eq!(
            first[1],
            format!("ThreadPoolExecutor-{}_1", number(&first[0]))
        );
    }

    #[test]
    fn a_thread_name_prefix_with_a_nul_panics_with_a_message() {
        let _watchdog = watchdog();
        let message = panic_of(|| ThreadPoolExecutor::builder().thread_name_prefix("a\0b"));
        assert_eq!(message, "thread_name_prefix must not contain a NUL");
    }

    #[test]
    fn each_thread_calls_the_initializer_before_its_first_call() {
        thread_local! {
            static READY: AtomicBool = const { AtomicBool::new(false) };
        }
        let _watchdog = watchdog();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let executor = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(move || {
                count.fetch_add(1, Ordering::Relaxed);
                READY.with(|ready| ready.store(true, Ordering::Relaxed));
            })
            .build();
        let barrier = Barrier::new(2);
        let ready = move |_| {
            barrier.wait();
            READY.with(|ready| ready.load(Ordering::Relaxed))
        };
        assert!(executor.map(ready, 0..10).all(|ready| ready));
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn an_initializer_that_panics_breaks_the_pool() {
        let _watchdog = watchdog();
        let (fail, fails) = channel::<()>();
        let fails = Mutex::new(fails);
        let executor = ThreadPoolExecutor::builder()
            .max_workers(1)
            .initializer(move || fails.lock().unwrap().recv().unwrap())
            .build();
        let pending: Vec<_> = (0..3).map(|i| executor.submit(move || square(i))).collect();
        let mut results = executor.map(square, 0..3);
        drop(fail);

        let message = "a thread initializer failed, the thread pool is not usable anymore";
        for future in pending {
            assert_eq!(future.result().unwrap_err().to_string(), message);
        }
        assert_eq!(panic_of(|| results.next()), message);
        let later = executor.submit(|| ());
        assert!(matches!(later.result(), Err(Error::Broken)));
        assert_eq!(panic_of(|| drop(executor.map(square, 0..3))), message);
    }

    #[test]
    fn an_initializer_may_panic_with_a_payload_that_panics_when_dropped() {
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::builder()
            .max_workers(1)
            .initializer(|| resume_unwind(Box::new(Fragile)))
            .build();
        let broken = executor.submit(|| square(3)).result();
        assert!(matches!(broken, Err(Error::Broken)), "{broken:?}");
        executor.shutdown();
    }

    /// If the thread panicked, its scope would panic too.
    #[test]
    fn an_initializer_may_panic_when_it_is_dropped() {
        let _watchdog = watchdog();
        thread::scope(|scope| {
            let fragile = Fragile;
            let executor = ThreadPoolExecutor::builder()
                .max_workers(1)
                .initializer(move || _ = &fragile)
                .build_scoped(scope);
            let (send, receive) = channel::<ThreadPoolExecutor>();
            let call = executor.submit(move || drop(receive.recv().unwrap()));
            send.send(executor).unwrap();
            call.result().unwrap();
        });
    }

    #[test]
    fn a_pool_that_breaks_finishes_what_is_running() {
        let _watchdog = watchdog();
        let first = AtomicBool::new(true);
        let executor = ThreadPoolExecutor::builder()
            .max_workers(2)
            .initializer(move || assert!(first.swap(false, Ordering::Relaxed)))
            .build();
        let (finish, running) = occupy(&executor);
        let pending = executor.submit(|| ());
        assert!(matches!(pending.result(), Err(Error::Broken)));
        assert!(!running.done());
        drop(finish);
        running.result().unwrap();
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_thread_without_work_uses_no_cpu() {
        use nix::time::{ClockId, clock_gettime};

        let cpu_time = || -> Duration {
            clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
                .unwrap()
                .into()
        };
        let _watchdog = watchdog();
        let executor = ThreadPoolExecutor::new(1);
        let (finish, future) = occupy(&executor);
        let (done, waits) = channel();
        let waiter = thread::spawn(move || {
            let before = cpu_time();
            future.result().unwrap();
            done.send(()).unwrap();
            cpu_time() - before
        });
        let half_a_second = waits.recv_timeout(Duration::from_millis(500));
        assert!(half_a_second.is_err(), "it waits");
        drop(finish);
        let waiting = waiter.join().unwrap();
        assert!(waiting < 5 * MOMENT, "{waiting:?} of 500 ms");

        let before = executor.submit(cpu_time).result().unwrap();
        thread::park_timeout(Duration::from_millis(500));
        let idling = executor.submit(cpu_time).result().unwrap() - before;
        assert!(idling < 5 * MOMENT, "{idling:?} of 500 ms");
    }
}

mod debug {
    use super::*;

    /// Uses the shown value while that writes to it.
    struct Writer<F>(String, F);

    impl<F: Fn()> Write for Writer<F> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1();
            self.0.write_str(text)
        }
    }

    fn show(shown: &impl Debug, uses: impl Fn()) -> String {
        let mut writer = Writer(String::new(), uses);
        write!(writer, "{shown:?}").unwrap();
        writer.0
    }

    #[test]
    fn a_future_shows_its_state_and_needs_no_debug_of_the_result() {
        let _watchdog = watchdog();
        struct Opaque;
        let executor = ThreadPoolExecutor::new(1);
        let (finish, running) = occupy(&executor);
        let shown = |future: &Future<Opaque>| show(future, || _ = future.done());
        let finished = executor.submit(|| Opaque);
        let cancelled = executor.submit(|| Opaque);
        let panicked = executor.submit(|| -> Opaque { panic!("no") });
        assert_eq!(show(&running, || ()), "Future { state: Running }");
        assert_eq!(shown(&finished), "Future { state: Pending }");
        cancelled.cancel();
        assert_eq!(shown(&cancelled), "Future { state: Cancelled }");
        drop(finish);
        executor.shutdown();
        assert_eq!(shown(&panicked), "Future { state: Panicked(Panic(no)) }");
        assert_eq!(shown(&finished), "Future { state: Finished }");
        assert!(finished.result().is_ok());
        assert_eq!(shown(&finished), "Future { state: Taken }");
        let rejected = executor.submit(|| Opaque);
        assert_eq!(shown(&rejected), "Future { state: Shutdown }");
    }

    #[test]
    fn an_executor_shows_its_threads_and_its_backlog_even_during_shutdown() {
        let _watchdog = watchdog();
        let builder = ThreadPoolExecutor::builder()
            .max_workers(1)
            .thread_name_prefix("fetch");
        assert_eq!(
            format!("{builder:?}"),
            "Builder { max_workers: Some(1), thread_name_prefix: Some(\"fetch\"), initializer: None }"
        );
        let executor = builder.build();
        let (finish, _running) = occupy(&executor);
        let _pending = executor.submit(|| ());
        let shown = || show(&executor, || drop(executor.submit(|| ())));
        let head =
            "ThreadPoolExecutor { thread_name_prefix: \"fetch\", max_workers: 1, threads: 1, ";
        assert_eq!(shown(), format!("{head}queued: 1, state: Open, .. }}"));
        thread::scope(|scope| {
            let shuts_down = scope.spawn(|| executor.shutdown());
            // When this ends, `shutdown` waits for the call or is about to.
            while !matches!(
                executor.submit(|| ()).result_timeout(Duration::ZERO),
                Err(Error::Shutdown)
            ) {}
            assert!(shown().ends_with("state: Shutdown, .. }"));
            drop(finish);
            shuts_down.join().unwrap();
        });
    }
}
