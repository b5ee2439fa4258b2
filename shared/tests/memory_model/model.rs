//! Shared memory, robust mutexes and futexes over Loom's primitives.
//!
//! The structures that the library keeps in shared memory are only zeroed bytes
//! here. The Loom object that stands for a field, an atomic or a lock, is found
//! by the address of the field.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::{Condvar, MutexGuard};

use crate::multiprocessing::error::Error;
use crate::watchdog::watchdog;

/// All Loom objects of an execution, by type and address.
type Objects = HashMap<(TypeId, usize), Rc<dyn Any>>;

thread_local! {
    /// Loom runs all threads of a model on one thread of the system.
    static OBJECTS: RefCell<Objects> = RefCell::default();
    /// Whether a thread was killed in any execution of the model.
    static DIED: Cell<bool> = const { Cell::new(false) };
}

/// The object of type `T` at an address; `make` creates it at first use.
fn object_at<T: 'static>(address: usize, make: impl FnOnce() -> T) -> Rc<T> {
    let key = (TypeId::of::<T>(), address);
    let known = OBJECTS.with_borrow(|objects| objects.get(&key).cloned());
    let object = known.unwrap_or_else(|| {
        let object: Rc<dyn Any> = Rc::new(make());
        OBJECTS.with_borrow_mut(|objects| objects.insert(key, object.clone()));
        object
    });
    object.downcast().expect("the key holds the type")
}

/// Checks every execution of `model`.
pub fn check(model: impl Fn() + Send + Sync + 'static) {
    let _watchdog = watchdog();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 10_000;
    builder.check(move || {
        OBJECTS.take();
        model();
        OBJECTS.take();
    });
}

/// Checks `model` with a process that is killed at its first step, then with one
/// that is killed at its second step, and so on, until it completes alive. The
/// model gets the number of steps to pass to [`mortal`].
pub fn check_deaths(model: impl Fn(usize) + Copy + Send + Sync + 'static) {
    for steps in 0.. {
        DIED.set(false);
        check(move || model(steps));
        if !DIED.get() {
            assert!(steps >= 5, "it took {steps} steps only");
            return;
        }
    }
}

loom::thread_local! {
    /// After how many more steps this process is killed.
    static STEPS_LEFT: Cell<Option<usize>> = Cell::new(None);
    /// The addresses of the locks that it holds.
    static HELD: RefCell<Vec<usize>> = RefCell::default();
}

struct Killed;

/// Runs `work`, and kills it after `steps` steps; returns whether it completed.
pub fn mortal(steps: usize, work: impl FnOnce()) -> bool {
    STEPS_LEFT.with(|left| left.set(Some(steps)));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    STEPS_LEFT.with(|left| left.set(None));
    match outcome {
        Ok(()) => true,
        Err(payload) if payload.is::<Killed>() => false,
        Err(payload) => resume_unwind(payload),
    }
}

/// Precedes each operation that others can see. A process can be killed here.
fn step() {
    let is_killed = STEPS_LEFT.with(|left| match left.get() {
        Some(0) => true,
        more => {
            left.set(more.map(|steps| steps - 1));
            false
        }
    });
    if is_killed {
        DIED.set(true);
        for address in HELD.with(|held| held.take()) {
            let lock = object_at::<Robust>(address, || unreachable!("it is held"));
            drop(lock.guard.take());
        }
        resume_unwind(Box::new(Killed));
    }
}

