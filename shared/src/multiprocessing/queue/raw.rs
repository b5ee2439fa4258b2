//! The state of a queue in shared memory: its two sides, their locks, how they
//! publish what they do, and how they wait for each other.
//!
//! `transfer.rs`, above, puts and gets items; `capacity.rs`, in between, makes the
//! ring larger and smaller. Below are the bytes of the ring
//! ([`ring`](crate::multiprocessing::ring)), the robust mutexes and the futexes.
//! This page explains all of them.
//!
//! A *side* is all producers of a queue or all its consumers. It *advances* when one
//! of them publishes that it has put or got an item. *Live* bytes of the ring are
//! those of items that have been put and not got.
//!
//! # Layout
//!
//! ```text
//! byte 0    magic    "shmqueue"
//!
//! byte 128  producers                            | line 1: used by producers
//!             lock          robust mutex         |
//!             waiters       futex of consumers   |
//!             cached_other  copy of the head     |
//!             count         items put            | line 2: read by consumers
//!             positions[2]  bytes put: the tail  |
//!
//! byte 256  consumers                            | the same, the other way round:
//!             lock, waiters, cached_other        | futex of producers,
//!             count, positions[2]                | items got, bytes got: the head
//!
//! byte 384  capacity, maxsize, written,
//!           drain_tail, drain_start, released,
//!           room: wanted_head, wakes, wait_head, wait_tail
//!
//! byte 512  the ring: `capacity` bytes
//!
//!             |  free  | frame | frame | frame |      free      |
//!                      ^ head                  ^ tail
//!                        (positions modulo `capacity`)
//!
//!           a frame: length of the item (8 bytes), item, padding to 8 bytes
//! ```
//!
//! # Which lock guards which field
//!
//! - The lock of a side guards the fields of that side. `count` and `positions` are
//!   written under it, but read by anybody.
//! - Both locks guard `capacity`: it is written under both, and read under either.
//! - No lock guards `maxsize`, which is set before the queue is sent.
//! - The consumers' lock guards `drain_tail`, `drain_start` and `released`.
//! - The producers' lock guards `written`, `wait_head` and `wait_tail`.
//! - No lock guards `wanted_head` and `wakes`, which are hints: `capacity.rs` says
//!   what a wrong value does.
//! - In the ring, the bytes from the head to the tail are read under the
//!   consumers' lock and written by nobody; all others are written under the
//!   producers' lock and read by nobody.
//!
//! A thread that takes both locks takes the producers' one first. A consumer
//! that needs both only tries to take the producers' one.
//!
//! # Publication
//!
//! Invariant: `count` and `positions[count % 2]` always belong together, and are as
//! after a whole number of items.
//!
//! The steps of `put` and `get`, and what a death after each of them leaves:
//!
//! 1. It takes the lock of its side. The next owner gets the lock, and finds
//!    nothing changed.
//! 2. `put` makes the ring larger, if necessary: see `capacity.rs`.
//! 3. `put` writes the frame behind the tail, and `get` copies the item. The next
//!    `put` overwrites the frame; the next `get` gets the item.
//! 4. It wakes waiters, as described below. They find no change and sleep again.
//! 5. It stores its new position in the slot that `count` does not select. Nobody
//!    reads that slot, so nothing has changed for the others.
//! 6. It adds 1 to `count`, which publishes both. The item of a `put` is in the queue
//!    from here on. That of a `get` is not any more, and is lost with the process.
//! 7. `get` returns memory to the system, if there is much: see `capacity.rs`.
//! 8. It releases the lock. The call is complete.
//!
//! Nothing ever needs a repair, so this module ignores that the last owner of a
//! lock has died, and a process that is stopped at any step leaves a state that
//! the others can read. The position has two slots for that reason: with one, a
//! death between the stores of position and count would need a repair.
//!
//! `a_killed_put_is_whole_or_absent` and `a_killed_get_loses_its_own_item_at_most`
//! in `tests/multiprocessing/kill_points.rs` kill a process before and after each
//! store, and `no_call_waits_long_for_a_stopped_*` stop it there. The tests
//! `a_producer_killed_at_any_step_*` and `a_consumer_killed_at_any_step_*` in
//! `tests/memory_model/queue.rs` kill it in each order of the steps that has at
//! most two preemptions (a preemption takes the CPU from a thread that could have
//! gone on), with each value that the memory model lets a load return.
//!
//! # Wake-up
//!
//! A consumer of an empty queue waits for the producers' side to advance, and a
//! producer of a full queue for the consumers' side. To do so, it takes the lock of
//! *that* side, not of its own. `waiters` of the side that has to advance is 0 if no
//! thread waits, 1 if one does, and 2 while they are being woken.
//!
//! Invariant: a thread sleeps only if it has stored 1 under the lock of the side
//! that has to advance, after it saw there that it has to wait; so the next
//! advance of that side, which holds the same lock, finds `waiters` not 0 and wakes
//! all that sleep.
//!
//! The steps of a thread that has to wait, and what its death after each leaves:
//!
//! 1. It spins for a moment, without a lock. Its death leaves nothing.
//! 2. It takes the lock of the side that has to advance, and checks again. The
//!    next owner gets the lock.
//! 3. It stores 1 in `waiters`. The next advance makes a system call in vain.
//! 4. It releases the lock. The same as after step 3.
//! 5. It sleeps while `waiters` is 1. The same as after step 3. An advance wakes all
//!    that sleep, so no other thread depends on this one.
//! 6. It starts its call anew.
//!
//! The steps of a thread that advances, with the lock of its side, and what its death
//! after each leaves:
//!
//! 1. It reads `waiters`, and goes to step 5 if that is 0.
//! 2. It stores 2, because a thread between steps 4 and 5 above must not fall asleep
//!    any more. The 2 makes the next advance wake again, if this thread dies now;
//!    a 0 would let the sleepers sleep for ever.
//! 3. It wakes all. They find nothing, block on the lock, get it from the dead
//!    owner, find nothing again, store 1 and sleep.
//! 4. It stores 0. The same as after step 3.
//! 5. It publishes, and releases the lock. The threads that were woken find what they
//!    wait for.
//!
//! Waking comes before publishing. In the other order, a process that dies in
//! between leaves an item in the queue and a consumer asleep. A thread that is
//! woken early cannot miss the publication, because before it sleeps again, it
//! waits in step 2 for the lock, which is held until then.
//!
//! `a_put_killed_as_it_wakes_a_consumer_strands_no_consumer`,
//! `a_put_killed_after_waiting_for_room_strands_no_producer` and their
//! counterparts for `get` are in `kill_points.rs`;
//! `killing_a_blocked_consumer_loses_no_item` and
//! `killing_a_blocked_producer_loses_no_item` in `tests/multiprocessing/queue.rs`.
//! `tests/memory_model/queue.rs` tests the orders of the steps.
//!
//! # Adding a field
//!
//! A process can be killed between any two stores, and no code of its own runs
//! afterwards. So the shared state has to be valid after each store:
//!
//! 1. A field is an atomic or a mutex and starts as zero, or is set in
//!    [`RawQueue::new`] before the queue is sent.
//! 2. One lock guards it, and the list above says which one. A field without a
//!    lock may only be changed by one read-modify-write operation.
//! 3. Fields that change together are published by one store, as `count`
//!    publishes `positions`: the new values go where nobody looks yet, and the
//!    last store makes readers look there.
//! 4. What follows from other fields is not stored. (The number of items is the
//!    difference of the counts.)
//! 5. A thread that sleeps until the field changes is woken before the change is
//!    published, under the lock under which it decided to sleep.
//! 6. `kill_points.rs` and `tests/memory_model` get a case for each operation.
//!
//! Example: `task_done` and `join` of a `JoinableQueue`. `join` waits until as
//! many items are done as were put. That number would be a third [`Side`], `done`,
//! whose `count` is the number of items done: `task_done` takes its lock, wakes
//! waiters and advances; `join` calls `wait_while` with that lock until the count
//! reaches that of the producers. A count of unfinished items instead would be
//! written by both `put` and `task_done`, under two locks (against rules 2 and
//! 4), and a producer that dies between `count` and it would leave it wrong.

