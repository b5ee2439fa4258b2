//! A ring buffer of frames, which are items with their length. One robust mutex
//! serializes producers and another one consumers. Each side publishes what it
//! has done last and with one store, so a process that dies in the middle has
//! changed nothing, and one that is stopped there leaves a state that all others
//! can read.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec::{self, decode_message, encode_message, with_buffer};
use super::error::{Error, system};
use super::memory::{
    AtomicU32, AtomicU64, Header, Kind, Memory, RingBytes, RingMap, deadline, futex_wait,
    futex_wake, is_past, reserve, spin, too_large,
};
use super::mutex::Mutex;

/// A queue between processes, first in, first out: `multiprocessing.Queue`.
/// Many producers, many consumers, and no limit unless told otherwise.
///
/// A handle: clones, and what a child process gets as an argument, are the
/// same queue. Unlike Python's, there is no feeder thread: an item is in the
/// queue when `put` returns. So `is_empty` and `len` are exact, and a producer
/// can be joined before anybody reads.
///
/// When a process dies, in whatever moment, the others go on. An item that it
/// was putting is there whole or not at all; one that it was getting is there
/// until it is got.
///
/// # Waiting
///
/// Producers take turns, and so do consumers; a turn is as long as it takes to
/// copy an item. A process that is stopped in its turn, by SIGSTOP or a
/// debugger, keeps the others of its side waiting, and producers wait for a
/// consumer that is stopped when the queue needs more memory. The calls that
/// take a timeout return when it has passed, also then; `try_put` and `try_get`
/// after a tenth of a second, with [`Error::Full`] or [`Error::Empty`], as
/// Python's `put_nowait` and `get_nowait` do when they do not get the lock.
/// `len`, `is_empty`, `is_full` and `{:?}` take no lock and never wait.
///
/// # What it costs
///
/// Each item costs its encoding, one uncontended lock and two copies of its
/// bytes; system calls are made only to sleep and to wake. In each process that
/// has it, a queue takes one descriptor and 68 KiB of address space. Its memory,
/// once for all processes, is one page (4 KiB) when it is new, and follows the
/// backlog: a ring of 64 KiB becomes twice as large whenever what is in the queue
/// does not fit, and what was got of a large backlog is given back. A process
/// that puts maps the ring as large as it is, and so does one that gets.
///
/// ```
/// use shared::multiprocessing::Queue;
///
/// let q = Queue::new()?;
/// q.put("hello".to_string())?;
/// assert_eq!(q.get()?, "hello");
/// assert!(q.is_empty());
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
pub struct Queue<T> {
    ring: Arc<Ring>,
    items: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned + 'static> Queue<T> {
    /// Makes a queue without a limit: `Queue()`.
    ///
    /// # Errors
    /// The system gives no memory or descriptor.
    pub fn new() -> Result<Self, Error> {
        Self::with_maxsize(0)
    }

