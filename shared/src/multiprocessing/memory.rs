//! Shared memory without a name: a sealed memfd that is mapped, and futexes to
//! sleep on in it.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
/// What changes in shared memory; a model checker puts its own in their place.
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, fence};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{ptr, slice};

use memmap2::{Advice, MmapOptions, MmapRaw, RemapOptions};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::error::{Error, system};

const PAGE: usize = 4096;

/// How the bytes behind the header are aligned.
pub(super) const ALIGN: usize = 16;

/// How long the file of a growable memory is made where RLIMIT_FSIZE permits
/// it. A hole in a file costs nothing, and a file that is long enough from the
/// start can be used by a process that may not make it longer.
const LONGEST: u64 = 1 << 36;

/// What lies at the start of a [`Memory`].
///
/// # Safety
/// All zeroes is a valid value, and every field that changes is an atomic or a
/// [`Mutex`](super::mutex::Mutex), because other processes change it any time.
pub(super) unsafe trait Header: Sync {}

/// What a memory is used for. It is written where only this file writes, so a
/// descriptor that arrives as something else than it was sent as is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Value,
    Array,
    Queue,
    Channel,
    Alarm,
}

impl Kind {
    const ALL: [Kind; 5] = [
        Kind::Value,
        Kind::Array,
        Kind::Queue,
        Kind::Channel,
        Kind::Alarm,
    ];

    /// The number that stands for it in shared memory: eight letters, so that
    /// no other file is taken for one of these by accident.
    fn number(self) -> u64 {
        u64::from_le_bytes(match self {
            Kind::Value => *b"shmvalue",
            Kind::Array => *b"shmarray",
            Kind::Queue => *b"shmqueue",
            Kind::Channel => *b"shmchann",
            Kind::Alarm => *b"shmalarm",
        })
    }

    /// The kind of the memory that a descriptor belongs to.
    fn of(file: &File) -> Option<Self> {
        let seals = fcntl(file, FcntlArg::F_GET_SEALS).ok()?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return None;
        }
        let mut number = [0; 8];
        file.read_exact_at(&mut number, 0).ok()?;
        let number = u64::from_ne_bytes(number);
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Value => "a Value",
            Kind::Array => "an Array",
            Kind::Queue => "a Queue",
            Kind::Channel => "the channel of a pool",
            Kind::Alarm => "the alarm of a pool",
        })
    }
}

/// The error of a descriptor that is not what it is decoded as.
pub(super) fn mistaken(fd: OwnedFd, expected: impl fmt::Display) -> Error {
    let file = File::from(fd);
    let is_pipe = || getsockopt(&file, sockopt::SockType) == Ok(SockType::SeqPacket);
    let came = match Kind::of(&file) {
        Some(kind) => kind.to_string(),
        None if is_pipe() => "a Connection".to_string(),
        None => "another descriptor".to_string(),
    };
    Error::InvalidInput(format!("{came} came where {expected} was expected"))
}

/// A part of the bytes behind a header that is used as a ring.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) start: usize,
    /// A power of two.
    pub(super) size: u64,
}

/// A ring buffer in mapped memory. Positions only grow; modulo its size they
/// are offsets.
#[derive(Clone, Copy)]
pub(super) struct RingBytes<'a> {
    /// From here on `size` bytes are mapped.
    start: *mut u8,
    /// A power of two.
    size: u64,
    map: PhantomData<&'a MmapRaw>,
}

