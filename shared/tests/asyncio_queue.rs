//! The promises of `shared::asyncio::Queue`, seen from outside.
//! `tests/model.rs` runs it under a model checker.

#![cfg(feature = "asyncio")]
#![forbid(unsafe_code)]

mod watchdog;

use futures::future::{FutureExt, join_all};
use shared::asyncio::{Queue, QueueEmpty};
use std::fmt::{self, Write};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::task::{JoinSet, yield_now};
use watchdog::watchdog;

fn assert_send_sync(_: &(impl Send + Sync)) {}

#[tokio::test]
async fn items_are_first_in_first_out() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    for i in 0..100 {
        queue.put(i).await;
    }
    for i in 0..100 {
        assert_eq!(queue.get().await, i);
    }
}

#[tokio::test]
async fn get_waits_for_an_item() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    let mut get = pin!(queue.get());
    assert_eq!(get.as_mut().now_or_never(), None);
    queue.put("tea").await;
    assert_eq!(get.await, "tea");
}

#[tokio::test]
async fn put_waits_for_a_place() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    queue.put("tea").await;
    let mut put = pin!(queue.put("milk"));
    assert_eq!(put.as_mut().now_or_never(), None);
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.get().await, "tea");
    put.await;
    assert_eq!(queue.get().await, "milk");
}

#[tokio::test]
async fn waiting_gets_are_served_in_order() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    let gets = join_all((0..5).map(|_| queue.get()));
    let puts = async {
        for i in 0..5 {
            queue.put(i).await;
            yield_now().await;
        }
    };
    let (items, ()) = tokio::join!(gets, puts);
    assert_eq!(items, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn waiting_puts_are_served_in_order() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    queue.put(0).await;
    let puts = join_all((1..5).map(|i| queue.put(i)));
    let gets = async {
        for i in 0..5 {
            assert_eq!(queue.get().await, i);
        }
    };
    tokio::join!(puts, gets);
}

#[tokio::test]
async fn gets_of_one_task_are_served_in_order() {
    let _watchdog = watchdog();
    for started in [false, true] {
        let queue = Arc::new(Queue::new());
        let producer = queue.clone();
        let puts = async move {
            for i in 0..3 {
                producer.put(i).await;
            }
        };
        // `join!` begins each round of polls with another of its futures.
        let ((), a, b, c) = match started {
            true => tokio::join!(puts, queue.get(), queue.get(), queue.get()),
            false => {
                let gets = async { tokio::join!(queue.get(), queue.get(), queue.get()) };
                let task = tokio::spawn(puts);
                let (a, b, c) = gets.await;
                task.await.unwrap();
                ((), a, b, c)
            }
        };
        assert_eq!([a, b, c], [0, 1, 2]);
    }
}

#[tokio::test]
async fn puts_of_one_task_are_served_in_order() {
    let _watchdog = watchdog();
    let queue = Arc::new(Queue::with_maxsize(3));
    for i in 0..3 {
        queue.put(i).await;
    }
    let consumer = queue.clone();
    let consumer = tokio::spawn(async move {
        let mut items = Vec::new();
        for _ in 0..9 {
            items.push(consumer.get().await);
            // Lets the puts run only when there are three free places.
            if items.len() % 3 == 0 {
                yield_now().await;
            }
        }
        items
    });
    tokio::join!(
        queue.put(3),
        queue.put(4),
        queue.put(5),
        queue.put(6),
        queue.put(7),
        queue.put(8)
    );
    assert!(consumer.await.unwrap().into_iter().eq(0..9));
}

#[test]
fn waiting_gets_are_served_in_order_whichever_is_polled_first() {
    let _watchdog = watchdog();
    // Every order of polling three gets, with each of them or none dropped.
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for dropped in [None, Some(0), Some(1), Some(2)] {
            let queue = Queue::new();
            let mut gets: Vec<_> = (0..3).map(|_| Some(Box::pin(queue.get()))).collect();
            for get in gets.iter_mut().flatten() {
                assert_eq!(get.as_mut().now_or_never(), None);
            }
            for i in 0..3 {
                queue.try_put(i).unwrap();
            }
            if let Some(dropped) = dropped {
                gets[dropped] = None;
            }
            let mut items = vec![None; 3];
            for i in order {
                let get = gets[i].as_mut();
                items[i] = get.map(|get| get.as_mut().now_or_never().unwrap());
            }
            let got: Vec<_> = items.into_iter().flatten().collect();
            let rest: Vec<_> = std::iter::from_fn(|| queue.try_get().ok()).collect();
            assert_eq!(got.len(), 3 - rest.len());
            assert_eq!([got, rest].concat(), [0, 1, 2], "{order:?} {dropped:?}");
        }
    }
}

