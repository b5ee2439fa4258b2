//! The shared memory between a pool and one of its workers: tasks go one way,
//! results the other.
//!
//! [`handle`](super::handle) uses the pool's end and [`worker`](super::worker)
//! the worker's end. Below stand the parent module's `ring` and `memory`.
//!
//! # Layout
//!
//! ```text
//! ┌──────────────────────────────────────────┐
//! │ kind of the memory                       │
//! │ rings[0]: tail, head        of the tasks │  the pool writes, the worker reads
//! │ rings[1]: tail, head      of the results │  the worker writes, the pool reads
//! │ claimed, worker_asleep,                  │
//! │ pool_asleep, exit_requested              │
//! ├──────────────────────────────────────────┤
//! │ 128 KiB of frames: tasks                 │
//! ├──────────────────────────────────────────┤
//! │ 128 KiB of frames: results               │
//! └──────────────────────────────────────────┘
//!
//! A frame: │ length (4 bytes) │ flags (4) │ body │ padding to 8 bytes │
//! ```
//!
//! A message is a run of tasks, a result or a failure. One that is longer than
//! [`MAX_BODY`] has several frames, so its size is not limited by the ring; then it is
//! a single task.
//! `tail` counts the bytes ever written to a ring and `head` the bytes ever
//! read; modulo the size of the ring they are offsets. The writer stores `tail`
//! after the bytes of a frame, and the reader stores `head` after it has copied
//! them, so neither ever sees a part of a frame.
//!
//! # Why this is not a `Queue`
//!
//! A [`Queue`](crate::multiprocessing::Queue) has any number of producers and
//! consumers, so it needs robust locks and a ring that can grow. Each ring
//! here has one writer and one reader: it needs no lock, and a death leaves
//! nothing to repair. Each worker has its own channel, so a worker that dies or
//! is stopped affects only its own tasks, the pool knows which these are, and
//! it can take back those that the worker has not begun.
//!
//! # Claiming a task
//!
//! The tasks of a channel, not the messages, are numbered from 0 in the order in
//! which they are sent. `claimed` decides which side has a task: a worker claims the
//! tasks it runs one by one, and the pool claims all those it takes back at once, for
//! another worker.
//!
//! Invariant: `claimed` only grows, and a task belongs to the side whose atomic
//! operation moved `claimed` past its number.
//!
//! A worker's steps with task `n`, and what its death after each of them leaves:
//!
//! 1. It reads the message with the task from the ring. `claimed` is `n` or less, so
//!    the pool gives `n` and all later tasks to other workers
//!    (`a_worker_killed_while_idle_fails_no_task`).
//! 2. It claims the task, or skips it if the pool has taken it back. `claimed` is
//!    `n + 1`, so `n` fails with an error that says how the worker ended, and the
//!    pool gives all later tasks to other workers
//!    (`a_task_killed_by_sigkill_fails_alone`).
//! 3. It runs the task. The same as after step 2
//!    (`all_workers_killed_at_once_are_replaced`).
//! 4. It writes the result. The pool reads results before it looks at `claimed`, so
//!    `n` succeeds. A result written in part is dropped, and `n` fails.
//! 5. It wakes the pool. The same as after step 4.
//!
//! Two models of this file in `tests/memory_model` try the orders in which the two
//! sides can take their steps, with up to two preemptions. In
//! `a_worker_killed_at_any_step_loses_at_most_one_task` the worker dies at each step,
//! and `a_task_taken_back_is_not_run_by_the_worker` shows that a task never belongs
//! to both sides. `tests/stress` kills real workers at random.
//!
//! # Going to sleep and waking up
//!
//! Invariant: a side that sleeps has set its flag and then found nothing to do;
//! the other side stores its message and then looks at the flag.
//!
//! 1. The sleeper sets `worker_asleep` or `pool_asleep`.
//! 2. It executes a sequentially consistent fence.
//! 3. It looks once more for work, and sleeps only if there is none.
//!
//! The writer stores `tail` (or `head`, if the sleeper waits for room), executes
//! such a fence, and only then reads the flag. Because of the two fences at
//! least one of the two sees the other's store, so no wake-up is lost. The
//! writer clears the flag when it wakes the sleeper, so that the messages that
//! follow cost no system call. The pool may look at the flag once after several
//! tasks, because [`dispatch`](super::dispatch::dispatch) ends with such a look at
//! every worker.
//!
//! A worker sleeps on the futex `worker_asleep`. The pool waits for all its
//! workers at once, so it sleeps on one [`alarm`](super::alarm), and `pool_asleep` in
//! a channel says only when that should be raised: for each result if the manager
//! sleeps, and when the worker has nothing else to do if a thread naps (see
//! [`inner`](super::inner)). If a worker dies before it has raised the alarm, the
//! [`watcher`](super::watcher) raises it.
//!
//! A worker uses its mapping of this memory, and not the descriptor, because a
//! task may close all descriptors and open files that get their numbers.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};

