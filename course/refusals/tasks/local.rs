// line 17: error[E0373]
// en: The task would read `i` after the loop has gone on. A Python closure does so: all five tasks would print the last number. `async move` gives each task its own copy.
// zh: 任务读 `i` 时，循环早就走完了。Python 的闭包正是这样，五个任务都打印最后一个数。写成 `async move`，每个任务就有自己的一份。

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
        let task = tokio::spawn(async {
            worker(i).await;
        });
        tasks.push(task);
    }
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
