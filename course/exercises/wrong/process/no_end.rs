//! Wrong: the child is not told that no number comes any more.
//! Fails with: the child did not end

use shared::multiprocessing::{Connection, Error, Process, pipe};
use std::process;

fn compute(connection: &Connection<(u64, u32), Option<u64>>) {
    while let Some(n) = connection.recv().unwrap() {
        let n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
        connection.send((n, process::id())).unwrap();
    }
}

pub fn chain(mut n: u64) -> Result<Vec<(u64, u32)>, Error> {
    let (ours, theirs) = pipe()?;
    let p = Process::new(compute, (&theirs,)).start()?;
    let mut steps = Vec::new();
    while n != 1 {
        ours.send(Some(n))?;
        let step = ours.recv()?;
        n = step.0;
        steps.push(step);
    }
    p.join()?;
    Ok(steps)
}
