//! How the ring of a queue becomes larger and smaller, and how memory returns to
//! the system.
//!
//! # Fresh memory
//!
//! Memory that is written for the first time costs ten times as much as the copying
//! itself, because the system has to allocate its pages, and later to free them. So a
//! queue uses the same pages again and again, as long as somebody reads it:
//!
//! - A producer whose frame does not fit makes the ring larger: to the least power of
//!   two in which the live bytes and the frame fit. But from [`ENOUGH`] on it first
//!   waits for room, if anything was got since a producer last waited. It does not
//!   wait for longer than the fresh memory would cost: a nanosecond for each byte that
//!   was put since then. So a queue that nobody reads takes everything without a
//!   wait, and waiting at most doubles the time of a `put`.
//! - An item that has to go into fresh memory is written by a system call, which
//!   costs half as much as writing it through a mapping, with a page fault for each
//!   page. [`written`](super::raw::QueueHeader::written) is the offset where fresh
//!   memory begins. It is only a hint: a wrong one costs time, and nothing else.
//!
//! Memory is returned by two rules, because neither of them covers the case of the
//! other:
//!
//! - A ring larger than [`SHRINK_ABOVE`] that is nearly empty is made smaller, because
//!   traffic runs through all of a ring, and so keeps all its pages allocated. As long
//!   as that is not possible, because live bytes would have to be moved, pages that
//!   were read are released. With items that fill a large part of it, twice as large a
//!   ring is kept.
//! - While a backlog is drained, to which nobody adds, the pages that were read are
//!   released, and the ring is made smaller, down to [`ENOUGH`].
//!
//! Steady traffic triggers neither, because its pages would be allocated again at
//! once.
//!
//! # Waiting for room
//!
//! The steps of a producer, and what its death after each of them leaves:
//!
//! 1. Under its lock it stores `wanted_head`, at which it wants to be woken, and
//!    where it began to wait. A consumer that gets so far makes one system call in
//!    vain, and another producer waits in its place, or finds that nothing was got.
//! 2. It releases the lock and sleeps on `wakes`. The same as after step 1.
//! 3. It stores 0 in `wanted_head` and starts its call anew. Nothing is left.
//!
//! A consumer that has published its item and finds that `wanted_head` has been
//! reached stores 0 there, adds 1 to `wakes`, and wakes all that sleep on it. If it
//! dies before that, or misses a `wanted_head` that is being stored, the producer
//! sleeps until its time is over, or until the next item is got. No lock is held
//! meanwhile, because a consumer that found the queue empty may be waiting for the
//! producers' one.
//!
//! # Changing the capacity
//!
//! Invariant: the live bytes are in their places for the stored capacity.
//!
//! The steps, all with both locks, and what a death after each of them leaves:
//!
//! 1. To grow, the file is extended. A file that is too long harms nobody.
//! 2. To grow, the live bytes whose offset changes are copied to free space. The ring
//!    of the old capacity is still valid, and the copies are free space there. A ring
//!    is made smaller only when no live byte has to be moved.
//! 3. The new capacity is stored, which publishes the copies.
//! 4. After shrinking, the pages that are no longer live are released. Otherwise
//!    they stay allocated until they are written or released another time.
//!
//! In `tests/multiprocessing/kill_points.rs`,
//! `a_put_killed_as_it_grows_the_queue_loses_no_item` and
//! `a_get_killed_as_it_shrinks_the_queue_loses_no_other_item` kill a process
//! before and after each store; the two tests `a_*_in_a_large_ring_*` do so with the
//! steps of waiting for room.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::raw::{QueueHeader, RawQueue, Room, SideGuard, Wait};
use crate::multiprocessing::error::{Error, system};
use crate::multiprocessing::memory::PAGE_SIZE;
use crate::multiprocessing::ring::{RingBytes, release_pages};
use crate::multiprocessing::wait::{self, futex_wait, futex_wake, is_past};

/// Before a ring of this size or more is made larger, `put` may wait for room. With a
/// smaller one the two sides would wait for each other more often.
const ENOUGH: u64 = 1 << 22;

/// A ring larger than this is made smaller when it is nearly empty.
const SHRINK_ABOVE: u64 = 1 << 24;

/// A backlog is being drained when this many bytes have been got since the last
/// item was put, and at least two items.
const DRAIN_MIN: u64 = 1 << 22;

