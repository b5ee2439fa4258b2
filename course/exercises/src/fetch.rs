//! Fetch several pages at the same time. A page that cannot be had is asked for
//! once more, and each page has a limit of time, which includes the second try.
//!
//! ```python
//! async def fetch(session, url, limit):
//!     async def attempt():
//!         async with session.get(url, raise_for_status=True) as response:
//!             return await response.text()
//!
//!     async def attempts():
//!         try:
//!             return await attempt()
//!         except aiohttp.ClientError:
//!             return await attempt()
//!
//!     return await asyncio.wait_for(attempts(), limit)
//!
//! async def fetch_all(session, urls, limit):
//!     return await asyncio.gather(*[fetch(session, url, limit) for url in urls])
//! ```
//!
//! Hint: `client.get(url)` is only a request. Its `send` and the `text` of the
//! response are awaited, and `error_for_status` in between makes an error of a
//! status such as 500. Several futures can use a `Client` at the same time.

use std::time::Duration;

use reqwest::Client;

/// Returns the text of a page, or an error if it is not there after `limit` or
/// the second try has failed as well.
pub async fn fetch(client: &Client, url: &str, limit: Duration) -> anyhow::Result<String> {
    todo!()
}

/// Returns the texts of all pages in the order of `urls`, or the first error.
pub async fn fetch_all(
    client: &Client,
    urls: &[String],
    limit: Duration,
) -> anyhow::Result<Vec<String>> {
    todo!()
}
