//! Fetch web pages at the same time and print them in order.
//!
//! Python: `fetch.py`
//! Run: `cargo run -p asyncio --bin fetch [URL...]`

use anyhow::{Context, Result};
use futures::future::try_join_all;
use reqwest::Client;
use std::{env, time::Duration};

async fn fetch(url: String) -> Result<String> {
    let client = Client::builder()
        .timeout(Duration::from_secs(300))
        .connect_timeout(Duration::from_secs(30))
        .build()?;
    let text = async { client.get(&url).send().await?.text().await };
    text.await.with_context(|| url.clone())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut urls: Vec<String> = env::args().skip(1).collect();
    if urls.is_empty() {
        urls = [
            "http://example.com",
            "http://example.org",
            "http://example.net",
        ]
        .map(String::from)
        .to_vec();
    }
    let results = try_join_all(urls.into_iter().map(fetch)).await?;
    for result in results {
        println!("{result}");
    }
    Ok(())
}
