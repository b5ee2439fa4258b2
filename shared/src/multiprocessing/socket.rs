//! Messages over a pair of Unix sockets of the type SEQPACKET, which keeps the
//! boundaries of packets. A message that is too large for a packet is written to
//! a memfd if its sender must not wait for a reader, and else streamed through a
//! pair of sockets of its own, so that those of two senders cannot mix, and only
//! the process that has received its beginning can read the rest.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt,
    recv, recvmsg, send, sendmsg, socketpair, sockopt,
};
use nix::{cmsg_space, sys::socket};

use super::error::{Error, system};
use super::memory::{anonymous_file, is_past, mistaken, poll, reserve, spin, too_large, wait_on};

/// How many bytes of a message go in its packet.
const INLINE: usize = 32 * 1024;

/// How many descriptors go with a packet; the limit of the system is 253.
const FDS: usize = 250;

/// A packet begins with a number: how many descriptors the message has in all,
/// and one of two bits. This one says that the first descriptor is a memfd with
/// the body of the message.
const IN_FILE: u32 = 1 << 31;

/// This bit says that the packet holds the length and the beginning of the body,
/// and that the first descriptor is a stream from which the rest comes.
const STREAMED: u32 = 1 << 30;

/// One end of a connection.
pub(super) struct Socket {
    fd: OwnedFd,
    /// One thread at a time sends, so that messages keep their order.
    sending: Turns<()>,
    /// One thread at a time receives. What it had received of a streamed
    /// message when its time was over is kept for the next one.
    receiving: Turns<Option<Incoming>>,
}

thread_local! {
    /// Where packets are received.
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

fn pair(kind: SockType) -> Result<(OwnedFd, OwnedFd), Error> {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)
        .map_err(system("socketpair"))
}

impl Socket {
    pub(super) fn pair() -> Result<(Self, Self), Error> {
        let (left, right) = pair(SockType::SeqPacket)?;
        Ok((left.into(), right.into()))
    }

