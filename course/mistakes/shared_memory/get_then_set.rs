// ends with code 0
// en: `get` takes the lock and releases it, and so does `set`. In between, other processes read the same number, and all but one of their updates are lost. This is what Python's `shared_num.value += 1` does.
// zh: `get` 加锁又释放，`set` 也一样。两步之间，别的进程会读到同一个数，最后只留下一次更新，其余的都丢了。Python 的 `shared_num.value += 1` 做的就是这件事。

use shared::multiprocessing::{self, Process, Value};

fn worker(shared_num: &Value<i32>) {
    for _ in 0..100_000 {
        let n = shared_num.get();
        shared_num.set(n + 1);
    }
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls `worker` in here, and exits
    let shared_num = Value::new(0)?;

    let mut processes = Vec::new();
    for _ in 0..4 {
        processes.push(Process::new(worker, (&shared_num,)).start()?);
    }

    for p in processes {
        p.join()?;
    }

    println!("shared_num: {} of 400000", shared_num.get());
    Ok(())
}
