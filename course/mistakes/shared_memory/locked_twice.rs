// ends with code 1: this thread holds the lock already
// en: The first guard lives until the end of the block, so `get` would wait for its own thread. It panics instead, and `join` returns that. The lock of Python's `Value` is an `RLock`, which one thread may take twice.
// zh: 第一个守卫（guard）活到代码块结束，`get` 等的就是自己的线程。它不会一直等，而是发生 panic，由 `join` 返回。Python 的 `Value` 用的是 `RLock`，同一个线程可以拿两次。

use shared::multiprocessing::{self, Process, Value};

fn worker(num: i32, shared_num: &Value<i32>) {
    let mut guard = shared_num.lock().unwrap();
    *guard += num;
    println!("shared_num: {}", shared_num.get());
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child calls `worker` in here, and exits
    let shared_num = Value::new(0)?;

    let p = Process::new(worker, (1, &shared_num));
    p.start()?.join()?;
    Ok(())
}
