//! `shared::concurrent::futures::ThreadPoolExecutor`.

use shared::concurrent::futures::ThreadPoolExecutor;

use crate::common::Result;
use crate::inputs::square;
use crate::timing::per_operation;

pub fn map(n: usize) -> Result<f64> {
    let executor = ThreadPoolExecutor::new(4);
    let mut results = Vec::new();
    let elapsed = per_operation(n, || {
        results = executor.map(square, 0..n as i64).collect();
        Ok(())
    })?;
    assert!(results.into_iter().eq((0..n as i64).map(square)));
    Ok(elapsed)
}

pub fn submit(n: usize) -> Result<f64> {
    let executor = ThreadPoolExecutor::new(4);
    per_operation(n, || {
        for i in 0..n as i64 {
            assert_eq!(executor.submit(move || square(i)).result()?, i * i);
        }
        Ok(())
    })
}
