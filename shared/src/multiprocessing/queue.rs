//! A ring of frames in shared memory. Producers take turns under one robust
//! lock and consumers under another; a side moves its cursor when its work is
//! done, so that who dies half way has done nothing.

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
    Area, AtomicU32, AtomicU64, Header, Memory, deadline, futex_wait, futex_wake, spin,
};
use super::mutex::{Lock, Mutex};

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
/// An item costs its encoding, a lock nobody waits for and two copies; there
/// is a system call only to sleep and to wake. Memory follows the backlog.
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
    /// [`Error::Encode`] if the item cannot be encoded; nothing is put then.
    pub fn put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(None))
    }

    /// Puts an item if there is room: `q.put_nowait(obj)`.
    ///
    /// # Errors
    /// [`Error::Full`]; [`Error::Encode`].
    pub fn try_put(&self, item: T) -> Result<(), Error> {
        self.put_item(&item, Wait::No)
    }

    /// Puts an item; waits no longer than `timeout`: `q.put(obj, timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Encode`].
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), Error> {
        self.put_item(&item, Wait::Until(deadline(timeout)))
    }

    fn put_item(&self, item: &T, wait: Wait) -> Result<(), Error> {
        with_buffer(|buffer| self.ring.put(encode_message(item, buffer)?, wait))
    }

    /// Gets the oldest item; waits for one: `q.get()`.
    ///
    /// # Errors
    /// [`Error::Decode`] if the item cannot be decoded; the next one can be got.
    pub fn get(&self) -> Result<T, Error> {
        self.get_item(Wait::Until(None))
    }

    /// Gets the oldest item if there is one: `q.get_nowait()`.
    ///
    /// # Errors
    /// [`Error::Empty`]; [`Error::Decode`].
    pub fn try_get(&self) -> Result<T, Error> {
        self.get_item(Wait::No)
    }

    /// Gets the oldest item; waits no longer than `timeout`:
    /// `q.get(timeout=d)`.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Decode`].
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
    /// How many items there are: `q.qsize()`.
    pub fn len(&self) -> usize {
        self.ring.len() as usize
    }

    /// Whether there are none: `q.empty()`.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether there is no room: `q.full()`.
    pub fn is_full(&self) -> bool {
        let maxsize = self.ring.header().maxsize.load(Relaxed);
        maxsize > 0 && self.ring.len() >= maxsize
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
        codec::serialize_handle(&self.ring.0, serializer)
    }
}

impl<'de, T> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| {
            Ok(Queue {
                ring: Arc::new(Ring(Memory::open(fd)?)),
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
    /// When to give up waiting for a turn; nobody takes a long one.
    fn deadline(self) -> Option<Instant> {
        match self {
            Wait::No => None,
            Wait::Until(deadline) => deadline,
        }
    }
}

/// How large the ring can become. Pages are taken only when they are written.
const LARGEST: u64 = 1 << 36;

/// How large it starts.
const SMALLEST: u64 = 1 << 16;

/// A ring larger than this is halved when there is little in it.
const KEEP: u64 = 1 << 24;

/// When so much has been got and nothing was put, memory is given back,
const DRAINED: u64 = 1 << 22;
/// and again with each such step.
const STEP: u64 = 1 << 20;

/// A frame is the length of an item, the item, and padding to this size.
const ALIGN: u64 = 8;

struct Ring(Memory<Cursors>);

#[repr(C)]
struct Cursors {
    producers: Side,
    consumers: Side,
    /// The size of the ring, a power of two. Changed under both locks.
    capacity: AtomicU64,
    /// How many items there may be; 0 for no limit.
    maxsize: AtomicU64,
}

// SAFETY: zeroes are a valid value; all of it is mutexes and atomics.
unsafe impl Header for Cursors {}

/// The producers or the consumers; all is written under the lock, but for the
/// bell. Cache lines are fetched in pairs.
#[repr(C, align(128))]
struct Side {
    lock: Mutex,
    /// Somebody sleeps on it until this side moves: 1; is being woken: 2; else
    /// 0. Set to 1 under this side's lock, by the other side.
    bell: AtomicU32,
    /// How many bytes it has put or got since ever.
    position: AtomicU64,
    /// How many items it has put or got since ever.
    count: AtomicU64,
    /// What `position` and `count` are about to be, so that a death between
    /// the two can be put right.
    next_position: AtomicU64,
    next_count: AtomicU64,
    /// Up to where the other side was seen to be. Looking there anew fetches
    /// the other side's cache line.
    seen: AtomicU64,
    /// For consumers: where the producers stand still, and where this side was
    /// when that was noticed.
    still: AtomicU64,
    since: AtomicU64,
}

/// A side's lock, held.
struct Turn<'a>(&'a Side);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // SAFETY: a turn is made only by taking the lock, and stays in its
        // function.
        unsafe { self.0.lock.unlock() }
    }
}

