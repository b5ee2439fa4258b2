// line 16: error[E0277]
// en: Python prints `Consumed <coroutine object Queue.get at ...>` and takes nothing from the queue. Here a future cannot be printed, because it is not the item.
// zh: Python 会打印 `Consumed <coroutine object Queue.get at ...>`，而队列里什么也没取走。这里 future 不是元素，打印不了。

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
        let item = queue.get();
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
