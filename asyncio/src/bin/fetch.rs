//! Fetch web pages at the same time and print them in order.
//!
//! Python: `fetch.py`
//! Run: `cargo run -p asyncio --bin fetch [URL...]`
//! Differs:
//! - A failure names its URL; aiohttp may not say which page it was.
//! - Malformed bytes become `�`, and a byte order mark is dropped. A charset
//!   that only Python knows is an error, and so is a gzip page cut off.
//! - Proxies in the environment are used, `all_proxy` too; `no_proxy` takes no
//!   port, nor `*` for an IP address. aiohttp asks for `trust_env=True`.
//! - It follows ten redirects, not nine, and sends no `User-Agent` or cookie.

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
    let tasks: Vec<_> = urls.into_iter().map(fetch).map(tokio::spawn).collect();
    // `?` is for a task that panicked; what is left is the `Result` of `fetch`.
    // The first error ends `main`, and that cancels the other tasks.
    let results = tasks.into_iter().map(async |task| task.await?);
    for result in try_join_all(results).await? {
        println!("{result}");
    }
    Ok(())
}