impl Side {
    fn lock(&self, deadline: Option<Instant>) -> Result<Turn<'_>, Error> {
        Ok(self.turn(match deadline {
            None => self.lock.lock(),
            deadline => self.lock.lock_until(deadline)?,
        }))
    }

    fn try_lock(&self) -> Result<Turn<'_>, Error> {
        Ok(self.turn(self.lock.try_lock()?))
    }

    /// The turn of who has just taken the lock. Puts right what a death left.
    fn turn(&self, lock: Lock) -> Turn<'_> {
        let moved = || self.position.load(Relaxed) == self.next_position.load(Relaxed);
        if lock == Lock::OwnerDied && moved() {
            self.count.store(self.next_count.load(Relaxed), Release);
        }
        Turn(self)
    }
}

impl Turn<'_> {
    /// Wakes those who wait for this side to move. That comes before the move:
    /// who dies in between has woken them for nothing, and the other way round
    /// they would sleep beside what they wait for. A woken one that sees no
    /// change waits for the lock, and so for the move, before it sleeps again.
    fn ring_bell(&self) {
        if self.0.bell.load(Relaxed) != 0 {
            self.0.bell.store(2, Relaxed);
            futex_wake(&self.0.bell);
            self.0.bell.store(0, Relaxed);
        }
    }

    /// Moves this side over a frame.
    fn advance(&self, frame: u64) {
        let position = self.0.position.load(Relaxed) + frame;
        let count = self.0.count.load(Relaxed) + 1;
        self.0.next_position.store(position, Release);
        self.0.next_count.store(count, Release);
        self.0.position.store(position, Release);
        self.0.count.store(count, Release);
    }
}

impl Ring {
    fn new(maxsize: u64) -> Result<Self, Error> {
        let memory = Memory::<Cursors>::new(LARGEST as usize)?;
        let header = memory.header();
        // SAFETY: the memory is new, and nobody else has it.
        unsafe {
            header.producers.lock.init()?;
            header.consumers.lock.init()?;
        }
        header.capacity.store(SMALLEST, Relaxed);
        header.maxsize.store(maxsize, Relaxed);
        Ok(Ring(memory))
    }

    fn header(&self) -> &Cursors {
        self.0.header()
    }

    fn is_empty(&self) -> bool {
        let Cursors {
            producers,
            consumers,
            ..
        } = self.header();
        producers.position.load(Acquire) == consumers.position.load(Acquire)
    }

    fn len(&self) -> u64 {
        let Cursors {
            producers,
            consumers,
            ..
        } = self.header();
        // Both locks, so that a death has been put right.
        let _turns = (producers.lock(None), consumers.lock(None));
        producers.count.load(Relaxed) - consumers.count.load(Relaxed)
    }

