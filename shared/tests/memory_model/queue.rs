//! The queue: what is put is got, whoever is killed at whatever step.

use loom::thread::{self, JoinHandle};

use crate::model::{check, check_deaths, mortal};
use crate::multiprocessing::error::Error;
use crate::multiprocessing::queue::Queue;

fn putting(queue: &Queue<u8>, items: &'static [u8]) -> JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || items.iter().for_each(|&item| queue.put(item).unwrap()))
}

/// What is left, in order.
fn rest(queue: &Queue<u8>) -> Vec<u8> {
    let len = queue.len();
    assert_eq!(queue.is_empty(), len == 0);
    let mut all = Vec::new();
    loop {
        match queue.try_get() {
            Ok(item) => all.push(item),
            Err(Error::Empty) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(all.len(), len);
    all
}

#[test]
fn an_item_that_is_put_is_got_whole() {
    check(|| {
        let queue = Queue::<u64>::new().unwrap();
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.put(u64::MAX).unwrap())
        };
        assert_eq!(queue.get().unwrap(), u64::MAX);
        producer.join().unwrap();
    });
}

#[test]
fn two_producers_lose_nothing() {
    check(|| {
        let queue = Queue::new().unwrap();
        let producers = [putting(&queue, &[1]), putting(&queue, &[2])];
        let mut got = [queue.get().unwrap(), queue.get().unwrap()];
        got.sort_unstable();
        assert_eq!(got, [1, 2]);
        producers
            .into_iter()
            .for_each(|producer| producer.join().unwrap());
        assert!(queue.is_empty());
    });
}

#[test]
fn two_consumers_double_nothing_and_both_wake() {
    check(|| {
        let queue = Queue::new().unwrap();
        let producer = putting(&queue, &[1, 2]);
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || queue.get().unwrap())
        };
        let mine = queue.get().unwrap();
        assert_eq!(mine + consumer.join().unwrap(), 3);
        producer.join().unwrap();
    });
}

#[test]
fn a_full_queue_wakes_its_producer_when_there_is_room() {
    check(|| {
        let queue = Queue::with_maxsize(1).unwrap();
        let producer = putting(&queue, &[1, 2]);
        assert_eq!(queue.get().unwrap(), 1);
        assert_eq!(queue.get().unwrap(), 2);
        producer.join().unwrap();
    });
}

#[test]
fn a_producer_killed_at_any_step_strands_no_consumer() {
    check_deaths(|steps| {
        let queue = Queue::new().unwrap();
        let doomed = {
            let queue = queue.clone();
            thread::spawn(move || mortal(steps, || queue.put(1).unwrap()))
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || queue.get().unwrap())
        };
        let put = doomed.join().unwrap();
        if queue.is_empty() && !put {
            // It is not there and not coming, or has been got.
            queue.put(2).unwrap();
        }
        let mut all = vec![consumer.join().unwrap()];
        all.extend(rest(&queue));
        assert!(
            all == [1] || !put && (all == [2] || all == [1, 2]),
            "{all:?}, {put}"
        );
    });
}

#[test]
fn a_consumer_killed_at_any_step_loses_nothing_else() {
    check_deaths(|steps| {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(1).unwrap();
        let doomed = {
            let queue = queue.clone();
            thread::spawn(move || mortal(steps, || assert_eq!(queue.get().unwrap(), 1)))
        };
        let producer = putting(&queue, &[2]);
        let got = doomed.join().unwrap();
        // Room there is at the latest when somebody has got the first.
        let mut all: Vec<_> = queue.try_get().into_iter().collect();
        producer.join().unwrap();
        all.extend(rest(&queue));
        assert!(all == [2] || !got && all == [1, 2], "{all:?}, {got}");
    });
}
