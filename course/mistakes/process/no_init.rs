// ends with code 1: call shared::multiprocessing::init() first in main
// en: A child is the program run again; without `init` it would run `main`, and start five more children. `start` refuses that. With `spawn`, Python raises `RuntimeError` for a missing `if __name__ == "__main__":`.
// zh: 子进程就是这个程序再运行一遍；没有 `init`，它会运行 `main`，再启动五个子进程。`start` 不允许这样。Python 用 `spawn` 时，少了 `if __name__ == "__main__":` 会抛出 `RuntimeError`。

use shared::multiprocessing::Process;
use std::process;

/// The task that each process runs.
fn worker(num: i32) {
    println!("Worker {num} is running in process {}", process::id());
}

fn main() -> anyhow::Result<()> {
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
