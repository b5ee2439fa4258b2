//! What a caller waits for: [`AsyncResult`], the result of one job, and [`Imap`],
//! an iterator that submits one job for each item.
//!
//! Both wait in [`inner`](super::inner), and decode in the thread that asks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::inner::PoolInner;
use super::job::Job;
use crate::multiprocessing::error::Error;
use crate::multiprocessing::target::{Owned, Target};
use crate::multiprocessing::wait::{deadline, is_past};

/// How many tasks for each worker [`Imap`] submits before their results are asked
/// for.
const TASKS_AHEAD: usize = 16;

/// The result of tasks that may not be done yet: `AsyncResult`. The tasks are done
/// even if it is dropped.
///
/// ```
/// use shared::multiprocessing::{self, Pool};
///
/// fn square(n: i32) -> i32 {
///     n * n
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let pool = Pool::new(2)?;
///     let nine = pool.apply_async(square, (3,))?;
///     let squares = pool.map_async(square, 1..=3)?;
///     assert_eq!(squares.get()?, [1, 4, 9]);
///     assert_eq!(nine.get()?, 9);
///     Ok(())
/// }
/// ```
pub struct AsyncResult<T> {
    pool: Arc<PoolInner>,
    job: Arc<Job>,
    /// Decodes the job's results once it is done.
    decode: fn(&Job) -> Result<T, Error>,
}

impl<T> AsyncResult<T> {
    pub(super) fn submit(
        pool: &Arc<PoolInner>,
        job: Job,
        decode: fn(&Job) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        let job = Arc::new(job);
        pool.submit(&job)?;
        Ok(AsyncResult {
            pool: pool.clone(),
            job,
            decode,
        })
    }

    /// Submits a job of a single call.
    pub(super) fn of_call<F, Args, Passing>(
        pool: &Arc<PoolInner>,
        target: F,
        args: Args,
    ) -> Result<Self, Error>
    where
        F: Target<Args, Passing, Output = T>,
        Args: DeserializeOwned,
        T: Serialize + DeserializeOwned,
    {
        let job = Job::new(target, [args], |_| 1)?;
        Self::submit(pool, job, |job| {
            let result = job.results()?.pop();
            Ok(result.expect("a job of one call has one result"))
        })
    }

    /// Returns whether [`get`](Self::get) would return at once: `r.ready()`.
    pub fn ready(&self) -> bool {
        self.job.is_done() || self.pool.check_maker().is_err()
    }

    /// Waits for the result, but no longer than `timeout`, and returns whether it
    /// has come: `r.wait(timeout)`.
    pub fn wait(&self, timeout: Duration) -> bool {
        self.wait_until(deadline(timeout))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        self.ready() || self.pool.wait_until(deadline, || self.job.is_done())
    }

    fn result(&self) -> Result<T, Error> {
        if !self.job.is_done() {
            self.pool.check_maker()?;
        }
        (self.decode)(&self.job)
    }

    /// Waits for the result: `r.get()`.
    ///
    /// # Errors
    /// The errors of [`Pool::apply`](super::Pool::apply).
    pub fn get(self) -> Result<T, Error> {
        self.wait_until(None);
        self.result()
    }

    /// Waits for the result, but no longer than `timeout`: `r.get(timeout)`. It
    /// can be called again after an [`Error::Timeout`], and after a result.
    ///
    /// # Errors
    /// The errors of [`Pool::apply`](super::Pool::apply), and [`Error::Timeout`].
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, Error> {
        if !self.wait(timeout) {
            return Err(Error::Timeout);
        }
        self.result()
    }
}

impl<T> std::fmt::Debug for AsyncResult<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AsyncResult")
            .field("ready", &self.ready())
            .finish()
    }
}

/// The results of [`Pool::imap`](super::Pool::imap) and [`Pool::imap_unordered`](super::Pool::imap_unordered): an iterator.
///
/// It yields one `Result` for each item, and goes on after an error. The first
/// tasks are submitted when the first result is asked for.
///
/// ```
/// use shared::multiprocessing::{self, Pool};
///
/// fn square(n: u64) -> u64 {
///     n * n
/// }
///
/// fn main() -> Result<(), multiprocessing::Error> {
///     multiprocessing::init();
///     let pool = Pool::new(2)?;
///     let mut sum = 0;
///     // The items never end, and are taken only as results are.
///     for result in pool.imap(square, 1..).take(100) {
///         sum += result?;
///     }
///     assert_eq!(sum, 338_350);
///     Ok(())
/// }
/// ```
#[must_use = "no task is submitted before the first result is asked for"]
pub struct Imap<'a, F, I, R> {
    pool: &'a Arc<PoolInner>,
    target: F,
    items: I,
    /// The results that have not been yielded, in the order of their items. An
    /// item whose task could not be submitted has that error.
    window: VecDeque<Result<AsyncResult<R>, Error>>,
    ordered: bool,
}

impl<'a, F, I, R> Imap<'a, F, I, R> {
    pub(super) fn new(pool: &'a Arc<PoolInner>, target: F, items: I, ordered: bool) -> Self {
        Imap {
            pool,
            target,
            items,
            window: VecDeque::new(),
            ordered,
        }
    }
}

impl<F, A, I, R> Imap<'_, F, I, R>
where
    F: Target<(A,), (Owned,), Output = R>,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    I: Iterator<Item = A>,
{
    /// Waits for the next result, but no longer than `timeout`:
    /// `it.next(timeout)`. Returns `None` at the end. After an
    /// [`Error::Timeout`] it can be called again for the same result. If the
    /// iterator over the items takes longer than `timeout` for an item, so does
    /// this.
    pub fn next_timeout(&mut self, timeout: Duration) -> Option<Result<R, Error>> {
        self.next_until(deadline(timeout))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Result<R, Error>> {
        let pool = self.pool;
        while self.window.len() < pool.processes * TASKS_AHEAD
            && (self.window.is_empty() || !is_past(deadline))
            && let Some(item) = self.items.next()
        {
            self.window
                .push_back(AsyncResult::of_call(pool, self.target, (item,)));
        }
        if self.window.is_empty() {
            return None;
        }
        let candidates = if self.ordered { 1 } else { self.window.len() };
        let ready = || {
            let mut candidates = self.window.iter().take(candidates);
            candidates.position(|result| result.as_ref().map_or(true, AsyncResult::ready))
        };
        if ready().is_none() && !pool.wait_until(deadline, || ready().is_some()) {
            return Some(Err(Error::Timeout));
        }
        let index = ready().expect("a candidate is ready");
        self.window.remove(index).map(|result| result?.get())
    }
}

impl<F, A, I, R> Iterator for Imap<'_, F, I, R>
where
    F: Target<(A,), (Owned,), Output = R>,
    A: Serialize + DeserializeOwned,
    R: Serialize + DeserializeOwned,
    I: Iterator<Item = A>,
{
    type Item = Result<R, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}
