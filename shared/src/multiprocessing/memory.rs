//! Shared memory without a name: a sealed memfd, mapped, and a futex to sleep
//! on in it.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
/// What changes in shared memory; a model checker puts its own in their place.
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, fence};
use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, ptr, slice};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, FcntlArg, SealFlag, fallocate, fcntl};
use nix::libc;
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::fstat;
use nix::unistd::ftruncate;

use super::error::{Error, system};

const PAGE: usize = 4096;

/// How the bytes behind the header are aligned.
pub(super) const ALIGN: usize = 16;

/// What stands at the start of a [`Memory`].
///
/// # Safety
/// All zeroes is a valid value, and every field that changes is an atomic or a
/// [`Mutex`](super::mutex::Mutex), for other processes change it any time.
pub(super) unsafe trait Header: Sync {}

/// A ring in the bytes behind a header, in which positions count on for ever.
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) start: usize,
    /// A power of two.
    pub(super) size: u64,
}

impl Area {
    /// Where `len` bytes from a position lie: offsets and lengths, two where
    /// the ring's end is between.
    #[inline]
    fn pieces(self, position: u64, len: u64) -> impl Iterator<Item = (usize, usize)> {
        let offset = position & (self.size - 1);
        let first = len.min(self.size - offset);
        [
            (self.start + offset as usize, first),
            (self.start, len - first),
        ]
        .into_iter()
        .filter(|&(_, len)| len > 0)
        .map(|(offset, len)| (offset, len as usize))
    }
}

/// A header `H` and bytes behind it, shared between processes.
pub(super) struct Memory<H> {
    fd: OwnedFd,
    map: mem::ManuallyDrop<MmapRaw>,
    /// Set while this mapping holds its mutex: a guard that is forgotten
    /// leaves it set, and then the mapping stays, for the thread's list of
    /// robust mutexes leads through it.
    pub(super) locked: AtomicBool,
    header: PhantomData<H>,
}

impl<H: Header> Memory<H> {
    const DATA: usize = size_of::<H>().next_multiple_of(ALIGN);