impl RingBytes<'_> {
    /// Where `len` bytes from a position lie: addresses and lengths.
    #[inline]
    fn segments(self, position: u64, len: u64) -> impl Iterator<Item = (*mut u8, usize)> {
        assert!(len <= self.size, "longer than the ring");
        segments(self.size, position, len).map(move |(offset, len)| {
            // SAFETY: the offset is in the ring, which is mapped.
            (unsafe { self.start.add(offset as usize) }, len as usize)
        })
    }

    /// Writes `bytes` at a position.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    #[inline]
    pub(super) unsafe fn write(self, position: u64, bytes: &[u8]) {
        let mut from = bytes.as_ptr();
        for (to, len) in self.segments(position, bytes.len() as u64) {
            // SAFETY: the segments are in the ring and together as long as
            // `bytes`; exclusive, as promised.
            unsafe {
                ptr::copy_nonoverlapping(from, to, len);
                from = from.add(len);
            }
        }
    }

    /// Appends `len` bytes from a position to `buffer`.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read(self, position: u64, len: u64, buffer: &mut Vec<u8>) {
        for (from, len) in self.segments(position, len) {
            // SAFETY: the segments are in the ring; unchanging, as promised;
            // any byte is a valid `u8`.
            buffer.extend_from_slice(unsafe { slice::from_raw_parts(from, len) });
        }
    }

    /// The number at a position that is a multiple of 8.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read_u64(self, position: u64) -> u64 {
        assert!(self.size >= 8 && position.is_multiple_of(8));
        let offset = (position & (self.size - 1)) as usize;
        // SAFETY: in the ring, as asserted; unchanging, as promised.
        unsafe { self.start.add(offset).cast::<u64>().read_unaligned() }
    }

    /// Copies `len` bytes from one offset to another.
    ///
    /// # Safety
    /// Nobody else writes at `from`, or reads or writes at `to`, meanwhile; the
    /// two do not overlap.
    pub(super) unsafe fn copy(self, from: u64, to: u64, len: u64) {
        let fits = |offset: u64| offset.checked_add(len).is_some_and(|end| end <= self.size);
        assert!(fits(from) && fits(to), "outside of the ring");
        // SAFETY: in the ring, as asserted; apart and exclusive, as promised.
        unsafe {
            let (from, to) = (self.start.add(from as usize), self.start.add(to as usize));
            ptr::copy_nonoverlapping(from, to, len as usize);
        }
    }
}

/// The first bytes of every memory.
#[repr(C)]
struct Start<H> {
    kind: AtomicU64,
    header: H,
}

/// A header `H` and bytes behind it, shared between processes.
pub(super) struct Memory<H> {
    file: File,
    map: mem::ManuallyDrop<MmapRaw>,
    /// True while a [`Guard`](super::Guard) exists. If that was leaked with
    /// `mem::forget`, the memory is never unmapped, because the thread's list
    /// of robust mutexes still points into it.
    pub(super) locked: AtomicBool,
    /// How long the file was when it was last looked at; it never shrinks.
    file_size: AtomicU64,
    header: PhantomData<H>,
}

impl<H: Header> Memory<H> {
    const DATA: usize = size_of::<Start<H>>().next_multiple_of(ALIGN);

    /// Makes `len` bytes of zeroes behind a header of zeroes. Pages are taken
    /// from the system only when they are written.
    pub(super) fn new(kind: Kind, len: usize) -> Result<Self, Error> {
        let size = Self::size(len)?;
        let file = anonymous_file(size)?;
        Self::made(file, kind, len, SealFlag::F_SEAL_GROW)
    }

    /// Makes memory for a ring that can grow behind a header of zeroes. `len`
    /// bytes of it are mapped here, or half as much, and so on, but not less
    /// than `least`, if RLIMIT_FSIZE leaves no more. For a larger ring there is
    /// [`RingMap`].
    pub(super) fn growable(kind: Kind, len: usize, least: usize) -> Result<Self, Error> {
        let size = file_size_limit()?.min(LONGEST).max(Self::size(least)?);
        let file = anonymous_file(size)?;
        Self::made(file, kind, Self::part(len, size), SealFlag::empty())
    }

    /// Half of `len`, and half of that, until a file of `size` bytes has it.
    fn part(len: usize, size: u64) -> usize {
        let halves = std::iter::successors(Some(len), |len| (*len > 1).then_some(len / 2));
        let fits = |len: &usize| Self::size(*len).is_ok_and(|needed| needed <= size);
        { halves }.find(fits).unwrap_or(0)
    }

    fn size(len: usize) -> Result<u64, Error> {
        Self::DATA
            .checked_add(len)
            .filter(|&size| isize::try_from(size).is_ok())
            .map(|size| size as u64)
            .ok_or_else(|| Error::InvalidInput(format!("{len} bytes do not fit in memory")))
    }

    fn made(file: File, kind: Kind, len: usize, seals: SealFlag) -> Result<Self, Error> {
        let seals = seals | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(system("fcntl(F_ADD_SEALS)"))?;
        let memory = Self::map(file, len)?;
        memory.start().kind.store(kind.number(), Ordering::Relaxed);
        Ok(memory)
    }

