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

// As `asyncio.run` does, this runs `main` in one thread.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    say_hello().await; // without `.await` nothing runs, as in Python
}