use std::cell::UnsafeCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use crate::multiprocessing::error::Error;
use crate::multiprocessing::memory::{AtomicU32, AtomicU64, Header, Kind, SharedMemory};
use crate::multiprocessing::mutex::Mutex;
use crate::multiprocessing::ring::{RingBytes, RingMap};
use crate::multiprocessing::wait::{deadline, futex_wait, futex_wake, is_past, spin};

/// The capacity of a new queue. Every process maps that much together with the
/// header.
const INITIAL_CAPACITY: usize = 1 << 16;

/// The least capacity of a new queue where RLIMIT_FSIZE does not permit
/// [`INITIAL_CAPACITY`]. With the header it fits in a page.
const MIN_CAPACITY: usize = 1 << 11;

/// How long `try_put` and `try_get` wait for a lock, although they do not wait for
/// room or for an item. An owner holds it for longer only if the system does not let
/// it run, for example because it was stopped.
const TRY_TIMEOUT: Duration = Duration::from_millis(100);

/// What a call does if it cannot proceed: fail, or wait until a deadline.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    Never,
    Until(Option<Instant>),
}

impl Wait {
    /// The error of a call that could not proceed in time; `at_once` if it does
    /// not wait.
    pub(super) fn error(self, at_once: Error) -> Error {
        match self {
            Wait::Never => at_once,
            Wait::Until(_) => Error::Timeout,
        }
    }
}

