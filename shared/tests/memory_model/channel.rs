//! The pool's channel: each task is done by one, and nobody sleeps beside what
//! it waits for.

#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../../src/multiprocessing/pool/channel.rs"]
mod source;

use std::fs::File;

use loom::sync::Arc;
use loom::thread;

use crate::model::{check, check_deaths, mortal};
use source::{Alarm, Channel, WaitFor};

/// A pool's end and its worker's, and what wakes the pool.
fn ends() -> (Channel, Channel, Arc<Alarm>) {
    let pool = Channel::new().unwrap();
    let worker = Channel::open(File::open("/dev/null").unwrap().into()).unwrap();
    (pool, worker, Arc::new(Alarm::new().unwrap()))
}

fn send(end: &mut Channel, message: u8) {
    assert!(
        end.send(&[], &[message], 0, &mut 0),
        "a model's ring has room"
    );
}

fn peek(end: &mut Channel) -> Option<u8> {
    let (_, len) = end.peek().unwrap()?;
    let mut message = Vec::new();
    end.take(len, &mut message);
    Some(message[0])
}

/// As a worker does: squares tasks until it is told to end.
fn work(mut end: Channel, alarm: &Alarm) -> Vec<u8> {
    let mut done = Vec::new();
    for number in 0.. {
        let task = loop {
            match peek(&mut end) {
                Some(task) => break task,
                None if end.is_stopped() => return done,
                None if end.has(WaitFor::Task) => {}
                None => end.sleep(WaitFor::Task),
            }
        };
        if end.claim(number) {
            done.push(task);
            send(&mut end, task * task);
            if end.pool_asleep() {
                alarm.raise();
            }
        }
    }
    done
}

/// As a pool does: waits for a result.
fn result(end: &mut Channel, alarm: &Alarm) -> u8 {
    loop {
        let count = alarm.count();
        if let Some(result) = peek(end) {
            return result;
        }
        if end.set_pool_asleep(true) {
            alarm.wait(count, None);
        }
    }
}

#[test]
fn a_task_is_done_and_its_result_is_told() {
    check(|| {
        let (mut pool, worker, alarm) = ends();
        let working = {
            let alarm = alarm.clone();
            thread::spawn(move || work(worker, &alarm))
        };
        for task in [2, 3] {
            send(&mut pool, task);
            pool.wake_worker();
            assert_eq!(result(&mut pool, &alarm), task * task);
        }
        pool.stop();
        assert_eq!(working.join().unwrap(), [2, 3]);
    });
}

#[test]
fn a_task_taken_back_is_done_by_nobody_else() {
    check(|| {
        let (mut pool, worker, alarm) = ends();
        let working = thread::spawn(move || work(worker, &alarm));
        for task in [2, 3] {
            send(&mut pool, task);
        }
        pool.wake_worker();
        let first = pool.reclaim(2);
        pool.stop();
        let mut done = working.join().unwrap();
        done.extend(&[2, 3][first as usize..]);
        assert_eq!(done, [2, 3]);
    });
}

#[test]
fn a_worker_killed_at_any_step_takes_one_task_along_at_most() {
    check_deaths(|steps| {
        let (mut pool, worker, alarm) = ends();
        for task in [2, 3] {
            send(&mut pool, task);
        }
        let working = thread::spawn(move || mortal(steps, || _ = work(worker, &alarm)));
        pool.stop();
        working.join().unwrap();
        let results: Vec<_> = std::iter::from_fn(|| peek(&mut pool)).collect();
        assert!([4, 9].starts_with(&results));
        let lost = pool.claimed() as usize - results.len();
        assert!(lost <= 1, "{lost} tasks lost");
    });
}