#[test]
fn waiting_puts_are_served_in_order_whichever_is_polled_first() {
    let _watchdog = watchdog();
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        for dropped in [None, Some(0), Some(1), Some(2)] {
            let queue = Queue::with_maxsize(3);
            for _ in 0..3 {
                queue.try_put(7).unwrap();
            }
            let mut puts: Vec<_> = (0..3).map(|i| Some(Box::pin(queue.put(i)))).collect();
            for put in puts.iter_mut().flatten() {
                assert_eq!(put.as_mut().now_or_never(), None);
            }
            for _ in 0..3 {
                assert_eq!(queue.try_get().unwrap(), 7);
            }
            if let Some(dropped) = dropped {
                puts[dropped] = None;
            }
            for i in order {
                if let Some(put) = &mut puts[i] {
                    assert_eq!(put.as_mut().now_or_never(), Some(()));
                }
            }
            let items: Vec<_> = std::iter::from_fn(|| queue.try_get().ok()).collect();
            let put: Vec<_> = (0..3).filter(|i| Some(*i) != dropped).collect();
            assert_eq!(items, put, "{order:?} {dropped:?}");
            for i in 0..3 {
                queue.try_put(i as usize).unwrap();
            }
            assert!(queue.is_full());
        }
    }
}

#[tokio::test]
async fn a_new_call_does_not_take_what_is_reserved_for_a_waiter() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    let mut first = pin!(queue.get());
    assert_eq!(first.as_mut().now_or_never(), None);
    queue.put("tea").await;
    assert!(queue.try_get().is_err());
    assert_eq!(queue.get().now_or_never(), None);
    assert_eq!(first.await, "tea");

    queue.put("milk").await;
    let mut first = pin!(queue.put("sugar"));
    assert_eq!(first.as_mut().now_or_never(), None);
    assert_eq!(queue.get().await, "milk");
    assert!(queue.try_put("salt").is_err());
    assert_eq!(queue.put("salt").now_or_never(), None);
    first.await;
    assert_eq!(queue.get().await, "sugar");
}

#[tokio::test]
async fn a_cancelled_get_takes_nothing() {
    let _watchdog = watchdog();
    let queue = Queue::new();

    let before_it_is_polled = queue.get();
    drop(before_it_is_polled);

    let mut while_it_waits = Box::pin(queue.get());
    assert_eq!(while_it_waits.as_mut().now_or_never(), None);
    drop(while_it_waits);

    let mut when_an_item_is_reserved = Box::pin(queue.get());
    assert_eq!(when_an_item_is_reserved.as_mut().now_or_never(), None);
    queue.put("tea").await;
    drop(when_an_item_is_reserved);

    assert_eq!(queue.len(), 1);
    assert_eq!(queue.try_get().unwrap(), "tea");
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_cancelled_put_puts_nothing() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);

    let before_it_is_polled = queue.put("salt");
    drop(before_it_is_polled);
    assert!(queue.is_empty());

    queue.put("tea").await;
    let mut while_it_waits = Box::pin(queue.put("salt"));
    assert_eq!(while_it_waits.as_mut().now_or_never(), None);
    drop(while_it_waits);

    let mut when_a_place_is_reserved = Box::pin(queue.put("salt"));
    assert_eq!(when_a_place_is_reserved.as_mut().now_or_never(), None);
    assert_eq!(queue.get().await, "tea");
    drop(when_a_place_is_reserved);

    queue.try_put("milk").unwrap();
    assert_eq!(queue.get().await, "milk");
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_cancelled_waiter_passes_its_reservation_on() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    let mut first = Box::pin(queue.get());
    let mut second = pin!(queue.get());
    assert_eq!(first.as_mut().now_or_never(), None);
    assert_eq!(second.as_mut().now_or_never(), None);
    queue.put("tea").await;
    drop(first);
    assert_eq!(second.await, "tea");

    queue.put("milk").await;
    let mut first = Box::pin(queue.put("salt"));
    let mut second = pin!(queue.put("sugar"));
    assert_eq!(first.as_mut().now_or_never(), None);
    assert_eq!(second.as_mut().now_or_never(), None);
    assert_eq!(queue.get().await, "milk");
    drop(first);
    second.await;
    assert_eq!(queue.get().await, "sugar");
}

