// line 8: error[E0080]
// en: Python cannot pickle a `lambda`: `map` raises `PicklingError` (before Python 3.14, `AttributeError`) while the program runs. What a task needs must be in its argument.
// zh: Python 不能用 pickle 序列化 `lambda`，运行时 `map` 会抛出 `PicklingError`（3.14 之前是 `AttributeError`）。任务需要的东西要放在参数里。

use shared::multiprocessing::{self, Pool};

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let factor = 10;
    let results = p.map(move |n: i32| n * factor, [1, 2, 3, 4, 5])?;
    println!("{results:?}");
    Ok(())
}