    fn put(&self, item: &[u8], wait: Wait) -> Result<(), Error> {
        let frame = frame(item.len() as u64);
        let Cursors {
            producers,
            consumers,
            ..
        } = self.header();
        loop {
            let turn = producers.lock(wait.deadline())?;
            if !self.is_full(wait)? {
                self.make_room(frame, wait.deadline())?;
                let tail = producers.position.load(Relaxed);
                let area = self.area();
                // SAFETY: `make_room` saw to it that no item lies there, and
                // the turn keeps other producers away.
                unsafe {
                    self.0.write(area, tail, &(item.len() as u64).to_ne_bytes());
                    self.0.write(area, tail + ALIGN, item);
                }
                turn.ring_bell();
                turn.advance(frame);
                return Ok(());
            }
            drop(turn);
            let Wait::Until(deadline) = wait else {
                return Err(Error::Full);
            };
            self.sleep(consumers, deadline, || self.seems_full())?;
        }
    }

    fn get(&self, item: &mut Vec<u8>, wait: Wait) -> Result<(), Error> {
        let Cursors {
            producers,
            consumers,
            ..
        } = self.header();
        loop {
            let turn = consumers.lock(wait.deadline())?;
            let head = consumers.position.load(Relaxed);
            let mut tail = consumers.seen.load(Relaxed);
            if head == tail {
                tail = producers.position.load(Acquire);
                consumers.seen.store(tail, Relaxed);
            }
            if head != tail {
                let frame = self.read(head, tail, item)?;
                turn.ring_bell();
                turn.advance(frame);
                self.give_back(head);
                return Ok(());
            }
            drop(turn);
            let Wait::Until(deadline) = wait else {
                return Err(Error::Empty);
            };
            self.sleep(producers, deadline, || self.is_empty())?;
        }
    }

    /// Sleeps while `blocked`, until the side it waits for moves.
    fn sleep(
        &self,
        side: &Side,
        deadline: Option<Instant>,
        blocked: impl Fn() -> bool,
    ) -> Result<(), Error> {
        if spin(|| !blocked()) {
            return Ok(());
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Err(Error::Timeout);
        }
        {
            let _turn = side.lock(deadline)?;
            if !blocked() {
                return Ok(());
            }
            side.bell.store(1, Relaxed);
        }
        futex_wait(&side.bell, 1, deadline);
        Ok(())
    }

    fn area(&self) -> Area {
        Area {
            start: 0,
            size: self.header().capacity.load(Relaxed),
        }
    }

    /// Whether there seems to be no room. Without the turns, a death may not
    /// have been put right yet; what seems to be room is then looked at again.
    fn seems_full(&self) -> bool {
        let Cursors {
            producers,
            consumers,
            maxsize,
            ..
        } = self.header();
        let maxsize = maxsize.load(Relaxed);
        let got = consumers.count.load(Acquire);
        maxsize > 0 && producers.count.load(Relaxed).saturating_sub(got) >= maxsize
    }

    /// Whether there is no room; with the producers' turn. Who does not wait
    /// asks for the consumers' turn, to put right the count of one who died;
    /// who waits does so anyway.
    fn is_full(&self, wait: Wait) -> Result<bool, Error> {
        if let Wait::No = wait
            && self.seems_full()
        {
            let _turn = self.header().consumers.lock(None)?;
            return Ok(self.seems_full());
        }
        Ok(self.seems_full())
    }

    /// Sees to it that a frame fits behind the tail; with the producers' turn.
    fn make_room(&self, frame: u64, deadline: Option<Instant>) -> Result<(), Error> {
        let Cursors {
            producers,
            consumers,
            capacity,
            ..
        } = self.header();
        let size = capacity.load(Relaxed);
        let tail = producers.position.load(Relaxed);
        if tail + frame <= producers.seen.load(Relaxed) + size {
            return Ok(());
        }
        let mut head = consumers.position.load(Acquire);
        if tail + frame > head + size {
            let _turn = consumers.lock(deadline)?;
            head = consumers.position.load(Relaxed);
            let needed = (tail - head + frame).next_power_of_two();
            if needed > LARGEST {
                return Err(system("a queue of more than 64 GiB")(Errno::ENOMEM));
            }
            if needed > size {
                self.lay_out(head..tail, size, needed);
            }
        }
        producers.seen.store(head, Relaxed);
        Ok(())
    }

