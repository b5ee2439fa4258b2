//! Wrong: each step is the result of a process of its own.
//! Fails with: the numbers were computed in more than one child

use shared::multiprocessing::{Error, Process};
use std::process;

fn compute(n: u64) -> (u64, u32) {
    let n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
    (n, process::id())
}

pub fn chain(mut n: u64) -> Result<Vec<(u64, u32)>, Error> {
    let mut steps = Vec::new();
    while n != 1 {
        let step: (u64, u32) = Process::new(compute, (n,)).start()?.join()?;
        n = step.0;
        steps.push(step);
    }
    Ok(steps)
}