#[repr(C)]
pub(super) struct QueueHeader {
    pub(super) producers: Side,
    pub(super) consumers: Side,
    /// The size of the ring, a power of two.
    pub(super) capacity: AtomicU64,
    /// The most items that the queue may hold; 0 means no limit.
    maxsize: AtomicU64,
    /// The ring from this offset on has not been written since its memory was
    /// allocated or released.
    pub(super) written: AtomicU64,
    /// How far a backlog has been drained: the tail at the last check, and the head
    /// at the first check that found this tail. Between that head and the present
    /// one, items were got and none was put.
    pub(super) drain_tail: AtomicU64,
    pub(super) drain_start: AtomicU64,
    /// Up to which position the memory of items that were got has been released. It is
    /// 0 for a ring whose capacity has changed since.
    pub(super) released: AtomicU64,
    pub(super) room: Room,
}

/// How a producer waits for room before it makes the ring larger: see `capacity.rs`.
#[repr(C)]
pub(super) struct Room {
    /// The head for which it waits, or 0 if none waits.
    pub(super) wanted_head: AtomicU64,
    /// The futex on which it sleeps: how many times it was woken.
    pub(super) wakes: AtomicU32,
    /// Head and tail when a producer last began to wait.
    pub(super) wait_head: AtomicU64,
    pub(super) wait_tail: AtomicU64,
}

// SAFETY: zeroes are a valid value; all fields are mutexes and atomics.
unsafe impl Header for QueueHeader {}

/// The producers or the consumers. Aligned to 128 bytes because CPUs fetch cache
/// lines in pairs. What the other side reads, `count` and `positions`, is in the
/// second line, so that reading it does not take the line of the lock away.
#[repr(C, align(128))]
pub(super) struct Side {
    pub(super) lock: Mutex,
    /// The futex on which the OTHER side waits for this one to advance. The
    /// module documentation explains its values 0, 1 and 2.
    waiters: AtomicU32,
    /// A copy of the other side's position. The real one is read again only
    /// when the copy does not suffice, because that is a cache miss.
    pub(super) cached_other: AtomicU64,
    /// How many items this side has ever put or got.
    count: AtomicU64,
    /// How many bytes this side has ever put or got: one slot for even counts
    /// and one for odd counts.
    positions: [AtomicU64; 2],
}