use crate::multiprocessing::allocation::reserve;
use crate::multiprocessing::error::Error;
use crate::multiprocessing::memory::{AtomicU32, AtomicU64, Header, Kind, SharedMemory, fence};
use crate::multiprocessing::ring::{FRAME_HEADER, RingArea, frame_size};
use crate::multiprocessing::wait::{futex_wait, futex_wake};

/// The size of a ring in bytes.
pub(super) const RING_SIZE: u64 = 1 << 17;

/// The longest body of a frame in bytes.
pub(super) const MAX_BODY: usize = 1 << 15;

#[repr(C)]
struct ChannelHeader {
    /// The ring of the tasks, and that of the results.
    rings: [Indices; 2],
    flags: Flags,
}

// SAFETY: zeroes are a valid value, and every field is an atomic.
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
    /// How many tasks have been claimed, by the worker or by the pool.
    claimed: AtomicU64,
    /// The futex on which the worker sleeps: 1 while it does, or is about to.
    worker_asleep: AtomicU32,
    /// The [`PoolSleep`].
    pool_asleep: AtomicU32,
    /// 1 if the worker should exit after its last task.
    exit_requested: AtomicU32,
}

/// What the header of a frame says.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The length of the body in bytes.
    pub(super) len: usize,
    /// The message continues in the next frame.
    pub(super) continues: bool,
    /// The message is a failure, not a task or a result.
    pub(super) is_failure: bool,
}

impl Frame {
    const CONTINUES: u64 = 1 << 32;
    const IS_FAILURE: u64 = 1 << 33;

    fn from_bits(bits: u64) -> Self {
        Frame {
            len: bits as u32 as usize,
            continues: bits & Self::CONTINUES != 0,
            is_failure: bits & Self::IS_FAILURE != 0,
        }
    }

    fn bits(self) -> u64 {
        self.len as u64
            | if self.continues { Self::CONTINUES } else { 0 }
            | if self.is_failure { Self::IS_FAILURE } else { 0 }
    }

    /// How many bytes of the ring the frame takes.
    pub(super) fn size(self) -> u64 {
        frame_size(self.len as u64)
    }
}

/// One end of the channel. It keeps its own copies of the indices, so nothing
/// that the other end writes can make it read or write outside the rings.
pub(super) struct Channel {
    memory: SharedMemory<ChannelHeader>,
    /// The index of the ring that this end writes; it reads the other one.
    out: usize,
    tail: u64,
    /// The `head` of the ring that this end writes, as last read. It is read
    /// again only when it leaves no room, which saves cache misses.
    cached_head: u64,
    head: u64,
    /// The `tail` of the ring that this end reads, as last read.
    cached_tail: u64,
}

/// Where a ring stands in the memory.
fn area(ring: usize) -> RingArea {
    RingArea {
        start: ring * RING_SIZE as usize,
        capacity: RING_SIZE,
    }
}

impl Channel {
    /// Makes a channel, and returns the pool's end of it.
    pub(super) fn new() -> Result<Self, Error> {
        let memory = SharedMemory::new(Kind::Channel, 2 * RING_SIZE as usize)?;
        Ok(Self::end(memory, 0))
    }

