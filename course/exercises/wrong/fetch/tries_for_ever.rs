//! Wrong: a page is asked for until it comes or the limit is over.
//! Fails with: the page was not asked for exactly twice

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Client;
use tokio::time::timeout;

async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    let attempts = async {
        loop {
            if let Ok(text) = attempt(client, url).await {
                return text;
            }
        }
    };
    Ok(timeout(limit, attempts).await?)
}

pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
