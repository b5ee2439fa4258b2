//! threadpool: its tasks send their results through a channel, as its
//! documentation shows.

use std::sync::mpsc::channel;

use ::threadpool::ThreadPool;

use crate::common::Result;
use crate::inputs::square;
use crate::timing::per_operation;

pub fn map(n: usize) -> Result<f64> {
    let pool = ThreadPool::new(4);
    let mut results = vec![0; n];
    let elapsed = per_operation(n, || {
        let (sender, receiver) = channel();
        for i in 0..n {
            let sender = sender.clone();
            pool.execute(move || sender.send((i, square(i as i64))).unwrap());
        }
        for (i, result) in receiver.iter().take(n) {
            results[i] = result;
        }
        Ok(())
    })?;
    assert!(results.into_iter().eq((0..n as i64).map(square)));
    Ok(elapsed)
}

pub fn submit(n: usize) -> Result<f64> {
    let pool = ThreadPool::new(4);
    per_operation(n, || {
        for i in 0..n as i64 {
            let (sender, receiver) = channel();
            pool.execute(move || sender.send(square(i)).unwrap());
            assert_eq!(receiver.recv()?, i * i);
        }
        Ok(())
    })
}