    /// Makes a queue for at most `maxsize` items: `Queue(maxsize)`. As in
    /// Python, 0 is no limit.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_maxsize(maxsize: usize) -> Result<Self, Error> {
        Ok(Queue {
            ring: Arc::new(Ring::new(maxsize as u64)?),
            items: PhantomData,
        })
    }

    /// Puts an item; waits for room if the queue has a limit: `q.put(obj)`.
    ///
    /// # Errors
    /// [`Error::Encode`] if the item cannot be encoded; [`Error::System`], which
    /// names what is missing, if the queue needs more memory and cannot have it.
    /// Nothing is put then, and the queue is as it was.
    pub fn put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(None))
    }

    /// Puts an item if there is room: `q.put_nowait(obj)`.
    ///
    /// # Errors
    /// [`Error::Full`], also if a stopped process keeps others from putting;
    /// else as [`put`](Self::put).
    pub fn try_put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::No)
    }

    /// Puts an item; waits no longer than `timeout`: `q.put(obj, timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; else as [`put`](Self::put).
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(deadline(timeout)))
    }

    fn put_item(&self, item: &T, wait: Wait) -> Result<(), Error> {
        with_buffer(|buffer| self.ring.put(encode_message(item, buffer)?, wait))
    }

    /// Gets the oldest item; waits for one: `q.get()`.
    ///
    /// # Errors
    /// [`Error::Decode`] if the item cannot be decoded, or if there is not twice
    /// as much memory as it has bytes. The item is gone, and the next one can be
    /// got. (An item that becomes much larger than its bytes, as many short
    /// texts do, can still use up the memory, which ends the process.)
    pub fn get(&self) -> Result<T, Error> {
        self.get_item(Wait::Until(None))
    }

    /// Gets the oldest item if there is one: `q.get_nowait()`.
    ///
    /// # Errors
    /// [`Error::Empty`], also if a stopped process keeps others from getting;
    /// else as [`get`](Self::get).
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_item(Wait::No)
    }

    /// Gets the oldest item; waits no longer than `timeout`:
    /// `q.get(timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; else as [`get`](Self::get).
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        self.get_item(Wait::Until(deadline(timeout)))
    }

    fn get_item(&self, wait: Wait) -> Result<T, Error> {
        with_buffer(|buffer| {
            self.ring.get(buffer, wait)?;
            decode_message(buffer)
        })
    }
}

impl<T> Queue<T> {
    /// How many items there are: `q.qsize()`. Never waits.
    pub fn len(&self) -> usize {
        self.ring.len() as usize
    }

    /// Whether there are none: `q.empty()`. Never waits.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether there is no room: `q.full()`. Never waits.
    pub fn is_full(&self) -> bool {
        self.ring.is_full()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Queue {
            ring: self.ring.clone(),
            items: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("len", &self.len()).finish()
    }
}

impl<T> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_handle(&self.ring.memory, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| {
            let memory = Memory::open_growable(Kind::Queue, fd, INITIAL_CAPACITY)?;
            Ok(Queue {
                ring: Arc::new(Ring::over(memory)),
                items: PhantomData,
            })
        })
    }
}

/// What to do when there is nothing to get, or no room to put.
#[derive(Clone, Copy)]
enum Wait {
    No,
    Until(Option<Instant>),
}

impl Wait {
    /// The error when there was nothing to be had in time.
    fn given_up(self, at_once: Error) -> Error {
        match self {
            Wait::No => at_once,
            Wait::Until(_) => Error::Timeout,
        }
    }
}

/// How long a call that does not wait gives the holder of a lock to let go of
/// it. That takes long only if the holder does not run.
const PATIENCE: Duration = Duration::from_millis(100);

/// How large the ring starts. That much is mapped beside the header, which is
/// before it, and every queue has it.
const INITIAL_CAPACITY: usize = 1 << 16;

/// How large the ring starts at least where files may not be large: with the
/// header, it fits in a page.
const LEAST_CAPACITY: usize = 1 << 11;

/// A ring larger than this is halved when there is little in it.
const SHRINK_ABOVE: u64 = 1 << 24;

/// When so much has been got and nothing was put, memory is given back,
const DRAINED: u64 = 1 << 22;
/// and again with each such step.
const STEP: u64 = 1 << 20;

/// A frame is the length of an item, the item, and padding to this size.
const ALIGN: u64 = 8;

struct Ring {
    memory: Memory<QueueHeader>,
    /// Each side has its own mapping of the ring, because the two sides learn
    /// of a new capacity, and map the ring anew, at different times.
    producers_map: SideMap,
    consumers_map: SideMap,
}

#[repr(C)]
struct QueueHeader {
    producers: Side,
    consumers: Side,
    /// The size of the ring, a power of two. Changed under both locks.
    capacity: AtomicU64,
    /// How many items there may be; 0 for no limit.
    maxsize: AtomicU64,
}

// SAFETY: zeroes are a valid value; all of it is mutexes and atomics.
unsafe impl Header for QueueHeader {}

