//! Wrong: limit and second try end where the text of the page begins.
//! Fails with: the limit does not include the text

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::{Client, Response};
use tokio::time::timeout;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<Response> {
    client.get(url).send().await?.error_for_status()
}

pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    let attempts = async {
        match attempt(client, url).await {
            Ok(response) => Ok(response),
            Err(_) => attempt(client, url).await,
        }
    };
    Ok(timeout(limit, attempts).await??.text().await?)
}

pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
