// ends with code 0
// en: Each process has globals of its own: a worker counts in its copy, and the parent's `COUNTER` stays 0. Python does the same, and the lock does not help either.
// zh: 每个进程都有自己的全局变量：子进程只改自己的那一份，父进程的 `COUNTER` 还是 0。Python 也一样，加了锁也没用。

use shared::multiprocessing::{self, Process};
use std::sync::Mutex;

static COUNTER: Mutex<i32> = Mutex::new(0);

/// The task that each process runs.
fn worker(num: i32) {
    *COUNTER.lock().unwrap() += num;
    println!("Worker {num} has counted to {}", COUNTER.lock().unwrap());
}

fn main() -> anyhow::Result<()> {
    // A child runs this program again: there, `init` calls `worker` and exits.
    multiprocessing::init();
    let mut processes = Vec::new();
    for i in 0..5 {
        processes.push(Process::new(worker, (i,)).start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("All processes have counted to {}", COUNTER.lock().unwrap());
    Ok(())
}
