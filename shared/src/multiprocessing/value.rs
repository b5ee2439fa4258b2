use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LockResult, PoisonError, TryLockError, TryLockResult};
use std::{fmt, slice, thread};

use bytemuck::Pod;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::codec;
use super::error::Error;
use super::memory::{ALIGN, Header, Memory};
use super::mutex::Mutex;

#[repr(C)]
struct Locked {
    mutex: Mutex,
    /// How many items follow.
    len: AtomicU64,
}

// SAFETY: zeroes are a valid value; a mutex and an atomic.
unsafe impl Header for Locked {}

/// An array in shared memory with a lock: `multiprocessing.Array`.
///
/// A handle: clones, and what a child process gets as an argument, are the
/// same array. The items are plain data, for they are bytes to the other
/// process.
///
/// Unlike Python's, the lock is not taken anew for each access: a guard spans
/// as much as one update needs. When a process dies with the lock, the next
/// `lock` is poisoned, as when a thread panics; `get`, `set` and `to_vec` go on.
///
/// A lock nobody else wants costs two atomic operations and no system call; a
/// contended one sleeps in the kernel.
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

impl<T: Pod + Send> Array<T> {
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
        let () = Self::ALIGNED;
        let size = len.checked_mul(size_of::<T>()).ok_or_else(|| {
            Error::InvalidInput(format!(
                "{len} items of {} bytes do not fit in memory",
                size_of::<T>()
            ))
        })?;
        let memory = Memory::<Locked>::new(size)?;
        // SAFETY: the memory is new, and nobody else has it.
        unsafe { memory.header().mutex.init()? };
        memory.header().len.store(len as u64, Ordering::Relaxed);
        Ok(Array {
            memory: Arc::new(memory),
            items: PhantomData,
        })
    }

    /// How many items there are: `len(a)`.
    pub fn len(&self) -> usize {
        self.memory.header().len.load(Ordering::Relaxed) as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at `index`: `a[index]`.
    ///
    /// # Panics
    /// If `index` is out of range, or this thread holds the lock.
    pub fn get(&self, index: usize) -> T {
        self.check(index);
        self.lock().unwrap_or_else(PoisonError::into_inner)[index]
    }

    /// Sets the item at `index`: `a[index] = value`.
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

    /// A copy of all items, none changed meanwhile: `a[:]`.
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
    /// As [`std::sync::Mutex::try_lock`]: it is held, or it is poisoned.
    pub fn try_lock(&self) -> TryLockResult<Guard<'_, [T]>> {
        match self.memory.header().mutex.try_lock() {
            Ok(_) => self.guard().map_err(TryLockError::Poisoned),
            Err(_) => Err(TryLockError::WouldBlock),
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
/// An [`Array`] of one; all that is said there holds here.
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

impl<T: Pod + Send> Value<T> {
    /// Puts `value` into shared memory: `Value('i', 0)`.
    ///
    /// # Errors
    /// The system gives no memory or descriptor.
    pub fn new(value: T) -> Result<Self, Error> {
        Ok(Value(Array::new([value])?))
    }

    /// The value: `v.value`.
    ///
    /// # Panics
    /// If this thread holds the lock.
    pub fn get(&self) -> T {
        self.0.get(0)
    }

    /// Sets the value: `v.value = value`.
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
        match self.0.try_lock() {
            Ok(guard) => Ok(guard.first()),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
            Err(TryLockError::Poisoned(poison)) => {
                Err(PoisonError::new(poison.into_inner().first()).into())
            }
        }
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

/// What `lock` gives: the data, until it is dropped.
///
/// It stays with the thread that took it. One that is forgotten keeps the lock
/// until its thread ends; the next one to lock finds it poisoned.
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

impl<T: Pod + Send + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Ok(guard) => f.debug_tuple("Array").field(&guard).finish(),
            Err(TryLockError::Poisoned(poison)) => {
                f.debug_tuple("Array").field(poison.get_ref()).finish()
            }
            Err(TryLockError::WouldBlock) => f.write_str("Array(<locked>)"),
        }
    }
}

impl<T: Pod + Send + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.try_lock() {
            Ok(guard) => f.debug_tuple("Value").field(&guard).finish(),
            Err(TryLockError::Poisoned(poison)) => {
                f.debug_tuple("Value").field(poison.get_ref()).finish()
            }
            Err(TryLockError::WouldBlock) => f.write_str("Value(<locked>)"),
        }
    }
}

impl<T> Serialize for Array<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        codec::serialize_handle(&*self.memory, serializer)
    }
}

impl<'de, T: Pod + Send> Deserialize<'de> for Array<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        codec::deserialize_handle(deserializer, |fd| {
            let memory = Arc::new(Memory::open(fd)?);
            let array = Array {
                memory,
                items: PhantomData,
            };
            match array.len().checked_mul(size_of::<T>()) {
                Some(size) if size <= array.memory.len() => Ok(array),
                _ => Err(Error::Corrupt("array: longer than its memory".into())),
            }
        })
    }
}

impl<T> Serialize for Value<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Pod + Send> Deserialize<'de> for Value<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Array::deserialize(deserializer).map(Value)
    }
}
