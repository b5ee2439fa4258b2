// ends with code 0
// en: A `static` is never dropped, so nobody waits for the threads of this pool, and they end with `main`. Python waits for them at its exit. Call `shutdown` before `main` returns, or keep the executor in a local variable.
// zh: `static` 永远不会被丢弃，所以没人等这个线程池的线程，`main` 一返回它们就结束。Python 退出时会等它们。应该在 `main` 返回之前调用 `shutdown`，或者把执行器放在局部变量里。

use shared::concurrent::futures::ThreadPoolExecutor;
use std::{sync::LazyLock, thread, time::Duration};

static EXECUTOR: LazyLock<ThreadPoolExecutor> = LazyLock::new(|| ThreadPoolExecutor::new(4));

fn print_square(n: i32) {
    thread::sleep(Duration::from_secs(10));
    println!("{}", n * n);
}

fn main() {
    for n in [1, 2, 3, 4, 5] {
        let _ = EXECUTOR.submit(move || print_square(n));
    }
    println!("All squares are submitted.");
}
