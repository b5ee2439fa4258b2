//! The pool's channel: each task is done by one, and nobody sleeps beside what
//! it waits for.

#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../../src/multiprocessing/pool/channel.rs"]
mod source;

use std::fs::File;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use crate::model::{check, check_deaths, mortal};
use source::{Awaited, Channel};

/// Stands for the descriptor by which a worker tells the pool.
#[derive(Default)]
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn ring(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }

    fn wait(&self) {
        let mut rung = self.0.lock().unwrap();
        while !*rung {
            rung = self.1.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// A pool's end and its worker's.
fn ends() -> (Channel, Channel, Arc<Bell>) {
    let pool = Channel::new().unwrap();
    let worker = Channel::open(File::open("/dev/null").unwrap().into()).unwrap();
    (pool, worker, Arc::default())
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
fn work(mut end: Channel, bell: &Bell) -> Vec<u8> {
    let mut done = Vec::new();
    for number in 0.. {
        let task = loop {
            match peek(&mut end) {
                Some(task) => break task,
                None if end.is_stopped() => return done,
                None if end.has(Awaited::Task) => {}
                None => end.sleep(Awaited::Task),
            }
        };
        if end.claim(number) {
            done.push(task);
            send(&mut end, task * task);
            if end.pool_asleep() {
                bell.ring();
            }
        }
    }
    done
}

/// As a pool does: waits for a result.
fn result(end: &mut Channel, bell: &Bell) -> u8 {
    loop {
        if let Some(result) = peek(end) {
            return result;
        }
        if end.set_pool_asleep(true) {
            bell.wait();
        }
    }
}

#[test]
fn a_task_is_done_and_its_result_is_told() {
    check(|| {
        let (mut pool, worker, bell) = ends();
        let working = {
            let bell = bell.clone();
            thread::spawn(move || work(worker, &bell))
        };
        for task in [2, 3] {
            send(&mut pool, task);
            pool.wake_worker();
            assert_eq!(result(&mut pool, &bell), task * task);
        }
        pool.stop();
        assert_eq!(working.join().unwrap(), [2, 3]);
    });
}

#[test]
fn a_task_taken_back_is_done_by_nobody_else() {
    check(|| {
        let (mut pool, worker, bell) = ends();
        let working = thread::spawn(move || work(worker, &bell));
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
        let (mut pool, worker, bell) = ends();
        for task in [2, 3] {
            send(&mut pool, task);
        }
        let working = thread::spawn(move || mortal(steps, || _ = work(worker, &bell)));
        pool.stop();
        working.join().unwrap();
        let results: Vec<_> = std::iter::from_fn(|| peek(&mut pool)).collect();
        assert!([4, 9].starts_with(&results));
        let lost = pool.claimed() as usize - results.len();
        assert!(lost <= 1, "{lost} tasks lost");
    });
}
