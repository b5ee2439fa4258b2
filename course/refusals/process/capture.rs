// line 14: error[E0080]
// en: In Python a local function cannot be pickled, so `start` raises `AttributeError` or `PicklingError`; only with `fork` does it work. Here a child gets a function and its arguments, and there is no place for what a closure has captured.
// zh: Python 里局部函数不能用 pickle 序列化，`start` 会抛出 `AttributeError` 或 `PicklingError`，只有用 `fork` 才行。这里子进程只收到函数和参数，闭包捕获的东西没地方放。

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
        let p = Process::new(move || worker(i), ());
        // `start` takes `p` and returns the running process, to be joined.
        processes.push(p.start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have finished.");
    Ok(())
}