#[tokio::test]
async fn maxsize_0_is_unbounded() {
    let _watchdog = watchdog();
    for queue in [Queue::new(), Queue::default(), Queue::with_maxsize(0)] {
        for i in 0..10_000 {
            queue.try_put(i).unwrap();
            assert!(!queue.is_full());
        }
        assert_eq!((queue.maxsize(), queue.len()), (0, 10_000));
    }
}

#[tokio::test]
async fn a_queue_holds_at_most_maxsize_items() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(2);
    assert_eq!(queue.maxsize(), 2);
    assert!(queue.is_empty() && !queue.is_full());
    queue.put("tea").await;
    assert!(!queue.is_empty() && !queue.is_full());
    queue.put("milk").await;
    assert!(!queue.is_empty() && queue.is_full());
    assert_eq!(queue.len(), 2);
    assert_eq!(Queue::<()>::with_maxsize(usize::MAX).maxsize(), usize::MAX);
}

#[test]
fn try_put_hands_the_item_back_if_the_queue_is_full() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    queue.try_put("tea".to_string()).unwrap();
    let full = queue.try_put("milk".to_string()).unwrap_err();
    assert_eq!(full.to_string(), "the queue is full");
    assert_eq!(full.0, "milk");
    assert_eq!(queue.len(), 1);
}

#[test]
fn try_get_says_that_the_queue_is_empty() {
    let _watchdog = watchdog();
    let queue = Queue::<i32>::new();
    let empty: QueueEmpty = queue.try_get().unwrap_err();
    assert_eq!(empty.to_string(), "the queue is empty");
}

#[tokio::test]
async fn join_on_an_untouched_queue_returns_at_once() {
    let _watchdog = watchdog();
    let queue = Queue::<i32>::new();
    assert_eq!(queue.join().now_or_never(), Some(()));
}

#[tokio::test]
async fn the_count_rises_at_put_and_falls_at_task_done() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    queue.put("tea").await;
    queue.try_put("milk").unwrap();
    let mut join = pin!(queue.join());
    assert_eq!(join.as_mut().now_or_never(), None);
    queue.get().await;
    queue.try_get().unwrap();
    assert_eq!(join.as_mut().now_or_never(), None, "empty is not done");
    queue.task_done();
    assert_eq!(join.as_mut().now_or_never(), None, "one is left");
    queue.task_done();
    join.await;
}

#[tokio::test]
async fn only_items_that_were_put_count() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    queue.put("tea").await;
    queue.try_put("salt").unwrap_err();
    assert_eq!(queue.put("salt").now_or_never(), None);
    queue.task_done();
    queue.join().await;
}

#[tokio::test]
async fn every_join_is_woken() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    queue.put("tea").await;
    let done = async { queue.task_done() };
    tokio::join!(queue.join(), queue.join(), queue.join(), done);
}

#[tokio::test]
async fn join_returns_even_if_more_was_put_meanwhile() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    queue.put("tea").await;
    let mut join = pin!(queue.join());
    assert_eq!(join.as_mut().now_or_never(), None);
    queue.task_done();
    queue.put("milk").await;
    join.await;
    assert_eq!(queue.join().now_or_never(), None);
}

/// Eight tasks, each on its own thread, put a flag, join, and read the flag.
#[test]
fn join_waits_for_what_was_put_before_it() {
    let _watchdog = watchdog();
    let queue = Arc::new(Queue::<Arc<AtomicBool>>::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(8)
        .build()
        .unwrap();
    let worker = queue.clone();
    runtime.spawn(async move {
        loop {
            worker.get().await.store(true, Ordering::Relaxed);
            worker.task_done();
        }
    });
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            runtime.spawn(async move {
                for _ in 0..50_000 {
                    let done = Arc::new(AtomicBool::new(false));
                    queue.put(done.clone()).await;
                    queue.join().await;
                    assert!(done.load(Ordering::Relaxed), "it was not done");
                }
            })
        })
        .collect();
    for task in tasks {
        runtime.block_on(task).unwrap();
    }
}

