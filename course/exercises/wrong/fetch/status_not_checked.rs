//! Wrong: the page of an error is taken for the page.
//! Fails with: the page of an error was returned

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Client;
use tokio::time::timeout;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?;
    response.text().await
}

pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    let attempts = async {
        match attempt(client, url).await {
            Ok(text) => Ok(text),
            Err(_) => attempt(client, url).await,
        }
    };
    Ok(timeout(limit, attempts).await??)
}

pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
