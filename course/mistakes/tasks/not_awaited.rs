// ends with code 0
// en: When `main` returns, the runtime is dropped, and with it every task that has not finished: none of these has even begun. In Python they begin, because the loop ends one turn later, and `asyncio.run` cancels them in their sleep.
// zh: `main` 一返回，运行时就被丢弃，没完成的任务也跟着丢弃：这里的任务一个都没开始。Python 的事件循环晚一轮才结束，所以任务会开始，刚睡下就被 `asyncio.run` 取消。

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
    for i in 0..5 {
        tokio::spawn(worker(i));
    }
    println!("All tasks have started.");
    Ok(())
}
