//! Shows the site on this machine: a small HTTP server for the files of one
//! folder.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// The longest request line, and how many lines of headers are read.
const LONGEST_LINE: u64 = 8192;

/// Takes `port` of 127.0.0.1, or a free one if it is 0.
///
/// # Errors
///
/// The port is taken, or this user may not have it.
pub fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
        format!(
            "cannot use port {port} of 127.0.0.1: choose another, as in `cargo run -p course -- --port {}`",
            port.wrapping_add(1).max(1024)
        )
    })
}

/// Answers with the files of `folder` until the program ends.
pub fn serve(listener: &TcpListener, folder: &Path) {
    for stream in listener.incoming() {
        let (Ok(stream), folder) = (stream, folder.to_path_buf()) else {
            continue;
        };
        // A browser opens several connections at once and is slow with some.
        thread::spawn(move || drop(answer(stream, &folder)));
    }
}

fn answer(stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(io::Read::take(&stream, LONGEST_LINE));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let mut words = request.split(' ');
    let (method, target) = (words.next(), words.next());
    let found = match (method, target) {
        (Some("GET" | "HEAD"), Some(target)) => find(folder, target),
        _ => None,
    };
    let (status, kind, body) = match found.map(|path| (fs::read(&path), path)) {
        Some((Ok(body), path)) => ("200 OK", content_type(&path), body),
        _ => (
            "404 Not Found",
            "text/plain; charset=utf-8",
            b"There is no such page. / \xe6\xb2\xa1\xe6\x9c\x89\xe8\xbf\x99\xe4\xb8\xaa\xe9\xa1\xb5\xe9\x9d\xa2\xe3\x80\x82\n".to_vec(),
        ),
    };
    let mut stream = &stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    if method != Some("HEAD") {
        stream.write_all(&body)?;
    }
    Ok(())
}

/// The file that `target` names, if it is one inside `folder`. No name in the
/// site needs to be escaped in a URL.
fn find(folder: &Path, target: &str) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let inside = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let path = folder.join(path);
    match path.is_dir() {
        _ if !inside => None,
        true => Some(path.join("index.html")),
        false => Some(path),
    }
}

fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}
