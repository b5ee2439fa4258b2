//! The asyncio examples, proven.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::slice;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tests::{
    Language, Program, RUN_LIMIT, Run, Running, Server, Suite, example, full_port, page, respond,
    run, script, specifications,
};

/// How long aiohttp waits for a connection, and in all.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
const TOTAL_LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let tasks = example!("tasks");
    let fetch = example!("fetch");
    let specifications: [(_, _, fn(Program)); 33] = [
        (tasks, "starts all, then finishes all", |program| {
            specifications::tasks(program.run());
        }),
        (tasks, "has one thread", tasks_share_a_thread),
        (
            example!("async_queue"),
            "consumes each item at once",
            |program| specifications::async_queue(program.run()),
        ),
        (example!("semaphore"), "runs two at a time", |program| {
            specifications::semaphore(program.run())
        }),
        (
            example!("async_await"),
            "says Hello after a second",
            |program| specifications::async_await(program.run()),
        ),
        (fetch, "asks for all, then prints in order", fetch_overlaps),
        (fetch, "fetches the three defaults", fetch_defaults),
        (
            fetch,
            "prints the pages of errors",
            fetch_prints_error_pages,
        ),
        (fetch, "follows redirects", fetch_follows_redirects),
        (
            fetch,
            "uses no connection again that the server closes",
            fetch_leaves_closing_connections,
        ),
        (fetch, "decodes gzip and deflate", fetch_decompresses),
        (
            fetch,
            "decodes unusual gzip and deflate",
            fetch_decompresses_the_unusual,
        ),
        (
            fetch,
            "fails on what it cannot decompress",
            fetch_rejects_encodings,
        ),
        (fetch, "decodes the charset", fetch_decodes_charset),
        (
            fetch,
            "finds the charset in an unusual Content-Type",
            fetch_finds_charset,
        ),
        (fetch, "speaks TLS", fetch_speaks_tls),
        (
            fetch,
            "trusts the certificates of the system",
            fetch_trusts_certificates,
        ),
        (
            fetch,
            "needs no certificates for http",
            fetch_needs_no_certificates,
        ),
        (
            fetch,
            "fails over https without certificates",
            fetch_misses_certificates,
        ),
        (
            fetch,
            "fails on a redirect to no URL",
            fetch_rejects_malformed_redirects,
        ),
        (
            fetch,
            "fails on a redirect loop",
            fetch_leaves_a_redirect_loop,
        ),
        (fetch, "fails when refused", fetch_is_refused),
        (fetch, "fails on an unknown host", fetch_finds_no_host),
        (
            fetch,
            "fails on a malformed URL",
            fetch_rejects_malformed_urls,
        ),
        (fetch, "fails when cut off half way", fetch_is_cut_off),
        (fetch, "fails when chunks are missing", fetch_misses_chunks),
        (
            fetch,
            "fails without waiting for the others",
            fetch_drops_the_slow,
        ),
        (
            fetch,
            "differs: the name of a page cut off",
            fetch_names_the_page,
        ),
        (
            fetch,
            "differs: the tenth redirect",
            fetch_meets_a_tenth_redirect,
        ),
        (fetch, "differs: text as browsers decode it", |program| {
            fetch_meets_malformed_bytes(program);
            fetch_meets_a_byte_order_mark(program);
            fetch_meets_other_charsets(program);
        }),
        (fetch, "differs: faults of a server", |program| {
            fetch_meets_half_a_gzip_page(program);
            fetch_meets_broken_rules(program);
        }),
        (fetch, "differs: proxies", fetch_meets_proxies),
        (
            fetch,
            "differs: User-Agent and cookies",
            fetch_introduces_itself,
        ),
    ];
    for (example, what, specification) in specifications {
        suite.prove(example, what, specification);
    }

    suite.on_request = true;
    suite.limit = TOTAL_LIMIT + 2 * RUN_LIMIT;
    suite.prove(fetch, "waits 30 s to connect", fetch_waits_to_connect);
    suite.prove(fetch, "waits 300 s in all", fetch_waits_for_the_page);
    suite.run()
}

fn tasks_share_a_thread(program: Program) {
    // Each line has to come when it is printed.
    let mut running = Running::start(program.command().env("PYTHONUNBUFFERED", "1"), RUN_LIMIT);
    running.wait_for_line("Worker 4 is starting");
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    running.finish().succeeded();
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
}

