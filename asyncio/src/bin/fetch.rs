//! Fetch web pages at the same time and print them in order.
//!
//! Python: `fetch.py`
//! Run: `cargo run -p asyncio --bin fetch [URL...]`
//! Differs:
//! - A failure names its URL; aiohttp may not say which page it was.
//! - Malformed bytes become U+FFFD; Python raises `UnicodeDecodeError`.
//! - A byte order mark is dropped; Python prints it.
//! - A tenth redirect is followed; aiohttp's `max_redirects=10` refuses it.
//! - `http_proxy` is heeded; aiohttp asks for `trust_env=True`.
//! - No `User-Agent` is sent and no cookie kept; aiohttp does both.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use reqwest::Client;
use std::{env, time::Duration};

async fn fetch(url: String) -> Result<String> {
    let client = Client::builder()
        .timeout(Duration::from_secs(300)) // as aiohttp; reqwest has no limit
        .connect_timeout(Duration::from_secs(30))
        .build()?;
    let text = async { client.get(&url).send().await?.text().await };
    text.await.context(url)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut urls: Vec<_> = env::args().skip(1).collect();
    if urls.is_empty() {
        urls = vec![
            "http://example.com".into(),
            "http://example.org".into(),
            "http://example.net".into(),
        ];
    }
    // The first failure drops the other futures, and that cancels them.
    for result in try_join_all(urls.into_iter().map(fetch)).await? {
        println!("{result}");
    }
    Ok(())
}
