// line 10: error[E0728]
// en: Python finds it before the program runs, too: `SyntaxError: 'await' outside async function`.
// zh: Python 也在运行之前就发现：`SyntaxError: 'await' outside async function`。

use std::time::Duration;
use tokio::time::sleep;

async fn say_hello() {
    sleep(Duration::from_secs(1)).await;
    println!("Hello");
}

fn main() {
    say_hello().await;
}
