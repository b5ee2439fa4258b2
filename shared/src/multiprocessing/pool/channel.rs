//! What a pool and one of its workers share: two rings of frames, tasks one
//! way and results the other. Each has one writer and one reader, so it needs
//! no lock, and the death of a worker leaves nothing to repair.
//!
//! A pool has such a channel for each worker, so that a worker that dies or is
//! stopped concerns its own tasks alone. All its workers share one [`Alarm`],
//! which wakes the pool.
//!
//! A worker uses its mapping of this memory and no descriptor, because a task
//! may close all descriptors, and other files may then get their numbers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::time::Instant;

use crate::multiprocessing::error::Error;
use crate::multiprocessing::memory::{
    Area, AtomicU32, AtomicU64, Header, Kind, Memory, fence, futex_wait, futex_wake, reserve,
};

/// The size of a ring.
pub(super) const SIZE: u64 = 1 << 17;

/// The most bytes of a message in one frame. A longer message has several.
const FRAGMENT: usize = 1 << 15;

/// A frame is its length and flags, that many bytes, and padding to this size.
const ALIGN: u64 = 8;

/// The message goes on in the next frame.
pub(super) const MORE: u32 = 1;
/// The message is a failure, not a result.
pub(super) const FAILED: u32 = 2;

#[repr(C)]
struct ChannelHeader {
    /// The tasks' and the results' ring.
    rings: [Indices; 2],
    flags: Flags,
}

// SAFETY: zeroes are a valid value; all of it is atomics.
unsafe impl Header for ChannelHeader {}

/// How many bytes of a ring have ever been written (`tail`) and read (`head`).
#[repr(C)]
struct Indices {
    tail: Line<AtomicU64>,
    head: Line<AtomicU64>,
}

/// Keeps a field in cache lines of its own, two because CPUs prefetch them in
/// pairs.
#[repr(C, align(128))]
struct Line<T>(T);

#[repr(C, align(128))]
struct Flags {
    /// How many tasks have been claimed: by the worker, which does them, or by
    /// the pool, which gives them to another worker.
    claimed: AtomicU64,
    /// The futex on which the worker sleeps: 1 while it does, or is about to.
    worker_asleep: AtomicU32,
    /// 1 while the pool sleeps, or is about to, and a result should wake it.
    pool_asleep: AtomicU32,
    /// 1 when the worker should end.
    stopped: AtomicU32,
}

/// One end of the channel. It keeps copies of the indices, and so nothing that
/// the other end writes can make it read or write outside the rings.
pub(super) struct Channel {
    memory: Memory<ChannelHeader>,
    /// The ring that this end writes; it reads the other one.
    out: usize,
    tail: u64,
    /// A copy of the `head` of the ring that this end writes.
    cached_head: u64,
    head: u64,
    /// A copy of the `tail` of the ring that this end reads.
    cached_tail: u64,
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

    fn end(memory: Memory<ChannelHeader>, out: usize) -> Self {
        Channel {
            memory,
            out,
            tail: 0,
            cached_head: 0,
            head: 0,
            cached_tail: 0,
        }
    }

    fn flags(&self) -> &Flags {
        &self.memory.header().flags
    }

