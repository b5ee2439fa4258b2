//! Shared memory, robust mutexes and futexes over Loom's primitives.
//!
//! What the library keeps in shared memory are places, all zeroes at first.
//! What is at a place, an atomic or a lock, is found by its address.

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

/// All that there is, by kind and address.
type Things = HashMap<(TypeId, usize), Rc<dyn Any>>;

thread_local! {
    /// Loom runs all threads of a model on one thread of the system.
    static THINGS: RefCell<Things> = RefCell::default();
    /// Whether any execution of a model had a death.
    static DIED: Cell<bool> = const { Cell::new(false) };
}

/// The thing of this kind at a place.
fn at<T: 'static>(address: usize, make: impl FnOnce() -> T) -> Rc<T> {
    let key = (TypeId::of::<T>(), address);
    let known = THINGS.with_borrow(|things| things.get(&key).cloned());
    let thing = known.unwrap_or_else(|| {
        let thing: Rc<dyn Any> = Rc::new(make());
        THINGS.with_borrow_mut(|things| things.insert(key, thing.clone()));
        thing
    });
    thing.downcast().expect("the key holds the type")
}

/// Checks every execution of `proof`.
pub fn check(proof: impl Fn() + Send + Sync + 'static) {
    let _watchdog = watchdog();
    let mut builder = Builder::new();
    builder.preemption_bound = Some(2);
    builder.max_branches = 10_000;
    builder.check(move || {
        THINGS.take();
        proof();
        THINGS.take();
    });
}

/// Checks `proof` for a process that is killed at its first step, and one that
/// is killed at its second, and so on, until it gets to its end alive.
pub fn check_deaths(proof: impl Fn(usize) + Copy + Send + Sync + 'static) {
    for steps in 0.. {
        DIED.set(false);
        check(move || proof(steps));
        if !DIED.get() {
            assert!(steps >= 5, "it took {steps} steps only");
            return;
        }
    }
}

loom::thread_local! {
    /// After how many steps this process is killed.
    static LEFT: Cell<Option<usize>> = Cell::new(None);
    /// The addresses of the locks that it holds.
    static HELD: RefCell<Vec<usize>> = RefCell::default();
}

struct Killed;

/// Runs `work`, and is killed after so many steps; tells whether it was not.
pub fn mortal(steps: usize, work: impl FnOnce()) -> bool {
    LEFT.with(|left| left.set(Some(steps)));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    LEFT.with(|left| left.set(None));
    match outcome {
        Ok(()) => true,
        Err(payload) if payload.is::<Killed>() => false,
        Err(payload) => resume_unwind(payload),
    }
}

/// What comes now others can see; here a process can be killed.
fn step() {
    let dies = LEFT.with(|left| match left.get() {
        Some(0) => true,
        more => {
            left.set(more.map(|steps| steps - 1));
            false
        }
    });
    if dies {
        DIED.set(true);
        for address in HELD.with(|held| held.take()) {
            let lock = at::<Robust>(address, || unreachable!("it is held"));
            lock.owner_died.set(true);
            drop(lock.guard.take());
        }
        resume_unwind(Box::new(Killed));
    }
}

