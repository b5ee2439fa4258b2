//! What `shared::asyncio::Queue` promises.

#![cfg(feature = "asyncio")]
#![forbid(unsafe_code)]

mod watchdog;

use futures::future::{FutureExt, join_all};
use shared::asyncio::{Queue, QueueEmpty};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
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
async fn who_waits_to_get_is_served_in_order() {
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
async fn who_waits_to_put_is_served_in_order() {
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
async fn a_newcomer_does_not_take_what_was_promised() {
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

    let mut when_it_was_promised_one = Box::pin(queue.get());
    assert_eq!(when_it_was_promised_one.as_mut().now_or_never(), None);
    queue.put("tea").await;
    drop(when_it_was_promised_one);

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

    let mut when_it_was_promised_a_place = Box::pin(queue.put("salt"));
    assert_eq!(when_it_was_promised_a_place.as_mut().now_or_never(), None);
    assert_eq!(queue.get().await, "tea");
    drop(when_it_was_promised_a_place);

    queue.try_put("milk").unwrap();
    assert_eq!(queue.get().await, "milk");
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_cancelled_waiter_passes_on_what_it_was_promised() {
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
async fn maxsize_is_the_most_it_holds() {
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
    let queue = Queue::with_maxsize(1);
    queue.try_put("tea".to_string()).unwrap();
    let full = queue.try_put("milk".to_string()).unwrap_err();
    assert_eq!(full.to_string(), "the queue is full");
    assert_eq!(full.0, "milk");
    assert_eq!(queue.len(), 1);
}

#[test]
fn try_get_says_that_the_queue_is_empty() {
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
async fn what_was_not_put_does_not_count() {
    let _watchdog = watchdog();
    let queue = Queue::with_maxsize(1);
    queue.put("tea").await;
    queue.try_put("salt").unwrap_err();
    assert_eq!(queue.put("salt").now_or_never(), None);
    queue.task_done();
    queue.join().await;
}

#[tokio::test]
async fn all_who_join_are_woken() {
    let _watchdog = watchdog();
    let queue = Queue::new();
    queue.put("tea").await;
    let done = async { queue.task_done() };
    tokio::join!(queue.join(), queue.join(), queue.join(), done);
}

#[tokio::test]
async fn join_returns_though_more_was_put_meanwhile() {
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

#[tokio::test]
#[should_panic = "task_done() called too many times"]
async fn one_task_done_too_many_panics_with_the_words_of_python() {
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
fn it_needs_no_runtime() {
    let queue = Queue::with_maxsize(1);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(queue.put("tea")).poll(&mut context).is_ready());
    let got = pin!(queue.get()).poll(&mut context);
    assert_eq!(got, Poll::Ready("tea"));
    queue.task_done();
    assert!(pin!(queue.join()).poll(&mut context).is_ready());
}

#[test]
fn it_and_its_futures_can_go_to_other_threads() {
    let queue = Queue::<Box<i32>>::new();
    assert_send_sync(&queue);
    assert_send_sync(&queue.get());
    assert_send_sync(&queue.put(Box::new(1)));
    assert_send_sync(&queue.join());
}

/// Four tasks put and four get, and each cancels whatever it has to wait for
/// once, then tries again.
async fn nothing_is_lost_or_doubled(maxsize: usize) {
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

/// Cancels what is not ready, and lets others run before, so that it may have
/// been promised what it waits for.
async fn unless_cancelled<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let output = future.as_mut().now_or_never();
    if output.is_none() {
        yield_now().await;
    }
    output
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_on_one_thread() {
    let _watchdog = watchdog();
    for maxsize in [0, 1, 7] {
        nothing_is_lost_or_doubled(maxsize).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_doubled_on_many_threads() {
    let _watchdog = watchdog();
    for maxsize in [0, 1, 7] {
        nothing_is_lost_or_doubled(maxsize).await;
    }
}