/// A server that answers nobody until all three have asked, and then the last
/// one first.
fn fetch_overlaps(program: Program) {
    let asked_and_answered = Mutex::new((0, 0));
    let changed = Condvar::new();
    let server = Server::start(move |target, _, stream| {
        let turn = 2 - target[1..].parse::<u32>().unwrap();
        let mut state = asked_and_answered.lock().unwrap();
        state.0 += 1;
        changed.notify_all();
        let patience = Duration::from_secs(20);
        let (mut state, wait) = changed
            .wait_timeout_while(state, patience, |state| *state != (3, turn))
            .unwrap();
        assert!(
            !wait.timed_out(),
            "only {} asked before one was answered",
            state.0
        );
        page(stream, target.as_bytes())?;
        state.1 += 1;
        changed.notify_all();
        Ok(())
    });
    let urls = [0, 1, 2].map(|i| server.url(&format!("/{i}")));
    specifications::fetch(fetch(program, &urls));
}

/// The defaults are asked of a proxy, which tells what it was asked for.
fn fetch_defaults(program: Program) {
    let proxy =
        Server::start(|target, _, stream| page(stream, target.trim_end_matches('/').as_bytes()));
    let mut command = match program.language {
        Language::Rust => program.command(),
        Language::Python => script("trust_env.py"),
    };
    if program.language == Language::Python {
        command.arg(program.path());
    }
    let run = run(command.env("http_proxy", proxy.url(""))).succeeded();
    assert_eq!(
        run.stdout,
        "http://example.com\nhttp://example.org\nhttp://example.net\n"
    );
}

fn fetch_prints_error_pages(program: Program) {
    let server = Server::start(|target, _, stream| match target {
        "/404" => respond(stream, "404 Not Found", "", b"no such page"),
        "/500" => respond(stream, "500 Internal Server Error", "", b"out of order"),
        _ => page(stream, b""),
    });
    let run = fetch(
        program,
        &["/404", "/empty", "/500"].map(|page| server.url(page)),
    )
    .succeeded();
    assert_eq!(run.stdout, "no such page\n\nout of order\n");
}

/// A page that is `n` redirects away for `/n`.
fn redirecting() -> Server {
    Server::start(
        |target, _, stream| match target[1..].parse::<u32>().unwrap() {
            0 => page(stream, b"found"),
            n => respond(
                stream,
                "302 Found",
                &format!("Location: /{}\r\n", n - 1),
                b"elsewhere",
            ),
        },
    )
}

fn fetch_follows_redirects(program: Program) {
    let run = fetch(program, &[redirecting().url("/9")]).succeeded();
    assert_eq!(run.stdout, "found\n");
}

/// The server closes a connection that it promised to keep, and does so just
/// when the next request is on its way.
fn fetch_leaves_closing_connections(program: Program) {
    let server = Server::start(|target, _, stream| {
        if target == "/page" {
            return page(stream, b"found");
        }
        stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: /page\r\nContent-Length: 0\r\n\r\n")?;
        stream.read(&mut [0]).map(drop)
    });
    let urls = ["/1", "/2", "/3"].map(|redirect| server.url(redirect));
    for _ in 0..10 {
        let run = fetch(program, &urls).succeeded();
        assert_eq!(run.stdout, "found\n".repeat(3));
    }
}

fn fetch_rejects_malformed_redirects(program: Program) {
    for location in ["http://[", "ftp://localhost/", "mailto:nobody@localhost"] {
        let server = Server::start(move |_, _, stream| {
            let header = format!("Location: {location}\r\n");
            respond(stream, "302 Found", &header, b"elsewhere")
        });
        let cause = match location {
            "http://[" => "which is not a URL",
            _ => "URL scheme is not allowed",
        };
        fetch_fails(program, &server.url("/"), [cause, "RedirectClientError"]);
    }
}

fn fetch_leaves_a_redirect_loop(program: Program) {
    let server = Server::start(|_, _, stream| respond(stream, "302 Found", "Location: /\r\n", b""));
    fetch_fails(
        program,
        &server.url("/"),
        ["too many redirects", "TooManyRedirects"],
    );
}

