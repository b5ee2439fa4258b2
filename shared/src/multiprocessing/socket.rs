//! Messages over a pair of Unix sockets: bytes, and descriptors beside them.
//!
//! A parent and its child have such a pair, and so have the two ends of a pipe.
//! Several processes and threads may send and receive at one end. A message is
//! received whole or not at all, by one of them.
//!
//! # How a message is framed
//!
//! The sockets have the type SEQPACKET, which keeps the boundaries of packets, so
//! that two senders cannot mix theirs. A message is one packet if it can be:
//!
//! ```text
//! packet = header u32 | up to 32 KiB of the body    + up to 250 descriptors
//! header = how many descriptors the whole message has, and perhaps one bit:
//!   IN_MEMFD   the body is in a memfd, the first descriptor
//!   STREAMED   here is the length, a u64, and the beginning of the body; the
//!              rest comes from a socket, the only descriptor
//! ```
//!
//! More descriptors than one packet can carry follow in packets without a body.
//!
//! # Where large messages go
//!
//! There are two ways, because only one of the two senders may wait for its reader.
//!
//! [`Socket::send`] is for a start message and for a child's report, whose sender
//! must not wait for a reader: a parent starts a child before it knows whether the
//! child will ever read, and reads the report after the child's end. So a large
//! body is written to a memfd, which has room for all of it.
//!
//! [`Socket::send_streamed`] is for a pipe, whose sender has to wait when nobody
//! reads, or unread messages would fill the memory. So a large body is streamed
//! through another pair of sockets, made for this message alone. Only the process
//! that has received its beginning can read the rest. If the sender dies or gives
//! up half way, the stream ends early; the receiver discards that message and goes
//! on with the next one.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, getsockopt,
    recv, recvmsg, send, sendmsg, socketpair, sockopt,
};
use nix::{cmsg_space, sys::socket};

use super::allocation::{reserve, too_large};
use super::error::{Error, system};
use super::memory::{anonymous_file, wrong_kind};
use super::timed_mutex::TimedMutex;
use super::wait::{is_past, poll, spin};

/// The most bytes of a body that go in a packet.
const INLINE: usize = 32 * 1024;

/// The most descriptors that go with a packet. The system's limit is 253.
const FDS: usize = 250;

/// A bit of the header: the body is in a memfd, the first descriptor.
const IN_MEMFD: u32 = 1 << 31;

/// A bit of the header: the packet holds the body's length and its beginning; the
/// descriptor is the stream from which the rest comes.
const STREAMED: u32 = 1 << 30;

/// How many descriptors the message with this header has.
fn count(header: u32) -> usize {
    (header & !(IN_MEMFD | STREAMED)) as usize
}

/// One end of a pair of sockets.
pub(super) struct Socket {
    fd: OwnedFd,
    /// One thread at a time sends, so that messages arrive in the order in which
    /// their sending began.
    sending: TimedMutex<()>,
    /// One thread at a time receives. If its time is up in the middle of a
    /// streamed message, what it has received is kept here for the next one.
    receiving: TimedMutex<Option<Incoming>>,
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

    /// The socket of a descriptor that came from another process.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        match getsockopt(&fd, sockopt::SockType) {
            Ok(SockType::SeqPacket) => Ok(fd.into()),
            _ => Err(wrong_kind(fd, "a Connection")),
        }
    }

    /// Waits until `deadline` for the socket to be ready, or its peer gone.
    pub(super) fn poll(&self, flags: PollFlags, deadline: Option<Instant>) -> Result<bool, Error> {
        poll(&mut [PollFd::new(self.fd.as_fd(), flags)], deadline)
    }
}

// Sending.

impl Socket {
    /// Sends a message with descriptors, a large one in a memfd. It waits for a
    /// reader only if hundreds of messages are unread.
    pub(super) fn send(&self, body: &[u8], fds: &[OwnedFd]) -> Result<(), Error> {
        let file;
        let mut raw: Vec<RawFd> = Vec::new();
        let mut header = fds.len() as u32;
        let inline = if body.len() <= INLINE {
            body
        } else {
            file = anonymous_file(body.len() as u64)?;
            file.write_all_at(body, 0).map_err(system("write"))?;
            raw.push(file.as_raw_fd());
            header = (header + 1) | IN_MEMFD;
            &[][..]
        };
        raw.extend(fds.iter().map(AsRawFd::as_raw_fd));
        let (first, more) = raw.split_at(raw.len().min(FDS));
        self.send_packet(header, &[inline], first, None)?;
        more.chunks(FDS)
            .try_for_each(|fds| self.send_packet(0, &[], fds, None))
    }

