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
use super::memory::{ALIGN, Header, Kind, Memory, deadline};
use super::mutex::{Lock, Mutex};

/// What can be put into shared memory: plain data of any bytes, without
/// pointers, which is what [`bytemuck::Pod`] says of a type.
///
/// Numbers and arrays of numbers are; a struct of one's own becomes it by a
/// derive. The crate for that is [`bytemuck`](super::bytemuck), which stands
/// here so that no second version of it is needed:
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
/// A `bool`, a `char` and an `enum` are not, because not every byte is one of
/// them: share a `u8` or a `u32` in their place.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory",
    label = "this is not known to be plain data",
    note = "a struct of plain data needs `#[repr(C)]` and `#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]`; see the docs of `shared::multiprocessing::Plain`",
    note = "`bool`, `char` and enums cannot: use `u8` or `u32`; what has a pointer, as `String` and `Vec`, goes through a `Queue` or a `pipe`"
)]
pub trait Plain: Pod + Send {}

#[diagnostic::do_not_recommend]
impl<T: Pod + Send> Plain for T {}

/// The header of a `Value` or an `Array`.
#[repr(C)]
struct Locked {
    mutex: Mutex,
    /// How many items follow.
    len: AtomicU64,
    /// How many bytes each of them has.
    item_size: AtomicU64,
}

// SAFETY: zeroes are a valid value; a mutex and atomics.
unsafe impl Header for Locked {}

/// An array in shared memory with a lock: `multiprocessing.Array`.
///
/// A handle: clones, and what a child process gets as an argument, are the
/// same array. The items are [`Plain`] data, because they are bytes to the other
/// process; a struct needs a derive to be that.
///
/// Unlike Python's, the lock is not taken anew for each access: a guard spans
/// as much as one update needs. When a process dies with the lock, the next
/// `lock` is poisoned, as when a thread panics; `get`, `set` and `to_vec` go on.
/// They wait for the lock like `lock`, and so for ever for a process that is
/// stopped while it holds it; [`try_lock`](Self::try_lock) and
/// [`lock_timeout`](Self::lock_timeout) do not.
///
/// # What it costs
///
/// A lock nobody else wants costs two atomic operations and no system call; a
/// contended one sleeps in the kernel.
///
/// In each process that has it, an array takes one descriptor and as much
/// address space as its bytes and 80 more, in whole pages of 4 KiB; a clone takes
/// nothing. Memory is taken for the pages that were written, once for all
/// processes. So with `ulimit -n 1024`, a common limit, about a thousand values
/// or arrays are all that a process can have. A thousand counters of 8 bytes are
/// better one `Array` of a thousand items: one descriptor and two pages, and one
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
    memory: Arc<Memory<Locked>>,
    items: PhantomData<fn() -> T>,
}

impl<T: Plain> Array<T> {
    const ALIGNED: () = assert!(
        align_of::<T>() <= ALIGN,
        "an item is aligned to 16 bytes at most"
    );

    /// Makes an array of `items`: `Array('i', [1, 2, 3])`.
    ///
    /// # Errors
    /// The system gives no memory or descriptor.
    pub fn new(items: impl IntoIterator<Item = T>) -> Result<Self, Error> {
        let items: Vec<T> = items.into_iter().collect();
        let array = Self::zeroed(items.len())?;
        array.lock().expect("a new array").copy_from_slice(&items);
        Ok(array)
    }

    /// Makes an array of `len` zeroes: `Array('d', 1000)`.
    ///
    /// # Errors
    /// As [`new`](Self::new); also if `len` items are more than can be
    /// addressed.
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
        let memory = Memory::<Locked>::new(kind, size)?;
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

