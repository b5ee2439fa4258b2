// line 23: error[E0382]
// en: A Python task can be awaited again and gives the same result again. Here its result is moved out by the first `await`, and the handle with it.
// zh: Python 的任务可以再次等待，再给出同一个结果。这里第一次 `await` 就把结果移走了，句柄也随之移走。

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
    for task in tasks {
        task.await?;
    }
    try_join_all(tasks).await?; // an error if a task panicked
    Ok(())
}