macro_rules! atomic {
    ($Name:ident, $number:ty) => {
        pub struct $Name {
            #[expect(dead_code, reason = "only its place counts")]
            place: $number,
        }

        #[allow(dead_code, reason = "the rings use part of each")]
        impl $Name {
            fn model(&self) -> Rc<loom::sync::atomic::$Name> {
                at(&raw const *self as usize, || {
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

#[derive(PartialEq)]
pub enum Lock {
    Clean,
    OwnerDied,
}

struct Robust {
    /// It has to outlive its guard, so it is leaked.
    lock: &'static loom::sync::Mutex<()>,
    guard: RefCell<Option<MutexGuard<'static, ()>>>,
    owner_died: Cell<bool>,
}

impl Mutex {
    fn address(&self) -> usize {
        &raw const self.place as usize
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn init(&self) -> Result<(), Error> {
        at(self.address(), || Robust {
            lock: Box::leak(Box::default()),
            guard: RefCell::default(),
            owner_died: Cell::default(),
        });
        Ok(())
    }

    pub fn lock(&self) -> Lock {
        step();
        self.hold(|lock| Ok(lock.lock().unwrap()))
            .expect("it waits")
    }

    pub fn try_lock(&self) -> Result<Lock, Error> {
        step();
        self.hold(|lock| lock.try_lock().map_err(|_| Error::Timeout))
    }

    fn hold(
        &self,
        take: impl FnOnce(&'static loom::sync::Mutex<()>) -> Result<MutexGuard<'static, ()>, Error>,
    ) -> Result<Lock, Error> {
        let lock = at::<Robust>(self.address(), || unreachable!("it has been made"));
        lock.guard.replace(Some(take(lock.lock)?));
        HELD.with(|held| held.borrow_mut().push(self.address()));
        Ok(if lock.owner_died.take() {
            Lock::OwnerDied
        } else {
            Lock::Clean
        })
    }

    pub fn lock_until(&self, _: Option<Instant>) -> Result<Lock, Error> {
        Ok(self.lock())
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn unlock(&self) {
        // A dead one's locks are others' by now.
        if HELD.with(|held| held.borrow().contains(&self.address())) {
            step();
            HELD.with(|held| {
                held.borrow_mut()
                    .retain(|address| *address != self.address())
            });
            let lock = at::<Robust>(self.address(), || unreachable!("it is held"));
            drop(lock.guard.take());
        }
    }
}

#[derive(Default)]
struct Futex {
    sleepers: loom::sync::Mutex<()>,
    wake: Condvar,
}

fn futex(word: &AtomicU32) -> Rc<Futex> {
    at(&raw const *word as usize, || Futex {
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

/// One look, for Loom tries the others.
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

/// Stands for the real one; each kind is one type of header here.
pub enum Kind {
    Queue,
    Channel,
    Alarm,
}

/// # Safety
/// As the real one's: all zeroes is a valid value.
pub unsafe trait Header: Sync {}

#[derive(Clone, Copy)]
pub struct Area {
    pub start: usize,
    pub size: u64,
}

pub struct Memory<H> {
    header: Rc<H>,
    bytes: PhantomData<[u8]>,
}

// SAFETY: Loom's threads are one thread of the system.
unsafe impl<H> Send for Memory<H> {}
// SAFETY: as above.
unsafe impl<H> Sync for Memory<H> {}

impl<H: Header + 'static> Memory<H> {
    pub fn new(_: Kind, _: usize) -> Result<Self, Error> {
        // SAFETY: as a header promises.
        let header: Rc<H> = at(0, || unsafe { MaybeUninit::zeroed().assume_init() });
        // To Loom an atomic is written where it is made, so all are made here,
        // before others can see them.
        let start = &raw const *header as usize;
        for address in (start..start + size_of::<H>()).step_by(4) {
            at(address, || loom::sync::atomic::AtomicU32::new(0));
            at(address, || loom::sync::atomic::AtomicU64::new(0));
        }
        Ok(Memory {
            header,
            bytes: PhantomData,
        })
    }

    pub fn growable(kind: Kind, len: usize, _: usize) -> Result<Self, Error> {
        Self::new(kind, len)
    }

    /// The other end of the only one with such a header.
    pub fn open(_: Kind, _: OwnedFd) -> Result<Self, Error> {
        let header = at(0, || unreachable!("it has been made"));
        Ok(Memory {
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

    fn ring(&self, area: Area) -> RingBytes<'_> {
        RingBytes {
            base: &raw const *self.header as usize + area.start,
            size: area.size,
            bytes: PhantomData,
        }
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn write(&self, area: Area, position: u64, bytes: &[u8]) {
        // SAFETY: as promised.
        unsafe { self.ring(area).write(position, bytes) }
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn read(&self, area: Area, position: u64, len: u64, buffer: &mut Vec<u8>) {
        // SAFETY: as promised.
        unsafe { self.ring(area).read(position, len, buffer) }
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn read_u64(&self, area: Area, position: u64) -> u64 {
        // SAFETY: as promised.
        unsafe { self.ring(area).read_u64(position) }
    }

    pub fn grow(&self, _: u64) -> Result<(), Error> {
        unreachable!("a model's ring does not grow")
    }

    pub fn read_unmapped(&self, _: u64, _: u64, _: u64, _: &mut Vec<u8>) -> Result<(), Error> {
        unreachable!("a model can map its ring")
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn release_pages(&self, _: u64, _: u64, _: u64) {
        unreachable!("a model's ring is small")
    }
}

#[derive(Default)]
pub struct RingMap;

impl RingMap {
    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn ring<'a, H: Header + 'static>(
        &'a mut self,
        memory: &'a Memory<H>,
        size: u64,
    ) -> Result<RingBytes<'a>, Error> {
        Ok(memory.ring(Area { start: 0, size }))
    }
}

#[derive(Clone, Copy)]
pub struct RingBytes<'a> {
    base: usize,
    size: u64,
    bytes: PhantomData<&'a [u8]>,
}

impl RingBytes<'_> {
    /// Does something to each byte of a range; Loom sees to it that nobody
    /// else does at the same time.
    fn each(self, position: u64, len: u64, mut work: impl FnMut(&UnsafeCell<u8>)) {
        for position in position..position + len {
            let offset = (position & (self.size - 1)) as usize;
            work(&at(self.base + offset, || UnsafeCell::new(0)));
        }
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn write(self, position: u64, bytes: &[u8]) {
        step();
        let mut bytes = bytes.iter();
        self.each(position, bytes.len() as u64, |cell| {
            let byte = *bytes.next().expect("as many as there are");
            // SAFETY: nobody else is here, as Loom has just checked.
            cell.with_mut(|place| unsafe { *place = byte });
        });
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn read(self, position: u64, len: u64, buffer: &mut Vec<u8>) {
        self.each(position, len, |cell| {
            // SAFETY: nobody writes here, as Loom has just checked.
            buffer.push(cell.with(|place| unsafe { *place }));
        });
    }

    /// # Safety
    /// As the real one's; Loom checks it.
    pub unsafe fn read_u64(self, position: u64) -> u64 {
        let mut bytes = Vec::new();
        // SAFETY: as promised.
        unsafe { self.read(position, 8, &mut bytes) };
        u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    }

    /// # Safety
    /// None is needed; the real one asks for it.
    pub unsafe fn copy(self, _: u64, _: u64, _: u64) {
        unreachable!("a model's ring does not grow")
    }
}

impl<H> AsFd for Memory<H> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        unreachable!("threads share it as it is")
    }
}