    /// Makes `len` bytes of zeroes behind a header of zeroes. Pages are taken
    /// from the system only when they are written.
    pub(super) fn new(len: usize) -> Result<Self, Error> {
        let size = Self::DATA
            .checked_add(len)
            .filter(|&size| i64::try_from(size).is_ok())
            .ok_or_else(|| Error::InvalidInput(format!("{len} bytes do not fit in memory")))?;
        let fd = anonymous_file(size)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).map_err(system("fcntl(F_ADD_SEALS)"))?;
        Self::map(fd, size)
    }

    /// Maps what another process made with [`new`](Self::new).
    pub(super) fn open(fd: OwnedFd) -> Result<Self, Error> {
        let size = fstat(&fd).map_err(system("fstat"))?.st_size as usize;
        let seals = fcntl(&fd, FcntlArg::F_GET_SEALS).map_err(system("fcntl(F_GET_SEALS)"))?;
        let sealed = SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_SHRINK);
        if size < Self::DATA || !sealed {
            return Err(Error::Corrupt(
                "shared memory: not sealed, or too short".into(),
            ));
        }
        Self::map(fd, size)
    }

    fn map(fd: OwnedFd, size: usize) -> Result<Self, Error> {
        let map = MmapOptions::new()
            .len(size)
            .map_raw(&fd)
            .map_err(system("mmap"))?;
        Ok(Memory {
            fd,
            map: mem::ManuallyDrop::new(map),
            locked: AtomicBool::new(false),
            header: PhantomData,
        })
    }

    pub(super) fn header(&self) -> &H {
        // SAFETY: the mapping is page-aligned, longer than `H` and sealed
        // against shrinking; `Header` promises the rest.
        unsafe { &*self.map.as_ptr().cast() }
    }

    /// The first byte behind the header, aligned to [`ALIGN`].
    pub(super) fn data(&self) -> *mut u8 {
        // SAFETY: `new` and `open` saw to it that the mapping is not shorter.
        unsafe { self.map.as_mut_ptr().add(Self::DATA) }
    }

    /// How many bytes there are behind the header.
    pub(super) fn len(&self) -> usize {
        self.map.len() - Self::DATA
    }

    /// Writes `bytes` at a position.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    #[inline]
    pub(super) unsafe fn write(&self, area: Area, position: u64, bytes: &[u8]) {
        let mut from = bytes.as_ptr();
        for (offset, len) in area.pieces(position, bytes.len() as u64) {
            // SAFETY: in bounds, as `at` asserts; exclusive, as promised. The
            // pieces are together as long as `bytes`.
            unsafe {
                ptr::copy_nonoverlapping(from, self.at(offset, len), len);
                from = from.add(len);
            }
        }
    }

    /// Appends `len` bytes from a position to `buffer`.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read(&self, area: Area, position: u64, len: u64, buffer: &mut Vec<u8>) {
        buffer.reserve(len as usize);
        for (offset, len) in area.pieces(position, len) {
            // SAFETY: in bounds, as `at` asserts; unchanging, as promised; any
            // byte is a valid `u8`.
            let piece = unsafe { slice::from_raw_parts(self.at(offset, len), len) };
            buffer.extend_from_slice(piece);
        }
    }

    /// The number at a position that is a multiple of 8.
    ///
    /// # Safety
    /// Nobody writes there meanwhile.
    #[inline]
    pub(super) unsafe fn read_u64(&self, area: Area, position: u64) -> u64 {
        let offset = area.start + (position & (area.size - 1)) as usize;
        // SAFETY: in bounds, as `at` asserts; unchanging, as promised.
        unsafe { self.at(offset, 8).cast::<u64>().read_unaligned() }
    }

    /// The address of `len` bytes behind the header.
    #[inline]
    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len()));
        // SAFETY: in bounds, as asserted.
        unsafe { self.data().add(offset) }
    }

    /// Copies `len` bytes.
    ///
    /// # Safety
    /// Nobody else writes at `from`, or reads or writes at `to`, meanwhile; the
    /// two do not overlap.
    pub(super) unsafe fn copy(&self, from: usize, to: usize, len: usize) {
        // SAFETY: in bounds, as `at` asserts; apart and exclusive, as promised.
        unsafe { ptr::copy_nonoverlapping(self.at(from, len), self.at(to, len), len) }
    }

    /// Gives the whole pages among `len` bytes from a position back to the
    /// system; they read as zeroes afterwards.
    ///
    /// # Safety
    /// Nobody else reads or writes there meanwhile.
    pub(super) unsafe fn give_back(&self, area: Area, position: u64, len: u64) {
        for (offset, len) in area.pieces(position, len) {
            let start = (Self::DATA + offset).next_multiple_of(PAGE);
            let end = (Self::DATA + offset + len) / PAGE * PAGE;
            if start < end {
                let punch =
                    FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                // A system that refuses keeps its pages, and nothing else
                // changes.
                _ = fallocate(&self.fd, punch, start as i64, (end - start) as i64);
            }
        }
    }
}

impl<H> AsFd for Memory<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
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

/// An unnamed file in memory of `size` bytes.
///
/// Past RLIMIT_FSIZE the system would send SIGXFSZ, which ends the program, so
/// the limit is looked at first.
pub(super) fn anonymous_file(size: usize) -> Result<OwnedFd, Error> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE).map_err(system("getrlimit"))?;
    if size as u64 > limit {
        return Err(system("RLIMIT_FSIZE")(Errno::EFBIG));
    }
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd = memfd_create("shared", flags).map_err(system("memfd_create"))?;
    ftruncate(&fd, size as i64).map_err(system("ftruncate"))?;
    Ok(fd)
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

/// The moment `timeout` from now; none if that is past all reckoning.
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

/// Looks for `ready` for a moment, in which a busy neighbour answers, so that
/// only an idle one has to be woken. A longer look would keep from the CPU whom
/// it waits for, where both share one. It does not yield, for who yields on a
/// busy machine waits behind all others, and who sleeps is woken in turn.
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
        // Rounded up, or the last part of a millisecond would be spent spinning.
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