    /// Maps all of what another process made with [`new`](Self::new).
    pub(super) fn open(kind: Kind, fd: OwnedFd) -> Result<Self, Error> {
        let file = Self::expect(kind, fd)?;
        let size = file_size(&file)?;
        let len = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(Self::DATA))
            .ok_or_else(|| Error::Corrupt(format!("{kind}: it has {size} bytes")))?;
        Self::map(file, len)
    }

    /// Maps what another process made with [`growable`](Self::growable) of the
    /// same `len`.
    pub(super) fn open_growable(kind: Kind, fd: OwnedFd, len: usize) -> Result<Self, Error> {
        let file = Self::expect(kind, fd)?;
        let len = Self::part(len, file_size(&file)?);
        Self::map(file, len)
    }

    fn expect(kind: Kind, fd: OwnedFd) -> Result<File, Error> {
        let file = File::from(fd);
        if Kind::of(&file) != Some(kind) {
            return Err(mistaken(file.into(), kind));
        }
        Ok(file)
    }

    fn map(file: File, len: usize) -> Result<Self, Error> {
        let (size, file_size) = (Self::size(len)?, file_size(&file)?);
        if file_size < size {
            return Err(Error::Corrupt("shared memory: too short".into()));
        }
        let map = map(&file, 0, size as usize)?;
        Ok(Memory {
            file,
            map: mem::ManuallyDrop::new(map),
            locked: AtomicBool::new(false),
            file_size: AtomicU64::new(file_size),
            header: PhantomData,
        })
    }

    fn start(&self) -> &Start<H> {
        // SAFETY: the mapping is page-aligned, longer than `Start` and sealed
        // against shrinking; `Header` promises the rest.
        unsafe { &*self.map.as_ptr().cast() }
    }

    pub(super) fn header(&self) -> &H {
        &self.start().header
    }

    /// The first byte behind the header, aligned to [`ALIGN`].
    pub(super) fn data(&self) -> *mut u8 {
        // SAFETY: `map` saw to it that the mapping is not shorter.
        unsafe { self.map.as_mut_ptr().add(Self::DATA) }
    }

    /// How many bytes are mapped behind the header.
    pub(super) fn len(&self) -> usize {
        self.map.len() - Self::DATA
    }

    /// The ring in an area.
    #[inline]
    fn ring(&self, area: Area) -> RingBytes<'_> {
        let Area { start, size } = area;
        let end = (start as u64).checked_add(size);
        assert!(size.is_power_of_two() && end.is_some_and(|end| end <= self.len() as u64));
        RingBytes {
            // SAFETY: in bounds, as asserted.
            start: unsafe { self.data().add(start) },
            size,
            map: PhantomData,
        }
    }

    /// Writes `bytes` at a position.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    #[inline]
    pub(super) unsafe fn write(&self, area: Area, position: u64, bytes: &[u8]) {
        // SAFETY: as promised.
        unsafe { self.ring(area).write(position, bytes) }
    }

    /// Appends `len` bytes from a position to `buffer`.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read(&self, area: Area, position: u64, len: u64, buffer: &mut Vec<u8>) {
        // SAFETY: as promised.
        unsafe { self.ring(area).read(position, len, buffer) }
    }

    /// The number at a position that is a multiple of 8.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read_u64(&self, area: Area, position: u64) -> u64 {
        // SAFETY: as promised.
        unsafe { self.ring(area).read_u64(position) }
    }

    /// Makes the file long enough for a ring of `size` bytes. Nobody else does
    /// so meanwhile.
    pub(super) fn grow(&self, size: u64) -> Result<(), Error> {
        let end = size.saturating_add(Self::DATA as u64);
        if !self.reaches(end)? {
            set_len(&self.file, end)?;
        }
        Ok(())
    }

    /// Whether the file has as many bytes.
    fn reaches(&self, end: u64) -> Result<bool, Error> {
        if end > self.file_size.load(Ordering::Relaxed) {
            let size = file_size(&self.file)?;
            self.file_size.store(size, Ordering::Relaxed);
            return Ok(end <= size);
        }
        Ok(true)
    }

    /// Appends `len` bytes from a position in a ring of `size` bytes to
    /// `buffer`, by a system call: for a process that cannot map the ring.
    pub(super) fn read_unmapped(
        &self,
        size: u64,
        position: u64,
        len: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), Error> {
        for (offset, len) in segments(size, position, len) {
            let start = buffer.len();
            buffer.resize(start + len as usize, 0);
            let offset = offset + Self::DATA as u64;
            let read = self.file.read_exact_at(&mut buffer[start..], offset);
            read.map_err(system("pread"))?;
        }
        Ok(())
    }

    /// Gives the whole pages among `len` bytes from a position in a ring of
    /// `size` bytes back to the system; they read as zeroes afterwards.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    pub(super) unsafe fn release_pages(&self, size: u64, position: u64, len: u64) {
        let page = PAGE as u64;
        for (offset, len) in segments(size, position, len) {
            let start = (Self::DATA as u64 + offset).next_multiple_of(page);
            let end = (Self::DATA as u64 + offset + len) / page * page;
            let range = (
                libc::off_t::try_from(start),
                libc::off_t::try_from(end.saturating_sub(start)),
            );
            if let (Ok(start), Ok(len @ 1..)) = range {
                let punch =
                    FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                // A system that refuses keeps its pages, and nothing else
                // changes.
                _ = fallocate(&self.file, punch, start, len);
            }
        }
    }
}

