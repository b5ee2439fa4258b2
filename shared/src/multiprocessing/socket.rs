//! Messages over a Unix socket pair. Its packets keep their boundaries, and
//! arrive whole or not at all; what is too large for a packet goes beside it
//! in an anonymous file, so that a sender need not wait for a reader half way.

use std::cell::RefCell;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recv,
    recvmsg, sendmsg, socketpair,
};

use super::error::{Error, system};
use super::memory::{anonymous_file, poll, spin};

/// How much of a message goes in its packet.
const INLINE: usize = 32 * 1024;

/// How many descriptors go with a packet; the system's own limit is 253.
const FDS: usize = 250;

/// A packet starts with how many descriptors the message has in all, and this
/// bit if the first of them is the message's body.
const IN_FILE: u32 = 1 << 31;

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// Held while receiving: a message of several packets has one receiver.
    turn: Mutex<()>,
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

    /// Sends a message and its descriptors; waits for room until `deadline`.
    pub(super) fn send(
        &self,
        body: &[u8],
        fds: &[OwnedFd],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
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
        self.send_packet(&kind.to_ne_bytes(), inline, first, deadline)?;
        more.chunks(FDS)
            .try_for_each(|fds| self.send_packet(&[0], &[], fds, deadline))
    }

    fn send_packet(
        &self,
        kind: &[u8],
        body: &[u8],
        fds: &[RawFd],
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        let packet = [IoSlice::new(kind), IoSlice::new(body)];
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
    /// for one until `deadline`. A message that cannot be had, for want of
    /// descriptors, stays where it is.
    pub(super) fn recv(
        &self,
        body: &mut Vec<u8>,
        deadline: Option<Instant>,
    ) -> Result<Vec<OwnedFd>, Error> {
        let (_turn, kind) = loop {
            // Nobody sleeps with the turn, so that each can keep its deadline.
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            let mut kind = [0; 4];
            if self.peek(&mut kind)? {
                break (turn, u32::from_ne_bytes(kind));
            }
            drop(turn);
            self.wait(deadline)?;
        };
        let count = (kind & !IN_FILE) as usize;
        if count > 0 {
            self.recv_packet(count, MsgFlags::MSG_PEEK, |_| {})?;
        }
        let mut fds = self.recv_packet(count, MsgFlags::empty(), |packet| {
            body.extend_from_slice(packet.get(4..).unwrap_or_default());
        })?;
        while fds.len() < count {
            while !self.peek(&mut [0])? {
                self.wait(deadline)?;
            }
            let more = self.recv_packet(count - fds.len(), MsgFlags::empty(), |_| {})?;
            if more.is_empty() {
                return Err(Error::Corrupt("message: descriptors are missing".into()));
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
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        let quick = !late && spin(|| !matches!(self.peek(&mut [0]), Ok(false)));
        if quick || self.poll(PollFlags::POLLIN, deadline)? {
            return Ok(());
        }
        Err(Error::Timeout)
    }

    /// Hands a packet that is there to `body`; returns its descriptors, of
    /// which there are at most `count`.
    fn recv_packet(
        &self,
        count: usize,
        flags: MsgFlags,
        body: impl FnOnce(&[u8]),
    ) -> Result<Vec<OwnedFd>, Error> {
        PACKET.with_borrow_mut(|packet| {
            packet.resize(4 + INLINE, 0);
            if count == 0 {
                let len = recv(self.fd.as_raw_fd(), packet, flags).map_err(system("recv"))?;
                body(&packet[..len]);
                return Ok(Vec::new());
            }
            let mut rights = cmsg_space!([RawFd; FDS]);
            let mut parts = [IoSliceMut::new(packet)];
            let flags = flags | MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(self.fd.as_raw_fd(), &mut parts, Some(&mut rights), flags)
                .map_err(system("recvmsg"))?;
            let len = message.bytes;
            // A truncated list tells that no descriptor was left to give.
            let rights = message
                .cmsgs()
                .map_err(|_| system("recvmsg")(Errno::EMFILE))?;
            let mut fds = Vec::new();
            for right in rights {
                if let ControlMessageOwned::ScmRights(raw) = right {
                    // SAFETY: the kernel has just opened these for us, and
                    // nobody else knows them.
                    fds.extend(
                        raw.into_iter()
                            .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                    );
                }
            }
            body(&packet[..len]);
            Ok(fds)
        })
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
            turn: Mutex::new(()),
        }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}
