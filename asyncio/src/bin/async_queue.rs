//! Hand items from one task to another and wait until all are processed.
//!
//! Python: `async_queue.py`
//! Run: `cargo run -p asyncio --bin async_queue`

use shared::asyncio::Queue;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

async fn producer(queue: Arc<Queue<i32>>) {
    for i in 0..5 {
        queue.put(i).await;
        println!("Produced {i}");
        sleep(Duration::from_secs(1)).await;
    }
}

async fn consumer(queue: Arc<Queue<i32>>) {
    loop {
        let item = queue.get().await;
        println!("Consumed {item}");
        queue.task_done();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // A task may not borrow from `main`, which it may outlive (`spawn` asks
    // for `'static`), so each task gets an `Arc` of its own.
    let queue = Arc::new(Queue::new());
    let producer_task = tokio::spawn(producer(queue.clone()));
    let consumer_task = tokio::spawn(consumer(queue.clone()));

    producer_task.await?; // an error if the task panicked
    queue.join().await; // wait until all items are processed
    consumer_task.abort();
    Ok(())
}
