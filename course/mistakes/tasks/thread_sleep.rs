// ends with code 0
// en: `thread::sleep` stops the thread, and with it every task on it: the workers run one after the other. `time.sleep` in a coroutine does the same. Await tokio's `sleep`, or hand what blocks to `spawn_blocking`.
// zh: `thread::sleep` 让整个线程停下，线程上的任务都跟着停：只能一个接一个地运行。协程里的 `time.sleep` 也一样。应该等待 Tokio 的 `sleep`，阻塞的活儿交给 `spawn_blocking`。

use futures::future::try_join_all;
use std::{thread, time::Duration};

async fn worker(num: i32) {
    println!("Worker {num} is starting");
    thread::sleep(Duration::from_millis(100));
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
