//! How an executor is made: its arguments, and the two kinds of threads, those
//! that own what they use and those of a scope, which may borrow.

use super::executor::ThreadPoolExecutor;
use super::pool::{Initializer, Pool, Spawned};
use crate::sync::Arc;
use crate::sync::thread::{self, Scope};
use std::fmt;
// These are std's even when a model checker replaces `sync`: they only make names
// unique.
use std::sync::atomic::{AtomicUsize, Ordering};

impl ThreadPoolExecutor<'static> {
    /// `ThreadPoolExecutor(max_workers)`.
    ///
    /// # Panics
    /// With `max_workers must be greater than 0`, where Python raises
    /// `ValueError`.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        Self::builder().max_workers(max_workers).build()
    }

    /// `ThreadPoolExecutor(..)`: takes the arguments by name.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// The arguments of `ThreadPoolExecutor(..)`, by name.
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    thread_name_prefix: Option<String>,
    initializer: Option<Initializer>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let initializer = self
            .initializer
            .as_ref()
            .map(|_| format_args!("{{closure}}"));
        f.debug_struct("Builder")
            .field("max_workers", &self.max_workers)
            .field("thread_name_prefix", &self.thread_name_prefix)
            .field("initializer", &initializer)
            .finish()
    }
}

impl Builder {
    /// `max_workers`: how many threads there may be. The default is
    /// `min(32, cores + 4)`, as in Python.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = Some(max_workers);
        self
    }

    /// `thread_name_prefix`: the threads are named `{prefix}_{M}`, and by
    /// default `ThreadPoolExecutor-{N}_{M}`.
    ///
    /// # Panics
    /// If it contains a NUL, because the name of a thread cannot contain one.
    #[track_caller]
    pub fn thread_name_prefix(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        assert!(
            !prefix.contains('\0'),
            "thread_name_prefix must not contain a NUL"
        );
        self.thread_name_prefix = Some(prefix);
        self
    }

    /// `initializer`: each thread calls it before its first call. If it
    /// panics, the executor is [broken](super::Error::Broken).
    pub fn initializer(mut self, initializer: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(initializer));
        self
    }

    /// Makes an executor whose calls own what they use.
    ///
    /// # Panics
    /// With `max_workers must be greater than 0`.
    #[track_caller]
    pub fn build(self) -> ThreadPoolExecutor<'static> {
        self.build_with(|builder, pool| {
            let thread = builder.spawn(move || Pool::thread_main(pool))?;
            Ok((thread.thread().id(), Box::new(|| _ = thread.join())))
        })
    }

    /// Makes an executor whose calls may borrow what outlives `scope`. Python
    /// has no such thing, because it counts references.
    ///
    /// # Panics
    /// As [`build`](Self::build).
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let words = ["I".to_string(), "am".to_string()];
    /// let total: usize = std::thread::scope(|scope| {
    ///     let executor = ThreadPoolExecutor::builder().build_scoped(scope);
    ///     executor.map(|word: &String| word.len(), &words).sum()
    /// });
    /// assert_eq!(total, 3);
    /// ```
    #[track_caller]
    pub fn build_scoped<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
    ) -> ThreadPoolExecutor<'scope> {
        self.build_with(move |builder, pool| {
            let thread = builder.spawn_scoped(scope, move || Pool::thread_main(pool))?;
            Ok((thread.thread().id(), Box::new(|| _ = thread.join())))
        })
    }

    #[track_caller]
    fn build_with<'scope>(
        self,
        spawn: impl Fn(thread::Builder, Arc<Pool<'scope>>) -> Spawned<'scope> + Send + Sync + 'scope,
    ) -> ThreadPoolExecutor<'scope> {
        static EXECUTORS: AtomicUsize = AtomicUsize::new(0);
        let max_workers = self.max_workers.unwrap_or_else(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            32.min(cores + 4)
        });
        assert!(max_workers > 0, "max_workers must be greater than 0");
        let thread_name_prefix = self.thread_name_prefix.unwrap_or_else(|| {
            let n = EXECUTORS.fetch_add(1, Ordering::Relaxed);
            format!("ThreadPoolExecutor-{n}")
        });
        let pool = Pool::new(
            max_workers,
            thread_name_prefix,
            self.initializer,
            Box::new(spawn),
        );
        ThreadPoolExecutor {
            pool: Arc::new(pool),
        }
    }
}
