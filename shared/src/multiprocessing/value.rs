//! `Value` and `Array`: plain data in shared memory, behind a lock.
//!
//! The memory holds the lock, the number and the size of the items, and then the
//! items ([`memory`](super::memory), below). Only a [`Guard`], which exists while
//! the lock is held, gives access to the items, as with [`std::sync::Mutex`].
//!
//! The lock is poisoned if its owner panics, or if the owner's thread or process
//! ends while it holds the lock ([`mutex`](super::mutex) says how that becomes
//! known). The items may be half updated then: `lock` returns the guard inside
//! an error, until [`Array::clear_poison`] is called. `get`, `set` and `to_vec`
//! ignore poison, because each of them copies whole items.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;
use std::{fmt, slice, thread};

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec;
use super::error::Error;
use super::memory::{DATA_ALIGN, Header, Kind, SharedMemory};
use super::mutex::Mutex;
use super::wait::deadline;

/// A type that can be put into shared memory: plain data without pointers, for
/// which every pattern of bytes is a valid value. That is what
/// [`bytemuck::Pod`] means.
///
/// Numbers and arrays of numbers are plain. A struct becomes plain by a derive
/// of the crate [`bytemuck`], which is re-exported so that the
/// versions agree:
///
/// ```
/// use shared::multiprocessing::{Value, bytemuck};
///
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[bytemuck(crate = "bytemuck")]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// let point = Value::new(Point { x: 0.0, y: 0.0 })?;
/// point.lock().unwrap().x += 1.0;
/// assert_eq!(point.get().x, 1.0);
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
///
/// `bool`, `char` and enums are not plain, because not every byte pattern is a
/// valid value of them: share a `u8` or a `u32` instead.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put into shared memory",
    label = "this is not known to be plain data",
    note = "a struct of plain data needs `#[repr(C)]` and `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]`; see the docs of `shared::multiprocessing::Plain`",
    note = "instead of `bool`, `char` and enums use `u8` or `u32`; send types with pointers, such as `String` and `Vec`, through a `Queue` or a `pipe`"
)]
pub trait Plain: Pod + Send {}

#[diagnostic::do_not_recommend]
impl<T: Pod + Send> Plain for T {}

/// The header of a `Value` or an `Array`. The mutex guards the items that follow
/// the header; the other fields never change.
#[repr(C)]
struct ArrayHeader {
    mutex: Mutex,
    /// The number of items.
    len: AtomicU64,
    /// The size of an item in bytes.
    item_size: AtomicU64,
}

// SAFETY: zeroes are a valid value; all fields are a mutex and atomics.
unsafe impl Header for ArrayHeader {}

/// An array in shared memory with a lock: `multiprocessing.Array`.
///
/// An `Array` is a handle: its clones, and what a child process gets as an
/// argument, are the same array. The items are [`Plain`] data, because other
/// processes see them as bytes; a struct needs a derive.
///
/// Unlike in Python, an access through a guard takes no lock of its own: one
/// guard covers a whole update. If a process dies while it holds the lock, the
/// next `lock` returns a poison error, as after a panic of a thread; `get`,
/// `set` and `to_vec` work on. These three wait for the lock as `lock` does, and
/// so for ever if the process that holds it is stopped;
/// [`try_lock`](Self::try_lock) and [`lock_timeout`](Self::lock_timeout) do not.
///
/// # Costs
///
/// An uncontended lock costs two atomic operations, one to take it and one to
/// release it, and no system call. A contended one sleeps in the kernel.
///
/// In each process that has it, an array takes one descriptor, and as much
/// address space as its items and 80 bytes more, in whole pages of 4 KiB; a
/// clone takes nothing. Memory is allocated for the pages that were written,
/// once for all processes.
///
/// With `ulimit -n 1024`, a common limit, a process can have about a thousand
/// values or arrays. For a thousand counters of 8 bytes, one `Array` of a
/// thousand items is better: it takes one descriptor and two pages, and has one
/// lock for all of them.
///
/// ```
/// use shared::multiprocessing::Array;
///
/// let a = Array::new([1, 2, 3])?;
/// for x in a.lock().unwrap().iter_mut() {
///     *x += 10;
/// }
/// assert_eq!(a.to_vec(), [11, 12, 13]);
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
pub struct Array<T> {
    memory: Arc<SharedMemory<ArrayHeader>>,
    items: PhantomData<fn() -> T>,
}

