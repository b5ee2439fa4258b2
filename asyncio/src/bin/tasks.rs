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

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut tasks = Vec::new();
    for i in 0..5 {
        let task = tokio::spawn(worker(i));
        tasks.push(task);
    }
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
