//! Wrong: there is no limit.
//! Fails with: `fetch` waits longer than its limit

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Client;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    let _ = limit;
    match attempt(client, url).await {
        Ok(text) => Ok(text),
        Err(_) => Ok(attempt(client, url).await?),
    }
}

pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
