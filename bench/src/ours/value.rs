//! `shared::multiprocessing::Value`.

use shared::multiprocessing::{Connection, Process, Value, pipe};

use crate::common::Result;
use crate::timing::per_operation;

fn increment(value: &Value<i32>, n: usize) {
    for _ in 0..n {
        *value.lock().unwrap() += 1;
    }
}

pub fn alone(n: usize) -> Result<f64> {
    let value = Value::new(0)?;
    let elapsed = per_operation(n, || {
        increment(&value, n);
        Ok(())
    })?;
    assert_eq!(value.get(), n as i32);
    Ok(elapsed)
}

fn increment_on_signal(value: &Value<i32>, n: usize, connection: Connection<(), ()>) {
    connection.send(()).unwrap();
    connection.recv().unwrap();
    increment(value, n);
    connection.send(()).unwrap();
}

pub fn two_processes(n: usize) -> Result<f64> {
    let value = Value::new(0)?;
    let (left, right) = pipe::<(), ()>()?;
    let p = Process::new(increment_on_signal, (&value, n, right)).start()?;
    left.recv()?;
    let elapsed = per_operation(2 * n, || {
        left.send(())?;
        increment(&value, n);
        Ok(left.recv()?)
    })?;
    p.join()?;
    assert_eq!(value.get(), 2 * n as i32);
    Ok(elapsed)
}