    /// The socket that a descriptor belongs to, if it belongs to one.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        match getsockopt(&fd, sockopt::SockType) {
            Ok(SockType::SeqPacket) => Ok(fd.into()),
            _ => Err(mistaken(fd, "a Connection")),
        }
    }

    /// Sends a message and its descriptors. It never waits for a reader, unless
    /// hundreds of messages are unread.
    pub(super) fn send(&self, body: &[u8], fds: &[OwnedFd]) -> Result<(), Error> {
        let file;
        let mut raw: Vec<RawFd> = Vec::new();
        let mut kind = fds.len() as u32;
        let inline = if body.len() <= INLINE {
            body
        } else {
            file = anonymous_file(body.len() as u64)?;
            file.write_all_at(body, 0).map_err(system("write"))?;
            raw.push(file.as_raw_fd());
            kind = (kind + 1) | IN_FILE;
            &[][..]
        };
        raw.extend(fds.iter().map(AsRawFd::as_raw_fd));
        let (first, more) = raw.split_at(raw.len().min(FDS));
        self.send_packet(kind, &[inline], first, None)?;
        more.chunks(FDS)
            .try_for_each(|fds| self.send_packet(0, &[], fds, None))
    }

    /// Sends a message; waits until `deadline` for room, and for the reader of a
    /// large one. If that is not sent whole by then, the other end discards it.
    pub(super) fn send_streamed(
        &self,
        body: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let _turn = self.sending.begin(deadline)?;
        if body.len() <= INLINE {
            return self.send_packet(0, &[body], &[], deadline);
        }
        let (ours, theirs) = pair(SockType::Stream)?;
        let len = (body.len() as u64).to_ne_bytes();
        let (beginning, rest) = body.split_at(INLINE - len.len());
        let parts = [&len, beginning];
        self.send_packet(STREAMED | 1, &parts, &[theirs.as_raw_fd()], deadline)?;
        drop(theirs);
        stream(&ours, rest, deadline)
    }

    fn send_packet(
        &self,
        kind: u32,
        body: &[&[u8]],
        fds: &[RawFd],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let kind = kind.to_ne_bytes();
        let mut packet = [IoSlice::new(&kind), IoSlice::new(&[]), IoSlice::new(&[])];
        for (place, part) in packet[1..].iter_mut().zip(body) {
            *place = IoSlice::new(part);
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        retry(deadline, self.fd.as_fd(), |flags| {
            sendmsg::<()>(self.fd.as_raw_fd(), &packet, rights, flags, None)
        })
        .map(drop)
        .map_err(|error| error.unwrap_or_else(|errno| sending_failed(errno, "sendmsg")))
    }

    /// Receives the next message into `body`, which is empty, and returns its
    /// descriptors; waits for one until `deadline`. A message that cannot be had
    /// yet, for want of time or of descriptors, can be received later.
    pub(super) fn recv(
        &self,
        body: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let mut partial = self.receiving.begin(deadline)?;
        loop {
            if let Some(incoming) = &mut *partial {
                let read = incoming.read(deadline);
                if matches!(read, Err(Error::Timeout)) {
                    return Err(Error::Timeout);
                }
                let incoming = partial.take().expect("it was there just now");
                // If its sender has died or given up, the next message counts.
                if read? {
                    *body = incoming.body;
                    return Ok(Vec::new());
                }
            }
            let Some((kind, fds)) = self.try_recv(body)? else {
                self.wait(deadline)?;
                continue;
            };
            if kind & STREAMED == 0 {
                return self.complete(kind, body, fds, deadline);
            }
            *partial = Some(Incoming::new(body, fds)?);
            body.clear();
        }
    }

    /// Receives a packet, if one is there, into `body`.
    fn try_recv(&self, body: &mut Vec<u8>) -> Result<Option<(u32, Vec<OwnedFd>)>, Error> {
        let mut kind = [0; 4];
        if !self.peek(&mut kind)? {
            return Ok(None);
        }
        let count = count(u32::from_ne_bytes(kind));
        if count > 0 {
            // The packet stays where it is if its descriptors cannot be had.
            self.recv_packet(count, MsgFlags::MSG_PEEK, &mut Vec::new())?;
        }
        self.recv_packet(count, MsgFlags::empty(), body)
    }

    /// Receives what belongs to a message besides its first packet.
    fn complete(
        &self,
        kind: u32,
        body: &mut Vec<u8>,
        mut fds: Vec<OwnedFd>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let count = count(kind);
        while fds.len() < count {
            let missing = count - fds.len();
            match self.recv_packet(missing, MsgFlags::empty(), &mut Vec::new())? {
                None => self.wait(deadline)?,
                Some((_, more)) if more.is_empty() => {
                    return Err(corrupt("descriptors are missing"));
                }
                Some((_, more)) => fds.extend(more),
            }
        }
        if kind & IN_FILE != 0 {
            let mut file = File::from(fds.remove(0));
            let len = file.metadata().map_err(system("fstat"))?.len();
            if !reserve(body, len) {
                return Err(too_large("a message", len));
            }
            file.read_to_end(body).map_err(system("read"))?;
        }
        Ok(fds)
    }

    /// Copies the first bytes of the next packet, if one is there.
    fn peek(&self, start: &mut [u8]) -> Result<bool, Error> {
        loop {
            match recv(
                self.fd.as_raw_fd(),
                start,
                MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(0) => return Err(Error::Eof),
                Ok(_) => return Ok(true),
                Err(Errno::EAGAIN) => return Ok(false),
                Err(errno) => receiving_failed(errno, "recv")?,
            }
        }
    }

    /// Waits until `deadline` for a packet, or for the peer to be gone.
    fn wait(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let quick = !is_past(deadline) && spin(|| !matches!(self.peek(&mut [0]), Ok(false)));
        if quick || self.poll(PollFlags::POLLIN, deadline)? {
            return Ok(());
        }
        Err(Error::Timeout)
    }

    /// Appends a packet to `body`, if one is there, and returns its number and
    /// its descriptors. It never waits: another process may have taken the
    /// packet that was there a moment ago.
    fn recv_packet(
        &self,
        count: usize,
        flags: MsgFlags,
        body: &mut Vec<u8>,
    ) -> Result<Option<(u32, Vec<OwnedFd>)>, Error> {
        let flags = flags | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        // Another process may take that packet, and then there may be one with
        // a descriptor where none was expected.
        let mut rights = match count {
            0 | 1 => cmsg_space!(RawFd),
            _ => cmsg_space!([RawFd; FDS]),
        };
        PACKET.with_borrow_mut(|packet| {
            packet.resize(4 + INLINE, 0);
            let mut fds = Vec::new();
            let len = loop {
                let mut parts = [IoSliceMut::new(packet)];
                let fd = self.fd.as_raw_fd();
                match recvmsg::<()>(fd, &mut parts, Some(&mut rights), flags) {
                    Ok(message) => {
                        take_descriptors(&message, &mut fds)?;
                        break message.bytes;
                    }
                    Err(Errno::EAGAIN) => return Ok(None),
                    Err(errno) => receiving_failed(errno, "recvmsg")?,
                }
            };
            let (kind, rest) = packet[..len].split_first_chunk().ok_or(Error::Eof)?;
            body.extend_from_slice(rest);
            Ok(Some((u32::from_ne_bytes(*kind), fds)))
        })
    }

    /// Waits until `deadline` for the socket to be ready, or its peer gone.
    pub(super) fn poll(&self, flags: PollFlags, deadline: Option<Instant>) -> Result<bool, Error> {
        poll(&mut [PollFd::new(self.fd.as_fd(), flags)], deadline)
    }

    /// Waits until `deadline` for something to receive, be it the end.
    pub(super) fn poll_message(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        let partial = self
            .receiving
            .look(|partial| Some(partial.as_ref()?.stream.clone()));
        match partial {
            None => self.poll(PollFlags::POLLIN, deadline),
            Some(stream) => poll(
                &mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)],
                deadline,
            ),
        }
    }
}

