// line 11: error[E0277]
// en: Python prints `<generator object Executor.map...>`. In both languages `map` gives an iterator that waits for each result; `list` or `collect` fetches them.
// zh: Python 会打印 `<generator object Executor.map...>`。两种语言的 `map` 给出的都是迭代器，取一个等一个；`list` 或 `collect` 把结果都取出来。

use shared::concurrent::futures::ThreadPoolExecutor;

fn square(n: i32) -> i32 {
    n * n
}

fn main() {
    // Dropping the executor waits for its threads, as leaving `with` does.
    let executor = ThreadPoolExecutor::new(4);
    let results = executor.map(square, [1, 2, 3, 4, 5]);
    println!("{results:?}");
}
