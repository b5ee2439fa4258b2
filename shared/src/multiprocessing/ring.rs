//! Ring buffers in shared memory, and the frames that are stored in them.
//!
//! Position and offset: a position counts all bytes that were ever written to,
//! or read from, a ring, so it only grows. Because the capacity is a power of
//! two, a position modulo the capacity is the offset in the ring. The bytes
//! between the reader's position, the head, and the writer's, the tail, are the
//! live ones.
//!
//! This module only copies bytes; its callers decide who may access which part
//! of a ring at a time. There are two of them. The queue has many producers and
//! consumers and no limit, so it needs locks and a ring that grows. The channel
//! of a pool has one writer, one reader and a fixed size, so it needs neither;
//! and with a channel for each worker the pool can take back the tasks that a
//! dead worker has not begun.

use std::marker::PhantomData;
use std::{ptr, slice};

use memmap2::{MmapRaw, RemapOptions};
use nix::errno::Errno;

use super::error::{Error, system};
use super::memory::{Header, SharedMemory};

/// The size of a frame's header. A frame is its header, which is a number with the
/// length of the payload, the payload, and padding to a multiple of this size. So
/// the end of a ring never splits a header.
pub(super) const FRAME_HEADER: u64 = size_of::<u64>() as u64;

/// How many bytes of a ring a frame with a payload of `len` bytes takes.
#[inline]
pub(super) fn frame_size(len: u64) -> u64 {
    FRAME_HEADER + len.next_multiple_of(FRAME_HEADER)
}

/// The offsets and lengths of `len` bytes at a position in a ring of `capacity`
/// bytes: one segment, or two if they wrap around the end.
#[inline]
fn segments(capacity: u64, position: u64, len: u64) -> impl Iterator<Item = (u64, u64)> {
    let offset = position & (capacity - 1);
    let first = len.min(capacity - offset);
    [(offset, first), (0, len - first)]
        .into_iter()
        .filter(|&(_, len)| len > 0)
}

/// A mapped ring.
#[derive(Clone, Copy)]
pub(super) struct RingBytes<'a> {
    /// The first of `capacity` mapped bytes.
    start: *mut u8,
    /// A power of two.
    capacity: u64,
    map: PhantomData<&'a MmapRaw>,
}

impl RingBytes<'_> {
    /// The addresses and lengths of `len` bytes at a position.
    #[inline]
    fn segments(self, position: u64, len: u64) -> impl Iterator<Item = (*mut u8, usize)> {
        assert!(len <= self.capacity, "longer than the ring");
        segments(self.capacity, position, len).map(move |(offset, len)| {
            // SAFETY: the offset is in the ring, which is mapped.
            (unsafe { self.start.add(offset as usize) }, len as usize)
        })
    }

    /// Writes `bytes` at a position.
    ///
    /// # Safety
    /// Nobody else reads or writes there at the same time.
    #[inline]
    pub(super) unsafe fn write(self, position: u64, bytes: &[u8]) {
        let mut from = bytes.as_ptr();
        for (to, len) in self.segments(position, bytes.len() as u64) {
            // SAFETY: the segments are in the ring and together as long as
            // `bytes`; the caller promises exclusive access.
            unsafe {
                ptr::copy_nonoverlapping(from, to, len);
                from = from.add(len);
            }
        }
    }

    /// Appends `len` bytes at a position to `buffer`.
    ///
    /// # Safety
    /// Nobody writes there at the same time.
    #[inline]
    pub(super) unsafe fn read(self, position: u64, len: u64, buffer: &mut Vec<u8>) {
        for (from, len) in self.segments(position, len) {
            // SAFETY: the segments are in the ring; the caller promises that
            // they do not change; any byte is a valid `u8`.
            buffer.extend_from_slice(unsafe { slice::from_raw_parts(from, len) });
        }
    }

    /// Reads the number at a position that is a multiple of 8.
    ///
    /// # Safety
    /// Nobody writes there at the same time.
    #[inline]
    pub(super) unsafe fn read_u64(self, position: u64) -> u64 {
        assert!(self.capacity >= 8 && position.is_multiple_of(8));
        let offset = (position & (self.capacity - 1)) as usize;
        // SAFETY: the number is in the ring, as asserted; the caller promises
        // that it does not change.
        unsafe { self.start.add(offset).cast::<u64>().read_unaligned() }
    }

    /// Copies `len` bytes from one offset to another.
    ///
    /// # Safety
    /// At the same time nobody else writes at `from`, or reads or writes at
    /// `to`. The two ranges do not overlap.
    pub(super) unsafe fn copy(self, from: u64, to: u64, len: u64) {
        let fits = |offset: u64| {
            offset
                .checked_add(len)
                .is_some_and(|end| end <= self.capacity)
        };
        assert!(fits(from) && fits(to), "outside of the ring");
        // SAFETY: both are in the ring, as asserted; the caller promises that
        // they are disjoint and that access is exclusive.
        unsafe {
            let (from, to) = (self.start.add(from as usize), self.start.add(to as usize));
            ptr::copy_nonoverlapping(from, to, len as usize);
        }
    }
}