fn fetch_decompresses(program: Program) {
    let server = Server::start(|target, head, stream| {
        let head = head.to_lowercase().replace(", ", ",");
        assert!(head.contains("accept-encoding: gzip,deflate"), "{head}");
        let text = b"packed ".repeat(1000);
        if target == "/gzip" {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&text)?;
            respond(
                stream,
                "200 OK",
                "Content-Encoding: gzip\r\n",
                &packed.finish()?,
            )
        } else {
            let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&text)?;
            respond(
                stream,
                "200 OK",
                "Content-Encoding: deflate\r\n",
                &packed.finish()?,
            )
        }
    });
    let run = fetch(program, &["/gzip", "/deflate"].map(|page| server.url(page))).succeeded();
    let text = "packed ".repeat(1000);
    assert_eq!(run.stdout, format!("{text}\n{text}\n"));
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text).unwrap();
    packed.finish().unwrap()
}

/// A server of one page for each response, `/0` and so on, and their URLs. A
/// response is its header lines and its body.
fn responses(responses: Vec<(String, Vec<u8>)>) -> (Server, Vec<String>) {
    let count = responses.len();
    let server = Server::start(move |target, _, stream| {
        let (headers, body) = &responses[target[1..].parse::<usize>().unwrap()];
        respond(stream, "200 OK", headers, body)
    });
    let urls = (0..count).map(|i| server.url(&format!("/{i}"))).collect();
    (server, urls)
}

fn encoded(encoding: &str, body: Vec<u8>) -> (String, Vec<u8>) {
    (format!("Content-Encoding: {encoding}\r\n"), body)
}

fn fetch_decompresses_the_unusual(program: Program) {
    let (_server, urls) = responses(vec![
        encoded("GZIP", gzip(b"one two")),
        encoded("Deflate", zlib(b"one two")),
        encoded("gzip", [gzip(b"one "), gzip(b"two")].concat()),
        encoded("deflate", [zlib(b"one "), zlib(b"two")].concat()),
        encoded("deflate", deflate(b"one two")),
        encoded("deflate", [deflate(b"one "), deflate(b"two")].concat()),
        encoded("identity", b"one two".into()),
        encoded("", b"one two".into()),
        encoded("gzip", gzip(b"")),
        encoded("gzip", Vec::new()),
        encoded("deflate", Vec::new()),
    ]);
    let run = fetch(program, &urls).succeeded();
    assert_eq!(run.stdout, "one two\n".repeat(8) + "\n\n\n");
}

/// Neither compressed bytes nor a part of the page are printed.
fn fetch_rejects_encodings(program: Program) {
    let then_junk = |body: Vec<u8>| [body, b"junk".to_vec()].concat();
    let mut damaged = gzip(b"page");
    let checksum = damaged.len() - 8;
    damaged[checksum] ^= 1;
    let unknown = ["only gzip and deflate", "Error"];
    let wrong = ["cannot be decompressed", "Error"];
    let cases = [
        (encoded("x-gzip", gzip(b"page")), unknown),
        (encoded("br", b"\x0b\x02\x80page\x03".into()), unknown),
        (encoded("zstd", b"(\xb5/\xfd \x04!\0\0page".into()), unknown),
        (encoded("gzip, gzip", gzip(&gzip(b"page"))), unknown),
        (
            ("Content-Encoding: gzip\r\n".repeat(2), gzip(&gzip(b"page"))),
            unknown,
        ),
        (encoded("gzip", b"page".into()), wrong),
        (encoded("gzip", then_junk(gzip(b"page"))), wrong),
        (encoded("gzip", damaged), wrong),
        (encoded("deflate", b"page".into()), wrong),
        (encoded("deflate", then_junk(zlib(b"page"))), wrong),
    ];
    let mut cases = Vec::from(cases);
    // Cut off anywhere. aiohttp prints such a page or waits for the rest.
    if program.language == Language::Rust {
        for (encoding, body) in [
            ("gzip", gzip(b"page")),
            ("deflate", zlib(b"page")),
            ("deflate", deflate(b"page")),
        ] {
            let parts = (1..body.len()).map(|end| encoded(encoding, body[..end].into()));
            cases.extend(parts.map(|part| (part, wrong)));
        }
    }
    let (answers, causes): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let (_server, urls) = responses(answers);
    for (url, causes) in urls.iter().zip(causes) {
        fetch_fails(program, url, causes);
    }
    let server = Server::start(|_, _, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n")?;
        stream.write_all(&gzip(b"page"))
    });
    fetch_fails(program, &server.url("/"), unknown);
}

