//! Python's `aiohttp`, as far as reqwest lacks it: certificates that are
//! loaded once for all clients, and the text of a page as aiohttp decodes it.
//!
//! The rest is in reqwest under names of its own: `aiohttp.ClientSession` is
//! [`reqwest::Client`] and `session.get` is [`reqwest::Client::get`].
//!
//! ```python
//! async with aiohttp.ClientSession() as session:
//!     async with session.get(url) as response:
//!         return await response.text()
//! ```
//!
//! ```
//! use shared::aiohttp;
//!
//! # async fn fetch(url: &str) -> Result<String, Box<dyn std::error::Error>> {
//! let client = reqwest::Client::builder()
//!     .tls_backend_preconfigured(aiohttp::tls())
//!     .build()?;
//! let text = aiohttp::text(client.get(url)).await?;
//! # Ok(text)
//! # }
//! ```

#![forbid(unsafe_code)]

use encoding_rs::{Encoding, X_USER_DEFINED};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use reqwest::RequestBuilder;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION,
    TRANSFER_ENCODING,
};
use rustls::crypto::ring;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;
use std::error::Error as StdError;
use std::io::{self, Read};
use std::sync::LazyLock;

/// Why [`text`] has no text to return.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request failed, or the response was cut off.
    #[error(transparent)]
    Request(#[from] reqwest::Error),

    /// The server's certificate cannot be checked, because the system has no
    /// certificates to check it against.
    #[error(
        "https needs the certificates of the system, and there are none: \
         install the package ca-certificates"
    )]
    NoCertificates(#[source] reqwest::Error),

    /// The server redirects to something that is not a URL.
    #[error("the server redirects to {0:?}, which is not a URL")]
    Redirect(String),

    /// The body is encoded in a way that this module does not know.
    #[error("the page is encoded as {0:?}; only gzip and deflate can be decoded")]
    Encoding(String),

    /// The compressed body is damaged or cut off.
    #[error("the page cannot be decompressed")]
    Decompress(#[source] io::Error),

    /// The text is in a charset that this module does not know.
    #[error("the page is in the charset {0:?}, which cannot be decoded")]
    Charset(String),
}

/// The TLS settings with the system's certificates, or why there are none.
static TLS: LazyLock<Result<ClientConfig, rustls::Error>> = LazyLock::new(|| {
    let mut config = tls_builder()
        .with_platform_verifier()?
        .with_no_client_auth();
    config.alpn_protocols = vec!["http/1.1".into()];
    Ok(config)
});

fn tls_builder() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("ring supports the default versions of TLS")
}

/// What aiohttp passes as `ssl` by default: TLS settings that trust the
/// system's certificates, for
/// [`tls_backend_preconfigured`](reqwest::ClientBuilder::tls_backend_preconfigured).
///
/// The certificates are loaded at the first call and kept, as aiohttp does.
/// Without these settings each client loads them again, which takes longer
/// than to fetch a page, and cannot be built where there are none. With them
/// it can, and only `https` fails: see [`Error::NoCertificates`].
pub fn tls() -> ClientConfig {
    TLS.clone().unwrap_or_else(|_| {
        tls_builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth()
    })
}

/// `response.text()`: sends a request and returns the page as text.
///
/// Like aiohttp, and unlike [`reqwest::Response::text`], it decompresses gzip
/// and deflate however the server writes their names and in however many
/// parts they come, and it finds the charset in a `Content-Type` that is not
/// quite right. Without a charset a page is in UTF-8.
///
/// Unlike aiohttp it decodes as browsers do: malformed bytes become U+FFFD, a
/// byte order mark decides the charset and is dropped, and `latin-1` stands
/// for windows-1252.
///
/// # Errors
///
/// See [`Error`]. A page that is cut off is an error, and so is one that
/// cannot be decoded.
pub async fn text(request: RequestBuilder) -> Result<String, Error> {
    let request = request.header(ACCEPT_ENCODING, "gzip, deflate");
    let response = request.send().await.map_err(|error| {
        if TLS.is_err() && needs_certificates(&error) {
            Error::NoCertificates(error)
        } else {
            Error::Request(error)
        }
    })?;

    // A redirect that reqwest cannot follow comes back as if it were the page.
    let headers = response.headers();
    let location = header(headers, &LOCATION);
    if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && !location.is_empty() {
        return Err(Error::Redirect(location));
    }

    // hyper takes the chunks apart and leaves any other transfer encoding.
    let transfer_encoding = header(headers, &TRANSFER_ENCODING).to_ascii_lowercase();
    if !["", "chunked"].contains(&transfer_encoding.as_str()) {
        return Err(Error::Encoding(transfer_encoding));
    }

    let encoding = header(headers, &CONTENT_ENCODING).to_ascii_lowercase();
    let content_type = header(headers, &CONTENT_TYPE).to_lowercase();
    let body = response.bytes().await?;
    let page = decompress(&encoding, &body)?;
    decode(charset(&content_type), &page)
}

/// Whether a request failed because it needs certificates, if there are none.
/// The error names the URL of the request. If that has redirected to `https`,
/// only the cause shows it: a TLS error, wrapped in one `io::Error` or two.
fn needs_certificates(error: &reqwest::Error) -> bool {
    if error.url().is_some_and(|url| url.scheme() == "https") {
        return true;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<rustls::Error>() {
            return true;
        }
        cause = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    false
}

/// The value of a header, or nothing. Several lines mean one list.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines = headers.get_all(name).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.collect::<Vec<_>>().join(", ")
}

/// Decompresses a body. What follows its first part is the next part.
fn decompress(encoding: &str, mut body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    while let Some(first) = body.first() {
        let result = match encoding {
            "" | "identity" => body.read_to_end(&mut page),
            "gzip" => GzDecoder::new(&mut body).read_to_end(&mut page),
            // Some servers leave out the header, which begins with an 8.
            "deflate" if first & 0xf == 8 => ZlibDecoder::new(&mut body).read_to_end(&mut page),
            "deflate" => DeflateDecoder::new(&mut body).read_to_end(&mut page),
            _ => return Err(Error::Encoding(encoding.into())),
        };
        result.map_err(Error::Decompress)?;
    }
    Ok(page)
}

/// The name of the charset without what surrounds it, or nothing.
fn charset(content_type: &str) -> &str {
    content_type
        .split([';', ','])
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim() == "charset")
        .map_or("", |(_, value)| {
            value.trim_matches(|c: char| !c.is_alphanumeric())
        })
}

/// Decodes a page. Of the names that only Python knows, these are common. A
/// name that nobody knows is not taken for UTF-8, as Python does: what is in
/// another charset can look like UTF-8 and be garbage.
fn decode(charset: &str, page: &[u8]) -> Result<String, Error> {
    let bare = charset.replace(|c: char| !c.is_alphanumeric(), "");
    let label = match bare.as_str() {
        "" | "u8" | "utf8mb4" | "utf8sig" => "utf-8",
        "cp932" => "ms932",
        "cp936" => "gbk",
        "cp949" => "windows-949",
        "cp950" => "big5",
        _ => charset,
    };
    [label, &label.replace('_', "-"), &bare]
        .iter()
        .find_map(|label| Encoding::for_label_no_replacement(label.as_bytes()))
        .filter(|encoding| *encoding != X_USER_DEFINED)
        .map(|encoding| encoding.decode(page).0.into_owned())
        .ok_or_else(|| Error::Charset(charset.into()))
}
