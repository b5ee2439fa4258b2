//! The `shared` that the recorded `shared_memory` is compiled against: its
//! `Value` writes to stderr what is read under the lock and what stands there
//! when the lock is released. `shared_memory.py`, beside it, does the same to
//! Python's. All the rest is what the crate `shared` itself has.

#![forbid(unsafe_code)]

/// As `shared::multiprocessing`, except for `Value`.
pub mod multiprocessing {
    use std::io::Write;
    use std::ops::{Deref, DerefMut};
    use std::sync::{LockResult, PoisonError};
    use std::{fmt, io, process};

    use nix::time::{ClockId, clock_gettime};
    use original::multiprocessing as original;
    use serde::{Deserialize, Serialize};

    pub use original::*;

    /// A `shared::multiprocessing::Value` that is recorded.
    #[derive(Serialize, Deserialize)]
    #[serde(bound(deserialize = "T: Plain"))]
    pub struct Value<T>(original::Value<T>);

    impl<T: Plain + fmt::Display> Value<T> {
        /// As the original.
        ///
        /// # Errors
        /// As the original.
        pub fn new(value: T) -> Result<Self, Error> {
            original::Value::new(value).map(Value)
        }

        /// As the original.
        pub fn lock(&self) -> LockResult<Guard<'_, T>> {
            match self.0.lock() {
                Ok(guard) => Ok(Guard::new(guard)),
                Err(poisoned) => Err(PoisonError::new(Guard::new(poisoned.into_inner()))),
            }
        }

        /// As the original.
        pub fn get(&self) -> T {
            let value = self.0.get();
            note("reads", &value);
            value
        }
    }

    /// The guard of a [`Value`].
    pub struct Guard<'a, T: Plain + fmt::Display>(original::Guard<'a, T>);

    impl<'a, T: Plain + fmt::Display> Guard<'a, T> {
        fn new(guard: original::Guard<'a, T>) -> Self {
            note("reads", &*guard);
            Guard(guard)
        }
    }

    impl<T: Plain + fmt::Display> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T: Plain + fmt::Display> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    /// Before the lock is released.
    impl<T: Plain + fmt::Display> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            note("writes", &*self.0);
        }
    }

    /// One write, so that the notes of several processes do not mix. All
    /// processes, Python's too, have the same clock.
    fn note(action: &str, value: &impl fmt::Display) {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
        let nanoseconds = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
        let line = format!("{nanoseconds} {} {action} {value}\n", process::id());
        io::stderr()
            .write_all(line.as_bytes())
            .expect("stderr is open");
    }
}
