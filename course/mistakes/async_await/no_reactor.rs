// ends with code 101: there is no reactor running
// en: A future of tokio needs the runtime of tokio, whose clock wakes it up. That it is there is checked only when the program runs: `there is no reactor running`. Python says `RuntimeError: no running event loop`.
// zh: Tokio 的 future 离不开 Tokio 的运行时，要靠它的时钟来唤醒。运行时在不在，到运行程序时才检查：`there is no reactor running`。Python 的说法是 `RuntimeError: no running event loop`。

use std::time::Duration;
use tokio::time::sleep;

async fn say_hello() {
    sleep(Duration::from_secs(1)).await;
    println!("Hello");
}

fn main() {
    tokio::spawn(say_hello());
}