impl<T: Plain> Array<T> {
    const ALIGNED: () = assert!(
        align_of::<T>() <= DATA_ALIGN,
        "the items of an array cannot be aligned to more than 16 bytes"
    );

    /// Creates an array of `items`: `Array('i', [1, 2, 3])`.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses the memory or the descriptor.
    pub fn new(items: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let items: Vec<T> = items.into_iter().collect();
        let array = Self::zeroed(items.len())?;
        array.lock().expect("a new array").copy_from_slice(&items);
        Ok(array)
    }

    /// Creates an array of `len` zeroes: `Array('d', 1000)`.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`Error::InvalidInput`] if the size of `len` items
    /// overflows.
    pub fn zeroed(len: usize) -> Result<Self, Error> {
        Self::of_kind(Kind::Array, len)
    }

    fn of_kind(kind: Kind, len: usize) -> Result<Self, Error> {
        let () = Self::ALIGNED;
        let size = len.checked_mul(size_of::<T>()).ok_or_else(|| {
            Error::InvalidInput(format!(
                "{len} items of {} bytes do not fit in memory",
                size_of::<T>()
            ))
        })?;
        let memory = SharedMemory::<ArrayHeader>::new(kind, size)?;
        let header = memory.header();
        // SAFETY: the memory is new, and nobody else has it.
        unsafe { header.mutex.init()? };
        header.len.store(len as u64, Ordering::Relaxed);
        header
            .item_size
            .store(size_of::<T>() as u64, Ordering::Relaxed);
        Ok(Array {
            memory: Arc::new(memory),
            items: PhantomData,
        })
    }

    /// Opens the array of another process, if it is of this kind and has items
    /// of this size.
    fn open(kind: Kind, fd: OwnedFd) -> Result<Self, Error> {
        let () = Self::ALIGNED;
        let memory = SharedMemory::<ArrayHeader>::open(kind, fd)?;
        let expected = size_of::<T>() as u64;
        let received = memory.header().item_size.load(Ordering::Relaxed);
        if received != expected {
            return Err(Error::InvalidInput(format!(
                "received {kind} of {received}-byte items where {kind} of {expected}-byte items \
                 was expected: an argument must be received as the type that it was sent as"
            )));
        }
        let array = Array {
            memory: Arc::new(memory),
            items: PhantomData,
        };
        match array.len().checked_mul(size_of::<T>()) {
            Some(size) if size <= array.memory.len() => Ok(array),
            _ => Err(Error::Corrupt(format!("{kind}: longer than its memory"))),
        }
    }

