// ends with code 0
// en: `say_hello()` only makes a future, and `_` drops it: nothing is printed. Without `let _ =` rustc warns that a future does nothing unless it is awaited; Python warns `coroutine 'say_hello' was never awaited` when the program runs.
// zh: `say_hello()` 只创建一个 future，`_` 就把它丢弃了：什么也不打印。去掉 `let _ =`，rustc 会警告；Python 要到运行期才警告 `coroutine 'say_hello' was never awaited`。

use std::time::Duration;
use tokio::time::sleep;

async fn say_hello() {
    sleep(Duration::from_secs(1)).await;
    println!("Hello");
}

// As `asyncio.run` does, this runs `main` in one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let _ = say_hello();
}
