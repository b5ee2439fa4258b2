// line 7: error[E0597]
// en: A thread of the pool would read `factor`, which belongs to `main`. `collect` waits for all calls, but the compiler does not know that. In Python the `lambda` keeps what it names alive. Here `move` gives it a copy.
// zh: 线程池的线程会去读 `main` 的 `factor`。`collect` 会等所有调用完成，但编译器并不知道。Python 的 `lambda` 会让它用到的对象一直活着，这里用 `move` 给它一份副本。

use shared::concurrent::futures::ThreadPoolExecutor;

fn main() {
    // Dropping the executor waits for its threads, as leaving `with` does.
    let executor = ThreadPoolExecutor::new(4);
    let factor = 10;
    let results: Vec<i32> = executor.map(|n| n * factor, [1, 2, 3, 4, 5]).collect();
    println!("{results:?}");
}
