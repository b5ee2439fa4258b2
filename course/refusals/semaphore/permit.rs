// line 20: error[E0597]
// en: The permit refers to the semaphore of `main`, to which it goes back. In Python `acquire` returns no permit, and any task may `release`. Here `acquire_owned` gives a permit that keeps an `Arc` of the semaphore.
// zh: 许可里有对 `main` 的信号量的引用，用完要还回去。Python 的 `acquire` 不给出任何东西，哪个任务都可以调用 `release`。这里的 `acquire_owned` 给出的许可自带一个 `Arc`。

use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::sleep,
};

async fn worker(_permit: SemaphorePermit<'_>, num: i32) {
    println!("Worker {num} is starting");
    sleep(Duration::from_secs(1)).await;
    println!("Worker {num} is finished");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // An `Arc`, because a task may outlive `main` and may not borrow from it.
    let semaphore = Arc::new(Semaphore::new(2)); // two tasks run at a time
    let mut tasks = Vec::new();
    for i in 0..5 {
        let permit = semaphore.acquire().await?;
        tasks.push(tokio::spawn(worker(permit, i)));
    }
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