/// The producers or the consumers. All fields but `waiters` are written only
/// with `lock` held. Aligned to 128 bytes because CPUs fetch cache lines in
/// pairs. What the other side reads, `count` and `positions`, is in the second
/// line, so that reading it does not take the line of the lock away.
#[repr(C, align(128))]
struct Side {
    lock: Mutex,
    /// The futex on which the OTHER side waits for this one to advance: 0
    /// nobody waits, 1 somebody does, 2 they are being woken. A 2 that was left
    /// by a dead process makes the next one wake them again. Set to 1 with this
    /// side's lock held.
    waiters: AtomicU32,
    /// A copy of the other side's position. The real one is read again only
    /// when this is not enough, because that fetches a cache line.
    cached_other: AtomicU64,
    /// How many items it has put or got since the beginning. To publish a
    /// number is to publish the position of the same parity as well.
    count: AtomicU64,
    /// How many bytes it has put or got since the beginning: at an even count,
    /// and at an odd one.
    positions: [AtomicU64; 2],
    /// Consumers only: the producers' position when it was last looked at, and
    /// the consumers' position when it was first seen. Their difference shows
    /// how much was got without anything being put.
    last_tail: AtomicU64,
    idle_since: AtomicU64,
}

/// A mapping that belongs to a side of this process.
#[derive(Default)]
struct SideMap(UnsafeCell<RingMap>);

// SAFETY: only a `SideGuard` uses it, and while there is one, its thread holds
// the lock of the side.
unsafe impl Sync for SideMap {}

/// The guard of a side's lock.
struct SideGuard<'a> {
    side: &'a Side,
    map: &'a SideMap,
    memory: &'a Memory<QueueHeader>,
}

impl Drop for SideGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: a guard is made only by taking the lock, and stays in its
        // function.
        unsafe { self.side.lock.unlock() }
    }
}

impl Side {
    /// How many bytes it has put or got. Takes no lock, and looks again only if
    /// others have gone on meanwhile.
    #[inline]
    fn position(&self) -> u64 {
        loop {
            let count = self.count.load(Acquire);
            let position = self.positions[count as usize & 1].load(Acquire);
            if self.count.load(Relaxed) == count {
                return position;
            }
        }
    }

    /// As [`position`](Self::position), with the lock held.
    #[inline]
    fn own_position(&self) -> u64 {
        let count = self.count.load(Relaxed);
        self.positions[count as usize & 1].load(Relaxed)
    }
}

impl SideGuard<'_> {
    /// The ring of `size` bytes, in this side's mapping of it.
    #[inline]
    fn ring(&mut self, size: u64) -> Result<RingBytes<'_>, Error> {
        // SAFETY: this thread holds the lock, so this is the only guard of the
        // side in the process. A queue has one memory.
        unsafe { (*self.map.0.get()).ring(self.memory, size) }
    }

    /// Wakes those who wait for this side to advance. That comes before it is
    /// published: if this process dies in between, they were woken for nothing;
    /// in the other order they would sleep beside the item they wait for. One
    /// that is woken early finds nothing, waits for the lock, and so for the
    /// publication, and looks again before it sleeps.
    fn wake_waiters(&self) {
        if self.side.waiters.load(Relaxed) != 0 {
            self.side.waiters.store(2, Relaxed);
            futex_wake(&self.side.waiters);
            self.side.waiters.store(0, Relaxed);
        }
    }

    /// Publishes that this side is past an item, and now at `position`.
    #[inline]
    fn advance(&self, position: u64) {
        let next = self.side.count.load(Relaxed) + 1;
        self.side.positions[next as usize & 1].store(position, Release);
        self.side.count.store(next, Release);
    }
}

impl Ring {
    fn new(maxsize: u64) -> Result<Self, Error> {
        let memory =
            Memory::<QueueHeader>::growable(Kind::Queue, INITIAL_CAPACITY, LEAST_CAPACITY)?;
        let header = memory.header();
        // SAFETY: the memory is new, and nobody else has it.
        unsafe {
            header.producers.lock.init()?;
            header.consumers.lock.init()?;
        }
        header.capacity.store(memory.len() as u64, Relaxed);
        header.maxsize.store(maxsize, Relaxed);
        Ok(Self::over(memory))
    }

