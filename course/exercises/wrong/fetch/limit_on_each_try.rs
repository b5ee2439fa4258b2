//! Wrong: each try has the whole limit.
//! Fails with: the limit does not include the second try

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Client;
use tokio::time::timeout;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    match timeout(limit, attempt(client, url)).await {
        Ok(Ok(text)) => Ok(text),
        _ => Ok(timeout(limit, attempt(client, url)).await??),
    }
}

pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