    /// The array that a descriptor belongs to, if it is one of this kind and of
    /// items of this size.
    fn open(kind: Kind, fd: OwnedFd) -> Result<Self, Error> {
        let () = Self::ALIGNED;
        let memory = Memory::<Locked>::open(kind, fd)?;
        let (size, came) = (
            size_of::<T>() as u64,
            memory.header().item_size.load(Ordering::Relaxed),
        );
        if came != size {
            return Err(Error::InvalidInput(format!(
                "{kind} of {came}-byte items came where {kind} of {size}-byte items was expected"
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
    pub fn get(&self, index: usize) -> T {
        self.check(index);
        self.lock().unwrap_or_else(PoisonError::into_inner)[index]
    }

    /// Sets the item at `index`: `a[index] = value`. Waits for the lock.
    ///
    /// # Panics
    /// As [`get`](Self::get).
    pub fn set(&self, index: usize, value: T) {
        self.check(index);
        self.lock().unwrap_or_else(PoisonError::into_inner)[index] = value;
    }

    /// Before the lock is taken, or the panic would poison it.
    fn check(&self, index: usize) {
        let len = self.len();
        assert!(
            index < len,
            "index {index} is out of range for an array of {len}"
        );
    }

    /// A copy of all items, none changed meanwhile: `a[:]`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
    pub fn to_vec(&self) -> Vec<T> {
        self.lock().unwrap_or_else(PoisonError::into_inner).to_vec()
    }

    /// Waits for the lock: `with a.get_lock():`.
    ///
    /// # Errors
    /// As [`std::sync::Mutex::lock`]: the last holder died or panicked. The
    /// error has the guard.
    ///
    /// # Panics
    /// If this thread holds the lock already; Python's is an `RLock`.
    #[inline]
    pub fn lock(&self) -> LockResult<Guard<'_, [T]>> {
        self.memory.header().mutex.lock();
        self.guard()
    }

    /// Takes the lock if it is free: `a.get_lock().acquire(block=False)`.
    ///
    /// # Errors
    /// As [`std::sync::Mutex::try_lock`]: it is held, be it by this thread, or
    /// it is poisoned.
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, [T]>> {
        self.taken(self.memory.header().mutex.try_lock())
    }

    /// Waits for the lock, but no longer than `timeout`:
    /// `a.get_lock().acquire(timeout=d)`.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`] if the time has passed;
    /// [`TryLockError::Poisoned`], with the guard, if the last holder died or
    /// panicked.
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
    ///     Err(TryLockError::Poisoned(_)) => println!("its holder died"),
    ///     Err(TryLockError::WouldBlock) => println!("it is held for long"),
    /// }
    /// # Ok::<(), shared::multiprocessing::Error>(())
    /// ```
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, [T]>> {
        self.taken(self.memory.header().mutex.lock_until(deadline(timeout)))
    }

    /// The guard, if this thread has just taken the lock.
    fn taken(&self, lock: Result<Lock, Error>) -> TryLockResult<Guard<'_, [T]>> {
        match lock {
            Ok(_) => self.guard().map_err(TryLockError::Poisoned),
            Err(_) => Err(TryLockError::WouldBlock),
        }
    }

    /// A copy for `{:?}`, if the lock is free. The items are printed when it is
    /// free again, because a printer may wait for its reader.
    fn glance(&self) -> Option<Vec<T>> {
        match self.try_lock() {
            Ok(guard) => Some(guard.to_vec()),
            Err(TryLockError::Poisoned(poison)) => Some(poison.get_ref().to_vec()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Whether somebody died or panicked with the lock.
    pub fn is_poisoned(&self) -> bool {
        self.memory.header().mutex.poisoned.load(Ordering::Relaxed) != 0
    }

    /// Says that the data is right again.
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
        self.memory.locked.store(true, Ordering::Relaxed);
        let items = self.memory.data().cast::<T>();
        let guard = Guard {
            memory: &self.memory,
            // SAFETY: `zeroed` made room for `len` items, aligned, and any
            // bytes are a valid `T`; the mapping outlives the guard's borrow.
            items: unsafe { slice::from_raw_parts_mut(items, self.len()) }.into(),
            panicking: thread::panicking(),
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
/// An [`Array`] of one; all that is said there of locks, of a holder's death and
/// of costs holds here. Each process that has a value pays one descriptor and
/// one page of address space, and all of them together one page (4 KiB) of
/// memory: for many values, an `Array` is better. A struct of one's own has to
/// be [`Plain`] data, which is where an example of it stands.
///
/// ```
/// use shared::multiprocessing::Value;
///
/// let v = Value::new(0i32)?;
/// *v.lock().unwrap() += 1; // one lock spans the reading and the writing
/// assert_eq!(v.get(), 1);
/// # Ok::<(), shared::multiprocessing::Error>(())
/// ```
pub struct Value<T>(Array<T>);

impl<T: Plain> Value<T> {
    /// Puts `value` into shared memory: `Value('i', 0)`.
    ///
    /// # Errors
    /// The system gives no memory or descriptor.
    pub fn new(value: T) -> Result<Self, Error> {
        let array = Array::of_kind(Kind::Value, 1)?;
        array.set(0, value);
        Ok(Value(array))
    }

    /// The value: `v.value`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
    pub fn get(&self) -> T {
        self.0.get(0)
    }

    /// Sets the value: `v.value = value`. Waits for the lock.
    ///
    /// # Panics
    /// If this thread holds the lock.
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

    /// Waits for the lock, but no longer than `timeout`:
    /// `v.get_lock().acquire(timeout=d)`.
    ///
    /// # Errors
    /// As [`Array::lock_timeout`].
    ///
    /// # Panics
    /// As [`Array::lock_timeout`].
    pub fn lock_timeout(&self, timeout: Duration) -> TryLockResult<Guard<'_, T>> {
        first(self.0.lock_timeout(timeout))
    }

    /// Whether somebody died or panicked with the lock.
    pub fn is_poisoned(&self) -> bool {
        self.0.is_poisoned()
    }

    /// Says that the data is right again.
    pub fn clear_poison(&self) {
        self.0.clear_poison();
    }
}

/// The guard of the only item.
fn first<'a, T>(guard: TryLockResult<Guard<'a, [T]>>) -> TryLockResult<Guard<'a, T>> {
    match guard {
        Ok(guard) => Ok(guard.first()),
        Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        Err(TryLockError::Poisoned(poison)) => {
            Err(PoisonError::new(poison.into_inner().first()).into())
        }
    }
}

/// What `lock` gives: the data, until it is dropped.
///
/// Not `Send`. If leaked with `mem::forget`, the lock stays held until the
/// thread exits, and the next `lock` is poisoned.
pub struct Guard<'a, T: ?Sized> {
    memory: &'a Memory<Locked>,
    items: NonNull<T>,
    /// Whether the thread was panicking before; a panic since then poisons.
    panicking: bool,
}

impl<'a, T> Guard<'a, [T]> {
    #[inline]
    fn first(self) -> Guard<'a, T> {
        let guard = Guard {
            memory: self.memory,
            items: self.items.cast::<T>(),
            panicking: self.panicking,
        };
        std::mem::forget(self);
        guard
    }
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the items are valid while the mapping is borrowed, and the
        // lock keeps everybody else from them.
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
        if !self.panicking && thread::panicking() {
            mutex.poisoned.store(1, Ordering::Relaxed);
        }
        self.memory.locked.store(false, Ordering::Relaxed);
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

/// Prints the items, or `<locked>` if somebody holds the lock. Never waits.
impl<T: Plain + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.glance() {
            Some(items) => f.debug_tuple("Array").field(&items).finish(),
            None => f.write_str("Array(<locked>)"),
        }
    }
}

/// Prints the value, or `<locked>` if somebody holds the lock. Never waits.
impl<T: Plain + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.glance() {
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
