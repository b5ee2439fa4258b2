//! `shared::multiprocessing::pipe`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::multiprocessing::{Connection, Process, pipe};

use crate::common::{MEBIBYTE, Result};
use crate::timing::per_operation;

fn echo<T: Serialize + DeserializeOwned + 'static>(connection: Connection<T, T>) {
    while let Ok(item) = connection.recv() {
        connection.send(item).unwrap();
    }
}

pub fn round_trip(n: usize) -> Result<f64> {
    let (left, right) = pipe::<i64, i64>()?;
    let p = Process::new(echo::<i64>, (right,)).start()?;
    left.send(0)?;
    left.recv()?;
    let elapsed = per_operation(n, || {
        for i in 0..n as i64 {
            left.send(i)?;
            assert_eq!(left.recv()?, i);
        }
        Ok(())
    })?;
    drop(left);
    p.join()?;
    Ok(elapsed)
}

pub fn large(n: usize) -> Result<f64> {
    let (left, right) = pipe::<Vec<u8>, Vec<u8>>()?;
    let p = Process::new(echo::<Vec<u8>>, (right,)).start()?;
    let size = 16 * MEBIBYTE;
    let mut item = vec![0; size];
    let elapsed = per_operation(n, || {
        for i in 0..n {
            item[size - 1] = i as u8;
            left.send(item)?;
            item = left.recv()?;
            assert_eq!(item.len(), size);
            assert_eq!(item[size - 1], i as u8);
        }
        Ok(())
    })?;
    drop(left);
    p.join()?;
    Ok(elapsed)
}