impl<H> AsFd for Memory<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl<H> Drop for Memory<H> {
    fn drop(&mut self) {
        if !*self.locked.get_mut() {
            // SAFETY: dropped here once, and not used afterwards.
            unsafe { mem::ManuallyDrop::drop(&mut self.map) }
        }
    }
}

/// Where `len` bytes from a position lie in a ring of `size` bytes: offsets and
/// lengths, two if the end of the ring is between.
#[inline]
fn segments(size: u64, position: u64, len: u64) -> impl Iterator<Item = (u64, u64)> {
    let offset = position & (size - 1);
    let first = len.min(size - offset);
    [(offset, first), (0, len - first)]
        .into_iter()
        .filter(|&(_, len)| len > 0)
}

/// One process's own mapping of a ring behind the header of a growable memory,
/// whose size changes. It can move, so it is apart from the header, to which
/// lists of robust mutexes point.
pub(super) struct RingMap {
    map: Option<MmapRaw>,
    /// Where the ring is mapped, in `map` or beside the header, and how large.
    start: *mut u8,
    size: u64,
}

// SAFETY: the pointer leads to memory that is shared between processes anyway.
unsafe impl Send for RingMap {}

impl Default for RingMap {
    fn default() -> Self {
        RingMap {
            map: None,
            start: ptr::null_mut(),
            size: 0,
        }
    }
}

impl RingMap {
    /// The ring of `size` bytes, mapped anew if its size has changed.
    ///
    /// # Safety
    /// The memory is the same one at every call.
    #[inline]
    pub(super) unsafe fn ring<'a, H: Header>(
        &'a mut self,
        memory: &'a Memory<H>,
        size: u64,
    ) -> Result<RingBytes<'a>, Error> {
        if self.size != size {
            self.map(memory, size)?;
        }
        Ok(RingBytes {
            start: self.start,
            size,
            map: PhantomData,
        })
    }

    #[cold]
    fn map<H: Header>(&mut self, memory: &Memory<H>, size: u64) -> Result<(), Error> {
        let end = size.saturating_add(Memory::<H>::DATA as u64);
        if !size.is_power_of_two() || !memory.reaches(end)? {
            return Err(Error::Corrupt(format!("ring of {size} bytes")));
        }
        self.start = if size <= memory.len() as u64 {
            self.map = None;
            memory.data()
        } else {
            let len = usize::try_from(size).map_err(|_| system("mmap")(Errno::ENOMEM))?;
            match &mut self.map {
                // SAFETY: nothing points into the mapping, as it is borrowed
                // mutably, and the file is as long as the new one.
                Some(map) => unsafe { map.remap(len, RemapOptions::new().may_move(true)) }
                    .map_err(system("mremap"))?,
                none => *none = Some(map(&memory.file, Memory::<H>::DATA as u64, len)?),
            }
            self.map
                .as_ref()
                .expect("it has just been mapped")
                .as_mut_ptr()
        };
        self.size = size;
        Ok(())
    }
}

