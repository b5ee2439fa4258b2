//! Messages over a Unix socket pair, whose packets keep their boundaries, and
//! arrive whole or not at all. What is too large for a packet goes in several,
//! or, where nobody may wait for a reader, beside it in an anonymous file.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, Shutdown, SockFlag, SockType,
    recv, recvmsg, sendmsg, shutdown, socketpair,
};

use super::error::{Error, system};
use super::memory::{anonymous_file, is_past, poll, spin, wait_on};

/// How much of a message goes in its packet.
const INLINE: usize = 32 * 1024;

/// How many descriptors go with a packet; the system's own limit is 253.
const FDS: usize = 250;

/// A packet starts with how many descriptors the message has in all, and one of
/// these bits: the first descriptor is the message's body;
const IN_FILE: u32 = 1 << 31;
/// the body comes in parts, and the packet has only its length;
const IN_PARTS: u32 = 1 << 30;
/// this is such a part.
const PART: u32 = 1 << 29;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// Whether somebody sends: a message of several packets has one sender.
    sending: Mutex<bool>,
    sent: Condvar,
    /// What has come of a message in parts, and its length.
    partial: Mutex<Option<(Vec<u8>, usize)>>,
}

thread_local! {
    /// Where packets are received.
    static PACKET: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Socket {
    pub(super) fn pair() -> Result<(Self, Self), Error> {
        let (left, right) = socketpair(
            AddressFamily::Unix,
            SockType::SeqPacket,
            None,
            SockFlag::SOCK_CLOEXEC,
        )
        .map_err(system("socketpair"))?;
        Ok((left.into(), right.into()))
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
            file = File::from(anonymous_file(body.len())?);
            file.write_all_at(body, 0).map_err(system("write"))?;
            raw.push(file.as_raw_fd());
            kind = (kind + 1) | IN_FILE;
            &[][..]
        };
        raw.extend(fds.iter().map(AsRawFd::as_raw_fd));
        let (first, more) = raw.split_at(raw.len().min(FDS));
        self.send_packet(kind, inline, first, None)?;
        more.chunks(FDS)
            .try_for_each(|fds| self.send_packet(0, &[], fds, None))
    }

    /// Sends a message; waits for room until `deadline`. If a large one is
    /// begun but not ended by then, no other can follow: the sending side is
    /// shut.
    pub(super) fn send_in_parts(
        &self,
        body: &[u8],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let _turn = Sending::begin(self, deadline)?;
        if body.len() <= INLINE {
            return self.send_packet(0, body, &[], deadline);
        }
        self.send_packet(IN_PARTS, &(body.len() as u64).to_ne_bytes(), &[], deadline)?;
        let mut parts = body.chunks(INLINE);
        parts
            .try_for_each(|part| self.send_packet(PART, part, &[], deadline))
            .inspect_err(|_| {
                _ = shutdown(self.fd.as_raw_fd(), Shutdown::Write);
            })
    }

    fn send_packet(
        &self,
        kind: u32,
        body: &[u8],
        fds: &[RawFd],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let kind = kind.to_ne_bytes();
        let packet = [IoSlice::new(&kind), IoSlice::new(body)];
        let rights = [ControlMessage::ScmRights(fds)];
        let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
        let mut flags = MsgFlags::MSG_NOSIGNAL;
        if deadline.is_some() {
            flags |= MsgFlags::MSG_DONTWAIT;
        }
        loop {
            match sendmsg::<()>(self.fd.as_raw_fd(), &packet, rights, flags, None) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    if !self.poll(PollFlags::POLLOUT, deadline)? {
                        return Err(Error::Timeout);
                    }
                }
                Err(Errno::EPIPE | Errno::ECONNRESET) => return Err(Error::BrokenPipe),
                Err(errno) => return Err(system("sendmsg")(errno)),
            }
        }
    }

    /// Appends the next message to `body` and returns its descriptors; waits
    /// for one until `deadline`. A message that cannot be had yet, for want of
    /// time or of descriptors, can be received later.
    pub(super) fn recv(
        &self,
        body: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        loop {
            if let Some(fds) = self.try_recv(body)? {
                return Ok(fds);
            }
            self.wait(deadline)?;
        }
    }

    /// Receives what is there; tells whether that made a message whole.
    fn try_recv(&self, body: &mut Vec<u8>) -> Result<Option<Vec<OwnedFd>>, Error> {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kind = [0; 4];
        while self.peek(&mut kind)? {
            let kind = u32::from_ne_bytes(kind);
            if let Some((parts, len)) = &mut *partial {
                if kind != PART {
                    return Err(corrupt("another one came between its parts"));
                }
                self.recv_part(parts)?;
                if parts.len() >= *len {
                    let (parts, _) = partial.take().expect("it was there just now");
                    if body.is_empty() {
                        *body = parts;
                    } else {
                        body.extend(parts);
                    }
                    return Ok(Some(Vec::new()));
                }
            } else if kind == IN_PARTS {
                let mut len = Vec::new();
                self.recv_packet(0, MsgFlags::empty(), &mut len)?;
                let len = len
                    .first_chunk()
                    .ok_or_else(|| corrupt("it has no length"))?;
                let len = u64::from_ne_bytes(*len) as usize;
                let mut parts = Vec::new();
                parts
                    .try_reserve_exact(len)
                    .map_err(|_| system("malloc")(Errno::ENOMEM))?;
                *partial = Some((parts, len));
            } else {
                return self.recv_whole(kind, body).map(Some);
            }
        }
        Ok(None)
    }

    /// Receives a message that is not in parts, of which a packet is there.
    fn recv_whole(&self, kind: u32, body: &mut Vec<u8>) -> Result<Vec<OwnedFd>, Error> {
        let count = (kind & !IN_FILE) as usize;
        if count > 0 {
            self.recv_packet(count, MsgFlags::MSG_PEEK, &mut Vec::new())?;
        }
        let mut fds = self.recv_packet(count, MsgFlags::empty(), body)?;
        while fds.len() < count {
            while !self.peek(&mut [0])? {
                self.wait(None)?;
            }
            let more = self.recv_packet(count - fds.len(), MsgFlags::empty(), &mut Vec::new())?;
            if more.is_empty() {
                return Err(corrupt("descriptors are missing"));
            }
            fds.extend(more);
        }
        if kind & IN_FILE != 0 {
            let mut file = File::from(fds.remove(0));
            let len = file.metadata().map_err(system("fstat"))?.len() as usize;
            body.try_reserve_exact(len)
                .map_err(|_| system("malloc")(Errno::ENOMEM))?;
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
                // The peer closed with something unread; what it sent is there.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(system("recv")(errno)),
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

    /// Appends a packet that is there to `body`; returns its descriptors, of
    /// which there are at most `count`.
    fn recv_packet(
        &self,
        count: usize,
        flags: MsgFlags,
        body: &mut Vec<u8>,
    ) -> Result<Vec<OwnedFd>, Error> {
        PACKET.with_borrow_mut(|packet| {
            packet.resize(4 + INLINE, 0);
            let mut fds = Vec::new();
            let len = if count == 0 {
                recv(self.fd.as_raw_fd(), packet, flags).map_err(system("recv"))?
            } else {
                let mut rights = cmsg_space!([RawFd; FDS]);
                let mut parts = [IoSliceMut::new(packet)];
                let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
                let message =
                    recvmsg::<()>(self.fd.as_raw_fd(), &mut parts, Some(&mut rights), flags)
                        .map_err(system("recvmsg"))?;
                // A truncated list tells that no descriptor was left to give.
                for rights in message
                    .cmsgs()
                    .map_err(|_| system("recvmsg")(Errno::EMFILE))?
                {
                    if let ControlMessageOwned::ScmRights(raw) = rights {
                        // SAFETY: the kernel has just opened these for us, and
                        // nobody else knows them.
                        fds.extend(
                            raw.into_iter()
                                .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                        );
                    }
                }
                message.bytes
            };
            body.extend_from_slice(packet[..len].get(4..).unwrap_or_default());
            Ok(fds)
        })
    }

    /// Appends a part that is there to a message that has room for it.
    fn recv_part(&self, message: &mut Vec<u8>) -> Result<(), Error> {
        let mut kind = [0u8; 4];
        let room = message.spare_capacity_mut();
        let mut pieces = [
            libc::iovec {
                iov_base: kind.as_mut_ptr().cast(),
                iov_len: kind.len(),
            },
            libc::iovec {
                iov_base: room.as_mut_ptr().cast(),
                iov_len: room.len().min(INLINE),
            },
        ];
        // SAFETY: both pieces can be written, the second up to the capacity.
        let len = unsafe { libc::readv(self.fd.as_raw_fd(), pieces.as_mut_ptr(), 2) };
        let len = Errno::result(len).map_err(system("readv"))? as usize;
        // SAFETY: the system wrote that many bytes behind those that were there.
        unsafe { message.set_len(message.len() + len.saturating_sub(kind.len())) };
        Ok(())
    }

    /// Waits until `deadline` for the socket to be ready, or its peer gone.
    pub(super) fn poll(&self, flags: PollFlags, deadline: Option<Instant>) -> Result<bool, Error> {
        poll(&mut [PollFd::new(self.fd.as_fd(), flags)], deadline)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Socket {
            fd,
            sending: Mutex::new(false),
            sent: Condvar::new(),
            partial: Mutex::new(None),
        }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

/// The turn to send.
struct Sending<'a>(&'a Socket);

impl<'a> Sending<'a> {
    /// Waits for the turn, but not longer than until `deadline`.
    fn begin(socket: &'a Socket, deadline: Option<Instant>) -> Result<Self, Error> {
        let mut busy = socket
            .sending
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while *busy {
            if is_past(deadline) {
                return Err(Error::Timeout);
            }
            busy = wait_on(&socket.sent, busy, deadline);
        }
        *busy = true;
        Ok(Sending(socket))
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        *self
            .0
            .sending
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = false;
        self.0.sent.notify_one();
    }
}

fn corrupt(why: &str) -> Error {
    Error::Corrupt(format!("message: {why}"))
}
