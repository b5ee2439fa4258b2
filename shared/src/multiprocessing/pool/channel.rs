//! What a pool and one of its workers share: two rings of frames, tasks one
//! way and results the other, each with one writer and one reader, and so
//! without a lock.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::multiprocessing::error::Error;
use crate::multiprocessing::memory::{
    Area, AtomicU32, AtomicU64, Header, Kind, Memory, fence, futex_wait, futex_wake,
};

/// The size of a ring.
const SIZE: u64 = 1 << 17;

/// The most that goes in one frame; what is longer goes in several.
const FRAGMENT: usize = 1 << 15;

/// A frame is its length and flags, that many bytes, and padding to this size.
const ALIGN: u64 = 8;

/// The message goes on in the next frame.
pub(super) const MORE: u32 = 1;
/// The message tells of a failure.
pub(super) const FAILED: u32 = 2;

#[repr(C)]
struct Cursors {
    /// The tasks' and the results' ring.
    rings: [Cursor; 2],
    shared: Flags,
}

// SAFETY: zeroes are a valid value; all of it is atomics.
unsafe impl Header for Cursors {}

/// Up to where a ring has been written and read. Cache lines are fetched in
/// pairs.
#[repr(C)]
struct Cursor {
    tail: Line<AtomicU64>,
    head: Line<AtomicU64>,
}

#[repr(C, align(128))]
struct Line<T>(T);

#[repr(C, align(128))]
struct Flags {
    /// How many tasks have been claimed: by the worker, to do them, or by the
    /// pool, which takes them back.
    claimed: AtomicU64,
    /// 1 while the worker sleeps, or is about to, until the pool does something.
    worker_asleep: AtomicU32,
    /// 1 while the pool wants to be told of a result.
    pool_asleep: AtomicU32,
    /// 1 when the worker should end.
    stopped: AtomicU32,
}

/// One end of the channel, with its own view of the cursors: nothing that the
/// other end writes can make it read or write elsewhere.
pub(super) struct Channel {
    memory: Memory<Cursors>,
    /// The ring this end writes; it reads the other one.
    out: usize,
    tail: u64,
    /// Up to where the other end was seen to have read.
    freed: u64,
    head: u64,
    /// Up to where the other end was seen to have written.
    seen: u64,
}

const AREAS: [Area; 2] = [
    Area {
        start: 0,
        size: SIZE,
    },
    Area {
        start: SIZE as usize,
        size: SIZE,
    },
];