fn fetch_decodes_charset(program: Program) {
    let server = Server::start(|target, _, stream| {
        if target == "/latin" {
            respond(
                stream,
                "200 OK",
                "Content-Type: text/plain; charset=iso-8859-1\r\n",
                b"caf\xe9",
            )
        } else {
            respond(
                stream,
                "200 OK",
                "Content-Type: text/plain\r\n",
                "café".as_bytes(),
            )
        }
    });
    let run = fetch(program, &["/latin", "/utf-8"].map(|page| server.url(page))).succeeded();
    assert_eq!(run.stdout, "café\ncafé\n");
}

fn typed(content_type: &str, body: &[u8]) -> (String, Vec<u8>) {
    (format!("Content-Type: {content_type}\r\n"), body.into())
}

fn fetch_finds_charset(program: Program) {
    let gbk = b"\xd6\xd0\xce\xc4"; // 中文
    let mut answers: Vec<_> = [
        "text/html ; charset = gbk",
        "text/html;\tcharset\t=\tgbk",
        "TEXT/HTML; CHARSET=GBK",
        "text/html; charset=\"gbk\"",
        "text/html; charset='gbk'",
        "text/html; charset=\"gbk",
        "text/html;; charset=gbk;;",
        "; charset=gbk",
        "html; charset=gbk",
        "text/html; a; b=c; charset=gbk",
        "text/html; charset=gbk; charset=utf-8",
        "text/html; charset=cp936",
    ]
    .map(|content_type| typed(content_type, gbk))
    .into();
    answers.push(typed("text/html; x=\u{e9}; charset=gbk", gbk));
    let others: [(&str, &[u8]); 7] = [
        ("", "中文".as_bytes()),
        ("utf8", "中文".as_bytes()),
        ("UTF_8", "中文".as_bytes()),
        ("utf-16", b"\xff\xfe\x2d\x4e\x87\x65"),
        ("cp932", b"\x92\x86\x95\xb6"),
        ("cp950", b"\xa4\xa4\xa4\xe5"),
        ("euc_jp", b"\xc3\xe6\xca\xb8"),
    ];
    let count = answers.len() + others.len();
    answers.extend(others.map(|(name, body)| typed(&format!("a/b; charset={name}"), body)));
    for name in ["latin-1", "latin_1", "ISO8859_1", "cp1252"] {
        answers.push(typed(&format!("text/html; charset={name}"), b"caf\xe9"));
    }
    answers.push(typed("text/html; charset=us-ascii", b"cafe"));
    answers.push(typed("text/html; charset=cp949", b"\xc7\xd1"));
    let (_server, urls) = responses(answers);
    let run = fetch(program, &urls).succeeded();
    let others = "café\n".repeat(4) + "cafe\n한\n";
    assert_eq!(run.stdout, "中文\n".repeat(count) + &others);
}

/// The server does not speak it, but sees that it is spoken to.
fn fetch_speaks_tls(program: Program) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let mut hello = [0; 3];
        let (mut stream, _) = listener.accept()?;
        stream.read_exact(&mut hello)?;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")?;
        io::Result::Ok(hello)
    });
    let run = fetch(program, slice::from_ref(&url));
    failed(program, &run, &url, ["InvalidContentType", "SSL"]);
    assert_eq!(
        server.join().unwrap().unwrap(),
        [22, 3, 1],
        "a TLS handshake"
    );
}

fn tls_file(name: &str) -> String {
    format!("{}/../tests/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The URL of a server that takes so many connections, and has a certificate
/// for localhost that `tests/tls/ca.pem` has signed.
fn tls_server(connections: usize) -> (String, JoinHandle<io::Result<()>>) {
    let certificate = CertificateDer::from_pem_file(tls_file("localhost.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("localhost.key")).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let config = Arc::new(config.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let connection = ServerConnection::new(config.clone()).unwrap();
            let mut stream = StreamOwned::new(connection, stream?);
            // A client that does not trust the certificate hangs up.
            if stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")?;
            }
        }
        Ok(())
    });
    (format!("https://localhost:{port}/"), server)
}

