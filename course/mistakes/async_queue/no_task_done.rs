// never ends
// en: `join` waits until `task_done` was called once for each item that was put. The consumer gets the items, but nobody calls it. Python waits in the same way.
// zh: 放进去的每个元素都要有一次 `task_done`，`join` 才返回。消费者取走了元素，却没人调用它。Python 也这样一直等。

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
