//! Fetch web pages at the same time and print them in order.
//!
//! Python: `fetch.py`
//! Run: `cargo run -p asyncio --bin fetch [URL...]`
//! Differs:
//! - A failure names its URL; aiohttp may not say which page it was.
//! - Text is decoded as browsers do it: malformed bytes become U+FFFD, a byte
//!   order mark is dropped, and a charset that only Python knows is an error.
//! - aiohttp excuses other faults of a server, such as a gzip page cut off.
//! - A tenth redirect is followed; aiohttp's `max_redirects=10` refuses it.
//! - Proxies in the environment are used, `all_proxy` too; `no_proxy` takes no
//!   port, nor `*` for an IP address. aiohttp asks for `trust_env=True`.
//! - No `User-Agent` is sent and no cookie kept; aiohttp does both.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::{env, time::Duration};

async fn fetch(url: String) -> Result<String> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(300)) // as aiohttp; reqwest has no limit
        .connect_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(0) // a server may close what a redirect left
        .tls_backend_preconfigured(shared::aiohttp::tls())
        .build()?;
    shared::aiohttp::text(client.get(&url)).await.context(url)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut urls: Vec<_> = env::args().skip(1).collect();
    if urls.is_empty() {
        let hosts = ["example.com", "example.org", "example.net"];
        urls.extend(hosts.map(|host| format!("http://{host}")));
    }
    let tasks = urls.into_iter().map(fetch).map(tokio::spawn);
    // The first failure ends `main`, and that cancels the other tasks.
    for result in try_join_all(tasks.map(async |task| task.await?)).await? {
        println!("{result}");
    }
    Ok(())
}