    /// Sends a message, a large one by a stream. It waits until `deadline` for
    /// room, and for the reader of a large one. If that cannot be sent whole by
    /// then, the other end discards it.
    pub(super) fn send_streamed(
        &self,
        body: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let _guard = self.sending.lock(deadline)?;
        if body.len() <= INLINE {
            return self.send_packet(0, &[body], &[], deadline);
        }
        let (ours, theirs) = pair(SockType::Stream)?;
        let len = (body.len() as u64).to_ne_bytes();
        let (beginning, rest) = body.split_at(INLINE - len.len());
        let parts = [&len, beginning];
        self.send_packet(STREAMED | 1, &parts, &[theirs.as_raw_fd()], deadline)?;
        // Only the receiver has its end now, so that its death is noticed.
        drop(theirs);
        send_rest(&ours, rest, deadline)
    }

    fn send_packet(
        &self,
        header: u32,
        body: &[&[u8]],
        fds: &[RawFd],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let header = header.to_ne_bytes();
        let mut packet = [IoSlice::new(&header), IoSlice::new(&[]), IoSlice::new(&[])];
        for (place, part) in packet[1..].iter_mut().zip(body) {
            *place = IoSlice::new(part);
        }
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let attempt = |flags| sendmsg::<()>(self.fd.as_raw_fd(), &packet, rights, flags, None);
        let failed = |errno| send_error(errno, "sendmsg");
        send_until(deadline, self.fd.as_fd(), attempt, failed).map(drop)
    }
}

/// Sends the rest of a message through its stream.
fn send_rest(stream: &OwnedFd, mut rest: &[u8], deadline: Option<Instant>) -> Result<(), Error> {
    while !rest.is_empty() {
        let attempt = |flags| send(stream.as_raw_fd(), rest, flags);
        // A receiver that lacks memory leaves a byte before it closes its end.
        let failed = |errno| match recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT) {
            Ok(1) => system("receiving, in the other process")(Errno::ENOMEM),
            _ => send_error(errno, "send"),
        };
        let sent = send_until(deadline, stream.as_fd(), attempt, failed)?;
        rest = &rest[sent..];
    }
    Ok(())
}

/// Calls `attempt` with the flags for sending until it succeeds, until `deadline`
/// is past, or until it fails for good, with the error that `failed` makes.
fn send_until(
    deadline: Option<Instant>,
    fd: BorrowedFd<'_>,
    mut attempt: impl FnMut(MsgFlags) -> nix::Result<usize>,
    failed: impl FnOnce(Errno) -> Error,
) -> Result<usize, Error> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    if deadline.is_some() {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    loop {
        match attempt(flags) {
            Ok(sent) => return Ok(sent),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                if !poll(&mut [PollFd::new(fd, PollFlags::POLLOUT)], deadline)? {
                    return Err(Error::Timeout);
                }
            }
            Err(errno) => return Err(failed(errno)),
        }
    }
}

fn send_error(errno: Errno, call: &'static str) -> Error {
    match errno {
        Errno::EPIPE | Errno::ECONNRESET => Error::BrokenPipe,
        errno => system(call)(errno),
    }
}

// Receiving. A packet with descriptors is looked at twice before it is taken. Its
// header says how much room the descriptors need, and receiving a copy of them shows
// whether this process may open as many. If not, the message stays in the socket and
// can be received later. A packet without descriptors is looked at once.

