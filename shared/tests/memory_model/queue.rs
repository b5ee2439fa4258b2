//! The queue: every item that is put is got, whichever process is killed at
//! whichever step.

use loom::thread::{self, JoinHandle};

use crate::model::{check, check_deaths, mortal};
use crate::multiprocessing::error::Error;
use crate::multiprocessing::queue::Queue;

fn start_producer(queue: &Queue<u8>, items: &'static [u8]) -> JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || items.iter().for_each(|&item| queue.put(item).unwrap()))
}

/// Gets all items that are left, in order.
fn drain(queue: &Queue<u8>) -> Vec<u8> {
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
fn an_item_arrives_whole() {
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
fn two_producers_lose_no_item() {
    check(|| {
        let queue = Queue::new().unwrap();
        let producers = [start_producer(&queue, &[1]), start_producer(&queue, &[2])];
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
fn two_consumers_are_both_woken_and_get_different_items() {
    check(|| {
        let queue = Queue::new().unwrap();
        let producer = start_producer(&queue, &[1, 2]);
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
fn a_producer_of_a_full_queue_is_woken_by_a_get() {
    check(|| {
        let queue = Queue::with_maxsize(1).unwrap();
        let producer = start_producer(&queue, &[1, 2]);
        assert_eq!(queue.get().unwrap(), 1);
        assert_eq!(queue.get().unwrap(), 2);
        producer.join().unwrap();
    });
}

#[test]
fn a_producer_killed_at_any_step_leaves_no_consumer_asleep_beside_an_item() {
    check_deaths(|steps| {
        let queue = Queue::new().unwrap();
        let victim = {
            let queue = queue.clone();
            thread::spawn(move || mortal(steps, || queue.put(1).unwrap()))
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || queue.get().unwrap())
        };
        let completed = victim.join().unwrap();
        if queue.is_empty() && !completed {
            // Either the item was never put, or the consumer has got it. In the
            // first case the consumer needs another one.
            queue.put(2).unwrap();
        }
        let mut all = vec![consumer.join().unwrap()];
        all.extend(drain(&queue));
        assert!(
            all == [1] || !completed && (all == [2] || all == [1, 2]),
            "{all:?}, {completed}"
        );
    });
}

#[test]
fn a_consumer_killed_at_any_step_loses_no_other_item() {
    check_deaths(|steps| {
        let queue = Queue::with_maxsize(1).unwrap();
        queue.put(1).unwrap();
        let victim = {
            let queue = queue.clone();
            thread::spawn(move || mortal(steps, || assert_eq!(queue.get().unwrap(), 1)))
        };
        let producer = start_producer(&queue, &[2]);
        let completed = victim.join().unwrap();
        // If the victim has not got the first item, this makes space for the
        // second one.
        let mut all: Vec<_> = queue.try_get().into_iter().collect();
        producer.join().unwrap();
        all.extend(drain(&queue));
        assert!(
            all == [2] || !completed && all == [1, 2],
            "{all:?}, {completed}"
        );
    });
}