fn fetch_trusts_certificates(program: Program) {
    let (url, server) = tls_server(2);
    let mut command = program.command();
    command.arg(&url).env("SSL_CERT_FILE", tls_file("ca.pem"));
    let trusting = run(&mut command);
    let doubting = run(command.env("SSL_CERT_FILE", tls_file("localhost.pem")));
    server.join().unwrap().unwrap();
    assert_eq!(trusting.succeeded().stdout, "page\n");
    let causes = ["invalid peer certificate", "CERTIFICATE_VERIFY_FAILED"];
    failed(program, &doubting, &url, causes);
}

/// A command for a system that has no certificates.
fn without_certificates(program: Program) -> Command {
    let mut command = program.command();
    command.env("SSL_CERT_FILE", "/dev/null/none");
    command.env("SSL_CERT_DIR", "/dev/null/none");
    command
}

fn fetch_needs_no_certificates(program: Program) {
    let server = Server::start(|_, _, stream| page(stream, b"page"));
    let run = run(without_certificates(program).arg(server.url("/"))).succeeded();
    assert_eq!(run.stdout, "page\n");
}

/// The URL is `https` itself, or it redirects to one. For the former it does
/// not matter whether there is a server.
fn fetch_misses_certificates(program: Program) {
    let (url, server) = tls_server(2);
    let location = format!("Location: {url}\r\n");
    let redirect =
        Server::start(move |_, _, stream| respond(stream, "302 Found", &location, b"elsewhere"));
    for url in [&url, &redirect.url("/"), "https://host.invalid/"] {
        let run = run(without_certificates(program).arg(url));
        let causes = ["install the package ca-certificates", "Error"];
        failed(program, &run, url, causes);
    }
    server.join().unwrap().unwrap();
}

/// Nobody listens on the near end of a connection, and while it is open the
/// system gives its port to nobody.
fn fetch_is_refused(program: Program) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let url = format!("http://{}/", client.local_addr().unwrap());
    fetch_fails(program, &url, ["Connection refused", "Connect call failed"]);
}

fn fetch_finds_no_host(program: Program) {
    let causes = ["failed to lookup address", "host.invalid:80"];
    fetch_fails(program, "http://host.invalid/", causes);
}

fn fetch_rejects_malformed_urls(program: Program) {
    fetch_fails(program, "http://[", ["invalid IPv6 address", "InvalidUrl"]);
    fetch_fails(
        program,
        "example.com",
        ["relative URL without a base", "InvalidUrl"],
    );
}

fn fetch_is_cut_off(program: Program) {
    let server = half_a_page();
    fetch_fails(
        program,
        &server.url("/"),
        ["end of file before message length", "PayloadError"],
    );
}

/// Cut off in the middle of a chunk, before its end, and before the last one.
fn fetch_misses_chunks(program: Program) {
    for rest in [
        "4\r\nha",
        "4\r\nhalf",
        "4\r\nhalf\r\n",
        "4\r\nhalf\r\n0\r\n",
    ] {
        let server = Server::start(move |_, _, stream| {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(format!("{head}{rest}").as_bytes())
        });
        fetch_fails(
            program,
            &server.url("/"),
            ["error reading a body", "PayloadError"],
        );
    }
}

fn half_a_page() -> Server {
    Server::start(|_, _, stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf")
    })
}

fn fetch_names_the_page(program: Program) {
    let server = half_a_page();
    let run = fetch(program, &[server.url("/page")]);
    assert!(!run.status.success());
    let named = run.stderr.contains(&server.url("/page"));
    assert_eq!(named, program.language == Language::Rust);
}

fn fetch_meets_malformed_bytes(program: Program) {
    let server = Server::start(|_, _, stream| page(stream, b"caf\xe9"));
    let run = fetch(program, &[server.url("/")]);
    match program.language {
        Language::Rust => assert_eq!(run.succeeded().stdout, "caf\u{fffd}\n"),
        Language::Python => {
            assert_eq!(run.stdout, "");
            assert!(run.stderr.contains("UnicodeDecodeError"));
        }
    }
}

