//! Let at most two of five tasks run at the same time.
//!
//! Python: `semaphore.py`
//! Run: `cargo run -p asyncio --bin semaphore`

use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::{sync::Semaphore, time::sleep};

async fn worker(semaphore: Arc<Semaphore>, num: i32) -> anyhow::Result<()> {
    // Bound to `_` alone, the permit would be given back at once.
    let _permit = semaphore.acquire().await?;
    println!("Worker {num} is starting");
    sleep(Duration::from_secs(1)).await;
    println!("Worker {num} is finished");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let semaphore = Arc::new(Semaphore::new(2));
    let tasks = (0..5).map(|i| tokio::spawn(worker(semaphore.clone(), i)));
    for result in try_join_all(tasks).await? {
        result?;
    }
    Ok(())
}
