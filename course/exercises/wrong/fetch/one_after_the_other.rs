//! Wrong: each page is awaited before the next one is asked for.
//! Fails with: the pages were asked for one after the other

use std::time::Duration;

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
    let mut pages = Vec::new();
    for url in urls {
        pages.push(fetch(client, url, limit).await?);
    }
    Ok(pages)
}
