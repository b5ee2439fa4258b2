// line 24: error[E0597]
// en: A task would read the text of a URL that `main` had dropped. Python keeps a string as long as anybody refers to it. Here the task owns its `String`, so `fetch` takes one.
// zh: 任务会去读 `main` 已经丢弃的 URL 字符串。Python 的字符串只要有人引用就一直在。这里让任务自己拥有一个 `String`，所以 `fetch` 的参数是 `String`。

use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::{env, time::Duration};

async fn fetch(url: &str) -> Result<String> {
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(300)) // as aiohttp; reqwest has no limit
        .connect_timeout(Duration::from_secs(30))
        .pool_max_idle_per_host(0) // a server may close what a redirect left
        .tls_backend_preconfigured(shared::aiohttp::tls())
        .build()?;
    shared::aiohttp::text(client.get(url))
        .await
        .context(url.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut urls: Vec<_> = env::args().skip(1).collect();
    if urls.is_empty() {
        let hosts = ["example.com", "example.org", "example.net"];
        urls.extend(hosts.map(|host| format!("http://{host}")));
    }
    let tasks: Vec<_> = urls.iter().map(|u| fetch(u)).map(tokio::spawn).collect();
    // `?` is for a task that panicked; what is left is the `Result` of `fetch`.
    // The first error ends `main`, and that cancels the other tasks.
    let results = tasks.into_iter().map(async |task| task.await?);
    for result in try_join_all(results).await? {
        println!("{result}");
    }
    Ok(())
}
