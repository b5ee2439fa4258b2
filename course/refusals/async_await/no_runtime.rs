// line 9: error[E0752]
// en: A Python program that calls `main()` without `asyncio.run` prints nothing and warns `coroutine 'main' was never awaited`. In Rust, too, somebody has to run the future: a runtime, which `#[tokio::main]` starts.
// zh: Python 里直接调用 `main()` 而不用 `asyncio.run`，什么也不打印，只警告 `coroutine 'main' was never awaited`。Rust 里也得有人来运行 future：这就是运行时，由 `#[tokio::main]` 启动。

use std::time::Duration;
use tokio::time::sleep;

async fn say_hello() {
    sleep(Duration::from_secs(1)).await;
    println!("Hello");
}

async fn main() {
    say_hello().await; // without `.await` nothing runs, as in Python
}
