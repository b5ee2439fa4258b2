//! Wrong: the parent computes the numbers.
//! Fails with: the numbers were not computed in a child

use shared::multiprocessing::Error;
use std::process;

pub fn chain(mut n: u64) -> Result<Vec<(u64, u32)>, Error> {
    let mut steps = Vec::new();
    while n != 1 {
        n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
        steps.push((n, process::id()));
    }
    Ok(steps)
}
