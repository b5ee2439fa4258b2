//! Start five processes and wait for them.
//!
//! Python: `process.py`
//! Run: `cargo run -p multiprocessing --bin process`
//! Differs:
//! - If a worker panics, `join` returns an error, and `?` ends `main` with it.
//!   Python's `join` returns as always, and the program exits with 0.

use shared::multiprocessing::{self, Process};
use std::process;

/// The task that each process runs.
fn worker(num: i32) {
    println!("Worker {num} is running in process {}", process::id());
}

fn main() -> anyhow::Result<()> {
    // A child runs this program again: there, `init` calls `worker` and exits.
    multiprocessing::init();
    let mut processes = Vec::new();
    for i in 0..5 {
        let p = Process::new(worker, (i,));
        // `start` takes `p` and returns the running process, to be joined.
        processes.push(p.start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have finished.");
    Ok(())
}