/// How many descriptors a message has.
fn count(kind: u32) -> usize {
    (kind & !(IN_FILE | STREAMED)) as usize
}

/// Takes the descriptors that came with a packet.
fn take_descriptors(
    message: &socket::RecvMsg<'_, '_, ()>,
    fds: &mut Vec<OwnedFd>,
) -> Result<(), Error> {
    // A truncated list means that this process has reached its limit of open
    // descriptors.
    let messages = message
        .cmsgs()
        .map_err(|_| system("recvmsg")(Errno::EMFILE))?;
    for rights in messages {
        if let ControlMessageOwned::ScmRights(raw) = rights {
            // SAFETY: the kernel has just opened these for us, and nobody else
            // knows them.
            fds.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(())
}

/// Goes on after an error that does not end the receiving. One such is that the
/// peer closed its end with something unread: what it has sent is still there.
fn receiving_failed(errno: Errno, call: &'static str) -> Result<(), Error> {
    match errno {
        Errno::EINTR | Errno::ECONNRESET => Ok(()),
        errno => Err(system(call)(errno)),
    }
}

fn sending_failed(errno: Errno, call: &'static str) -> Error {
    match errno {
        Errno::EPIPE | Errno::ECONNRESET => Error::BrokenPipe,
        errno => system(call)(errno),
    }
}

/// Sends with `send`, which is given flags, until it succeeds, `deadline` is
/// past, or it fails for good.
fn retry(
    deadline: Option<Instant>,
    fd: BorrowedFd<'_>,
    mut send: impl FnMut(MsgFlags) -> nix::Result<usize>,
) -> Result<usize, Result<Error, Errno>> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    if deadline.is_some() {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    loop {
        match send(flags) {
            Ok(sent) => return Ok(sent),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                match poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], deadline) {
                    Ok(true) => {}
                    Ok(false) => return Err(Ok(Error::Timeout)),
                    Err(error) => return Err(Ok(error)),
                }
            }
            Err(errno) => return Err(Err(errno)),
        }
    }
}

/// Sends the rest of a message through its stream.
fn stream(stream: &OwnedFd, mut rest: &[u8], deadline: Option<Instant>) -> Result<(), Error> {
    while !rest.is_empty() {
        let sent = retry(deadline, stream.as_fd(), |flags| {
            send(stream.as_raw_fd(), rest, flags)
        });
        match sent {
            Ok(sent) => rest = &rest[sent..],
            Err(Ok(error)) => return Err(error),
            Err(Err(errno)) => {
                let word = recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT);
                return Err(match word {
                    Ok(1) => system("receiving, in the other process")(Errno::ENOMEM),
                    _ => sending_failed(errno, "send"),
                });
            }
        }
    }
    Ok(())
}