impl Channel {
    /// The pool's end of a new channel.
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Self::end(Memory::new(Kind::Channel, 2 * SIZE as usize)?, 0))
    }

    /// The worker's end.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self::end(Memory::open(Kind::Channel, fd)?, 1))
    }

    fn end(memory: Memory<Cursors>, out: usize) -> Self {
        Channel {
            memory,
            out,
            tail: 0,
            freed: 0,
            head: 0,
            seen: 0,
        }
    }

    fn flags(&self) -> &Flags {
        &self.memory.header().shared
    }

    /// Sends what is left of a message, its first `sent` bytes having gone
    /// before, as far as there is room; tells whether all of it has gone.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8], flags: u32, sent: &mut usize) -> bool {
        let len = head.len() + body.len();
        let ring = &self.memory.header().rings[self.out];
        loop {
            let start = *sent;
            let end = len.min(start + FRAGMENT);
            let frame = ALIGN + ((end - start) as u64).next_multiple_of(ALIGN);
            if self.tail + frame > self.freed + SIZE {
                self.freed = ring.head.0.load(Acquire).min(self.tail);
                if self.tail + frame > self.freed + SIZE {
                    return false;
                }
            }
            let flags = if end < len { flags | MORE } else { flags };
            let title = (u64::from(flags) << 32) | (end - start) as u64;
            let (area, tail) = (AREAS[self.out], self.tail);
            let split = head.len();
            // SAFETY: the other end is past this part of the ring, and nobody
            // else writes to it.
            unsafe {
                self.memory.write(area, tail, &title.to_ne_bytes());
                let from_head = &head[start.min(split)..end.min(split)];
                self.memory.write(area, tail + ALIGN, from_head);
                let from_body = &body[start.max(split) - split..end.max(split) - split];
                self.memory
                    .write(area, tail + ALIGN + from_head.len() as u64, from_body);
            }
            self.tail += frame;
            ring.tail.0.store(self.tail, Release);
            *sent = end;
            if end == len {
                return true;
            }
        }
    }

    /// The next frame, if one is there: its flags and its length.
    pub(super) fn peek(&mut self) -> Result<Option<(u32, usize)>, Error> {
        if self.head == self.seen {
            self.seen = self.memory.header().rings[1 - self.out]
                .tail
                .0
                .load(Acquire);
            if self.head == self.seen {
                return Ok(None);
            }
        }
        let there = self.seen.wrapping_sub(self.head);
        // SAFETY: between head and tail nobody writes.
        let title = unsafe { self.memory.read_u64(AREAS[1 - self.out], self.head) };
        let len = title & u64::from(u32::MAX);
        if there > SIZE || ALIGN + len.next_multiple_of(ALIGN) > there {
            return Err(Error::Corrupt(
                "channel: not what the other end writes".into(),
            ));
        }
        Ok(Some(((title >> 32) as u32, len as usize)))
    }

    /// Appends the frame of `len` bytes that was peeked at.
    pub(super) fn take(&mut self, len: usize, buffer: &mut Vec<u8>) {
        let (area, len) = (AREAS[1 - self.out], len as u64);
        // SAFETY: between head and tail nobody writes; `peek` saw the length.
        unsafe { self.memory.read(area, self.head + ALIGN, len, buffer) };
        self.head += ALIGN + len.next_multiple_of(ALIGN);
        self.memory.header().rings[1 - self.out]
            .head
            .0
            .store(self.head, Release);
    }

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.head
            == self.memory.header().rings[1 - self.out]
                .tail
                .0
                .load(Acquire)
    }

    /// Whether the other end has read all that was sent.
    pub(super) fn is_read(&self) -> bool {
        self.tail == self.memory.header().rings[self.out].head.0.load(Acquire)
    }

    // The pool's end.

    /// How many tasks have been claimed.
    pub(super) fn claimed(&self) -> u64 {
        self.flags().claimed.load(Acquire)
    }

    /// Claims the tasks up to `end` that the worker has not, to give them to
    /// another one; returns the first of them.
    pub(super) fn reclaim(&self, end: u64) -> u64 {
        let claimed = &self.flags().claimed;
        claimed.fetch_max(end, SeqCst).min(end)
    }

    /// Wakes the worker if it sleeps.
    pub(super) fn wake_worker(&self) {
        fence(SeqCst);
        let asleep = &self.flags().worker_asleep;
        if asleep.load(Relaxed) == 1 && asleep.swap(0, SeqCst) == 1 {
            futex_wake(asleep);
        }
    }

    /// Asks to be told of results, or not to be; tells whether none is there.
    pub(super) fn set_pool_asleep(&self, asleep: bool) -> bool {
        self.flags().pool_asleep.store(u32::from(asleep), SeqCst);
        fence(SeqCst);
        self.is_empty()
    }

    /// Tells the worker to end when it has done its tasks.
    pub(super) fn stop(&self) {
        self.flags().stopped.store(1, Release);
        self.wake_worker();
    }

    // The worker's end.

    /// Claims a task; not if the pool has taken it back.
    pub(super) fn claim(&self, task: u64) -> bool {
        self.flags()
            .claimed
            .compare_exchange(task, task + 1, SeqCst, Relaxed)
            .is_ok()
    }

    /// Whether the pool is to be told of what has been sent.
    pub(super) fn pool_asleep(&self) -> bool {
        fence(SeqCst);
        let asleep = &self.flags().pool_asleep;
        asleep.load(Relaxed) == 1 && asleep.swap(0, SeqCst) == 1
    }

    /// Whether the worker should end.
    pub(super) fn is_stopped(&self) -> bool {
        self.flags().stopped.load(Acquire) == 1
    }

    /// Whether what the worker waits for, a task or room for a result, is there.
    pub(super) fn has(&self, awaited: Awaited) -> bool {
        match awaited {
            Awaited::Task => !self.is_empty() || self.is_stopped(),
            Awaited::Room => {
                self.memory.header().rings[self.out].head.0.load(Acquire) != self.freed
            }
        }
    }

    /// Sleeps until the pool does something, unless what is awaited is there.
    pub(super) fn sleep(&self, awaited: Awaited) {
        let asleep = &self.flags().worker_asleep;
        asleep.store(1, SeqCst);
        fence(SeqCst);
        if !self.has(awaited) {
            futex_wait(asleep, 1, None);
        }
        asleep.store(0, Relaxed);
    }
}

/// What a worker waits for.
#[derive(Clone, Copy)]
pub(super) enum Awaited {
    Task,
    Room,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
