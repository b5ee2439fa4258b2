//! One limit stands around both tries.

use std::time::Duration;

use futures::future::try_join_all;
use reqwest::Client;
use tokio::time::timeout;

/// Asks for the page once.
async fn attempt(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?.error_for_status()?;
    response.text().await
}

/// Returns the text of a page, or an error if it is not there after `limit` or
/// the second try has failed as well.
pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    let attempts = async {
        match attempt(client, url).await {
            Ok(text) => Ok(text),
            Err(_) => attempt(client, url).await,
        }
    };
    Ok(timeout(limit, attempts).await??)
}

/// Returns the texts of all pages in the order of `urls`, or the first error.
pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    try_join_all(urls.iter().map(|url| fetch(client, url, limit))).await
}