    /// Sends a message from its byte `sent` on, as far as there is room, and
    /// returns whether all of it is sent. It looks for new room only once, so
    /// that the call ends even if the other end reads as fast as this one
    /// writes: the pool holds a lock meanwhile.
    pub(super) fn send(&mut self, head: &[u8], body: &[u8], flags: u32, sent: &mut usize) -> bool {
        let len = head.len() + body.len();
        let ring = &self.memory.header().rings[self.out];
        let mut looked = false;
        loop {
            let start = *sent;
            let end = len.min(start + FRAGMENT);
            let frame = ALIGN + ((end - start) as u64).next_multiple_of(ALIGN);
            if self.tail + frame > self.cached_head + SIZE {
                if !looked {
                    looked = true;
                    self.cached_head = ring.head.0.load(Acquire).min(self.tail);
                }
                if self.tail + frame > self.cached_head + SIZE {
                    return false;
                }
            }
            let flags = if end < len { flags | MORE } else { flags };
            let frame_header = (u64::from(flags) << 32) | (end - start) as u64;
            let (area, tail) = (AREAS[self.out], self.tail);
            let split = head.len();
            // SAFETY: the other end has read this part of the ring, and nothing
            // else writes to it.
            unsafe {
                self.memory.write(area, tail, &frame_header.to_ne_bytes());
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

    /// The flags and the length of the next frame, if there is one.
    pub(super) fn peek(&mut self) -> Result<Option<(u32, usize)>, Error> {
        if self.head == self.cached_tail {
            self.cached_tail = self.memory.header().rings[1 - self.out]
                .tail
                .0
                .load(Acquire);
            if self.head == self.cached_tail {
                return Ok(None);
            }
        }
        let there = self.cached_tail.wrapping_sub(self.head);
        // SAFETY: nothing writes between head and tail.
        let frame_header = unsafe { self.memory.read_u64(AREAS[1 - self.out], self.head) };
        let len = frame_header & u64::from(u32::MAX);
        if there > SIZE || ALIGN + len.next_multiple_of(ALIGN) > there {
            return Err(Error::Corrupt(
                "channel: not what the other end writes".into(),
            ));
        }
        Ok(Some(((frame_header >> 32) as u32, len as usize)))
    }

    /// Removes the frame of `len` bytes that `peek` found, and appends it to
    /// `buffer`. Returns false if there is no memory for it: it is lost then,
    /// but the next message can be read.
    pub(super) fn take(&mut self, len: usize, buffer: &mut Vec<u8>) -> bool {
        let (area, len) = (AREAS[1 - self.out], len as u64);
        let fits = reserve(buffer, len);
        if fits {
            // SAFETY: nothing writes between head and tail, and `peek` saw that
            // the frame is there.
            unsafe { self.memory.read(area, self.head + ALIGN, len, buffer) };
        }
        self.head += ALIGN + len.next_multiple_of(ALIGN);
        self.memory.header().rings[1 - self.out]
            .head
            .0
            .store(self.head, Release);
        fits
    }

    /// Whether there is nothing to read.
    fn is_empty(&self) -> bool {
        self.head
            == self.memory.header().rings[1 - self.out]
                .tail
                .0
                .load(Acquire)
    }

    /// How many bytes the other end has read.
    pub(super) fn read(&self) -> u64 {
        self.memory.header().rings[self.out].head.0.load(Acquire)
    }

    /// Whether the other end has read all that was sent.
    pub(super) fn is_read(&self) -> bool {
        self.tail == self.read()
    }

    // The pool's end.

    /// How many tasks have been claimed.
    pub(super) fn claimed(&self) -> u64 {
        self.flags().claimed.load(Acquire)
    }

    /// Claims the tasks up to `end` that the worker has not claimed, so that
    /// another worker can have them; returns the number of the first.
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

    /// Says whether a result should wake the pool; returns whether there is
    /// none to read.
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

    /// Whether the pool has to be woken for what was sent. Once it has said so
    /// it says so again only when the pool has gone to sleep again.
    pub(super) fn pool_asleep(&self) -> bool {
        fence(SeqCst);
        let asleep = &self.flags().pool_asleep;
        asleep.load(Relaxed) == 1 && asleep.swap(0, SeqCst) == 1
    }

    /// Whether the worker should end.
    pub(super) fn is_stopped(&self) -> bool {
        self.flags().stopped.load(Acquire) == 1
    }

    /// Whether the worker has what it waits for.
    pub(super) fn has(&self, what: WaitFor) -> bool {
        match what {
            WaitFor::Task => !self.is_empty() || self.is_stopped(),
            WaitFor::Room => self.read() != self.cached_head,
        }
    }

    /// Sleeps until the pool wakes the worker, unless it has what it waits for.
    pub(super) fn sleep(&self, what: WaitFor) {
        let asleep = &self.flags().worker_asleep;
        asleep.store(1, SeqCst);
        fence(SeqCst);
        if !self.has(what) {
            futex_wait(asleep, 1, None);
        }
        asleep.store(0, Relaxed);
    }
}

/// What a worker waits for: a task, or room for its answer.
#[derive(Clone, Copy)]
pub(super) enum WaitFor {
    Task,
    Room,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// What wakes the pool: a counter in shared memory, on which it sleeps. It is
/// no eventfd, because a worker whose task has closed the descriptor could not
/// write to it, or would write into a file that has got its number.
pub(super) struct Alarm(Memory<AlarmHeader>);

#[repr(C)]
struct AlarmHeader {
    /// How many times it has been raised.
    count: AtomicU32,
}

// SAFETY: zeroes are a valid value; it is an atomic.
unsafe impl Header for AlarmHeader {}

impl Alarm {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(Alarm(Memory::new(Kind::Alarm, 0)?))
    }

    /// A worker's end of it.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Alarm(Memory::open(Kind::Alarm, fd)?))
    }

    /// How many times it has been raised. The pool reads this before it looks
    /// for what it may sleep on.
    pub(super) fn count(&self) -> u32 {
        self.0.header().count.load(SeqCst)
    }

    /// Wakes the pool.
    pub(super) fn raise(&self) {
        let count = &self.0.header().count;
        count.fetch_add(1, SeqCst);
        futex_wake(count);
    }

    /// Sleeps until it is raised, unless it has been since `count` was read, or
    /// until `deadline`. It may also return early.
    pub(super) fn wait(&self, count: u32, deadline: Option<Instant>) {
        futex_wait(&self.0.header().count, count, deadline);
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
