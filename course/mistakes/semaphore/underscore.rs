// ends with code 0
// en: `_` is not a variable: the permit is dropped at the semicolon and goes back at once, so all five run at the same time. rustc refuses this with the lock of std, but not with a permit. Call it `_permit`.
// zh: `_` 不是变量：许可在分号处就丢弃了，立刻还回去，于是五个任务同时运行。换成标准库的锁，rustc 不让编译；对许可却不管。应该叫它 `_permit`。

use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};

async fn worker(semaphore: Arc<Semaphore>, num: i32) {
    // `acquire` fails only on a closed semaphore, and nobody closes this one.
    let _ = semaphore.acquire().await.unwrap();
    println!("Worker {num} is starting");
    sleep(Duration::from_millis(100)).await;
    println!("Worker {num} is finished");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An `Arc`, because a task may outlive `main` and may not borrow from it.
    let semaphore = Arc::new(Semaphore::new(2)); // two tasks run at a time
    // `collect` spawns the tasks: without it, `map` would do nothing yet.
    let tasks: Vec<_> = (0..5)
        .map(|i| tokio::spawn(worker(semaphore.clone(), i)))
        .collect();
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
