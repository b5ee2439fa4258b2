//! procspawn: processes that are spawned like threads, and a pool of them.

use std::collections::VecDeque;

use ::procspawn::{JoinHandle, Pool, spawn};

use crate::common::Result;
use crate::inputs::square;
use crate::timing::per_operation;

/// The number of tasks in flight. Each of them takes four file descriptors, so
/// with more tasks the process would run out of descriptors.
const IN_FLIGHT: usize = 64;

pub fn start(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            spawn((), |()| ()).join()?;
        }
        Ok(())
    })
}

pub fn life(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            let pool = Pool::new(4)?;
            let handles: Vec<_> = (1..=5).map(|i| pool.spawn(i, square)).collect();
            for (i, handle) in (1..).zip(handles) {
                assert_eq!(handle.join()?, i * i);
            }
            pool.shutdown();
        }
        Ok(())
    })
}

pub fn workers(n: usize) -> Result<f64> {
    per_operation(n, || {
        let pool = Pool::new(n)?;
        map(&pool, n)?;
        pool.shutdown();
        Ok(())
    })
}

pub fn map_one_by_one(n: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    map(&pool, n)?;
    per_operation(n, || map(&pool, n))
}

fn map(pool: &Pool, n: usize) -> Result<()> {
    let mut handles = VecDeque::new();
    for i in 0..n as i64 {
        if handles.len() == IN_FLIGHT {
            take_first(&mut handles)?;
        }
        handles.push_back((i, pool.spawn(i, square)));
    }
    while !handles.is_empty() {
        take_first(&mut handles)?;
    }
    Ok(())
}

fn take_first(handles: &mut VecDeque<(i64, JoinHandle<i64>)>) -> Result<()> {
    let (i, handle) = handles.pop_front().ok_or("no task in flight")?;
    assert_eq!(handle.join()?, i * i);
    Ok(())
}

pub fn apply(n: usize) -> Result<f64> {
    let pool = Pool::new(2)?;
    map(&pool, 2)?;
    per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(pool.spawn(i, square).join()?, i * i);
        }
        Ok(())
    })
}