    /// The worker's end.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        Ok(Self::end(SharedMemory::open(Kind::Channel, fd)?, 1))
    }

    fn end(memory: SharedMemory<ChannelHeader>, out: usize) -> Self {
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

    fn outgoing(&self) -> &Indices {
        &self.memory.header().rings[self.out]
    }

    fn incoming(&self) -> &Indices {
        &self.memory.header().rings[1 - self.out]
    }

    /// Sends the message that consists of `header` and `body`, from its byte
    /// `sent` on, as far as there is room. Returns whether all of it is sent.
    ///
    /// It looks for new room only once, because the pool holds a lock meanwhile:
    /// a reader that is as fast as this writer would keep it in here.
    pub(super) fn send(
        &mut self,
        header: &[u8],
        body: &[u8],
        is_failure: bool,
        sent: &mut usize,
    ) -> bool {
        let len = header.len() + body.len();
        let mut looked = false;
        loop {
            let start = *sent;
            let end = len.min(start + MAX_BODY);
            let frame = Frame {
                len: end - start,
                continues: end < len,
                is_failure,
            };
            if !self.has_room_for(frame) {
                if !looked {
                    looked = true;
                    self.cached_head = self.outgoing().head.0.load(Acquire).min(self.tail);
                }
                if !self.has_room_for(frame) {
                    return false;
                }
            }
            let (ring, tail) = (area(self.out).of(&self.memory), self.tail);
            let split = header.len();
            let from_header = &header[start.min(split)..end.min(split)];
            let from_body = &body[start.max(split) - split..end.max(split) - split];
            let body_start = tail + FRAME_HEADER;
            // SAFETY: the other end has read this part of the ring, and nothing
            // else writes to it.
            unsafe {
                ring.write(tail, &frame.bits().to_ne_bytes());
                ring.write(body_start, from_header);
                ring.write(body_start + from_header.len() as u64, from_body);
            }
            self.tail += frame.size();
            self.outgoing().tail.0.store(self.tail, Release);
            *sent = end;
            if end == len {
                return true;
            }
        }
    }

    fn has_room_for(&self, frame: Frame) -> bool {
        self.tail + frame.size() <= self.cached_head + RING_SIZE
    }

    /// The next frame, if there is one. It stays in the ring until
    /// [`read`](Self::read) removes it.
    pub(super) fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        if self.head == self.cached_tail {
            self.cached_tail = self.incoming().tail.0.load(Acquire);
            if self.head == self.cached_tail {
                return Ok(None);
            }
        }
        let written = self.cached_tail.wrapping_sub(self.head);
        // SAFETY: nothing writes between head and tail.
        let bits = unsafe { area(1 - self.out).of(&self.memory).read_u64(self.head) };
        let frame = Frame::from_bits(bits);
        if written > RING_SIZE || frame.size() > written {
            return Err(Error::Corrupt(
                "channel of a pool: a frame is longer than what was written".into(),
            ));
        }
        Ok(Some(frame))
    }

    /// Removes the frame that [`next_frame`](Self::next_frame) returned, and
    /// appends its body to `buffer`. Returns false if there is no memory for the
    /// body: it is lost then, but the next frame can be read.
    pub(super) fn read(&mut self, frame: Frame, buffer: &mut Vec<u8>) -> bool {
        let len = frame.len as u64;
        let fits = reserve(buffer, len);
        if fits {
            let ring = area(1 - self.out).of(&self.memory);
            // SAFETY: nothing writes between head and tail, and `next_frame`
            // has seen that the frame ends before the tail.
            unsafe { ring.read(self.head + FRAME_HEADER, len, buffer) };
        }
        self.head += frame.size();
        self.incoming().head.0.store(self.head, Release);
        fits
    }

    /// Whether there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.head == self.incoming().tail.0.load(Acquire)
    }

    /// How many bytes this end has sent.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.tail
    }

    /// How many bytes the other end has read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.outgoing().head.0.load(Acquire)
    }

    /// Whether the other end has read all that was sent.
    pub(super) fn is_all_read(&self) -> bool {
        self.tail == self.bytes_read()
    }
}

