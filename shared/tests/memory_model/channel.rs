//! The channel between a pool and a worker: each task is run by one side only,
//! no wake-up is lost, and the death of a worker loses one task at most.

#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../../src/multiprocessing/pool/alarm.rs"]
mod alarm;
#[allow(dead_code, reason = "a model uses part of the library")]
#[path = "../../src/multiprocessing/pool/channel.rs"]
mod source;

use std::fs::File;

use loom::sync::Arc;
use loom::thread;

use crate::model::{check, check_deaths, mortal};
use alarm::Alarm;
use source::{Channel, PoolSleep, WaitFor};

/// The pool's end of a channel, the worker's end, and the alarm.
fn ends() -> (Channel, Channel, Arc<Alarm>) {
    let pool = Channel::new().unwrap();
    let worker = Channel::open(File::open("/dev/null").unwrap().into()).unwrap();
    (pool, worker, Arc::new(Alarm::new().unwrap()))
}

fn send(end: &mut Channel, message: u8) {
    let is_sent = end.send(&[], &[message], false, &mut 0);
    assert!(is_sent, "a model's ring has room");
}

fn receive(end: &mut Channel) -> Option<u8> {
    let frame = end.next_frame().unwrap()?;
    let mut message = Vec::new();
    end.read(frame, &mut message);
    Some(message[0])
}

/// Squares tasks, as a worker does, until it is asked to exit. Returns the tasks
/// that it has run.
fn run_worker(mut end: Channel, alarm: &Alarm) -> Vec<u8> {
    let mut run = Vec::new();
    for number in 0.. {
        let task = loop {
            match receive(&mut end) {
                Some(task) => break task,
                None if end.is_exit_requested() => return run,
                None => {
                    wake_pool(&end, alarm, true);
                    if !end.is_there(WaitFor::Task) {
                        end.sleep(WaitFor::Task);
                    }
                }
            }
        };
        if end.claim(number) {
            run.push(task);
            send(&mut end, task * task);
            wake_pool(&end, alarm, false);
        }
    }
    run
}

fn wake_pool(end: &Channel, alarm: &Alarm, is_idle: bool) {
    match end.pool_to_wake(is_idle) {
        PoolSleep::Awake => {}
        PoolSleep::Sleep => alarm.raise(),
        PoolSleep::Nap => alarm.napping().ring(),
    }
}

/// Waits for a result, as a pool does that sleeps in this way.
fn wait_for_result(end: &mut Channel, alarm: &Alarm, sleep: PoolSleep) -> u8 {
    loop {
        let bell = match sleep {
            PoolSleep::Nap => alarm.napping(),
            _ => alarm.manager(),
        };
        let count = bell.count();
        if let Some(result) = receive(end) {
            return result;
        }
        end.set_pool_sleep(sleep);
        if end.is_empty() {
            bell.wait(count, None);
        }
    }
}

#[test]
fn a_sleeping_worker_gets_each_task_and_a_sleeping_pool_each_result() {
    each_result_comes(PoolSleep::Sleep);
}

#[test]
fn a_sleeping_worker_gets_each_task_and_a_napping_pool_each_result() {
    each_result_comes(PoolSleep::Nap);
}

fn each_result_comes(sleep: PoolSleep) {
    check(move || {
        let (mut pool, worker, alarm) = ends();
        let working = {
            let alarm = alarm.clone();
            thread::spawn(move || run_worker(worker, &alarm))
        };
        for task in [2, 3] {
            send(&mut pool, task);
            pool.wake_worker();
            assert_eq!(wait_for_result(&mut pool, &alarm, sleep), task * task);
        }
        pool.request_exit();
        assert_eq!(working.join().unwrap(), [2, 3]);
    });
}

#[test]
fn a_task_taken_back_is_not_run_by_the_worker() {
    check(|| {
        let (mut pool, worker, alarm) = ends();
        let working = thread::spawn(move || run_worker(worker, &alarm));
        for task in [2, 3] {
            send(&mut pool, task);
        }
        pool.wake_worker();
        let first = pool.claim_below(2);
        pool.request_exit();
        let mut done = working.join().unwrap();
        done.extend(&[2, 3][first as usize..]);
        assert_eq!(done, [2, 3]);
    });
}

#[test]
fn a_worker_killed_at_any_step_loses_at_most_one_task() {
    check_deaths(|steps| {
        let (mut pool, worker, alarm) = ends();
        for task in [2, 3] {
            send(&mut pool, task);
        }
        let working = thread::spawn(move || mortal(steps, || _ = run_worker(worker, &alarm)));
        pool.request_exit();
        working.join().unwrap();
        let results: Vec<_> = std::iter::from_fn(|| receive(&mut pool)).collect();
        assert!([4, 9].starts_with(&results));
        let lost = pool.claimed() as usize - results.len();
        assert!(lost <= 1, "{lost} tasks lost");
    });
}
