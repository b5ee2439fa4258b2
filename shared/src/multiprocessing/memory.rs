//! Shared memory without a name: a sealed memfd that each process maps. A *memfd* is
//! a file that exists only in memory; *sealed* means here that the kernel lets nobody
//! make it shorter.
//!
//! A [`SharedMemory`] is a typed [`Header`] followed by plain bytes, the data.
//! [`value`](super::value) uses the data as an array; [`ring`](super::ring), for
//! queues and the channels of pools, as ring buffers. The memory is freed when
//! the last process that has it open or mapped is gone, however that process
//! ends, so there is nothing to clean up.

use std::fmt;
use std::fs::File;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
/// The atomics of which headers consist. The Loom tests substitute their own.
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, fence};

use memmap2::{Advice, MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::error::{Error, system};

pub(super) const PAGE_SIZE: u64 = 4096;

/// The alignment of the data.
pub(super) const DATA_ALIGN: usize = 16;

/// The length of the file of a growable memory, where RLIMIT_FSIZE permits it. What
/// has not been written costs nothing. Because the file is so long from the start, a
/// process that may not extend it can still use a ring that has grown.
const GROWABLE_FILE_SIZE: u64 = 1 << 36;

/// The typed part at the start of a [`SharedMemory`].
///
/// # Safety
/// All zeroes must be a valid value. Every field that changes must be an atomic
/// or a [`Mutex`](super::mutex::Mutex), because other processes change it at any
/// time. `queue/raw.rs` says what else a new field needs, so that it is valid after
/// a death.
pub(super) unsafe trait Header: Sync {}

/// What a memory is used for. It is stored in the memory, so that a process rejects
/// a descriptor that was sent as another type than it is received as.
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

    /// The number that identifies the kind in shared memory. Eight letters, so
    /// that hardly any other file starts with one of them.
    fn magic(self) -> u64 {
        u64::from_le_bytes(match self {
            Kind::Value => *b"shmvalue",
            Kind::Array => *b"shmarray",
            Kind::Queue => *b"shmqueue",
            Kind::Channel => *b"shmchann",
            Kind::Alarm => *b"shmalarm",
        })
    }

    /// The kind of the memory that is in `file`, if it is one of this module's.
    fn of(file: &File) -> Option<Self> {
        let seals = fcntl(file, FcntlArg::F_GET_SEALS).ok()?;
        if !SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK) {
            return None;
        }
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, 0).ok()?;
        let magic = u64::from_ne_bytes(magic);
        Kind::ALL.into_iter().find(|kind| kind.magic() == magic)
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

/// The error for a descriptor that is not of the kind that it is decoded as.
pub(super) fn wrong_kind(fd: OwnedFd, expected: impl fmt::Display) -> Error {
    let file = File::from(fd);
    let is_pipe = || getsockopt(&file, sockopt::SockType) == Ok(SockType::SeqPacket);
    let received = match Kind::of(&file) {
        Some(kind) => kind.to_string(),
        None if is_pipe() => "a Connection".to_string(),
        None => "another descriptor".to_string(),
    };
    Error::InvalidInput(format!(
        "received {received} where {expected} was expected: \
         an argument must be received as the type that it was sent as"
    ))
}

/// The start of the mapping.
#[repr(C)]
struct Prefix<H> {
    magic: AtomicU64,
    header: H,
}

/// One process's mapping of a header `H` and of data behind it, which other
/// processes map too.
pub(super) struct SharedMemory<H> {
    file: File,
    map: ManuallyDrop<MmapRaw>,
    /// True while a [`Guard`](super::Guard) of the lock in this memory exists.
    /// If one was leaked with `mem::forget`, this stays true and the memory is
    /// never unmapped, because the thread's list of robust mutexes, which the C
    /// library keeps, still points into it.
    pub(super) keep_mapped: AtomicBool,
    /// The last known length of the file, which never shrinks.
    file_size: AtomicU64,
    header: PhantomData<H>,
}

impl<H: Header> SharedMemory<H> {
    /// Where the data starts in the file and in the mapping.
    const DATA_OFFSET: usize = size_of::<Prefix<H>>().next_multiple_of(DATA_ALIGN);

