// line 12: error[E0277]
// en: Python raises `TypeError: 'MapResult' object is not iterable` when the loop begins. `map_async` only promises the results; `get` waits for them.
// zh: 循环一开始，Python 就抛出 `TypeError: 'MapResult' object is not iterable`。`map_async` 只是承诺会有结果，`get` 才会等到它们。

use shared::multiprocessing::{self, Pool};

fn square(n: i32) -> i32 {
    n * n
}

fn main() -> anyhow::Result<()> {
    multiprocessing::init(); // a child runs its tasks in here, and exits
    // Dropping the pool ends its processes, as leaving `with` does.
    let p = Pool::new(4)?;
    let results = p.map_async(square, [1, 2, 3, 4, 5])?;
    for result in results {
        println!("{result}");
    }
    Ok(())
}