macro_rules! atomic {
    ($Name:ident, $number:ty) => {
        pub struct $Name {
            #[expect(dead_code, reason = "only its address is used")]
            place: $number,
        }

        #[allow(dead_code, reason = "the library uses part of each")]
        impl $Name {
            fn model(&self) -> Rc<loom::sync::atomic::$Name> {
                object_at(&raw const *self as usize, || {
                    loom::sync::atomic::$Name::new(0)
                })
            }

            pub fn load(&self, order: Ordering) -> $number {
                self.model().load(order)
            }

            pub fn store(&self, value: $number, order: Ordering) {
                step();
                self.model().store(value, order);
            }

            pub fn swap(&self, value: $number, order: Ordering) -> $number {
                step();
                self.model().swap(value, order)
            }

            pub fn fetch_add(&self, value: $number, order: Ordering) -> $number {
                step();
                self.model().fetch_add(value, order)
            }

            pub fn fetch_max(&self, value: $number, order: Ordering) -> $number {
                step();
                self.model().fetch_max(value, order)
            }

            pub fn compare_exchange(
                &self,
                current: $number,
                new: $number,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$number, $number> {
                step();
                self.model()
                    .compare_exchange(current, new, success, failure)
            }
        }
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);

pub fn fence(order: Ordering) {
    loom::sync::atomic::fence(order);
}

pub struct Mutex {
    place: u64,
}

struct Robust {
    /// Leaked, because it has to outlive its guard.
    lock: &'static loom::sync::Mutex<()>,
    guard: RefCell<Option<MutexGuard<'static, ()>>>,
}

impl Mutex {
    fn address(&self) -> usize {
        &raw const self.place as usize
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn init(&self) -> Result<(), Error> {
        object_at(self.address(), || Robust {
            lock: Box::leak(Box::default()),
            guard: RefCell::default(),
        });
        Ok(())
    }

    pub fn lock(&self) {
        step();
        assert!(self.hold(|lock| Some(lock.lock().unwrap())), "it waits");
    }

    pub fn try_lock(&self) -> bool {
        step();
        self.hold(|lock| lock.try_lock().ok())
    }

    fn hold(
        &self,
        lock: impl FnOnce(&'static loom::sync::Mutex<()>) -> Option<MutexGuard<'static, ()>>,
    ) -> bool {
        let robust = object_at::<Robust>(self.address(), || unreachable!("it has been made"));
        let Some(guard) = lock(robust.lock) else {
            return false;
        };
        robust.guard.replace(Some(guard));
        HELD.with(|held| held.borrow_mut().push(self.address()));
        true
    }

    pub fn lock_until(&self, _: Option<Instant>) -> bool {
        self.lock();
        true
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn unlock(&self) {
        // The guards of a killed process are dropped too, but its locks have
        // been released, and may belong to others now.
        if HELD.with(|held| held.borrow().contains(&self.address())) {
            step();
            HELD.with(|held| {
                held.borrow_mut()
                    .retain(|address| *address != self.address())
            });
            let robust = object_at::<Robust>(self.address(), || unreachable!("it is held"));
            drop(robust.guard.take());
        }
    }
}

#[derive(Default)]
struct Futex {
    sleepers: loom::sync::Mutex<()>,
    wake: Condvar,
}

fn futex(word: &AtomicU32) -> Rc<Futex> {
    object_at(&raw const *word as usize, || Futex {
        sleepers: Default::default(),
        wake: Condvar::new(),
    })
}

pub fn futex_wait(word: &AtomicU32, value: u32, _: Option<Instant>) {
    step();
    let futex = futex(word);
    let sleepers = futex.sleepers.lock().unwrap();
    if word.model().load(Ordering::Relaxed) == value {
        drop(futex.wake.wait(sleepers).unwrap());
    }
}

pub fn futex_wake(word: &AtomicU32) {
    step();
    let futex = futex(word);
    let _sleepers = futex.sleepers.lock().unwrap();
    futex.wake.notify_all();
}

/// Checks once, because Loom tries all moments at which this can happen.
pub fn spin(mut ready: impl FnMut() -> bool) -> bool {
    ready()
}

pub fn deadline(_: Duration) -> Option<Instant> {
    None
}

pub fn is_past(_: Option<Instant>) -> bool {
    false
}

pub fn reserve(_: &mut Vec<u8>, _: u64) -> bool {
    true
}

pub fn too_large(_: &str, _: u64) -> Error {
    unreachable!("a model's items are small")
}

/// The kinds need no number, because each has its own type of header.
pub enum Kind {
    Queue,
    Channel,
    Alarm,
}

pub const PAGE_SIZE: u64 = 4096;

/// # Safety
/// As for the real one: all zeroes is a valid value.
pub unsafe trait Header: Sync {}

pub struct SharedMemory<H> {
    header: Rc<H>,
    bytes: PhantomData<[u8]>,
}

// SAFETY: Loom's threads are one thread of the system.
unsafe impl<H> Send for SharedMemory<H> {}
// SAFETY: as above.
unsafe impl<H> Sync for SharedMemory<H> {}

impl<H: Header + 'static> SharedMemory<H> {
    pub fn new(_: Kind, _: usize) -> Result<Self, Error> {
        // SAFETY: as a header promises.
        let header: Rc<H> = object_at(0, || unsafe { MaybeUninit::zeroed().assume_init() });
        // To Loom, creating an atomic is a write to it. So all are created here,
        // before others can see them.
        let start = &raw const *header as usize;
        for address in (start..start + size_of::<H>()).step_by(4) {
            object_at(address, || loom::sync::atomic::AtomicU32::new(0));
            object_at(address, || loom::sync::atomic::AtomicU64::new(0));
        }
        Ok(SharedMemory {
            header,
            bytes: PhantomData,
        })
    }

    pub fn growable(kind: Kind, len: usize, _: usize) -> Result<Self, Error> {
        Self::new(kind, len)
    }

    /// Opens the only memory with such a header.
    pub fn open(_: Kind, _: OwnedFd) -> Result<Self, Error> {
        let header = object_at(0, || unreachable!("it has been made"));
        Ok(SharedMemory {
            header,
            bytes: PhantomData,
        })
    }

    pub fn open_growable(kind: Kind, fd: OwnedFd, _: usize) -> Result<Self, Error> {
        Self::open(kind, fd)
    }

    /// More than a model puts.
    pub fn len(&self) -> usize {
        1 << 10
    }

    pub fn header(&self) -> &H {
        &self.header
    }

    pub fn extend(&self, _: u64) -> Result<(), Error> {
        unreachable!("a model's ring does not grow")
    }
}

impl<H> AsFd for SharedMemory<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unreachable!("a model's threads share the handle itself")
    }
}

pub const FRAME_HEADER: u64 = 8;

pub fn frame_size(len: u64) -> u64 {
    FRAME_HEADER + len.next_multiple_of(FRAME_HEADER)
}

#[derive(Clone, Copy)]
pub struct RingArea {
    pub start: usize,
    pub capacity: u64,
}

impl RingArea {
    pub fn of<H: Header + 'static>(self, memory: &SharedMemory<H>) -> RingBytes<'_> {
        RingBytes {
            base: &raw const *memory.header as usize + self.start,
            capacity: self.capacity,
            bytes: PhantomData,
        }
    }
}

#[derive(Default)]
pub struct RingMap;

impl RingMap {
    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn ring<'a, H: Header + 'static>(
        &'a mut self,
        memory: &'a SharedMemory<H>,
        capacity: u64,
    ) -> Result<RingBytes<'a>, Error> {
        Ok(RingArea { start: 0, capacity }.of(memory))
    }
}

/// The bytes of a ring: a Loom cell for each, at an address that only identifies
/// it.
#[derive(Clone, Copy)]
pub struct RingBytes<'a> {
    base: usize,
    capacity: u64,
    bytes: PhantomData<&'a [u8]>,
}