/// The pool's end.
impl Channel {
    /// How many tasks have been claimed.
    pub(super) fn claimed(&self) -> u64 {
        self.flags().claimed.load(Acquire)
    }

    /// Claims the tasks below `end` that the worker has not claimed, and returns
    /// the number of the first of them, or `end` if there is none.
    pub(super) fn claim_below(&self, end: u64) -> u64 {
        self.flags().claimed.fetch_max(end, SeqCst).min(end)
    }

    /// Wakes the worker if it sleeps.
    pub(super) fn wake_worker(&self) {
        fence(SeqCst);
        let asleep = &self.flags().worker_asleep;
        if asleep.load(Relaxed) == 1 && asleep.swap(0, SeqCst) == 1 {
            futex_wake(asleep);
        }
    }

    /// Sets how the pool sleeps. A pool that is about to sleep looks for results after
    /// this call.
    pub(super) fn set_pool_sleep(&self, sleep: PoolSleep) {
        self.flags().pool_asleep.store(sleep as u32, SeqCst);
        fence(SeqCst);
    }

    /// Asks the worker to exit when it has done its tasks.
    pub(super) fn request_exit(&self) {
        self.flags().exit_requested.store(1, Release);
        self.wake_worker();
    }
}

/// The worker's end.
impl Channel {
    /// Claims a task. Returns false if the pool has taken it back.
    pub(super) fn claim(&self, task: u64) -> bool {
        self.flags()
            .claimed
            .compare_exchange(task, task + 1, SeqCst, Relaxed)
            .is_ok()
    }

    /// How the pool sleeps that the worker has to wake for what it has sent.
    /// `is_idle` says that the worker has nothing else to do. A sleep is returned
    /// once.
    pub(super) fn pool_to_wake(&self, is_idle: bool) -> PoolSleep {
        fence(SeqCst);
        let asleep = &self.flags().pool_asleep;
        let sleep = PoolSleep::from_number(asleep.load(Relaxed));
        if sleep == PoolSleep::Awake || sleep == PoolSleep::Nap && !is_idle {
            return PoolSleep::Awake;
        }
        PoolSleep::from_number(asleep.swap(PoolSleep::Awake as u32, SeqCst))
    }

    /// Whether the pool asks the worker to exit.
    pub(super) fn is_exit_requested(&self) -> bool {
        self.flags().exit_requested.load(Acquire) == 1
    }

    /// Whether the worker need not wait for this any longer.
    pub(super) fn is_there(&self, wanted: WaitFor) -> bool {
        match wanted {
            WaitFor::Task => !self.is_empty() || self.is_exit_requested(),
            WaitFor::Room => self.bytes_read() != self.cached_head,
        }
    }

    /// Sleeps until the pool wakes the worker, unless what it waits for is
    /// there. It may also return early.
    pub(super) fn sleep(&self, wanted: WaitFor) {
        let asleep = &self.flags().worker_asleep;
        asleep.store(1, SeqCst);
        fence(SeqCst);
        if !self.is_there(wanted) {
            futex_wait(asleep, 1, None);
        }
        asleep.store(0, Relaxed);
    }
}

/// How a pool sleeps, which says when a worker wakes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PoolSleep {
    /// It does not sleep.
    Awake = 0,
    /// The manager sleeps, and is woken for a result.
    Sleep = 1,
    /// A thread that waits for results sleeps for a moment, and is woken when a worker
    /// has nothing else to do.
    Nap = 2,
}

impl PoolSleep {
    fn from_number(number: u32) -> Self {
        match number {
            0 => PoolSleep::Awake,
            1 => PoolSleep::Sleep,
            _ => PoolSleep::Nap,
        }
    }
}

/// What a worker waits for.
#[derive(Clone, Copy)]
pub(super) enum WaitFor {
    /// A task, or the request to exit.
    Task,
    /// Room in the ring for the rest of a result.
    Room,
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
