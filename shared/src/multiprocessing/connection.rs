//! Pipes: typed messages between two ends.
//!
//! An end is a [`socket`](super::socket) whose messages the [`codec`]
//! encodes and decodes.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{self, decode_message, encode_message, with_buffer};
use super::error::Error;
use super::socket::Socket;
use super::wait::deadline;

/// One end of a pipe: `multiprocessing.connection.Connection`, which sends `S`
/// and receives `R`.
///
/// Clones of a `Connection` are the same end, and so is what a child process gets
/// as an argument. An end is closed when no process has it any more, and only then
/// does the other end receive [`Error::Eof`]. So pass an end as `end` and not as
/// `&end`: an end that this process keeps is not closed when the other one dies.
///
/// Several processes may send or receive at one end. A message is received whole
/// or not at all, by one of them. Messages of one thread keep their order.
///
/// # What it costs
///
/// An end takes one descriptor in each process that has it, and no address space.
/// The system keeps at most some 200 KiB of messages that have not been received
/// yet; then `send` waits for room, as Python's does. A message of up to 32 KiB
/// costs one system call to send and two to receive. A larger one is streamed
/// while it is received, which takes another descriptor at both ends for that time.
pub struct Connection<S, R> {
    socket: Arc<Socket>,
    types: PhantomData<fn(S) -> R>,
}

/// Makes a pipe: `multiprocessing.Pipe()`. Its left end sends `S` and receives
/// `R`, and its right end the reverse.
///
/// # Errors
/// [`Error::System`] if the system has no descriptors left.
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
    /// Sends a message: `conn.send(obj)`. Waits for room if the other end does
    /// not receive.
    ///
    /// # Errors
    /// [`Error::BrokenPipe`] if the other end is closed, or if the process that
    /// was receiving the message has died; [`Error::Encode`] if the message
    /// cannot be encoded; [`Error::System`] if the system, or the receiver of a
    /// large message, lacks memory or descriptors.
    pub fn send(&self, message: S) -> Result<(), Error> {
        self.send_until(message, None)
    }

    /// Sends a message, but waits no longer than `timeout` for room.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`Error::Timeout`]. If a large message has been
    /// sent in part by then, the other end discards it; others can follow it.
    pub fn send_timeout(&self, message: S, timeout: Duration) -> Result<(), Error> {
        self.send_until(message, deadline(timeout))
    }

    fn send_until(&self, message: S, deadline: Option<Instant>) -> Result<(), Error> {
        with_buffer(|buffer| {
            self.socket
                .send_streamed(encode_message(&message, buffer)?, deadline)
        })
    }
}

impl<S, R: DeserializeOwned + 'static> Connection<S, R> {
    /// Waits for a message: `conn.recv()`.
    ///
    /// # Errors
    /// [`Error::Eof`] if the other end is closed and all that it sent has been
    /// received; [`Error::Decode`] if the message cannot be decoded, or if there
    /// is too little memory for it: that message is lost, and the next one can be
    /// received; [`Error::System`] if this process has no descriptor left for a
    /// large message, which can then be received later.
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
    /// Waits until there is something to receive, but no longer than the timeout,
    /// and returns whether there is: `conn.poll(timeout)`. `poll(None)` waits
    /// without a limit. The end of the connection counts, too: `recv` then returns
    /// [`Error::Eof`].
    ///
    /// # Errors
    /// [`Error::System`] if the system cannot wait, for lack of memory.
    pub fn poll(&self, timeout: impl Into<Option<Duration>>) -> Result<bool, Error> {
        self.socket.poll_message(timeout.into().and_then(deadline))
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
        codec::deserialize_handle(deserializer, |fd| Ok(Socket::open(fd)?.into()))
    }
}