impl RingBytes<'_> {
    /// Calls `access` with each byte of a range. Loom fails the test if another
    /// thread accesses one of them at the same time.
    fn each(self, position: u64, len: u64, mut access: impl FnMut(&UnsafeCell<u8>)) {
        for position in position..position + len {
            let offset = (position & (self.capacity - 1)) as usize;
            access(&object_at(self.base + offset, || UnsafeCell::new(0)));
        }
    }

    /// # Safety
    /// As for the real one; Loom checks it.
    pub unsafe fn write(self, position: u64, bytes: &[u8]) {
        step();
        let mut bytes = bytes.iter();
        self.each(position, bytes.len() as u64, |cell| {
            let byte = *bytes.next().expect("as many as there are");
            // SAFETY: Loom has just checked that the access is exclusive.
            cell.with_mut(|place| unsafe { *place = byte });
        });
    }

    /// # Safety
    /// As for the real one; Loom checks it.
    pub unsafe fn read(self, position: u64, len: u64, buffer: &mut Vec<u8>) {
        self.each(position, len, |cell| {
            // SAFETY: Loom has just checked that nobody writes here.
            buffer.push(cell.with(|place| unsafe { *place }));
        });
    }

    /// # Safety
    /// As for the real one; Loom checks it.
    pub unsafe fn read_u64(self, position: u64) -> u64 {
        let mut bytes = Vec::new();
        // SAFETY: as the caller promises.
        unsafe { self.read(position, 8, &mut bytes) };
        u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn copy(self, _: u64, _: u64, _: u64) {
        unreachable!("a model's ring does not grow")
    }
}

pub fn read_unmapped<H>(
    _: &SharedMemory<H>,
    _: u64,
    _: u64,
    _: u64,
    _: &mut Vec<u8>,
) -> Result<(), Error> {
    unreachable!("a model can map its ring")
}

/// # Safety
/// None is needed; the real one asks for it.
pub unsafe fn write_unmapped<H>(
    _: &SharedMemory<H>,
    _: u64,
    _: u64,
    _: &[u8],
) -> Result<bool, Error> {
    unreachable!("a model's items are small")
}

/// # Safety
/// None is needed; the real one asks for it.
pub unsafe fn release_pages<H>(_: &SharedMemory<H>, _: u64, _: u64, _: u64) {
    unreachable!("a model's ring is small")
}
