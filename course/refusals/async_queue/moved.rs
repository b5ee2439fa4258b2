// line 27: error[E0382]
// en: In Python both coroutines and `main` name the same queue. Here an argument is given away; `queue.clone()` makes a second handle to the same queue.
// zh: Python 里两个协程和 `main` 用的是同一个队列。这里参数一传就交出去了；`queue.clone()` 再做一个句柄，指向同一个队列。

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
    let producer_task = tokio::spawn(producer(queue));
    let consumer_task = tokio::spawn(consumer(queue.clone()));

    producer_task.await?; // an error if the task panicked
    queue.join().await; // wait until all items are processed
    consumer_task.abort();
    Ok(())
}
