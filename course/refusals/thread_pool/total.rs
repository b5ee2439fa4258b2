// line 7: error[E0594]
// en: Four threads would add to one variable at the same time. Python lets them (with `nonlocal`), and `+=` may lose an update. Here an `AtomicI32` or a `Mutex` makes it possible; a sum of the results needs neither.
// zh: 四个线程会同时往一个变量上加。Python 允许（用 `nonlocal`），`+=` 可能丢失更新。这里可以用 `AtomicI32` 或 `Mutex`；如果只要总和，把结果加起来就行。

use shared::concurrent::futures::ThreadPoolExecutor;

fn main() {
    // Dropping the executor waits for its threads, as leaving `with` does.
    let executor = ThreadPoolExecutor::new(4);
    let mut total = 0;
    executor.map(move |n| total += n * n, [1, 2, 3, 4, 5]);
    println!("{total}");
}