impl Side {
    /// The position, read without a lock. The loop repeats only when the side
    /// has advanced meanwhile.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        loop {
            let count = self.count.load(Acquire);
            let position = self.positions[count as usize & 1].load(Acquire);
            // The slot may be newer than `count` if the side has advanced twice.
            // Then the Acquire of the slot makes a newer count visible here.
            if self.count.load(Relaxed) == count {
                return position;
            }
        }
    }

    /// The position, read under the lock of this side.
    #[inline]
    pub(super) fn own_position(&self) -> u64 {
        let count = self.count.load(Relaxed);
        self.positions[count as usize & 1].load(Relaxed)
    }
}

/// This process's mapping of the ring for one side.
#[derive(Default)]
struct SideMap(UnsafeCell<RingMap>);

// SAFETY: only a `SideGuard` uses it, and as long as one exists, its thread
// holds the lock of the side.
unsafe impl Sync for SideMap {}

/// The guard of a side's lock.
pub(super) struct SideGuard<'a> {
    side: &'a Side,
    map: &'a SideMap,
    memory: &'a SharedMemory<QueueHeader>,
}

impl Drop for SideGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: a guard is made only by a thread that has just taken the lock,
        // and is dropped by that thread.
        unsafe { self.side.lock.unlock() }
    }
}

impl SideGuard<'_> {
    /// The ring of this capacity, in this side's mapping.
    #[inline]
    pub(super) fn ring(&mut self, capacity: u64) -> Result<RingBytes<'_>, Error> {
        // SAFETY: this thread holds the lock, so this is the only guard of the
        // side in this process. A queue has one memory.
        unsafe { (*self.map.0.get()).ring(self.memory, capacity) }
    }

    /// Wakes all threads that wait for this side to advance. Called before
    /// [`advance`](Self::advance); the module documentation says why.
    pub(super) fn wake_waiters(&self) {
        if self.side.waiters.load(Relaxed) != 0 {
            self.side.waiters.store(2, Relaxed);
            futex_wake(&self.side.waiters);
            self.side.waiters.store(0, Relaxed);
        }
    }

    /// Publishes that this side has put or got an item and is at `position` now.
    #[inline]
    pub(super) fn advance(&self, position: u64) {
        let next = self.side.count.load(Relaxed) + 1;
        self.side.positions[next as usize & 1].store(position, Release);
        self.side.count.store(next, Release);
    }
}

/// A queue of byte strings in shared memory, as one process has it.
pub(super) struct RawQueue {
    pub(super) memory: SharedMemory<QueueHeader>,
    /// Each side has its own mapping of the ring, because the two sides learn
    /// of a new capacity at different times.
    producers_map: SideMap,
    consumers_map: SideMap,
}

impl RawQueue {
    pub(super) fn new(maxsize: u64) -> Result<Self, Error> {
        let memory = SharedMemory::growable(Kind::Queue, INITIAL_CAPACITY, MIN_CAPACITY)?;
        let queue = Self::over(memory);
        let header = queue.header();
        // SAFETY: the memory is new, and nobody else has it.
        unsafe {
            header.producers.lock.init()?;
            header.consumers.lock.init()?;
        }
        header.capacity.store(queue.memory.len() as u64, Relaxed);
        header.maxsize.store(maxsize, Relaxed);
        Ok(queue)
    }

