// line 26: error[E0277]
// en: A Python function may raise without a word in its signature. Here `?` returns an error, so the signature has to say that there may be one: `-> Result<()>`.
// zh: Python 函数抛出异常，签名里什么也不用写。这里 `?` 会返回错误，签名就得写明：`-> Result<()>`。

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
async fn main() {
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
}
