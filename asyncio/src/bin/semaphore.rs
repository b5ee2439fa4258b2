//! Let at most two of five tasks run at the same time.
//!
//! Python: `semaphore.py`
//! Run: `cargo run -p asyncio --bin semaphore`

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
