// line 14: error[E0308]
// en: Python's `args=(i)` is the number itself, because only the comma makes a tuple; `Process` then raises `TypeError: 'int' object is not iterable`.
// zh: Python 的 `args=(i)` 就是那个数，有逗号才是元组，于是 `Process` 抛出 `TypeError: 'int' object is not iterable`。

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
        let p = Process::new(worker, i);
        // `start` takes `p` and returns the running process, to be joined.
        processes.push(p.start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have finished.");
    Ok(())
}