/// While a backlog is drained, pages are released each time that the head
/// passes a multiple of this: not at every item, because it is a system call.
const RELEASE_STEP: u64 = 1 << 20;

/// What [`RawQueue::reserve`] has done.
pub(super) enum Reserved {
    /// The frame fits, and this is the capacity.
    In(u64),
    /// The caller has to release its lock, wait, and begin anew.
    After(WaitForRoom),
}

/// How long to wait for room.
pub(super) struct WaitForRoom {
    /// The value of `wakes` when it began.
    seen: u32,
    until: Option<Instant>,
}

impl RawQueue {
    /// Ensures that a frame fits between the tail and the head, and returns the
    /// capacity. `guard` is the producers'.
    pub(super) fn reserve(
        &self,
        guard: &mut SideGuard<'_>,
        tail: u64,
        frame: u64,
        wait: Wait,
    ) -> Result<Reserved, Error> {
        let header = self.header();
        let (producers, consumers) = (&header.producers, &header.consumers);
        let mut capacity = header.capacity.load(Relaxed);
        if tail + frame <= producers.cached_other.load(Relaxed) + capacity {
            return Ok(Reserved::In(capacity));
        }
        let mut head = consumers.position();
        if tail + frame > head + capacity
            && let Some(wait) = self.begin_wait_for_room(capacity, head, tail, frame, wait)
        {
            return Ok(Reserved::After(wait));
        }
        if tail + frame > head + capacity {
            let _consumers = self
                .lock_consumers(wait)
                .ok_or_else(|| wait.error(Error::Full))?;
            head = consumers.position();
            let needed = (tail - head)
                .checked_add(frame)
                .and_then(u64::checked_next_power_of_two)
                .ok_or_else(|| system("mmap")(Errno::ENOMEM))?;
            if needed > capacity {
                self.memory.extend(needed)?;
                let ring = guard.ring(needed)?;
                self.grow(ring, head..tail, capacity, needed);
                capacity = needed;
            }
        }
        producers.cached_other.store(head, Relaxed);
        Ok(Reserved::In(capacity))
    }

    /// Begins to wait until a frame fits behind the tail, unless it is better to make
    /// the ring larger. Under the producers' lock.
    #[cold]
    fn begin_wait_for_room(
        &self,
        capacity: u64,
        head: u64,
        tail: u64,
        frame: u64,
        wait: Wait,
    ) -> Option<WaitForRoom> {
        let Wait::Until(deadline) = wait else {
            return None;
        };
        if capacity < ENOUGH || frame > capacity {
            return None;
        }
        let room = &self.header().room;
        let may_wait = if room.wanted_head.load(Relaxed) != 0 {
            // Another producer waits already.
            capacity
        } else if head == room.wait_head.load(Relaxed) {
            // No item was got since a producer waited.
            0
        } else {
            capacity.min(tail.saturating_sub(room.wait_tail.load(Relaxed)))
        };
        let until = wait::deadline(Duration::from_nanos(may_wait));
        let until = deadline.into_iter().chain(until).min();
        if may_wait == 0 || is_past(until) {
            return None;
        }
        // It is woken when many small items have been got.
        let wanted = tail.min((tail + frame - capacity).max(head + capacity / 4));
        room.wanted_head.store(wanted, Relaxed);
        room.wait_head.store(head, Relaxed);
        room.wait_tail.store(tail, Relaxed);
        Some(WaitForRoom {
            seen: room.wakes.load(Relaxed),
            until,
        })
    }

    /// Waits as [`reserve`](Self::reserve) has asked for, without a lock.
    #[cold]
    pub(super) fn wait_for_room(&self, wait: WaitForRoom) {
        let Room {
            wakes, wanted_head, ..
        } = &self.header().room;
        while wakes.load(Relaxed) == wait.seen && !is_past(wait.until) {
            futex_wait(wakes, wait.seen, wait.until);
        }
        wanted_head.store(0, Relaxed);
    }

    /// Wakes a producer that waits for room, if there is enough with the head here.
    /// Under the consumers' lock.
    #[inline]
    pub(super) fn wake_for_room(&self, head: u64) {
        let room = &self.header().room;
        let wanted = room.wanted_head.load(Relaxed);
        if wanted != 0 && wanted <= head {
            room.wanted_head.store(0, Relaxed);
            room.wakes.fetch_add(1, Relaxed);
            futex_wake(&room.wakes);
        }
    }

