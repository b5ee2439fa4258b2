//! Start five processes and wait for them.
//!
//! Python: `process.py`
//! Run: `cargo run -p multiprocessing --bin process`
//! Differs:
//! - A worker's failure reaches `join` and `main`; Python's parent exits 0.

use shared::multiprocessing::{self, Process};
use std::process;

fn worker(num: i32) {
    println!("Worker {num} is running in process {}", process::id());
}

fn main() -> anyhow::Result<()> {
    // A child is this program again: `init` runs its worker and ends it.
    multiprocessing::init();
    let mut processes = Vec::new();
    for i in 0..5 {
        let p = Process::new(worker, (i,)).start()?;
        processes.push(p);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have finished.");
    Ok(())
}