/// Maps a part of a file. A core dump leaves it out: it would write what other
/// processes have there, holes included.
fn map(file: &File, start: u64, len: usize) -> Result<MmapRaw, Error> {
    let map = MmapOptions::new()
        .offset(start)
        .len(len)
        .map_raw(file)
        .map_err(system("mmap"))?;
    // A system that refuses dumps more, and nothing else changes.
    _ = map.advise(Advice::DontDump);
    Ok(map)
}

/// An unnamed file in memory of `size` bytes.
pub(super) fn anonymous_file(size: u64) -> Result<File, Error> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create("shared", flags).map_err(system("memfd_create"))?);
    set_len(&file, size)?;
    Ok(file)
}

/// Makes a file longer. Past RLIMIT_FSIZE the system would send SIGXFSZ, which
/// ends the program, so the limit is looked at first.
fn set_len(file: &File, size: u64) -> Result<(), Error> {
    if size > file_size_limit()? {
        return Err(system("RLIMIT_FSIZE")(Errno::EFBIG));
    }
    file.set_len(size).map_err(system("ftruncate"))
}

fn file_size(file: &File) -> Result<u64, Error> {
    Ok(file.metadata().map_err(system("fstat"))?.len())
}

fn file_size_limit() -> Result<u64, Error> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(system("getrlimit"))?;
    #[allow(
        clippy::useless_conversion,
        reason = "it is a `u32` where the system is one of 32 bits"
    )]
    Ok(limit.into())
}

/// Makes room for `len` more bytes, a number that comes from outside; returns
/// whether there is as much memory.
#[inline]
pub(super) fn reserve(buffer: &mut Vec<u8>, len: u64) -> bool {
    usize::try_from(len).is_ok_and(|len| {
        let reserved = buffer.try_reserve(len);
        // There may be memory for this much and not for more.
        reserved.or_else(|_| buffer.try_reserve_exact(len)).is_ok()
    })
}

/// The error of a message or an item that memory is missing for.
#[cold]
pub(super) fn too_large(what: &str, len: u64) -> Error {
    Error::Decode(format!(
        "{what} of {len} bytes: there is not as much memory"
    ))
}

/// Sleeps while `word` is `value`, until woken or until `deadline`. May return
/// early: the caller looks again.
pub(super) fn futex_wait(word: &AtomicU32, value: u32, deadline: Option<Instant>) {
    let timeout = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        libc::timespec {
            tv_sec: left.as_secs() as libc::time_t,
            tv_nsec: left.subsec_nanos() as _,
        }
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the time-out outlive the call. The operation is not
    // PRIVATE, so that it meets other processes through the page.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            value,
            timeout,
        )
    };
}

/// Wakes all that sleep on `word`.
pub(super) fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// The moment `timeout` from now; `None`, which is no limit, if the clock does
/// not reach as far.
pub(super) fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// Whether the deadline, if there is one, has passed.
pub(super) fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Waits on a condition variable until it is notified or the deadline passes.
pub(super) fn wait_on<'a, T>(
    condition: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
) -> MutexGuard<'a, T> {
    let Some(deadline) = deadline else {
        return condition
            .wait(guard)
            .unwrap_or_else(PoisonError::into_inner);
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let waited = condition.wait_timeout(guard, left);
    waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Spins for about 5 us until `ready`, so that a busy peer is met without a
/// system call; returns whether it was. Not longer: on one CPU it would keep the
/// peer from running. It does not yield, because a thread that yields goes to
/// the back of the queue for the CPU, while one that sleeps is woken at once.
pub(super) fn spin(mut ready: impl FnMut() -> bool) -> bool {
    const SPIN: Duration = Duration::from_micros(5);
    let start = Instant::now();
    loop {
        for _ in 0..4 {
            if ready() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.elapsed() > SPIN {
            return false;
        }
    }
}

/// Waits at most until `deadline` for one of `fds` to be ready.
pub(super) fn poll(
    fds: &mut [nix::poll::PollFd<'_>],
    deadline: Option<Instant>,
) -> Result<bool, Error> {
    use nix::poll::PollTimeout;
    loop {
        // Rounded up, because `poll` counts whole milliseconds: rounded down, the
        // last part of one would be spent calling it again and again.
        let timeout = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now());
            PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
        });
        match nix::poll::poll(fds, timeout) {
            Ok(0) if !is_past(deadline) => {}
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(system("poll")(errno)),
        }
    }
}
