//! A web server for tests.

use std::io::{self, BufRead, BufReader, Write};
use std::iter;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn, bind, listen, socket,
};

/// An HTTP server on a free port of this machine. Dropping it waits for its
/// connections to end.
pub struct Server {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server that calls `answer` for each connection, in a thread of
    /// its own, with the target of the request, its head and the stream.
    pub fn start<F>(answer: F) -> Self
    where
        F: Fn(&str, &str, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closed = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let closed = closed.clone();
            move || {
                thread::scope(|scope| {
                    for stream in listener.incoming() {
                        if closed.load(Ordering::SeqCst) {
                            break;
                        }
                        // A client may go away at any time.
                        scope.spawn(|| serve(stream?, &answer));
                    }
                });
            }
        });
        Self {
            address,
            closed,
            thread: Some(thread),
        }
    }

    /// The address of a page.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let end = self.thread.take().unwrap().join();
        if !thread::panicking() {
            end.expect("a handler panicked");
        }
    }
}

fn serve<F>(mut stream: TcpStream, answer: &F) -> io::Result<()>
where
    F: Fn(&str, &str, &mut TcpStream) -> io::Result<()>,
{
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let target = head.split(' ').nth(1).unwrap_or_default();
    answer(target, &head, &mut stream)
}

/// A port that takes no more connections: to connect to it, as long as what
/// this returns is kept, is to wait.
pub fn full_port() -> (SocketAddr, impl Sized) {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).unwrap();
    listen(&socket, Backlog::new(0).unwrap()).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let patience = Duration::from_secs(2);
    let waiting: Vec<_> =
        iter::from_fn(|| TcpStream::connect_timeout(&address, patience).ok()).collect();
    (address, (listener, waiting))
}

/// Answers a request with a page.
pub fn page(stream: &mut TcpStream, body: &[u8]) -> io::Result<()> {
    respond(stream, "200 OK", "", body)
}

/// Answers a request: `status` with its reason, header lines, body.
pub fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}