    /// Returns memory to the system, if one of the module's two rules applies, after
    /// the head has advanced from `before` to `head`. Under the consumers' lock.
    pub(super) fn release_memory(&self, before: u64, head: u64) {
        let producers = &self.header().producers;
        let capacity = self.header().capacity.load(Relaxed);
        let is_step = before / RELEASE_STEP != head / RELEASE_STEP;
        if capacity <= SHRINK_ABOVE && !is_step {
            return;
        }
        let tail = producers.position();
        let is_draining = is_step && self.is_draining(before, head, tail);
        let least = if is_draining {
            ENOUGH
        } else if head - before > capacity / 4 {
            // Another item of this size may follow.
            2 * SHRINK_ABOVE
        } else {
            SHRINK_ABOVE
        };
        let is_sparse = capacity > least && tail - head <= capacity / 4;
        let releases = is_draining || is_sparse && is_step;
        if !releases && shrunk(capacity, head..tail, least) == capacity {
            return;
        }
        // A consumer must not wait for the producers' lock, because a producer
        // that holds it may be waiting for the consumers' one in `reserve`. If
        // it is taken, the consumer of one of the next items tries again.
        let Some(_producers) = self.try_lock_producers() else {
            return;
        };
        let tail = producers.position();
        let smaller = shrunk(capacity, head..tail, least);
        let QueueHeader {
            released, written, ..
        } = self.header();
        if smaller < capacity {
            written.store(written.load(Relaxed).min(smaller), Relaxed);
            self.header().capacity.store(smaller, Relaxed);
            // SAFETY: nothing live is beyond the new capacity, and both locks are
            // held.
            unsafe { release_pages(&self.memory, capacity, smaller, capacity - smaller) };
            released.store(0, Relaxed);
        } else if !releases {
            return;
        }
        // What was got up to here has been released, apart from the page that was
        // got in part.
        let start = released.swap(head.saturating_sub(PAGE_SIZE), Relaxed);
        let start = start.max(tail.saturating_sub(smaller));
        // SAFETY: what has been got and not been overwritten is not live, and both
        // locks are held.
        unsafe { release_pages(&self.memory, smaller, start, head.saturating_sub(start)) };
    }

    /// Returns whether [`DRAIN_MIN`] bytes and two items have been got since the last
    /// item was put. It notices a new item only when it is called, once per
    /// [`RELEASE_STEP`]. Under the consumers' lock.
    fn is_draining(&self, before: u64, head: u64, tail: u64) -> bool {
        let header = self.header();
        if header.drain_tail.load(Relaxed) != tail {
            header.drain_tail.store(tail, Relaxed);
            header.drain_start.store(head, Relaxed);
        }
        head - header.drain_start.load(Relaxed) >= DRAIN_MIN.max(2 * (head - before))
    }

    /// Makes the ring larger; both locks are held. `ring` is mapped with the new
    /// capacity.
    ///
    /// The live bytes whose offset changes are first copied to free space. So
    /// the ring of the old capacity stays valid until the new capacity is
    /// stored, even if this process dies before.
    fn grow(&self, ring: RingBytes<'_>, live: Range<u64>, old: u64, new: u64) {
        let QueueHeader {
            capacity,
            written,
            released,
            ..
        } = self.header();
        let mut end_of_copies = 0;
        let mut start = live.start;
        while start < live.end {
            let end = live.end.min((start / old + 1) * old);
            let (from, to) = (start % old, start % new);
            if from != to {
                // SAFETY: both locks keep others out, and `to` is beyond the old
                // capacity.
                unsafe { ring.copy(from, to, end - start) };
                end_of_copies = to + end - start;
            }
            start = end;
        }
        written.store(written.load(Relaxed).max(end_of_copies), Relaxed);
        released.store(0, Relaxed);
        capacity.store(new, Relaxed);
    }
}

/// The capacity to which a ring should be made smaller. It is halved as long as the
/// live bytes fill no more than half of the smaller ring and are in its half already, so
/// that none has to be moved, but not below `least`.
fn shrunk(capacity: u64, live: Range<u64>, least: u64) -> u64 {
    let len = live.end - live.start;
    let mut capacity = capacity;
    while capacity > least
        && len <= capacity / 4
        && (len == 0 || live.start % capacity + len <= capacity / 2)
    {
        capacity /= 2;
    }
    capacity
}
