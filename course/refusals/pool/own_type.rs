// line 13: error[E0277]
// en: Python pickles an instance of any class that the worker can import. Here a type says with `derive(Serialize, Deserialize)` that it can be sent.
// zh: Python 能用 pickle 序列化任何类的实例，只要工作进程能导入这个类。这里的类型要用 `derive(Serialize, Deserialize)` 声明自己可以发送。

use shared::multiprocessing::{self, Pool};

struct Side(i32);

fn square(side: Side) -> i32 {
    side.0 * side.0
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let results = p.map(square, [1, 2, 3, 4, 5].map(Side))?;
    println!("{results:?}");
    Ok(())
}
