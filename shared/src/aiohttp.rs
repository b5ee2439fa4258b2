//! Python's `aiohttp`, as far as reqwest lacks it: certificates that are
//! loaded once for all clients, and the text of a page as aiohttp decodes it.
//!
//! The rest is in reqwest under other names: `aiohttp.ClientSession` is
//! [`reqwest::Client`] and `session.get` is [`reqwest::Client::get`]. The module
//! is built on reqwest, and nothing else in this library is built on it.
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

    /// The body has a content or transfer encoding that this module does not
    /// know.
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
/// The certificates are loaded at the first call and kept, as in aiohttp.
/// Without these settings each client loads them again, which takes longer
/// than fetching a page, and a client cannot be built on a system without
/// certificates. With these settings it can be built there, and only `https`
/// fails: see [`Error::NoCertificates`].
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
/// and deflate with their names in upper or lower case and with any number of
/// compressed parts, and it finds the charset in a malformed `Content-Type`.
/// A page without a charset is decoded as UTF-8.
///
/// Unlike aiohttp, it decodes as browsers do: malformed bytes become the
/// replacement character U+FFFD, a byte order mark decides the charset and is
/// removed, and `latin-1` means windows-1252.
///
/// # Errors
/// See [`Error`]. A page that is cut off or cannot be decoded is an error.
pub async fn text(request: RequestBuilder) -> Result<String, Error> {
    let request = request.header(ACCEPT_ENCODING, "gzip, deflate");
    let response = request.send().await.map_err(|error| {
        if TLS.is_err() && needs_certificates(&error) {
            Error::NoCertificates(error)
        } else {
            Error::Request(error)
        }
    })?;

    // A redirect that reqwest cannot follow is returned like a page.
    let headers = response.headers();
    let location = header(headers, &LOCATION);
    if matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) && !location.is_empty() {
        return Err(Error::Redirect(location));
    }

    // hyper decodes `chunked` and passes on a body in any other encoding as it is.
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

/// Returns whether a request on a system without certificates failed because
/// it needs them. That is so if the URL in the error is `https`. If another URL
/// redirects to `https`, only the cause shows it, which is a TLS error in one or
/// two layers of `io::Error`.
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

/// Returns the value of a header, or an empty string. HTTP allows a list to be
/// spread over several lines, which are joined.
fn header(headers: &HeaderMap, name: &HeaderName) -> String {
    let lines = headers.get_all(name).iter();
    let lines = lines.map(|line| String::from_utf8_lossy(line.as_bytes()));
    lines.collect::<Vec<_>>().join(", ")
}

/// Decompresses a body, which may be several compressed parts in a row.
fn decompress(encoding: &str, mut body: &[u8]) -> Result<Vec<u8>, Error> {
    let mut page = Vec::new();
    while let Some(first) = body.first() {
        let result = match encoding {
            "" | "identity" => body.read_to_end(&mut page),
            "gzip" => GzDecoder::new(&mut body).read_to_end(&mut page),
            // Some servers send deflate without zlib's header, whose first
            // byte ends in the hexadecimal digit 8.
            "deflate" if first & 0xf == 8 => ZlibDecoder::new(&mut body).read_to_end(&mut page),
            "deflate" => DeflateDecoder::new(&mut body).read_to_end(&mut page),
            _ => return Err(Error::Encoding(encoding.into())),
        };
        result.map_err(Error::Decompress)?;
    }
    Ok(page)
}

/// Returns the name of the charset without quotes and the like, or an empty
/// string.
fn charset(content_type: &str) -> &str {
    content_type
        .split([';', ','])
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim() == "charset")
        .map_or("", |(_, value)| {
            value.trim_matches(|c: char| !c.is_alphanumeric())
        })
}

/// Decodes a page. The names in the table are common, but browsers do not know
/// them. A page in an unknown charset is an error; Python decodes it as UTF-8,
/// which may succeed and return garbage.
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
