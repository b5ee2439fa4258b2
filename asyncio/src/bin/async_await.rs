//! Define a coroutine and await it.
//!
//! Python: `async_await.py`
//! Run: `cargo run -p asyncio --bin async_await`

use std::time::Duration;
use tokio::time::sleep;

async fn say_hello() {
    sleep(Duration::from_secs(1)).await;
    println!("Hello");
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    say_hello().await;
}