    fn over(memory: Memory<QueueHeader>) -> Self {
        Ring {
            memory,
            producers_map: SideMap::default(),
            consumers_map: SideMap::default(),
        }
    }

    fn header(&self) -> &QueueHeader {
        self.memory.header()
    }

    /// Takes the producers' lock, if that can be had in time.
    fn lock_producers(&self, wait: Wait) -> Option<SideGuard<'_>> {
        self.lock(&self.header().producers, &self.producers_map, wait)
    }

    /// Takes the consumers' lock, if that can be had in time.
    fn lock_consumers(&self, wait: Wait) -> Option<SideGuard<'_>> {
        self.lock(&self.header().consumers, &self.consumers_map, wait)
    }

    /// Takes the lock of a side, if that can be had in time. If its last holder
    /// died, that has published either all or nothing, so there is nothing to
    /// repair.
    #[inline]
    fn lock<'a>(&'a self, side: &'a Side, map: &'a SideMap, wait: Wait) -> Option<SideGuard<'a>> {
        match wait {
            Wait::Until(None) => _ = side.lock.lock(),
            Wait::Until(deadline) => _ = side.lock.lock_until(deadline).ok()?,
            Wait::No => {
                if side.lock.try_lock().is_err() {
                    side.lock.lock_until(deadline(PATIENCE)).ok()?;
                }
            }
        }
        Some(SideGuard {
            side,
            map,
            memory: &self.memory,
        })
    }

    fn is_empty(&self) -> bool {
        let header = self.header();
        let got = header.consumers.count.load(Acquire);
        header.producers.count.load(Acquire) == got
    }

    fn len(&self) -> u64 {
        let QueueHeader {
            producers,
            consumers,
            ..
        } = self.header();
        loop {
            let got = consumers.count.load(Acquire);
            let put = producers.count.load(Acquire);
            // Both at one moment, or what was put since would count as there.
            if consumers.count.load(Relaxed) == got {
                return put.saturating_sub(got);
            }
        }
    }

    fn is_full(&self) -> bool {
        let maxsize = self.header().maxsize.load(Relaxed);
        let got = self.header().consumers.count.load(Acquire);
        maxsize > 0
            && self
                .header()
                .producers
                .count
                .load(Relaxed)
                .saturating_sub(got)
                >= maxsize
    }

    /// Whether a producer has to wait. Exact with the lock of either side. It
    /// looks at the consumers also if there is no limit: a producer that never
    /// does runs so far ahead that its items have left the caches when they are
    /// got, which makes the two together slower.
    #[inline]
    fn has_no_room(&self) -> bool {
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

    fn put(&self, item: &[u8], wait: Wait) -> Result<(), Error> {
        let full = || wait.given_up(Error::Full);
        let frame = frame_size(item.len() as u64);
        let producers = &self.header().producers;
        loop {
            let mut guard = self.lock_producers(wait).ok_or_else(full)?;
            if !self.has_no_room() {
                let tail = producers.own_position();
                let capacity = self.reserve(&mut guard, tail, frame, wait)?;
                let ring = guard.ring(capacity)?;
                // SAFETY: `reserve` saw to it that no item lies there, and the
                // lock keeps other producers away.
                unsafe {
                    ring.write(tail, &(item.len() as u64).to_ne_bytes());
                    ring.write(tail + ALIGN, item);
                }
                guard.wake_waiters();
                guard.advance(tail + frame);
                return Ok(());
            }
            drop(guard);
            let Wait::Until(deadline) = wait else {
                return Err(full());
            };
            self.sleep(deadline, Self::lock_consumers, || self.has_no_room())?;
        }
    }

    fn get(&self, item: &mut Vec<u8>, wait: Wait) -> Result<(), Error> {
        let empty = || wait.given_up(Error::Empty);
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
                let Frame { len, is_read } = self.read(&mut guard, head, tail, item)?;
                guard.wake_waiters();
                let next = head + frame_size(len);
                guard.advance(next);
                self.release_memory(&mut guard, head, next);
                return match is_read {
                    true => Ok(()),
                    false => Err(too_large("an item", len)),
                };
            }
            drop(guard);
            let Wait::Until(deadline) = wait else {
                return Err(empty());
            };
            self.sleep(deadline, Self::lock_producers, || self.is_empty())?;
        }
    }

    /// Sleeps while `blocked`, until the side whose lock `lock` takes advances.
    fn sleep<'a>(
        &'a self,
        deadline: Option<Instant>,
        lock: impl Fn(&'a Self, Wait) -> Option<SideGuard<'a>>,
        blocked: impl Fn() -> bool,
    ) -> Result<(), Error> {
        if spin(|| !blocked()) {
            return Ok(());
        }
        if is_past(deadline) {
            return Err(Error::Timeout);
        }
        let guard = lock(self, Wait::Until(deadline)).ok_or(Error::Timeout)?;
        if !blocked() {
            return Ok(());
        }
        let waiters = &guard.side.waiters;
        waiters.store(1, Relaxed);
        drop(guard);
        futex_wait(waiters, 1, deadline);
        Ok(())
    }

    /// Sees to it that a frame fits behind the tail, and returns the capacity;
    /// with the producers' lock.
    fn reserve(
        &self,
        guard: &mut SideGuard<'_>,
        tail: u64,
        frame: u64,
        wait: Wait,
    ) -> Result<u64, Error> {
        let QueueHeader {
            producers,
            consumers,
            capacity,
            ..
        } = self.header();
        let mut size = capacity.load(Relaxed);
        if tail + frame <= producers.cached_other.load(Relaxed) + size {
            return Ok(size);
        }
        let mut head = consumers.position();
        if tail + frame > head + size {
            let _consumers = self
                .lock_consumers(wait)
                .ok_or_else(|| wait.given_up(Error::Full))?;
            head = consumers.position();
            let needed = (tail - head)
                .checked_add(frame)
                .and_then(u64::checked_next_power_of_two)
                .ok_or_else(|| system("mmap")(Errno::ENOMEM))?;
            if needed > size {
                self.memory.grow(needed)?;
                let ring = guard.ring(needed)?;
                self.resize(ring, head..tail, size, needed);
                size = needed;
            }
        }
        producers.cached_other.store(head, Relaxed);
        Ok(size)
    }

    /// Gives memory back that nothing lies in, after the head has advanced from
    /// `before` to `head`; with the consumers' lock. Steady traffic keeps it,
    /// because it is written again at once.
    fn release_memory(&self, guard: &mut SideGuard<'_>, before: u64, head: u64) {
        let QueueHeader {
            producers,
            capacity,
            ..
        } = self.header();
        let size = capacity.load(Relaxed);
        let is_step = before / STEP != head / STEP;
        if size <= SHRINK_ABOVE && !is_step {
            return;
        }
        let tail = producers.position();
        let is_large = size > SHRINK_ABOVE && tail - head <= size / 4;
        let is_drained = is_step && self.is_drained(head, tail);
        if !is_large && !is_drained {
            return;
        }
        // Producers wait for the consumers' lock, so one may not wait here for
        // theirs. The consumer of one of the next items tries again.
        if producers.lock.try_lock().is_err() {
            return;
        }
        let _producers = SideGuard {
            side: producers,
            map: &self.producers_map,
            memory: &self.memory,
        };
        let tail = producers.position();
        if is_large && self.halve(guard, head..tail) || is_drained {
            let size = capacity.load(Relaxed);
            // SAFETY: from the tail round to the head nothing lies, and both
            // locks are held.
            unsafe { self.memory.release_pages(size, tail, size - (tail - head)) };
        }
    }

    /// Whether much has been got and nothing put meanwhile.
    fn is_drained(&self, head: u64, tail: u64) -> bool {
        let consumers = &self.header().consumers;
        if consumers.last_tail.load(Relaxed) != tail {
            consumers.last_tail.store(tail, Relaxed);
            consumers.idle_since.store(head, Relaxed);
        }
        head - consumers.idle_since.load(Relaxed) >= DRAINED
    }

    /// Halves a large ring while what is in it is little and lies in one half;
    /// with both locks. Returns whether it did. A process that cannot map the
    /// ring leaves that to others.
    fn halve(&self, guard: &mut SideGuard<'_>, live: Range<u64>) -> bool {
        let mut any = false;
        loop {
            let size = self.header().capacity.load(Relaxed);
            let half = size / 2;
            if size <= SHRINK_ABOVE
                || live.end - live.start > size / 4
                || !live.is_empty() && live.start / half != (live.end - 1) / half
            {
                return any;
            }
            let Ok(ring) = guard.ring(size) else {
                return any;
            };
            self.resize(ring, live.clone(), size, half);
            // SAFETY: nothing is in that half any more, and both locks are held.
            unsafe { self.memory.release_pages(size, half, half) };
            any = true;
        }
    }

    /// Changes the size of the ring, with both locks. Items whose offset changes
    /// are first copied to free space, so the old ring stays valid until the new
    /// capacity is stored, even if this process dies. `ring` is as large as the
    /// larger of the two.
    fn resize(&self, ring: RingBytes<'_>, live: Range<u64>, old: u64, new: u64) {
        let mut start = live.start;
        while start < live.end {
            let end = live.end.min((start / old + 1) * old);
            let (from, to) = (start % old, start % new);
            if from != to {
                // SAFETY: producers and consumers are kept out. If the ring
                // grows, `to` is behind the old one; if it shrinks, it is in
                // the half in which nothing lies.
                unsafe { ring.copy(from, to, end - start) };
            }
            start = end;
        }
        self.header().capacity.store(new, Relaxed);
    }

    /// Reads the item of the frame at `head`; with the consumers' lock.
    #[inline]
    fn read(
        &self,
        guard: &mut SideGuard<'_>,
        head: u64,
        tail: u64,
        item: &mut Vec<u8>,
    ) -> Result<Frame, Error> {
        let size = self.header().capacity.load(Relaxed);
        let there = tail.wrapping_sub(head);
        if there > size || !size.is_power_of_two() || !head.is_multiple_of(ALIGN) {
            return Err(corrupt());
        }
        let Ok(ring) = guard.ring(size) else {
            return self.read_unmapped(size, head, there, item);
        };
        // SAFETY: from head to tail nobody writes.
        let len = unsafe { ring.read_u64(head) };
        if !fits(len, there) {
            return Err(corrupt());
        }
        let is_read = reserve(item, len);
        if is_read {
            // SAFETY: as above.
            unsafe { ring.read(head + ALIGN, len, item) };
        }
        Ok(Frame { len, is_read })
    }

    /// As [`read`](Self::read), for a process that cannot map the ring: a small
    /// item can be got also if the ring is large.
    #[cold]
    fn read_unmapped(
        &self,
        size: u64,
        head: u64,
        there: u64,
        item: &mut Vec<u8>,
    ) -> Result<Frame, Error> {
        let mut len = Vec::new();
        self.memory.read_unmapped(size, head, ALIGN, &mut len)?;
        let len = u64::from_ne_bytes(len.try_into().expect("eight bytes"));
        if !fits(len, there) {
            return Err(corrupt());
        }
        let is_read = reserve(item, len);
        if is_read {
            self.memory.read_unmapped(size, head + ALIGN, len, item)?;
        }
        Ok(Frame { len, is_read })
    }
}

/// A frame that was read.
struct Frame {
    /// How many bytes the item has.
    len: u64,
    /// False if there is not as much memory.
    is_read: bool,
}

/// Whether an item of `len` bytes and its length are in as many bytes as are
/// `there`.
#[inline]
fn fits(len: u64, there: u64) -> bool {
    len <= there && frame_size(len) <= there
}

#[cold]
fn corrupt() -> Error {
    Error::Corrupt("queue: not what its producers write".into())
}

/// How many bytes an item takes in the ring.
fn frame_size(len: u64) -> u64 {
    ALIGN + len.next_multiple_of(ALIGN)
}
