//! Wrong: a page that failed is left out.
//! Fails with: a page failed, and no error was returned

use std::time::Duration;

use futures::future::join_all;
use reqwest::Client;
use tokio::time::timeout;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
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
    let pages = join_all(urls.iter().map(|url| fetch(client, url, limit))).await;
    Ok(pages.into_iter().flatten().collect())
}
