//! `shared::multiprocessing::Process`.

use shared::multiprocessing::Process;

use crate::common::Result;
use crate::timing::per_operation;

fn empty() {}

pub fn start(n: usize) -> Result<f64> {
    per_operation(n, || {
        for _ in 0..n {
            Process::new(empty, ()).start()?.join()?;
        }
        Ok(())
    })
}
