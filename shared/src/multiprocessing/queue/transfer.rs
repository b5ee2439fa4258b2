//! `put` and `get`: how the bytes of an item get into the ring and out of it.
//!
//! The steps of the two, and the reasons for their order, are described in
//! [`raw`](super::raw).

use std::sync::atomic::Ordering::Relaxed;

use super::capacity::Reserved;
use super::raw::{QueueHeader, RawQueue, SideGuard, Wait};
use crate::multiprocessing::allocation::{reserve, too_large};
use crate::multiprocessing::error::Error;
use crate::multiprocessing::ring::{FRAME_HEADER, frame_size, read_unmapped, write_unmapped};

/// The least size of an item that is written to fresh memory by a system call.
const FRESH_MIN: usize = 1 << 12;

impl RawQueue {
    /// Puts the item that consists of these bytes.
    pub(super) fn put(&self, item: &[u8], wait: Wait) -> Result<(), Error> {
        let full = || wait.error(Error::Full);
        let frame = frame_size(item.len() as u64);
        let producers = &self.header().producers;
        loop {
            let mut guard = self.lock_producers(wait).ok_or_else(full)?;
            if !self.is_full() {
                let tail = producers.own_position();
                let capacity = match self.reserve(&mut guard, tail, frame, wait)? {
                    Reserved::In(capacity) => capacity,
                    Reserved::After(room) => {
                        drop(guard);
                        self.wait_for_room(room);
                        continue;
                    }
                };
                let ring = guard.ring(capacity)?;
                // SAFETY: `reserve` has ensured that nothing live is there, and
                // the lock keeps other producers away.
                unsafe {
                    ring.write(tail, &(item.len() as u64).to_ne_bytes());
                    if !self.write_fresh(capacity, tail + FRAME_HEADER, item)? {
                        ring.write(tail + FRAME_HEADER, item);
                    }
                }
                guard.wake_waiters();
                guard.advance(tail + frame);
                return Ok(());
            }
            drop(guard);
            let Wait::Until(deadline) = wait else {
                return Err(full());
            };
            self.wait_while(|| self.is_full(), Self::lock_consumers, deadline)?;
        }
    }

    /// Writes an item to memory that has no pages yet, by a system call, which costs
    /// half of what the page faults of a mapping do. Returns false, and has written
    /// nothing, if there are pages already or the item is small.
    ///
    /// # Safety
    /// Nobody else reads or writes there at the same time.
    #[inline]
    unsafe fn write_fresh(&self, capacity: u64, position: u64, item: &[u8]) -> Result<bool, Error> {
        let written = &self.header().written;
        let end = (position % capacity + item.len() as u64).min(capacity);
        if end <= written.load(Relaxed) {
            return Ok(false);
        }
        written.store(end, Relaxed);
        if item.len() < FRESH_MIN {
            return Ok(false);
        }
        // SAFETY: as the caller promises.
        unsafe { write_unmapped(&self.memory, capacity, position, item) }
    }

    /// Appends the oldest item to `item`.
    pub(super) fn get(&self, item: &mut Vec<u8>, wait: Wait) -> Result<(), Error> {
        let empty = || wait.error(Error::Empty);
        let QueueHeader {
            producers,
            consumers,
            ..
        } = self.header();
        loop {
            let mut guard = self.lock_consumers(wait).ok_or_else(empty)?;
            let head = consumers.own_position();
            let mut tail = consumers.cached_other.load(Relaxed);
            if head == tail {
                tail = producers.position();
                consumers.cached_other.store(tail, Relaxed);
            }
            if head != tail {
                let Frame { len, is_copied } = self.read_frame(&mut guard, head, tail, item)?;
                guard.wake_waiters();
                let next = head + frame_size(len);
                guard.advance(next);
                self.wake_for_room(next);
                self.release_memory(head, next);
                return match is_copied {
                    true => Ok(()),
                    false => Err(too_large("an item", len)),
                };
            }
            drop(guard);
            let Wait::Until(deadline) = wait else {
                return Err(empty());
            };
            self.wait_while(|| self.is_empty(), Self::lock_producers, deadline)?;
        }
    }

    /// Copies the item of the frame at `head`; under the consumers' lock.
    #[inline]
    fn read_frame(
        &self,
        guard: &mut SideGuard<'_>,
        head: u64,
        tail: u64,
        item: &mut Vec<u8>,
    ) -> Result<Frame, Error> {
        let capacity = self.header().capacity.load(Relaxed);
        let live = tail.wrapping_sub(head);
        if live > capacity || !capacity.is_power_of_two() || !head.is_multiple_of(FRAME_HEADER) {
            return Err(corrupt());
        }
        let Ok(ring) = guard.ring(capacity) else {
            return self.read_unmapped_frame(capacity, head, live, item);
        };
        // SAFETY: nobody writes between head and tail.
        let len = unsafe { ring.read_u64(head) };
        if !is_frame(len, live) {
            return Err(corrupt());
        }
        let is_copied = reserve(item, len);
        if is_copied {
            // SAFETY: as above.
            unsafe { ring.read(head + FRAME_HEADER, len, item) };
        }
        Ok(Frame { len, is_copied })
    }

    /// As [`read_frame`](Self::read_frame), for a process that cannot map the
    /// ring: it can get a small item even if the ring is large.
    #[cold]
    fn read_unmapped_frame(
        &self,
        capacity: u64,
        head: u64,
        live: u64,
        item: &mut Vec<u8>,
    ) -> Result<Frame, Error> {
        let mut len = Vec::new();
        read_unmapped(&self.memory, capacity, head, FRAME_HEADER, &mut len)?;
        let len = u64::from_ne_bytes(len.try_into().expect("eight bytes"));
        if !is_frame(len, live) {
            return Err(corrupt());
        }
        let is_copied = reserve(item, len);
        if is_copied {
            read_unmapped(&self.memory, capacity, head + FRAME_HEADER, len, item)?;
        }
        Ok(Frame { len, is_copied })
    }
}

/// A frame that was read.
struct Frame {
    /// How many bytes the item has.
    len: u64,
    /// False if there is not enough memory for the item.
    is_copied: bool,
}

/// Returns whether a frame with an item of `len` bytes is not longer than the
/// `live` bytes.
#[inline]
fn is_frame(len: u64, live: u64) -> bool {
    // The first comparison keeps the second one from overflowing.
    len <= live && frame_size(len) <= live
}

#[cold]
fn corrupt() -> Error {
    Error::Corrupt("queue: its shared memory has been overwritten".into())
}
