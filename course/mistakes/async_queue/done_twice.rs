// never ends: task_done() called too many times
// en: One `task_done` for each item: the second one panics and ends the consumer, and then `join` waits for items that nobody gets. In Python `ValueError` ends the consumer, and `join` waits in the same way.
// zh: 每个元素只能有一次 `task_done`：第二次会发生 panic，消费者就此结束，`join` 还在等没人取的元素。Python 里是 `ValueError` 结束了消费者，`join` 也一样等下去。

use shared::asyncio::Queue;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

async fn producer(queue: Arc<Queue<i32>>) {
    for i in 0..5 {
        queue.put(i).await;
        println!("Produced {i}");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn consumer(queue: Arc<Queue<i32>>) {
    loop {
        let item = queue.get().await;
        println!("Consumed {item}");
        queue.task_done();
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