    /// Gives memory back that nothing lies in, after the head has moved from
    /// `before`; with the consumers' turn. Steady traffic keeps it, for it is
    /// written again at once.
    fn give_back(&self, before: u64) {
        let Cursors {
            producers,
            consumers,
            capacity,
            ..
        } = self.header();
        let head = consumers.position.load(Relaxed);
        let size = capacity.load(Relaxed);
        let is_step = before / STEP != head / STEP;
        if size <= KEEP && !is_step {
            return;
        }
        let tail = producers.position.load(Relaxed);
        let is_large = size > KEEP && tail - head <= size / 4;
        let is_drained = is_step && self.is_drained(head, tail);
        if !is_large && !is_drained {
            return;
        }
        // Producers wait for consumers' turns, so one may not wait here for
        // theirs. Who gets the next items tries again.
        let Ok(_turn) = producers.try_lock() else {
            return;
        };
        let tail = producers.position.load(Relaxed);
        if is_large && self.halve(head..tail) || is_drained {
            let area = self.area();
            // SAFETY: from the tail round to the head nothing lies, and both
            // turns are ours.
            unsafe { self.0.give_back(area, tail, area.size - (tail - head)) };
        }
    }

    /// Whether much has been got and nothing put meanwhile.
    fn is_drained(&self, head: u64, tail: u64) -> bool {
        let Cursors { consumers, .. } = self.header();
        if consumers.still.load(Relaxed) != tail {
            consumers.still.store(tail, Relaxed);
            consumers.since.store(head, Relaxed);
        }
        head - consumers.since.load(Relaxed) >= DRAINED
    }

    /// Halves a large ring while what is in it is little and lies in one half;
    /// with both turns. Tells whether it did.
    fn halve(&self, live: Range<u64>) -> bool {
        let mut any = false;
        loop {
            let area = self.area();
            let half = area.size / 2;
            if area.size <= KEEP
                || live.end - live.start > area.size / 4
                || !live.is_empty() && live.start / half != (live.end - 1) / half
            {
                return any;
            }
            self.lay_out(live.clone(), area.size, half);
            // SAFETY: nothing is in that half any more, and both turns are ours.
            unsafe { self.0.give_back(area, half, half) };
            any = true;
        }
    }

    /// Changes the ring's size, with both turns. What lies elsewhere in a ring
    /// of the `new` size is copied there first, to where nothing lies in the
    /// old one, so that it stays whole until the size is changed.
    fn lay_out(&self, live: Range<u64>, size: u64, new: u64) {
        let mut start = live.start;
        while start < live.end {
            let end = live.end.min((start / size + 1) * size);
            let (from, to) = ((start % size) as usize, (start % new) as usize);
            if from != to {
                // SAFETY: producers and consumers are kept out. If the ring
                // grows, `to` is behind the old one; if it shrinks, it is in
                // the half in which nothing lies.
                unsafe { self.0.copy(from, to, (end - start) as usize) };
            }
            start = end;
        }
        self.header().capacity.store(new, Relaxed);
    }

    /// Reads the item of the frame at `head` and returns the frame's size; with
    /// the consumers' turn.
    fn read(&self, head: u64, tail: u64, item: &mut Vec<u8>) -> Result<u64, Error> {
        let corrupt = || Error::Corrupt("queue: not what its producers write".into());
        let area = self.area();
        let there = tail.wrapping_sub(head);
        if !area.size.is_power_of_two() || area.size > LARGEST || there > area.size {
            return Err(corrupt());
        }
        // SAFETY: from head to tail nobody writes.
        let len = unsafe { self.0.read_u64(area, head) };
        if len > there || frame(len) > there {
            return Err(corrupt());
        }
        // SAFETY: as above.
        unsafe { self.0.read(area, head + ALIGN, len, item) };
        Ok(frame(len))
    }
}

/// How many bytes an item takes in the ring.
fn frame(len: u64) -> u64 {
    ALIGN + len.next_multiple_of(ALIGN)
}
