// ends with code 1: Cannot start a runtime from within a runtime
// en: `#[tokio::main]` starts the runtime before `init` is called. A worker therefore calls its target inside a runtime, where it may not block on another one: it panics, and `apply` returns the error. Call `init` first in a `main` that is not `async`, and build the runtime after it.
// zh: `#[tokio::main]` 先启动运行时，再调用 `init`。工作进程于是在运行时里面调用目标函数，不能再阻塞等待另一个运行时：发生 panic，`apply` 返回错误。应该写一个不带 `async` 的 `main`，先调用 `init`，再建运行时。

use shared::multiprocessing::{self, Pool};
use std::time::Duration;
use tokio::{runtime::Builder, time::sleep};

fn square(n: i32) -> i32 {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(async {
        sleep(Duration::from_millis(1)).await;
        n * n
    })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let result = p.apply(square, (5,))?;
    println!("{result}");
    Ok(())
}
