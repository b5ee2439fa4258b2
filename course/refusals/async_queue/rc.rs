// line 24: error: future cannot be sent between threads safely
// en: With `current_thread` it would work. But `tokio::spawn` may hand a task to another thread, and two threads that change the count inside an `Rc` at once make it wrong, because it is not atomic. Python's counts are safe because of the GIL, and atomic without it.
// zh: 用 `current_thread` 本来没问题。但 `tokio::spawn` 可能把任务交给别的线程，`Rc` 里的计数不是原子的，就会数错。Python 的引用计数靠全局解释器锁（GIL）保证安全，没有 GIL 的版本则用原子计数。

use shared::asyncio::Queue;
use std::{rc::Rc, time::Duration};
use tokio::time::sleep;

async fn producer(queue: Rc<Queue<i32>>) {
    for i in 0..5 {
        queue.put(i).await;
        println!("Produced {i}");
        sleep(Duration::from_secs(1)).await;
    }
}

async fn consumer(queue: Rc<Queue<i32>>) {
    loop {
        let item = queue.get().await;
        println!("Consumed {item}");
        queue.task_done();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let queue = Rc::new(Queue::new());
    let producer_task = tokio::spawn(producer(queue.clone()));
    let consumer_task = tokio::spawn(consumer(queue.clone()));

    producer_task.await?; // an error if the task panicked
    queue.join().await; // wait until all items are processed
    consumer_task.abort();
    Ok(())
}
