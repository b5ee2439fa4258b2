// line 19: error[E0597]
// en: A task may outlive `main`'s variables, and would wait at a semaphore that is gone. Python counts references and keeps the semaphore; an `Arc` does the same here.
// zh: 任务可能比 `main` 的变量活得久，那时等的信号量已经不在了。Python 用引用计数留住它，这里由 `Arc` 来做。

use futures::future::try_join_all;
use std::time::Duration;
use tokio::{sync::Semaphore, time::sleep};

async fn worker(semaphore: &Semaphore, num: i32) {
    // Held until `_permit` goes out of scope (a mere `_` would not hold it).
    // `acquire` fails only on a closed semaphore, and nobody closes this one.
    let _permit = semaphore.acquire().await.unwrap();
    println!("Worker {num} is starting");
    sleep(Duration::from_secs(1)).await;
    println!("Worker {num} is finished");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let semaphore = Semaphore::new(2); // two tasks run at a time
    // `collect` spawns the tasks: without it, `map` would do nothing yet.
    let tasks: Vec<_> = (0..5)
        .map(|i| tokio::spawn(worker(&semaphore, i)))
        .collect();
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
