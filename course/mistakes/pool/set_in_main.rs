// ends with code 0
// en: A worker is the program run anew, and `init` does not return in it, so no worker comes to the line that sets `FACTOR`. In Python it depends on the start method: with `fork` the workers have the new value, with `spawn` and `forkserver` the old one. Pass the value as an argument, or set it in an `initializer`.
// zh: 工作进程是重新运行的这个程序，`init` 在里面不会返回，所以走不到给 `FACTOR` 赋值的那一行。Python 要看启动方式：用 `fork`，工作进程看到新值；用 `spawn` 和 `forkserver`，看到旧值。可以把值作为参数传进去，或者在 `initializer` 里设置。

use shared::multiprocessing::{self, Pool};
use std::sync::atomic::{AtomicI32, Ordering};

static FACTOR: AtomicI32 = AtomicI32::new(1);

fn scale(n: i32) -> i32 {
    n * FACTOR.load(Ordering::Relaxed)
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    FACTOR.store(10, Ordering::Relaxed);
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let results = p.map(scale, [1, 2, 3, 4, 5])?;
    println!("{results:?}");
    Ok(())
}
