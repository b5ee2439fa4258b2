// line 4: error[E0308]
// en: Python's `sleep(1)` means a second, and elsewhere a 1 is a millisecond; which it is stands in the documentation. Here the unit is part of the type.
// zh: Python 的 `sleep(1)` 是一秒，换个地方 1 又可能是一毫秒，要查文档才知道。这里单位就在类型里。

use tokio::time::sleep;

async fn say_hello() {
    sleep(1).await;
    println!("Hello");
}

// As `asyncio.run` does, this runs `main` in one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    say_hello().await; // without `.await` nothing runs, as in Python
}
