//! A web server for tests.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

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

/// Answers a request: `status` with its reason, header lines, body.
pub fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    )?;
    stream.write_all(body)
}