    /// How many items there are: `len(a)`.
    pub fn len(&self) -> usize {
        self.memory.header().len.load(Ordering::Relaxed) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`: `a[index]`. Waits for the lock.
    ///
    /// # Panics
    /// If `index` is out of range, or this thread holds the lock.
    #[track_caller]
    pub fn get(&self, index: usize) -> T {
        self.check_index(index);
        self.lock().unwrap_or_else(PoisonError::into_inner)[index]
    }

    /// Sets the item at `index`: `a[index] = value`. Waits for the lock.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    #[track_caller]
    pub fn set(&self, index: usize, value: T) {
        self.check_index(index);
        self.lock().unwrap_or_else(PoisonError::into_inner)[index] = value;
    }

    /// Panics if `index` is out of range. Called before the lock is taken,
    /// because a panic under the lock would poison it.
    #[track_caller]
    fn check_index(&self, index: usize) {
        let len = self.len();
        assert!(
            index < len,
            "index {index} is out of range for an array of {len}"
        );
    }

    /// A copy of all items, made under one lock: `a[:]`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
    #[track_caller]
    pub fn to_vec(&self) -> Vec<T> {
        self.lock().unwrap_or_else(PoisonError::into_inner).to_vec()
    }

    /// Waits for the lock: `with a.get_lock():`.
    ///
    /// # Errors
    /// As [`std::sync::Mutex::lock`]: the lock is poisoned, because an owner died
    /// or panicked. The error contains the guard.
    ///
    /// # Panics
    /// If this thread holds the lock already. (Python's lock is an `RLock`, which
    /// a thread can take twice.)
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<Guard<'_, [T]>> {
        self.memory.header().mutex.lock();
        self.guard()
    }

    /// Takes the lock if it is free: `a.get_lock().acquire(block=False)`.
    ///
    /// # Errors
    /// As [`std::sync::Mutex::try_lock`]: it is held, by this thread or another
    /// one, or it is poisoned.
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, [T]>> {
        self.guard_if(self.memory.header().mutex.try_lock())
    }

    /// Waits for the lock, at most `timeout`:
    /// `a.get_lock().acquire(timeout=d)`.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if the time has passed;
    /// [`TryLockError::Poisoned`], with the guard, if an owner died or panicked.
    ///
    /// # Panics
    /// If this thread holds the lock already.
    ///
    /// ```
    /// use std::sync::TryLockError;
    /// use std::time::Duration;
    ///
    /// use shared::multiprocessing::Array;
    ///
    /// let a = Array::new([1, 2, 3])?;
    /// match a.lock_timeout(Duration::from_secs(1)) {
    ///     Ok(mut items) => items[0] += 10,
    ///     Err(TryLockError::Poisoned(_)) => println!("its owner died"),
    ///     Err(TryLockError::WouldBlock) => println!("it is still held"),
    /// }
    /// # Ok::<(), shared::multiprocessing::Error>(())
    /// ```
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, [T]>> {
        self.guard_if(self.memory.header().mutex.lock_until(deadline(timeout)))
    }

    /// The guard, if this thread has just taken the lock.
    fn guard_if(&self, is_locked: bool) -> TryLockResult<Guard<'_, [T]>> {
        match is_locked {
            true => self.guard().map_err(TryLockError::Poisoned),
            false => Err(TryLockError::WouldBlock),
        }
    }

    /// A copy of the items for `{:?}`, if the lock is free. It is printed after
    /// the lock is released, because writing the text may block.
    fn try_to_vec(&self) -> Option<Vec<T>> {
        match self.try_lock() {
            Ok(guard) => Some(guard.to_vec()),
            Err(TryLockError::Poisoned(poison)) => Some(poison.get_ref().to_vec()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether an owner of the lock died or panicked, and the poison was not
    /// cleared since.
    pub fn is_poisoned(&self) -> bool {
        self.memory.header().mutex.poisoned.load(Ordering::Relaxed) != 0
    }

    /// Declares the data valid again.
    pub fn clear_poison(&self) {
        self.memory
            .header()
            .mutex
            .poisoned
            .store(0, Ordering::Relaxed);
    }

    /// The guard of a lock that this thread has just taken.
    #[inline]
    fn guard(&self) -> LockResult<Guard<'_, [T]>> {
        self.memory.keep_mapped.store(true, Ordering::Relaxed);
        let items = self.memory.data().cast::<T>();
        let guard = Guard {
            memory: &self.memory,
            // SAFETY: `of_kind` and `open` have ensured that there is space for
            // `len` aligned items, and any bytes are a valid `T`; the mapping
            // outlives the guard's borrow.
            items: unsafe { slice::from_raw_parts_mut(items, self.len()) }.into(),
            was_panicking: thread::panicking(),
        };
        if self.is_poisoned() {
            Err(PoisonError::new(guard))
        } else {
            Ok(guard)
        }
    }
}

/// A single value in shared memory with a lock: `multiprocessing.Value`.
///
/// A `Value` is an [`Array`] of one item. What is said there of locks, of an
/// owner's death and of costs holds here too: a value takes one descriptor and
/// one page of address space in each process that has it, and one page (4 KiB)
/// of memory for all of them together. For many values, an `Array` is better. A
/// struct has to be [`Plain`] data; there is an example there.
///
/// ```
/// use shared::multiprocessing::Value;
///
/// let v = Value::new(0i32)?;
/// *v.lock().unwrap() += 1; // one lock covers the reading and the writing
/// assert_eq!(v.get(), 1);
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
pub struct Value<T>(Array<T>);

impl<T: Plain> Value<T> {
    /// Puts `value` into shared memory: `Value('i', 0)`.
    ///
    /// # Errors
    /// [`Error::System`] if the system refuses the memory or the descriptor.
    pub fn new(value: T) -> Result<Self, Error> {
        let array = Array::of_kind(Kind::Value, 1)?;
        array.set(0, value);
        Ok(Value(array))
    }

    /// The value: `v.value`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
    #[track_caller]
    pub fn get(&self) -> T {
        self.0.get(0)
    }

    /// Sets the value: `v.value = value`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
    #[track_caller]
    pub fn set(&self, value: T) {
        self.0.set(0, value);
    }

    /// Waits for the lock: `with v.get_lock():`.
    ///
    /// # Errors
    /// As [`Array::lock`].
    ///
    /// # Panics
    /// As [`Array::lock`].
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> LockResult<Guard<'_, T>> {
        match self.0.lock() {
            Ok(guard) => Ok(guard.first()),
            Err(poison) => Err(PoisonError::new(poison.into_inner().first())),
        }
    }

    /// Takes the lock if it is free: `v.get_lock().acquire(block=False)`.
    ///
    /// # Errors
    /// As [`Array::try_lock`].
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, T>> {
        first(self.0.try_lock())
    }

    /// Waits for the lock, at most `timeout`:
    /// `v.get_lock().acquire(timeout=d)`.
    ///
    /// # Errors
    /// As [`Array::lock_timeout`].
    ///
    /// # Panics
    /// As [`Array::lock_timeout`].
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, T>> {
        first(self.0.lock_timeout(timeout))
    }

    /// Whether an owner of the lock died or panicked, and the poison was not
    /// cleared since.
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Declares the data valid again.
    pub fn clear_poison(&self) {
        self.0.clear_poison();
    }
}

/// Narrows a guard to the only item.
fn first<'a, T>(guard: TryLockResult<Guard<'a, [T]>>) -> TryLockResult<Guard<'a, T>> {
    match guard {
        Ok(guard) => Ok(guard.first()),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Poisoned(poison)) => {
            Err(PoisonError::new(poison.into_inner().first()).into())
        }
    }
}

