// line 21: error: future cannot be sent between threads safely
// en: While a task sleeps with the lock, another task would block the whole thread in `lock`, and the first could never wake up to release it: a deadlock, as with Python's `threading.Lock` in a coroutine. Release the guard before `await`, or use tokio's `Mutex`.
// zh: 一个任务拿着锁睡眠，另一个任务在 `lock` 里阻塞整个线程，前一个就醒不过来，也没法释放锁：死锁，和在 Python 协程里用 `threading.Lock` 一样。在 `await` 之前释放守卫，或者用 Tokio 的 `Mutex`。

use futures::future::try_join_all;
use std::{sync::Mutex, time::Duration};
use tokio::time::sleep;

static FINISHED: Mutex<i32> = Mutex::new(0);

async fn worker(num: i32) {
    println!("Worker {num} is starting");
    let mut finished = FINISHED.lock().unwrap();
    sleep(Duration::from_secs(1)).await;
    *finished += 1;
    println!("Worker {num} is finished");
}

// As `asyncio.run` does, this runs `main` and its tasks in one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for i in 0..5 {
        // `worker` only returns a future; `spawn` makes it a task that runs.
        let task = tokio::spawn(worker(i));
        tasks.push(task);
    }
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