#[tokio::test]
#[should_panic = "task_done() called too many times"]
async fn one_task_done_too_many_panics_with_the_message_of_python() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    queue.put("tea").await;
    queue.task_done();
    queue.task_done();
}

#[tokio::test]
async fn one_task_done_too_many_leaves_the_queue_as_it_was() {
    let _watchdog = watchdog();
    let queue = Arc::new(Queue::new());
    let same = queue.clone();
    let task = tokio::spawn(async move { same.task_done() });
    assert!(task.await.unwrap_err().is_panic());
    queue.put("tea").await;
    assert_eq!(queue.get().await, "tea");
    queue.task_done();
    queue.join().await;
}

#[test]
fn a_queue_needs_no_runtime() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(queue.put("tea")).poll(&mut context).is_ready());
    let got = pin!(queue.get()).poll(&mut context);
    assert_eq!(got, Poll::Ready("tea"));
    queue.task_done();
    assert!(pin!(queue.join()).poll(&mut context).is_ready());
}

#[test]
fn the_queue_and_its_futures_are_send_and_sync() {
    let _watchdog = watchdog();
    let queue = Queue::<Box<i32>>::new();
    assert_send_sync(&queue);
    assert_send_sync(&queue.get());
    assert_send_sync(&queue.put(Box::new(1)));
    assert_send_sync(&queue.join());
}

#[test]
fn debug_shows_the_counts_and_needs_no_debug_of_the_items() {
    let _watchdog = watchdog();
    struct Opaque;
    let queue = Queue::with_maxsize(3);
    queue.try_put(Opaque).unwrap();
    queue.try_put(Opaque).unwrap();
    let _ = queue.try_get().unwrap();
    let shown = "Queue { maxsize: 3, len: 1, unfinished: 2, .. }";
    assert_eq!(format!("{queue:?}"), shown);

    /// Uses the queue while `Debug` writes to it.
    struct Writer<'queue>(&'queue Queue<Opaque>, String);
    impl Write for Writer<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            assert_eq!(self.0.len(), 1);
            self.1.write_str(text)
        }
    }
    let mut writer = Writer(&queue, String::new());
    write!(writer, "{queue:?}").unwrap();
    assert_eq!(writer.1, shown);
}

/// A waker that calls its function when it wakes and when it is dropped.
struct OnWake<F: Fn() + Send + Sync>(F);

impl<F: Fn() + Send + Sync> Wake for OnWake<F> {
    fn wake(self: Arc<Self>) {
        self.0();
    }
}

impl<F: Fn() + Send + Sync> Drop for OnWake<F> {
    fn drop(&mut self) {
        self.0();
    }
}

/// A runtime can use the queue while it wakes a task.
#[test]
fn a_waker_can_use_the_queue() {
    let _watchdog = watchdog();
    let queue = Arc::new(Queue::with_maxsize(2));
    let same = queue.clone();
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let waker = Waker::from(Arc::new(OnWake(move || {
        assert!(same.len() <= 2);
        let _ = same.try_put(7);
        *count.lock().unwrap() += 1;
    })));
    let mut context = Context::from_waker(&waker);

    let mut get = pin!(queue.get());
    assert!(get.as_mut().poll(&mut context).is_pending());
    queue.try_put(1).unwrap();
    assert_eq!(*calls.lock().unwrap(), 1);
    assert!(queue.is_full());
    assert_eq!(get.poll(&mut context), Poll::Ready(1));

    let mut join = pin!(queue.join());
    assert!(join.as_mut().poll(&mut context).is_pending());
    queue.task_done();
    queue.task_done();
    assert_eq!(*calls.lock().unwrap(), 2);
    assert!(join.poll(&mut context).is_ready());

    let _ = queue.try_put(7);
    let mut put = pin!(queue.put(2));
    assert!(put.as_mut().poll(&mut context).is_pending());
    queue.try_get().unwrap();
    assert_eq!(*calls.lock().unwrap(), 3);
    assert!(put.poll(&mut context).is_ready());
}

