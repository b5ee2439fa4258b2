// line 19: error[E0599]
// en: Python raises `AssertionError: can only join a started process` when the program runs. Here a process has no `join` before it is started.
// zh: Python 要到运行时才抛出 `AssertionError: can only join a started process`。这里进程没启动之前，根本没有 `join` 方法。

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
        processes.push(p);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have finished.");
    Ok(())
}