fn fetch_meets_a_byte_order_mark(program: Program) {
    let server = Server::start(|_, _, stream| page(stream, "\u{feff}text".as_bytes()));
    let run = fetch(program, &[server.url("/")]).succeeded();
    let kept = run.stdout.starts_with('\u{feff}');
    assert_eq!(kept, program.language == Language::Python);
    assert!(run.stdout.ends_with("text\n"));
}

fn fetch_meets_a_tenth_redirect(program: Program) {
    let server = redirecting();
    let run = fetch(program, &[server.url("/10")]);
    match program.language {
        Language::Rust => {
            assert_eq!(run.succeeded().stdout, "found\n");
            assert_eq!(fetch(program, &[server.url("/11")]).stdout, "");
        }
        Language::Python => {
            assert_eq!(run.stdout, "");
            assert!(run.stderr.contains("TooManyRedirects"));
        }
    }
}

/// Those of browsers: `latin-1` is windows-1252, and `x-mac-cyrillic` is known.
/// What a browser does not know is an error, be it known to Python or not.
fn fetch_meets_other_charsets(program: Program) {
    type Text = Option<&'static str>;
    let cases: [(&str, &[u8], Text, Text); 10] = [
        ("latin-1", b"\x93", Some("\u{201c}"), Some("\u{93}")),
        ("ascii", b"\xe9", Some("é"), None),
        ("cp437", b"\x82", None, Some("é")),
        ("utf-7", b"+AOk-", None, Some("é")),
        ("utf-32-le", b"a\0\0\0", None, Some("a")),
        ("hz", b"~{VPND~}", None, Some("中文")),
        ("iso-2022-kr", b"\x1b$)C\x0eGQ\x0f", None, Some("한")),
        ("no-charset", b"page", None, Some("page")),
        ("x-mac-cyrillic", b"\x80", Some("А"), None),
        ("x-user-defined", b"\x80", None, None),
    ];
    let answers = cases.map(|(name, body, ..)| typed(&format!("a/b; charset={name}"), body));
    let (_server, urls) = responses(answers.into());
    for (url, (name, _, rust, python)) in urls.iter().zip(cases) {
        let run = fetch(program, slice::from_ref(url));
        let expected = match program.language {
            Language::Rust => rust,
            Language::Python => python,
        };
        match expected {
            Some(text) => assert_eq!(run.succeeded().stdout, format!("{text}\n")),
            None => failed(
                program,
                &run,
                url,
                [&format!("charset \"{name}\""), "Error"],
            ),
        }
    }
}

fn fetch_meets_half_a_gzip_page(program: Program) {
    let page = gzip(b"half a page");
    let (_server, urls) = responses(vec![encoded("gzip", page[..page.len() - 8].into())]);
    let run = fetch(program, &urls);
    match program.language {
        Language::Rust => failed(program, &run, &urls[0], ["cannot be decompressed", ""]),
        Language::Python => assert_eq!(run.succeeded().stdout, "half a page\n"),
    }
}

/// The faults that the one refuses the other lets pass.
fn fetch_meets_broken_rules(program: Program) {
    let start = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
    let cases = [
        (
            "Content-Length: 4\r\nX: folded\r\n line\r\n\r\npage",
            Language::Python,
        ),
        (
            "Content-Length: 4\r\nContent-Encoding: utf-8\r\n\r\npage",
            Language::Python,
        ),
        (
            "Content-Length: 4\r\nContent-Length: 4\r\n\r\npage",
            Language::Rust,
        ),
        ("Content-Length: 4\r\n\r\npage and more", Language::Rust),
    ];
    let server = Server::start(move |target, _, stream| {
        let (rest, _) = cases[target[1..].parse::<usize>().unwrap()];
        stream.write_all(format!("{start}{rest}").as_bytes())
    });
    for (i, (_, language)) in cases.iter().enumerate() {
        let url = server.url(&format!("/{i}"));
        let run = fetch(program, slice::from_ref(&url));
        if program.language == *language {
            assert_eq!(run.succeeded().stdout, "page\n");
        } else {
            failed(program, &run, &url, ["", ""]);
        }
    }
}