thread_local! {
    /// Where packets are received.
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Socket {
    /// Receives the next message into `body`, which is empty, and returns its
    /// descriptors. It waits for one until `deadline`. After [`Error::Timeout`], or
    /// if this process has no descriptors left, the message can be received later.
    pub(super) fn recv(
        &self,
        body: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let mut partial = self.receiving.lock(deadline)?;
        loop {
            if let Some(incoming) = &mut *partial {
                let is_whole = incoming.read(deadline);
                if matches!(is_whole, Err(Error::Timeout)) {
                    return Err(Error::Timeout);
                }
                let incoming = partial.take().expect("it was there just now");
                if is_whole? {
                    *body = incoming.body;
                    return Ok(Vec::new());
                }
                // Its sender has died or given up. The next message counts.
            }
            let Some((header, fds)) = self.try_recv(body)? else {
                self.wait(deadline)?;
                continue;
            };
            if header & STREAMED == 0 {
                return self.complete(header, body, fds, deadline);
            }
            *partial = Some(Incoming::new(body, fds)?);
            body.clear();
        }
    }

    /// Waits until `deadline` for something to receive, even if it is the end.
    pub(super) fn poll_message(&self, deadline: Option<Instant>) -> Result<bool, Error> {
        let stream = self
            .receiving
            .look(|partial| Some(partial.as_ref()?.stream.clone()));
        match stream {
            None => self.poll(PollFlags::POLLIN, deadline),
            Some(stream) => poll(
                &mut [PollFd::new(stream.as_fd(), PollFlags::POLLIN)],
                deadline,
            ),
        }
    }

    /// Waits until `deadline` for a packet, or for the peer to be gone.
    fn wait(&self, deadline: Option<Instant>) -> Result<(), Error> {
        let quick = !is_past(deadline) && spin(|| !matches!(self.peek_header(), Ok(None)));
        if quick || self.poll(PollFlags::POLLIN, deadline)? {
            return Ok(());
        }
        Err(Error::Timeout)
    }

    /// Receives a message's first packet into `body`, if one is there.
    fn try_recv(&self, body: &mut Vec<u8>) -> Result<Option<(u32, Vec<OwnedFd>)>, Error> {
        let Some(header) = self.peek_header()? else {
            return Ok(None);
        };
        let count = count(header);
        if count > 0 {
            self.recv_packet(count, MsgFlags::MSG_PEEK, &mut Vec::new())?;
        }
        self.recv_packet(count, MsgFlags::empty(), body)
    }

    /// The header of the next packet, if one is there.
    fn peek_header(&self) -> Result<Option<u32>, Error> {
        let mut header = [0; 4];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        loop {
            match recv(self.fd.as_raw_fd(), &mut header, flags) {
                Ok(0) => return Err(Error::Eof),
                Ok(_) => return Ok(Some(u32::from_ne_bytes(header))),
                Err(Errno::EAGAIN) => return Ok(None),
                Err(errno) => check_transient(errno, "recv")?,
            }
        }
    }

    /// Receives a packet, if one is there: appends its part of the body to `body`,
    /// and returns its header and its descriptors, of which `count` are expected. It
    /// never waits, because another process may have taken the packet that was there.
    fn recv_packet(
        &self,
        count: usize,
        flags: MsgFlags,
        body: &mut Vec<u8>,
    ) -> Result<Option<(u32, Vec<OwnedFd>)>, Error> {
        let flags = flags | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
        // There is always room for one. If another process has taken the packet
        // that was there, the next one may have a descriptor.
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
                    Err(errno) => check_transient(errno, "recvmsg")?,
                }
            };
            let (header, rest) = packet[..len].split_first_chunk().ok_or(Error::Eof)?;
            body.extend_from_slice(rest);
            Ok(Some((u32::from_ne_bytes(*header), fds)))
        })
    }

    /// Receives what belongs to a message besides its first packet: the other
    /// descriptors, and the body if it is in a memfd.
    fn complete(
        &self,
        header: u32,
        body: &mut Vec<u8>,
        mut fds: Vec<OwnedFd>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let count = count(header);
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
        if header & IN_MEMFD != 0 {
            let mut file = File::from(fds.remove(0));
            let len = file.metadata().map_err(system("fstat"))?.len();
            if !reserve(body, len) {
                return Err(too_large("a message", len));
            }
            file.read_to_end(body).map_err(system("read"))?;
        }
        Ok(fds)
    }
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
            // SAFETY: the kernel has just opened these for this process, and
            // nothing else knows them.
            fds.extend(
                raw.into_iter()
                    .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
            );
        }
    }
    Ok(())
}

/// Returns normally if receiving can be tried again after this error: after a
/// signal, or if the peer has closed its end without having read everything, since
/// what the peer has sent is still there.
fn check_transient(errno: Errno, call: &'static str) -> Result<(), Error> {
    match errno {
        Errno::EINTR | Errno::ECONNRESET => Ok(()),
        errno => Err(system(call)(errno)),
    }
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt(format!("message: {why}"))
}

/// A streamed message, as far as it has been received.
struct Incoming {
    stream: Arc<OwnedFd>,
    body: Vec<u8>,
    len: usize,
}

impl Incoming {
    /// The message that begins with the body of this packet.
    fn new(packet: &[u8], mut fds: Vec<OwnedFd>) -> Result<Self, Error> {
        let (Some((len, beginning)), Some(stream)) = (packet.split_first_chunk(), fds.pop()) else {
            return Err(corrupt("it has no length or no stream"));
        };
        let len = u64::from_ne_bytes(*len);
        let mut body = Vec::new();
        if !reserve(&mut body, len) {
            // The sender will find this byte: see `send_rest`.
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

    /// Reads the rest, and waits for it until `deadline`. Returns whether the
    /// message is whole: if not, its sender has died or given up.
    fn read(&mut self, deadline: Option<Instant>) -> Result<bool, Error> {
        let flags = match deadline {
            None => libc::MSG_WAITALL,
            Some(_) => libc::MSG_DONTWAIT,
        };
        while self.body.len() < self.len {
            let missing = self.len - self.body.len();
            let room = &mut self.body.spare_capacity_mut()[..missing];
            // SAFETY: the descriptor is open, and the kernel writes at most
            // `missing` bytes to the room, which has as many.
            let read = unsafe {
                let fd = self.stream.as_raw_fd();
                libc::recv(fd, room.as_mut_ptr().cast(), missing, flags)
            };
            match Errno::result(read) {
                Ok(0) => return Ok(false),
                // SAFETY: the kernel has written as many bytes after the others,
                // within the capacity.
                Ok(read) => unsafe { self.body.set_len(self.body.len() + read as usize) },
                Err(Errno::EAGAIN) => {
                    let fd = PollFd::new(self.stream.as_fd(), PollFlags::POLLIN);
                    if !poll(&mut [fd], deadline)? {
                        return Err(Error::Timeout);
                    }
                }
                Err(errno) => check_transient(errno, "recv")?,
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
            sending: TimedMutex::new(()),
            receiving: TimedMutex::new(None),
        }
    }
}