/// A ring of fixed size, as a part of a memory's data.
#[derive(Clone, Copy)]
pub(super) struct RingArea {
    pub(super) start: usize,
    /// A power of two.
    pub(super) capacity: u64,
}

impl RingArea {
    /// The ring in a memory.
    #[inline]
    pub(super) fn of<H: Header>(self, memory: &SharedMemory<H>) -> RingBytes<'_> {
        let RingArea { start, capacity } = self;
        let end = (start as u64).checked_add(capacity);
        assert!(capacity.is_power_of_two() && end.is_some_and(|end| end <= memory.len() as u64));
        RingBytes {
            // SAFETY: in bounds, as asserted.
            start: unsafe { memory.data().add(start) },
            capacity,
            map: PhantomData,
        }
    }
}

/// One mapping of a ring whose capacity changes, and which takes all the data
/// of a growable memory. A small ring is used in the mapping of the header. A
/// larger one has a mapping of its own, because the header must never move: the
/// C library's lists of robust mutexes point to it.
pub(super) struct RingMap {
    map: Option<MmapRaw>,
    /// The start of the ring, in `map` or in the mapping of the header.
    start: *mut u8,
    /// The capacity for which it was mapped; 0 at first.
    capacity: u64,
}

// SAFETY: the pointer is to memory that is shared between processes anyway.
unsafe impl Send for RingMap {}

impl Default for RingMap {
    fn default() -> Self {
        RingMap {
            map: None,
            start: ptr::null_mut(),
            capacity: 0,
        }
    }
}

impl RingMap {
    /// The ring, mapped anew if its capacity has changed.
    ///
    /// # Safety
    /// The memory is the same one at every call.
    #[inline]
    pub(super) unsafe fn ring<'a, H: Header>(
        &'a mut self,
        memory: &'a SharedMemory<H>,
        capacity: u64,
    ) -> Result<RingBytes<'a>, Error> {
        if self.capacity != capacity {
            self.map(memory, capacity)?;
        }
        Ok(RingBytes {
            start: self.start,
            capacity,
            map: PhantomData,
        })
    }

    #[cold]
    fn map<H: Header>(&mut self, memory: &SharedMemory<H>, capacity: u64) -> Result<(), Error> {
        if !capacity.is_power_of_two() || !memory.has(capacity)? {
            return Err(Error::Corrupt(format!("ring of {capacity} bytes")));
        }
        self.start = if capacity <= memory.len() as u64 {
            self.map = None;
            memory.data()
        } else {
            let len = usize::try_from(capacity).map_err(|_| system("mmap")(Errno::ENOMEM))?;
            match &mut self.map {
                // SAFETY: nothing points into the mapping, because it is
                // borrowed mutably, and the file is as long as the new one.
                Some(map) => unsafe { map.remap(len, RemapOptions::new().may_move(true)) }
                    .map_err(system("mremap"))?,
                none => *none = Some(memory.map_data(len)?),
            }
            self.map
                .as_ref()
                .expect("it has just been mapped")
                .as_mut_ptr()
        };
        self.capacity = capacity;
        Ok(())
    }
}

/// Appends `len` bytes at a position in the ring of a growable memory to
/// `buffer`, by system calls: for a process that lacks the address space to map
/// the ring.
pub(super) fn read_unmapped<H: Header>(
    memory: &SharedMemory<H>,
    capacity: u64,
    position: u64,
    len: u64,
    buffer: &mut Vec<u8>,
) -> Result<(), Error> {
    for (offset, len) in segments(capacity, position, len) {
        let start = buffer.len();
        buffer.resize(start + len as usize, 0);
        memory.read_at(offset, &mut buffer[start..])?;
    }
    Ok(())
}

/// Writes `bytes` at a position in the ring of a growable memory by system calls.
/// Returns false, and has written nothing, if RLIMIT_FSIZE forbids it.
///
/// # Safety
/// Nobody else reads or writes there at the same time.
pub(super) unsafe fn write_unmapped<H: Header>(
    memory: &SharedMemory<H>,
    capacity: u64,
    position: u64,
    bytes: &[u8],
) -> Result<bool, Error> {
    if !memory.may_write_below(capacity)? {
        return Ok(false);
    }
    let mut start = 0;
    for (offset, len) in segments(capacity, position, bytes.len() as u64) {
        let end = start + len as usize;
        // SAFETY: as the caller promises.
        unsafe { memory.write_at(offset, &bytes[start..end])? };
        start = end;
    }
    Ok(true)
}

/// Returns the whole pages among `len` bytes at a position in the ring of a
/// growable memory to the system.
///
/// # Safety
/// Nobody else reads or writes there at the same time.
pub(super) unsafe fn release_pages<H: Header>(
    memory: &SharedMemory<H>,
    capacity: u64,
    position: u64,
    len: u64,
) {
    for (offset, len) in segments(capacity, position, len) {
        // SAFETY: as the caller promises.
        unsafe { memory.release_pages(offset, len) }
    }
}