fn fetch_meets_proxies(program: Program) {
    let server = Server::start(|_, _, stream| page(stream, b"direct"));
    let proxy = Server::start(|_, _, stream| page(stream, b"by proxy"));
    let address = server.url("/").replace("127.0.0.1", "localhost");
    let host = |url: &str| url.split('/').nth(2).unwrap().to_string();
    let name = "localhost".to_string();
    let ip = "127.0.0.1".to_string();
    let cases = [
        (&server.url("/"), "http_proxy", String::new(), true),
        (&server.url("/"), "HTTP_PROXY", String::new(), true),
        (&server.url("/"), "all_proxy", String::new(), true),
        (&server.url("/"), "ALL_PROXY", String::new(), true),
        (&server.url("/"), "https_proxy", String::new(), false),
        (&server.url("/"), "http_proxy", ip, false),
        (&address, "http_proxy", name, false),
        (&address, "http_proxy", "*".into(), false),
        (&server.url("/"), "http_proxy", "*".into(), true),
        (&server.url("/"), "http_proxy", host(&server.url("/")), true),
        (&address, "http_proxy", host(&address), true),
    ];
    for (url, variable, exception, by_proxy) in cases {
        let mut command = program.command();
        command.env(variable, proxy.url(""));
        let run = run(command.env("no_proxy", exception).arg(url)).succeeded();
        let by_proxy = by_proxy && program.language == Language::Rust;
        assert_eq!(run.stdout, if by_proxy { "by proxy\n" } else { "direct\n" });
    }
}

/// A server that sends back the head of the request that its redirect, with a
/// cookie, has caused. A cookie needs a host with a name.
fn fetch_introduces_itself(program: Program) {
    let server = Server::start(|target, head, stream| match target {
        "/echo" => page(stream, head.to_lowercase().as_bytes()),
        _ => respond(
            stream,
            "302 Found",
            "Location: /echo\r\nSet-Cookie: a=1\r\n",
            b"",
        ),
    });
    let run = fetch(
        program,
        &[server.url("/").replace("127.0.0.1", "localhost")],
    )
    .succeeded();
    for header in ["\nuser-agent: ", "\ncookie: a=1"] {
        let sent = run.stdout.contains(header);
        assert_eq!(sent, program.language == Language::Python, "{header:?}");
    }
}

/// The slow page never comes: its server waits for the client to hang up.
fn fetch_drops_the_slow(program: Program) {
    let server = Server::start(|target, _, stream| match target {
        "/slow" => stream.read(&mut [0]).map(drop),
        _ => stream.write_all(b"no HTTP"),
    });
    let urls = ["/slow", "/broken", "/slow"].map(|page| server.url(page));
    let run = fetch(program, &urls);
    failed(
        program,
        &run,
        &urls[1],
        ["invalid HTTP version", "Bad status line"],
    );
}

fn fetch_waits_to_connect(program: Program) {
    let (address, _full) = full_port();
    let cause = "deadline has elapsed";
    fetch_waits(program, &format!("http://{address}/"), CONNECT_LIMIT, cause);
}

fn fetch_waits_for_the_page(program: Program) {
    let silent = Server::start(|_, _, stream| stream.read(&mut [0]).map(drop));
    fetch_waits(
        program,
        &silent.url("/"),
        TOTAL_LIMIT,
        "operation timed out",
    );
}

fn fetch_waits(program: Program, url: &str, limit: Duration, cause: &str) {
    let run = Running::start(program.command().arg(url), limit + RUN_LIMIT).finish();
    failed(program, &run, url, [cause, "TimeoutError"]);
    assert!(run.elapsed >= limit);
}

/// The URL fails, and of the good pages beside it not one is printed.
fn fetch_fails(program: Program, url: &str, causes: [&str; 2]) {
    let server = Server::start(|_, _, stream| page(stream, b"good"));
    let good = server.url("/good");
    let run = fetch(program, &[good.clone(), url.to_string(), good]);
    failed(program, &run, url, causes);
}

fn failed(program: Program, run: &Run, url: &str, causes: [&str; 2]) {
    assert_eq!(run.status.code(), Some(1));
    assert_eq!(run.stdout, "");
    run.leaves_no_process();
    let cause = match program.language {
        Language::Rust => {
            assert!(run.stderr.starts_with(&format!("Error: {url}\n")));
            causes[0]
        }
        Language::Python => causes[1],
    };
    assert!(run.stderr.contains(cause), "no {cause:?}");
}

fn fetch(program: Program, urls: &[String]) -> Run {
    run(program.command().args(urls))
}
