use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{self, decode_message, encode_message, with_buffer};
use super::error::Error;
use super::memory::deadline;
use super::socket::Socket;

/// One end of a pipe: `multiprocessing.connection.Connection`, which sends `S`
/// and receives `R`.
///
/// A handle: clones, and what a child process gets as an argument, are the
/// same end. It is closed when the last of them is dropped; only then, and
/// when the processes that have it are dead, does the other end see it. So
/// give an end away rather than lend it.
///
/// A message arrives whole or not at all. A small one costs a system call to
/// send and two to receive; one of more than 32 KiB is sent in parts, while the
/// other end receives, and waits for it to do so, as Python's does. Two
/// processes should not send at the same end at the same time.
pub struct Connection<S, R> {
    socket: Arc<Socket>,
    types: PhantomData<fn(S) -> R>,
}

/// Makes a pipe with two ends: `multiprocessing.Pipe()`. The left one sends
/// what the right one receives, and the reverse.
///
/// # Errors
/// The system has no descriptors left.
///
/// ```
/// use shared::multiprocessing::pipe;
///
/// let (left, right) = pipe::<String, u64>()?;
/// left.send("hello".to_string())?;
/// right.send(right.recv()?.len() as u64)?;
/// assert_eq!(left.recv()?, 5);
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
#[expect(
    clippy::type_complexity,
    reason = "it shows that the ends mirror each other"
)]
pub fn pipe<S, R>() -> Result<(Connection<S, R>, Connection<R, S>), Error> {
    let (left, right) = Socket::pair()?;
    Ok((left.into(), right.into()))
}

impl<S: Serialize + 'static, R> Connection<S, R> {
    /// Sends a message; waits for room when the other end does not read:
    /// `conn.send(obj)`.
    ///
    /// # Errors
    /// [`Error::BrokenPipe`] if the other end is closed; [`Error::Encode`].
    pub fn send(&self, message: S) -> Result<(), Error> {
        self.send_until(message, None)
    }

    /// Sends a message, but waits no longer than `timeout` for room.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Error::Timeout`]. If a large message had
    /// been begun, none can follow it: the other end sees [`Error::Eof`].
    pub fn send_timeout(&self, message: S, timeout: Duration) -> Result<(), Error> {
        self.send_until(message, deadline(timeout))
    }

    fn send_until(&self, message: S, deadline: Option<Instant>) -> Result<(), Error> {
        with_buffer(|buffer| {
            self.socket
                .send_in_parts(encode_message(&message, buffer)?, deadline)
        })
    }
}

impl<S, R: DeserializeOwned + 'static> Connection<S, R> {
    /// Waits for a message: `conn.recv()`.
    ///
    /// # Errors
    /// [`Error::Eof`] if the other end is closed and all that it sent has been
    /// received; [`Error::Decode`].
    pub fn recv(&self) -> Result<R, Error> {
        self.recv_until(None)
    }

    /// Waits for a message, but no longer than `timeout`.
    ///
    /// # Errors
    /// As [`recv`](Self::recv), and [`Error::Timeout`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<R, Error> {
        self.recv_until(deadline(timeout))
    }

    fn recv_until(&self, deadline: Option<Instant>) -> Result<R, Error> {
        with_buffer(|buffer| {
            self.socket.recv(buffer, deadline)?;
            decode_message(buffer)
        })
    }
}

impl<S, R> Connection<S, R> {
    /// Whether there is something to receive, be it the end: `conn.poll(d)`.
    /// Waits no longer than the timeout; without one, `poll(None)`, for ever.
    ///
    /// # Errors
    /// The system refuses.
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, Error> {
        self.socket
            .poll(PollFlags::POLLIN, timeout.into().and_then(deadline))
    }
}

impl<S, R> From<Socket> for Connection<S, R> {
    fn from(socket: Socket) -> Self {
        Connection {
            socket: Arc::new(socket),
            types: PhantomData,
        }
    }
}

impl<S, R> Clone for Connection<S, R> {
    fn clone(&self) -> Self {
        Connection {
            socket: self.socket.clone(),
            types: PhantomData,
        }
    }
}

impl<S, R> std::fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.socket).finish()
    }
}

impl<S, R> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        codec::serialize_handle(&*self.socket, serializer)
    }
}

impl<'de, S, R> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| Ok(Socket::from(fd).into()))
    }
}