    /// Opens the queue of another process.
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        let memory = SharedMemory::open_growable(Kind::Queue, fd, INITIAL_CAPACITY)?;
        Ok(Self::over(memory))
    }

    fn over(memory: SharedMemory<QueueHeader>) -> Self {
        RawQueue {
            memory,
            producers_map: SideMap::default(),
            consumers_map: SideMap::default(),
        }
    }

    #[inline]
    pub(super) fn header(&self) -> &QueueHeader {
        self.memory.header()
    }

    /// Waits while `blocked` returns true, or until the deadline. `lock_other`
    /// takes the lock of the side that has to advance. May return early.
    pub(super) fn wait_while<'a>(
        &'a self,
        blocked: impl Fn() -> bool,
        lock_other: impl Fn(&'a Self, Wait) -> Option<SideGuard<'a>>,
        deadline: Option<Instant>,
    ) -> Result<(), Error> {
        if spin(|| !blocked()) {
            return Ok(());
        }
        if is_past(deadline) {
            return Err(Error::Timeout);
        }
        let guard = lock_other(self, Wait::Until(deadline)).ok_or(Error::Timeout)?;
        if !blocked() {
            return Ok(());
        }
        let waiters = &guard.side.waiters;
        waiters.store(1, Relaxed);
        drop(guard);
        futex_wait(waiters, 1, deadline);
        Ok(())
    }

    /// Takes the producers' lock, if that is possible in time.
    pub(super) fn lock_producers(&self, wait: Wait) -> Option<SideGuard<'_>> {
        self.lock(&self.header().producers, &self.producers_map, wait)
    }

    /// Takes the consumers' lock, if that is possible in time.
    pub(super) fn lock_consumers(&self, wait: Wait) -> Option<SideGuard<'_>> {
        self.lock(&self.header().consumers, &self.consumers_map, wait)
    }

    #[inline]
    fn lock<'a>(&'a self, side: &'a Side, map: &'a SideMap, wait: Wait) -> Option<SideGuard<'a>> {
        let is_locked = match wait {
            Wait::Until(None) => {
                side.lock.lock();
                true
            }
            Wait::Until(deadline) => side.lock.lock_until(deadline),
            Wait::Never => side.lock.try_lock() || side.lock.lock_until(deadline(TRY_TIMEOUT)),
        };
        is_locked.then(|| self.guard(side, map))
    }

    /// Takes the producers' lock if it is free at this moment.
    pub(super) fn try_lock_producers(&self) -> Option<SideGuard<'_>> {
        let side = &self.header().producers;
        let is_locked = side.lock.try_lock();
        is_locked.then(|| self.guard(side, &self.producers_map))
    }

    /// The guard of a lock that this thread has just taken.
    fn guard<'a>(&'a self, side: &'a Side, map: &'a SideMap) -> SideGuard<'a> {
        SideGuard {
            side,
            map,
            memory: &self.memory,
        }
    }

    /// How many items there are. Exact without a lock.
    pub(super) fn len(&self) -> u64 {
        let QueueHeader {
            producers,
            consumers,
            ..
        } = self.header();
        loop {
            let got = consumers.count.load(Acquire);
            let put = producers.count.load(Acquire);
            // Both counts belong to one moment only if the first has not
            // changed. Otherwise items that were put and got in between would be
            // counted as still there.
            if consumers.count.load(Relaxed) == got {
                return put.saturating_sub(got);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        let header = self.header();
        let got = header.consumers.count.load(Acquire);
        header.producers.count.load(Acquire) == got
    }

    /// Returns whether there are `maxsize` items. Exact under the lock of either
    /// side.
    ///
    /// The consumers' count is read even if there is no limit, because a
    /// producer that never reads it runs so far ahead that its items have left
    /// the caches when they are got, which makes the two together slower.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        let QueueHeader {
            producers,
            consumers,
            maxsize,
            ..
        } = self.header();
        let got = consumers.count.load(Acquire);
        let maxsize = maxsize.load(Relaxed);
        maxsize > 0 && producers.count.load(Relaxed).saturating_sub(got) >= maxsize
    }
}

impl AsFd for RawQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}
