// line 12: error[E0599]
// en: Python counts a `release` without an `acquire`: after each, one more task runs at a time. Here only a permit goes back, when it is dropped, and only once.
// zh: 没有调用过 `acquire`，Python 也照样给 `release` 计数：每多还一次，就多一个任务同时运行。这里只有许可能还，丢弃时还，而且只还一次。

use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};

async fn worker(semaphore: Arc<Semaphore>, num: i32) {
    // Held until `_permit` goes out of scope (a mere `_` would not hold it).
    // `acquire` fails only on a closed semaphore, and nobody closes this one.
    let _permit = semaphore.acquire().await.unwrap();
    println!("Worker {num} is starting");
    sleep(Duration::from_secs(1)).await;
    println!("Worker {num} is finished");
    semaphore.release();
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
