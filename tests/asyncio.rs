//! The asyncio examples, proven.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::slice;
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use tests::{
    Language, Program, RUN_LIMIT, Run, Running, Server, Suite, example, full_port, numbered, page,
    respond, run, script,
};

/// How long aiohttp waits for a connection, and in all.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);
const TOTAL_LIMIT: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    let mut suite = Suite::new();
    let tasks = example!("tasks");
    let fetch = example!("fetch");
    let specifications: [(_, _, fn(Program)); _] = [
        (tasks, "starts all, then finishes all", tasks_overlap),
        (tasks, "has one thread", tasks_share_a_thread),
        (
            example!("async_queue"),
            "consumes each item at once",
            queue_alternates,
        ),
        (
            example!("semaphore"),
            "runs two at a time",
            semaphore_holds_back,
        ),
        (
            example!("async_await"),
            "says Hello after a second",
            hello_waits,
        ),
        (fetch, "asks for all, then prints in order", fetch_overlaps),
        (fetch, "fetches the three defaults", fetch_defaults),
        (
            fetch,
            "prints the pages of errors",
            fetch_prints_error_pages,
        ),
        (fetch, "follows redirects", fetch_follows_redirects),
        (fetch, "decodes gzip and deflate", fetch_decompresses),
        (fetch, "decodes the charset", fetch_decodes_charset),
        (fetch, "speaks TLS", fetch_speaks_tls),
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
            "differs: malformed bytes",
            fetch_meets_malformed_bytes,
        ),
        (
            fetch,
            "differs: a byte order mark",
            fetch_meets_a_byte_order_mark,
        ),
        (
            fetch,
            "differs: the tenth redirect",
            fetch_meets_a_tenth_redirect,
        ),
        (fetch, "differs: http_proxy", fetch_meets_a_proxy),
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

/// `Worker 0..4 is starting`, then `Worker 0..4 is finished`, in a second.
fn tasks_overlap(program: Program) {
    let run = program.run().succeeded();
    let expected = [
        numbered("Worker # is starting"),
        numbered("Worker # is finished"),
    ]
    .concat();
    assert_eq!(run.lines(), expected);
    assert!(run.elapsed >= Duration::from_secs(1));
}

fn tasks_share_a_thread(program: Program) {
    // Each line has to come when it is printed.
    let mut running = Running::start(program.command().env("PYTHONUNBUFFERED", "1"), RUN_LIMIT);
    running.wait_for_line("Worker 4 is starting");
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    running.finish().succeeded();
    assert!(status.contains("\nThreads:\t1\n"), "{status}");
}

/// `Produced i`, `Consumed i` for each item, and a second after each.
fn queue_alternates(program: Program) {
    let run = program.run().succeeded();
    let expected: Vec<_> = numbered("Produced #")
        .into_iter()
        .zip(numbered("Consumed #"))
        .flat_map(<[_; 2]>::from)
        .collect();
    assert_eq!(run.lines(), expected);
    assert!(run.elapsed >= Duration::from_secs(5));
}

fn hello_waits(program: Program) {
    let run = program.run().succeeded();
    assert_eq!(run.stdout, "Hello\n");
    assert!(run.elapsed >= Duration::from_secs(1));
}

/// Starts and finishes ascend each, and two workers run at a time, never more.
fn semaphore_holds_back(program: Program) {
    let run = program.run().succeeded();
    let (starts, ends): (Vec<_>, Vec<_>) = run
        .lines()
        .into_iter()
        .partition(|line| line.ends_with("is starting"));
    assert_eq!(starts, numbered("Worker # is starting"));
    assert_eq!(ends, numbered("Worker # is finished"));
    let mut running = 0;
    let mut most = 0;
    for line in run.lines() {
        running += if line.ends_with("is starting") { 1 } else { -1 };
        assert!(running >= 0, "finished before it started");
        most = most.max(running);
    }
    assert_eq!(most, 2);
    assert!(run.elapsed >= Duration::from_secs(3));
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
    let run = fetch(program, &[0, 1, 2].map(|i| server.url(&format!("/{i}")))).succeeded();
    assert_eq!(run.stdout, "/0\n/1\n/2\n");
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

fn fetch_meets_a_proxy(program: Program) {
    let server = Server::start(|_, _, stream| page(stream, b"direct"));
    let proxy = Server::start(|_, _, stream| page(stream, b"by proxy"));
    let mut command = program.command();
    let run = run(command
        .arg(server.url("/"))
        .env("http_proxy", proxy.url("")))
    .succeeded();
    let way = match program.language {
        Language::Rust => "by proxy\n",
        Language::Python => "direct\n",
    };
    assert_eq!(run.stdout, way);
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