/// A waker may hold the last reference to a task, and the task may own another
/// future of the same queue.
#[test]
fn a_dropped_waker_can_drop_another_future_of_the_queue() {
    type Get = Pin<Box<dyn Future<Output = i32> + Send>>;
    struct Task(#[expect(dead_code, reason = "it is there to be dropped")] Mutex<Option<Get>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    let _watchdog = watchdog();
    let queue = Arc::new(Queue::new());
    let waiting_get = || -> Get {
        let queue = queue.clone();
        let mut get: Get = Box::pin(async move { queue.get().await });
        assert_eq!(get.as_mut().now_or_never(), None);
        get
    };
    let owner = || Waker::from(Arc::new(Task(Mutex::new(Some(waiting_get())))));

    let mut polled_again = waiting_get();
    let polled = polled_again
        .as_mut()
        .poll(&mut Context::from_waker(&owner()));
    assert!(polled.is_pending());
    assert_eq!(polled_again.as_mut().now_or_never(), None);

    let mut dropped = waiting_get();
    let polled = dropped.as_mut().poll(&mut Context::from_waker(&owner()));
    assert!(polled.is_pending());
    drop(dropped);

    let mut served = waiting_get();
    let polled = served.as_mut().poll(&mut Context::from_waker(&owner()));
    assert!(polled.is_pending());
    drop(polled_again);
    queue.try_put(1).unwrap();
    assert_eq!(served.now_or_never(), Some(1));
}

#[test]
fn a_waker_that_panics_loses_no_item() {
    let _watchdog = watchdog();
    struct Fragile;
    impl Wake for Fragile {
        fn wake(self: Arc<Self>) {
            panic!("no wake-up");
        }
    }
    let queue = Queue::new();
    let mut get = pin!(queue.get());
    let waker = Waker::from(Arc::new(Fragile));
    assert!(
        get.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    let put = std::panic::AssertUnwindSafe(|| queue.try_put(1));
    assert!(std::panic::catch_unwind(put).is_err());
    queue.try_put(2).unwrap();
    assert_eq!(get.now_or_never(), Some(1));
    assert_eq!(queue.try_get().unwrap(), 2);
}

#[tokio::test]
async fn a_task_that_never_has_to_wait_lets_others_run() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    let never_waits = async {
        loop {
            queue.put(()).await;
            queue.get().await;
        }
    };
    let timeout = tokio::time::timeout(Duration::from_millis(1), never_waits);
    assert!(timeout.await.is_err());
}

/// Four tasks put and four get. A call that has to wait is cancelled once and
/// then repeated.
async fn no_item_is_lost_or_duplicated(maxsize: usize) {
    const EACH: usize = 1000;
    let queue = Arc::new(Queue::with_maxsize(maxsize));
    let mut tasks = JoinSet::new();
    for producer in 0..4 {
        let queue = queue.clone();
        tasks.spawn(async move {
            for item in producer * EACH..(producer + 1) * EACH {
                if unless_cancelled(queue.put(item)).await.is_none() {
                    queue.put(item).await;
                }
            }
            Vec::new()
        });
    }
    for _ in 0..4 {
        let queue = queue.clone();
        tasks.spawn(async move {
            let mut items = Vec::new();
            for _ in 0..EACH {
                items.push(match unless_cancelled(queue.get()).await {
                    Some(item) => item,
                    None => queue.get().await,
                });
                queue.task_done();
            }
            items
        });
    }
    let mut items = tasks.join_all().await.concat();
    items.sort();
    assert!(items.into_iter().eq(0..4 * EACH));
    queue.join().await;
    assert!(queue.is_empty());
}

/// Polls the future once and cancels it if it is not ready. Other tasks run
/// before that, so an item or a place may be reserved for it when it is dropped.
async fn unless_cancelled<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let output = future.as_mut().now_or_never();
    if output.is_none() {
        yield_now().await;
    }
    output
}

#[tokio::test]
async fn no_item_is_lost_or_duplicated_on_one_thread() {
    let _watchdog = watchdog();
    for maxsize in [0, 1, 7] {
        no_item_is_lost_or_duplicated(maxsize).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_item_is_lost_or_duplicated_on_many_threads() {
    let _watchdog = watchdog();
    for maxsize in [0, 1, 7] {
        no_item_is_lost_or_duplicated(maxsize).await;
    }
}