    /// Creates memory of a fixed size: a header and `len` bytes of data, all
    /// zeroes. The system allocates pages only when they are written.
    pub(super) fn new(kind: Kind, len: usize) -> Result<Self, Error> {
        let size = Self::file_size_for(len)?;
        let file = anonymous_file(size)?;
        Self::create(file, kind, len, SealFlag::F_SEAL_GROW)
    }

    /// Creates memory whose data can grow, all zeroes. `len` bytes of data are
    /// mapped together with the header. Where RLIMIT_FSIZE forbids a file of
    /// that size, half as much is mapped, or a quarter, and so on, but not less
    /// than `min_len`.
    pub(super) fn growable(kind: Kind, len: usize, min_len: usize) -> Result<Self, Error> {
        let min_size = Self::file_size_for(min_len)?;
        let size = file_size_limit()?.min(GROWABLE_FILE_SIZE).max(min_size);
        let file = anonymous_file(size)?;
        Self::create(file, kind, Self::halve_to_fit(len, size), SealFlag::empty())
    }

    fn create(file: File, kind: Kind, len: usize, seals: SealFlag) -> Result<Self, Error> {
        // Nobody can shrink the file, so no access to a mapping raises SIGBUS.
        let seals = seals | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).map_err(system("fcntl(F_ADD_SEALS)"))?;
        let memory = Self::map(file, len)?;
        memory.prefix().magic.store(kind.magic(), Ordering::Relaxed);
        Ok(memory)
    }

    /// Maps all of a memory that another process created with
    /// [`new`](Self::new).
    pub(super) fn open(kind: Kind, fd: OwnedFd) -> Result<Self, Error> {
        let file = Self::check_kind(kind, fd)?;
        let size = file_size(&file)?;
        let len = usize::try_from(size)
            .ok()
            .and_then(|size| size.checked_sub(Self::DATA_OFFSET))
            .ok_or_else(|| Error::Corrupt(format!("{kind}: it has {size} bytes")))?;
        Self::map(file, len)
    }

    /// Maps a memory that another process created with
    /// [`growable`](Self::growable) and the same `len`.
    pub(super) fn open_growable(kind: Kind, fd: OwnedFd, len: usize) -> Result<Self, Error> {
        let file = Self::check_kind(kind, fd)?;
        let len = Self::halve_to_fit(len, file_size(&file)?);
        Self::map(file, len)
    }

    fn check_kind(kind: Kind, fd: OwnedFd) -> Result<File, Error> {
        let file = File::from(fd);
        if Kind::of(&file) != Some(kind) {
            return Err(wrong_kind(file.into(), kind));
        }
        Ok(file)
    }

    fn map(file: File, len: usize) -> Result<Self, Error> {
        let (size, file_size) = (Self::file_size_for(len)?, file_size(&file)?);
        if file_size < size {
            return Err(Error::Corrupt("shared memory: too short".into()));
        }
        let map = map(&file, 0, size as usize)?;
        Ok(SharedMemory {
            file,
            map: ManuallyDrop::new(map),
            keep_mapped: AtomicBool::new(false),
            file_size: AtomicU64::new(file_size),
            header: PhantomData,
        })
    }

    /// The length of a file for `len` bytes of data.
    fn file_size_for(len: usize) -> Result<u64, Error> {
        Self::DATA_OFFSET
            .checked_add(len)
            .filter(|&size| isize::try_from(size).is_ok())
            .map(|size| size as u64)
            .ok_or_else(|| Error::InvalidInput(format!("{len} bytes do not fit in memory")))
    }

    /// Halves `len` until a file of `size` bytes has space for that much data.
    fn halve_to_fit(len: usize, size: u64) -> usize {
        let halves = std::iter::successors(Some(len), |len| (*len > 1).then_some(len / 2));
        let fits = |len: &usize| Self::file_size_for(*len).is_ok_and(|needed| needed <= size);
        { halves }.find(fits).unwrap_or(0)
    }

    fn prefix(&self) -> &Prefix<H> {
        // SAFETY: the mapping is page-aligned, longer than `Prefix` and sealed
        // against shrinking; `Header` promises the rest.
        unsafe { &*self.map.as_ptr().cast() }
    }

    pub(super) fn header(&self) -> &H {
        &self.prefix().header
    }

    /// The first byte of the data, aligned to [`DATA_ALIGN`].
    pub(super) fn data(&self) -> *mut u8 {
        // SAFETY: `map` has checked that the mapping is not shorter.
        unsafe { self.map.as_mut_ptr().add(Self::DATA_OFFSET) }
    }

    /// How many bytes of data are mapped together with the header.
    pub(super) fn len(&self) -> usize {
        self.map.len() - Self::DATA_OFFSET
    }

    /// Extends the file, if necessary, to `len` bytes of data. The caller holds
    /// a lock that keeps others from doing so at the same time.
    pub(super) fn extend(&self, len: u64) -> Result<(), Error> {
        if !self.has(len)? {
            set_len(&self.file, len.saturating_add(Self::DATA_OFFSET as u64))?;
        }
        Ok(())
    }

    /// Returns whether the file has at least `len` bytes of data.
    pub(super) fn has(&self, len: u64) -> Result<bool, Error> {
        let size = len.saturating_add(Self::DATA_OFFSET as u64);
        if size > self.file_size.load(Ordering::Relaxed) {
            let actual = file_size(&self.file)?;
            self.file_size.store(actual, Ordering::Relaxed);
            return Ok(size <= actual);
        }
        Ok(true)
    }

    /// Maps the first `len` bytes of the data once more, apart from the header.
    pub(super) fn map_data(&self, len: usize) -> Result<MmapRaw, Error> {
        map(&self.file, Self::DATA_OFFSET as u64, len)
    }

    /// Reads data at `offset` by a system call, which needs no mapping of it.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Error> {
        let offset = offset + Self::DATA_OFFSET as u64;
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(system("pread"))
    }

    /// Writes data at `offset` by a system call.
    ///
    /// # Safety
    /// Nobody else reads or writes there at the same time.
    pub(super) unsafe fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let offset = offset + Self::DATA_OFFSET as u64;
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(system("pwrite"))
    }

    /// Returns whether RLIMIT_FSIZE permits [`write_at`](Self::write_at) in the first
    /// `len` bytes of the data. Beyond the limit the system would send SIGXFSZ.
    pub(super) fn may_write_below(&self, len: u64) -> Result<bool, Error> {
        Ok(len.saturating_add(Self::DATA_OFFSET as u64) <= file_size_limit()?)
    }

    /// Returns the whole pages among `len` bytes of data at `offset` to the
    /// system; they read as zeroes afterwards.
    ///
    /// # Safety
    /// Nobody else reads or writes there at the same time.
    pub(super) unsafe fn release_pages(&self, offset: u64, len: u64) {
        let offset = offset + Self::DATA_OFFSET as u64;
        let start = offset.next_multiple_of(PAGE_SIZE);
        let end = (offset + len) / PAGE_SIZE * PAGE_SIZE;
        let range = (
            libc::off_t::try_from(start),
            libc::off_t::try_from(end.saturating_sub(start)),
        );
        if let (Ok(start), Ok(len @ 1..)) = range {
            let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            // If the system refuses, the pages stay allocated, and nothing else
            // changes.
            _ = fallocate(&self.file, punch, start, len);
        }
    }
}

impl<H> AsFd for SharedMemory<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl<H> Drop for SharedMemory<H> {
    fn drop(&mut self) {
        if !*self.keep_mapped.get_mut() {
            // SAFETY: dropped here once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.map) }
        }
    }
}

/// Maps a part of a file. Core dumps leave it out, because they would contain
/// the data of all processes, with its holes filled.
fn map(file: &File, start: u64, len: usize) -> Result<MmapRaw, Error> {
    let map = MmapOptions::new()
        .offset(start)
        .len(len)
        .map_raw(file)
        .map_err(system("mmap"))?;
    // If the system refuses, a core dump is larger, and nothing else changes.
    _ = map.advise(Advice::DontDump);
    Ok(map)
}

/// Creates an unnamed file of `size` bytes in memory.
pub(super) fn anonymous_file(size: u64) -> Result<File, Error> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create("shared", flags).map_err(system("memfd_create"))?);
    set_len(&file, size)?;
    Ok(file)
}

/// Extends a file. The limit is checked first, because beyond RLIMIT_FSIZE the
/// system would send SIGXFSZ, which ends the program.
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
        reason = "the limit is a `u32` on 32-bit systems"
    )]
    Ok(limit.into())
}
