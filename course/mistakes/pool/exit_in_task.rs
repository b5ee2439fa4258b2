// ends with code 1: exited with code 1 before its result was sent
// en: A task that calls `exit` ends its worker in the middle of the task. `map` says so, and the pool starts another worker. Python's `map` waits for ever for the lost result.
// zh: 任务里调用 `exit`，工作进程就在任务中途结束了。`map` 会报告这件事，进程池再启动一个工作进程。Python 的 `map` 会一直等那个丢掉的结果。

use shared::multiprocessing::{self, Pool};
use std::process::exit;

fn square(n: i32) -> i32 {
    if n == 3 {
        exit(1);
    }
    n * n
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let results = p.map(square, [1, 2, 3, 4, 5])?;
    println!("{results:?}");
    Ok(())
}
