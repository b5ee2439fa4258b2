// line 12: error[E0599]
// en: Python would go on with a coroutine object in the place of the text, print it and warn `coroutine ... was never awaited`. Here a future is not a `Result`, and nothing can be done with it before `await`.
// zh: Python 会拿着协程对象当文本继续往下走，把它打印出来，再警告 `coroutine ... was never awaited`。这里 future 不是 `Result`，`await` 之前什么也做不了。

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
    shared::aiohttp::text(client.get(&url)).context(url)
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
