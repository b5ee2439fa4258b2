use std::io::{self, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use exercises::check::{Meeting, within};
use exercises::fetch::{fetch, fetch_all};
use reqwest::Client;
use tests::Server;

const STUCK: &str = "`fetch` waits longer than its limit";
const LONG: Duration = Duration::from_secs(8);

/// Runs `program` in a runtime with a client, and with the time as it is.
fn with_client<F, T>(program: F) -> T
where
    F: AsyncFnOnce(Client) -> T + Send + 'static,
    T: Send + 'static,
{
    within(STUCK, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let client = Client::builder()
            .no_proxy()
            .tls_backend_preconfigured(shared::aiohttp::tls())
            .build();
        runtime.block_on(program(client.unwrap()))
    })
}

fn answer(stream: &mut TcpStream, status: &str, text: &str) -> io::Result<()> {
    let length = text.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{text}"
    )
}

#[test]
fn the_pages_are_asked_for_at_the_same_time() {
    static ASKED: Meeting = Meeting::of(3);
    // It answers nobody before all three have asked.
    let server = Server::start(|target, _, stream| {
        ASKED.wait();
        answer(stream, "200 OK", target)
    });
    let urls = ["/a", "/b", "/c"].map(|target| server.url(target));
    let pages = with_client(async move |client| fetch_all(&client, &urls, LONG).await);
    ASKED.assert("the pages were asked for one after the other");
    assert_eq!(pages.unwrap(), ["/a", "/b", "/c"]);
}

#[test]
fn a_page_that_fails_once_is_asked_for_again() {
    let asked = Arc::new(AtomicU32::new(0));
    let server = Server::start({
        let asked = asked.clone();
        move |_, _, stream| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => answer(stream, "500 Internal Server Error", "try again"),
            _ => answer(stream, "200 OK", "page"),
        }
    });
    let url = server.url("/");
    let page = with_client(async move |client| fetch(&client, &url, LONG).await);
    let page = page.expect("the page came at the second try, and an error was returned");
    assert_eq!(page, "page", "the page of an error was returned");
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[test]
fn a_page_that_breaks_off_is_asked_for_again() {
    let asked = AtomicU32::new(0);
    let server = Server::start(
        move |_, _, stream| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npa"),
            _ => answer(stream, "200 OK", "page"),
        },
    );
    let url = server.url("/");
    let page = with_client(async move |client| fetch(&client, &url, LONG).await);
    let page = page.expect("the text broke off, and the page was not asked for again");
    assert_eq!(page, "page");
}

#[test]
fn a_page_that_fails_twice_is_given_up() {
    let asked = Arc::new(AtomicU32::new(0));
    let server = Server::start({
        let asked = asked.clone();
        move |_, _, stream| {
            asked.fetch_add(1, Ordering::Relaxed);
            answer(stream, "500 Internal Server Error", "no")
        }
    });
    let url = server.url("/");
    let limit = Duration::from_secs(2);
    let page = with_client(async move |client| fetch(&client, &url, limit).await);
    assert!(page.is_err(), "the page of an error was returned");
    let asked = asked.load(Ordering::Relaxed);
    assert_eq!(asked, 2, "the page was not asked for exactly twice");
}

#[test]
fn the_limit_includes_the_second_try() {
    let server = Server::start(|_, _, stream| {
        thread::sleep(Duration::from_millis(700));
        answer(stream, "500 Internal Server Error", "no")
    });
    let url = server.url("/");
    let limit = Duration::from_secs(1);
    let (page, waited) = with_client(async move |client| {
        let start = Instant::now();
        (fetch(&client, &url, limit).await, start.elapsed())
    });
    assert!(page.is_err(), "the page of an error was returned");
    assert!(
        waited < Duration::from_millis(1350),
        "the limit does not include the second try"
    );
}

#[test]
fn the_first_error_is_returned_at_once() {
    static RETURNED: Meeting = Meeting::of(2);
    // It answers for one page when the error of the other was returned.
    let server = Server::start(|target, _, stream| {
        if target == "/slow" {
            RETURNED.wait();
        }
        answer(stream, "500 Internal Server Error", "no")
    });
    let urls = ["/slow", "/bad"].map(|target| server.url(target));
    let pages = with_client(async move |client| {
        let pages = fetch_all(&client, &urls, LONG).await;
        RETURNED.wait();
        pages
    });
    assert!(pages.is_err(), "a page failed, and no error was returned");
    RETURNED.assert("an error had to wait for another page");
}

#[test]
fn a_text_that_stops_half_way_is_given_up() {
    static NEVER: Meeting = Meeting::of(2);
    let server = Server::start(|_, _, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npa")?;
        NEVER.wait();
        Ok(())
    });
    let url = server.url("/");
    let limit = Duration::from_millis(500);
    let page = with_client(async move |client| {
        let page = fetch(&client, &url, limit).await;
        NEVER.wait();
        page
    });
    assert!(page.is_err());
    NEVER.assert("the limit does not include the text of the page");
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    static NEVER: Meeting = Meeting::of(2);
    let server = Server::start(|_, _, _| {
        NEVER.wait();
        Ok(())
    });
    let url = server.url("/");
    let limit = Duration::from_millis(500);
    let (page, waited) = with_client(async move |client| {
        let start = Instant::now();
        let page = fetch(&client, &url, limit).await;
        NEVER.wait();
        (page, start.elapsed())
    });
    assert!(page.is_err());
    assert!(waited < Duration::from_secs(2), "{STUCK}");
}