/// A streamed message, as far as it has come.
struct Incoming {
    stream: Arc<OwnedFd>,
    body: Vec<u8>,
    len: usize,
}

impl Incoming {
    /// What begins with the body of a packet.
    fn new(packet: &[u8], mut fds: Vec<OwnedFd>) -> Result<Self, Error> {
        let (Some((len, beginning)), Some(stream)) = (packet.split_first_chunk(), fds.pop()) else {
            return Err(corrupt("it has no length or no stream"));
        };
        let len = u64::from_ne_bytes(*len);
        let mut body = Vec::new();
        if !reserve(&mut body, len) {
            // The sender is told why nobody reads the rest.
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            _ = send(stream.as_raw_fd(), &[1], flags);
            return Err(too_large("a message", len));
        }
        body.extend_from_slice(beginning);
        Ok(Incoming {
            stream: Arc::new(stream),
            body,
            len: len as usize,
        })
    }

    /// Reads the rest; waits for it until `deadline`. Returns whether it is
    /// whole: if not, its sender has died or given up.
    fn read(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        let flags = match deadline {
            None => libc::MSG_WAITALL,
            Some(_) => libc::MSG_DONTWAIT,
        };
        while self.body.len() < self.len {
            let missing = self.len - self.body.len();
            let room = &mut self.body.spare_capacity_mut()[..missing];
            // SAFETY: the system writes at most `missing` bytes to the room.
            let read = unsafe {
                let fd = self.stream.as_raw_fd();
                libc::recv(fd, room.as_mut_ptr().cast(), missing, flags)
            };
            match Errno::result(read) {
                Ok(0) => return Ok(false),
                // SAFETY: the system wrote that many bytes behind the others.
                Ok(read) => unsafe { self.body.set_len(self.body.len() + read as usize) },
                Err(Errno::EAGAIN) => {
                    let fd = PollFd::new(self.stream.as_fd(), PollFlags::POLLIN);
                    if !poll(&mut [fd], deadline)? {
                        return Err(Error::Timeout);
                    }
                }
                Err(errno) => receiving_failed(errno, "recv")?,
            }
        }
        Ok(true)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.fd.as_raw_fd()).finish()
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Socket {
            fd,
            sending: Turns::new(()),
            receiving: Turns::new(None),
        }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

/// A mutex that can be waited for until a deadline.
struct Turns<T> {
    state: Mutex<State<T>>,
    free: Condvar,
}

struct State<T> {
    /// `None` while a thread has it.
    value: Option<T>,
    /// How many threads wait. To notify is a system call.
    waiting: usize,
}

impl<T> Turns<T> {
    fn new(value: T) -> Self {
        Turns {
            state: Mutex::new(State {
                value: Some(value),
                waiting: 0,
            }),
            free: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, deadline: Option<Instant>) -> Result<Turn<'_, T>, Error> {
        let mut state = self.state();
        loop {
            if let Some(value) = state.value.take() {
                return Ok(Turn {
                    turns: self,
                    value: Some(value),
                });
            }
            if is_past(deadline) {
                return Err(Error::Timeout);
            }
            state.waiting += 1;
            state = wait_on(&self.free, state, deadline);
            state.waiting -= 1;
        }
    }

    /// Looks at the value, if no thread has it.
    fn look<R>(&self, look: impl FnOnce(&T) -> Option<R>) -> Option<R> {
        self.state().value.as_ref().and_then(look)
    }
}

struct Turn<'a, T> {
    turns: &'a Turns<T>,
    /// `None` only while it is dropped.
    value: Option<T>,
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value.as_ref().expect("it is not dropped yet")
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("it is not dropped yet")
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        state.value = self.value.take();
        let somebody_waits = state.waiting > 0;
        drop(state);
        if somebody_waits {
            self.turns.free.notify_one();
        }
    }
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt(format!("message: {why}"))
}
