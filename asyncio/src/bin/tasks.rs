//! Let five tasks sleep at the same time, in one thread.
//!
//! Python: `tasks.py`
//! Run: `cargo run -p asyncio --bin tasks`

use futures::future::try_join_all;
use std::time::Duration;
use tokio::time::sleep;

async fn worker(num: i32) {
    println!("Worker {num} is starting");
    sleep(Duration::from_secs(1)).await;
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
