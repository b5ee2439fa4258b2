//! The processor time that processes take while they wait.

use std::collections::BTreeSet;
use std::process::id;
use std::thread::sleep;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;
use shared::multiprocessing::{Connection, Pool, Process, Queue, pipe};

use crate::common::Result;

/// Measures the processor time that processes take in a second.
fn in_a_second(pids: &[u32]) -> Result<f64> {
    let taken = || -> nix::Result<Duration> {
        let mut sum = Duration::ZERO;
        for &pid in pids {
            let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid as i32))?;
            sum += clock.now()?.into();
        }
        Ok(sum)
    };
    sleep(Duration::from_millis(100));
    let before = taken()?;
    sleep(Duration::from_secs(1));
    Ok((taken()? - before).as_secs_f64())
}

fn put_and_get(started: &Queue<()>, q: &Queue<()>) {
    started.put(()).unwrap();
    q.get().unwrap();
}

pub fn get(_: usize) -> Result<f64> {
    let (started, q) = (Queue::new()?, Queue::new()?);
    let p = Process::new(put_and_get, (&started, &q)).start()?;
    started.get()?;
    let taken = in_a_second(&[p.pid()])?;
    q.put(())?;
    p.join()?;
    Ok(taken)
}

fn hold_pool(connection: Connection<Vec<u32>, ()>) {
    let pool = Pool::new(2).unwrap();
    let mut pids = BTreeSet::from([id()]);
    while pids.len() < 3 {
        pids.extend(pool.map_chunked(|_: i64| id(), 0..100, 1).unwrap());
    }
    connection.send(Vec::from_iter(pids)).unwrap();
    connection.recv().unwrap();
}

pub fn pool(_: usize) -> Result<f64> {
    let (left, right) = pipe::<(), Vec<u32>>()?;
    let p = Process::new(hold_pool, (right,)).start()?;
    let taken = in_a_second(&left.recv()?)?;
    left.send(())?;
    p.join()?;
    Ok(taken)
}