/// Holds the lock of a [`Value`] or an [`Array`], and gives access to the data,
/// until it is dropped.
///
/// It is not `Send`. If it is leaked with `mem::forget`, the lock stays held
/// until the thread exits, and the next `lock` returns a poison error.
pub struct Guard<'a, T: ?Sized> {
    memory: &'a SharedMemory<ArrayHeader>,
    items: NonNull<T>,
    /// Whether the thread was panicking when it took the lock. Only a panic that
    /// began later poisons.
    was_panicking: bool,
}

impl<'a, T> Guard<'a, [T]> {
    #[inline]
    fn first(self) -> Guard<'a, T> {
        let guard = Guard {
            memory: self.memory,
            items: self.items.cast::<T>(),
            was_panicking: self.was_panicking,
        };
        std::mem::forget(self);
        guard
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the items are valid while the mapping is borrowed, and only
        // the owner of the lock accesses them.
        unsafe { self.items.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and this borrow is the only one.
        unsafe { self.items.as_mut() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let mutex = &self.memory.header().mutex;
        if !self.was_panicking && thread::panicking() {
            mutex.poisoned.store(1, Ordering::Relaxed);
        }
        self.memory.keep_mapped.store(false, Ordering::Relaxed);
        // SAFETY: a guard exists only while its thread holds the lock, and it
        // is not `Send`.
        unsafe { mutex.unlock() }
    }
}

impl<T: fmt::Debug + ?Sized> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> Clone for Array<T> {
    fn clone(&self) -> Self {
        Array {
            memory: self.memory.clone(),
            items: PhantomData,
        }
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Self {
        Value(self.0.clone())
    }
}

/// Prints the items, or `<locked>` if the lock is held. Never waits.
impl<T: Plain + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_to_vec() {
            Some(items) => f.debug_tuple("Array").field(&items).finish(),
            None => f.write_str("Array(<locked>)"),
        }
    }
}

/// Prints the value, or `<locked>` if the lock is held. Never waits.
impl<T: Plain + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.try_to_vec() {
            Some(items) => f.debug_tuple("Value").field(&items[0]).finish(),
            None => f.write_str("Value(<locked>)"),
        }
    }
}

impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_handle(&*self.memory, serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| Self::open(Kind::Array, fd))
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Plain> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| {
            let array = Array::open(Kind::Value, fd)?;
            match array.len() {
                1 => Ok(Value(array)),
                len => Err(Error::Corrupt(format!("a Value of {len} items"))),
            }
        })
    }
}
