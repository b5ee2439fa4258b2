//! The `shared` that recorded examples are compiled against. Its `Value`, its
//! `Pool` and its `ThreadPoolExecutor` write to stderr what the examples do not
//! print: what is read under the lock and what stands there when it is released;
//! what a worker is given and what it returns. `recorder.py`, beside it, does the
//! same to Python's. All the rest is what the crate `shared` itself has.

#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};

use nix::time::{ClockId, clock_gettime};
use nix::unistd::gettid;

/// Writes the time, the thread and what it did, at once, so that the notes of
/// several do not mix. All processes, Python's too, have the same clock.
fn note(action: &str, value: &impl Display) {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has this clock");
    let nanoseconds = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
    let line = format!("{nanoseconds} {} {action} {value}\n", gettid());
    let result = io::stderr().write_all(line.as_bytes());
    result.expect("stderr is open");
}

/// Calls the function of a pool.
fn call<T: Display, R: Display>(function: impl Fn(T) -> R, item: T) -> R {
    note("takes", &item);
    let result = function(item);
    note("returns", &result);
    result
}

/// As `shared::multiprocessing`, except for `Value` and `Pool`.
pub mod multiprocessing {
    use std::fmt::Display;
    use std::ops::{Deref, DerefMut};
    use std::sync::{LockResult, PoisonError};

    use original::multiprocessing as original;
    use serde::de::DeserializeOwned;
    use serde::{Deserialize, Serialize};

    use crate::{call, note};

    pub use original::*;

    /// A `shared::multiprocessing::Value` that is recorded.
    #[derive(Serialize, Deserialize)]
    #[serde(bound(deserialize = "T: Plain"))]
    pub struct Value<T>(original::Value<T>);

    impl<T: Plain + Display> Value<T> {
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
    pub struct Guard<'a, T: Plain + Display>(original::Guard<'a, T>);

    impl<'a, T: Plain + Display> Guard<'a, T> {
        fn new(guard: original::Guard<'a, T>) -> Self {
            note("reads", &*guard);
            Guard(guard)
        }
    }

    impl<T: Plain + Display> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T: Plain + Display> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.0
        }
    }

    /// Before the lock is released.
    impl<T: Plain + Display> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            note("writes", &*self.0);
        }
    }

    /// A `shared::multiprocessing::Pool` that is recorded.
    pub struct Pool(original::Pool);

    impl Pool {
        /// As the original.
        ///
        /// # Errors
        /// As the original.
        pub fn new(workers: usize) -> Result<Self, Error> {
            original::Pool::new(workers).map(Pool)
        }

        /// As the original.
        ///
        /// # Errors
        /// As the original.
        pub fn map<F, A, R>(
            &self,
            target: F,
            items: impl IntoIterator<Item = A>,
        ) -> Result<Vec<R>, Error>
        where
            F: Fn(A) -> R + Copy + Send + Sync + 'static,
            A: Serialize + DeserializeOwned + Display,
            R: Serialize + DeserializeOwned + Display,
        {
            self.0.map(move |item: A| call(target, item), items)
        }
    }
}

/// As `shared::concurrent`.
pub mod concurrent {
    /// As `shared::concurrent::futures`, except for `ThreadPoolExecutor`.
    pub mod futures {
        use std::fmt::Display;

        use original::concurrent::futures as original;

        pub use original::*;

        /// A `shared::concurrent::futures::ThreadPoolExecutor` that is recorded.
        pub struct ThreadPoolExecutor(original::ThreadPoolExecutor<'static>);

        impl ThreadPoolExecutor {
            /// As the original.
            pub fn new(threads: usize) -> Self {
                ThreadPoolExecutor(original::ThreadPoolExecutor::new(threads))
            }

            /// As the original.
            pub fn map<T, R>(
                &self,
                function: impl Fn(T) -> R + Send + Sync + 'static,
                items: impl IntoIterator<Item = T>,
            ) -> impl Iterator<Item = R>
            where
                T: Display + Send + 'static,
                R: Display + Send + 'static,
            {
                let function = move |item| crate::call(&function, item);
                self.0.map(function, items)
            }
        }
    }
}
