//! What a caller waits for: [`AsyncResult`], the result of one job, and [`Imap`],
//! an iterator that submits a job for every few items.
//!
//! Both wait in [`inner`](super::inner), and decode in the thread that asks.

use std::collections::VecDeque;
use std::iter::Fuse;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::inner::PoolInner;
use super::job::{Batch, Job};
use crate::multiprocessing::error::Error;
use crate::multiprocessing::target::{Owned, Target};
use crate::multiprocessing::wait::{deadline, is_past};

/// How many tasks for each worker [`Imap`] submits before their results are asked
/// for.
const TASKS_AHEAD: usize = 16;

/// How many it submits as long as their arguments have no more than so many bytes
/// for each worker.
const SMALL_TASKS_AHEAD: usize = 400;
const SMALL_BYTES_AHEAD: usize = 1 << 16;

/// The most tasks that it submits at a time, and about the most bytes.
const MAX_BATCH: usize = 64;
const BATCH_BYTES: usize = 1 << 13;

/// If its iterator takes longer for some items, it submits their tasks at once.
const SLOW: Duration = Duration::from_micros(20);

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
        Self::submit(pool, job, |job| job.result(0, true))
    }

    /// Returns whether [`get`](Self::get) would return at once: `r.ready()`.
    pub fn ready(&self) -> bool {
        self.job.is_done() || self.pool.check_maker().is_err() || {
            self.pool.receive();
            self.job.is_done()
        }
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
    target: PhantomData<(F, fn() -> R)>,
    items: Fuse<I>,
    /// Items that were taken and have not been submitted.
    batch: Batch,
    /// How many items the next batch should have. It grows as long as the items come
    /// quickly.
    batch_len: usize,
    /// What has not been yielded, in the order of the items.
    window: VecDeque<Pending>,
    /// How many items and how many bytes of arguments are in the window.
    ahead: usize,
    bytes_ahead: usize,
    ordered: bool,
}

/// A part of what an [`Imap`] has to yield.
enum Pending {
    /// The results of a batch, of which so many have been yielded.
    Batch(Arc<Job>, usize),
    /// An item whose task could not be submitted.
    Failed(Error),
}

impl<'a, F, I: Iterator, R> Imap<'a, F, I, R> {
    pub(super) fn new(pool: &'a Arc<PoolInner>, _target: F, items: I, ordered: bool) -> Self {
        Imap {
            pool,
            target: PhantomData,
            items: items.fuse(),
            batch: Batch::default(),
            batch_len: 1,
            window: VecDeque::new(),
            ahead: 0,
            bytes_ahead: 0,
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
        // Many items at a time, because workers may have to be woken for them.
        if self.ahead <= self.most_ahead() / 2 {
            while (self.window.is_empty() || !is_past(deadline)) && self.submit_items(deadline) {}
        }
        let candidates = if self.ordered { 1 } else { self.window.len() };
        let ready = || {
            let mut candidates = self.window.iter().take(candidates);
            candidates.position(|pending| match pending {
                Pending::Batch(job, yielded) => job.has_result(*yielded, self.ordered),
                Pending::Failed(_) => true,
            })
        };
        if self.window.is_empty() {
            return None;
        }
        if ready().is_none() {
            if let Err(error) = self.pool.check_maker() {
                return Some(Err(error));
            }
            if !self.pool.wait_until(deadline, || ready().is_some()) {
                return Some(Err(Error::Timeout));
            }
        }
        let index = ready().expect("a candidate is ready");
        self.ahead -= 1;
        if let Pending::Batch(job, yielded) = &mut self.window[index]
            && *yielded + 1 < job.tasks()
        {
            *yielded += 1;
            return Some(job.result(*yielded - 1, self.ordered));
        }
        match self.window.remove(index).expect("it is in the window") {
            Pending::Failed(error) => Some(Err(error)),
            Pending::Batch(job, yielded) => {
                self.bytes_ahead -= job.args_size();
                Some(job.result(yielded, self.ordered))
            }
        }
    }

    /// How many items may be in the window.
    fn most_ahead(&self) -> usize {
        let workers = self.pool.processes;
        if self.bytes_ahead < workers * SMALL_BYTES_AHEAD {
            workers * SMALL_TASKS_AHEAD
        } else {
            workers * TASKS_AHEAD
        }
    }

    /// Takes some items and submits their tasks. Returns whether there were any, and
    /// there was room for them in the window.
    fn submit_items(&mut self, deadline: Option<Instant>) -> bool {
        let start = Instant::now();
        let most = self
            .most_ahead()
            .saturating_sub(self.ahead)
            .min(self.batch_len);
        let mut is_slow = false;
        let mut taken = 0;
        let mut failed = None;
        while self.batch.len() < most && self.batch.size() < BATCH_BYTES {
            let Some(item) = self.items.next() else {
                break;
            };
            taken += 1;
            if let Err(error) = self.batch.add::<F, _, _>([(item,)]) {
                failed = Some(error);
                break;
            }
            // To ask for the time takes as long as to take a short item.
            if deadline.is_some() || taken % 4 == 1 {
                is_slow = start.elapsed() > SLOW;
                if is_slow {
                    break;
                }
            }
        }
        let is_submitted = self.submit_batch();
        if let Some(error) = failed {
            self.ahead += 1;
            self.window.push_back(Pending::Failed(error));
        }
        if is_slow || !is_submitted {
            self.batch_len = 1;
        } else if taken == self.batch_len {
            self.batch_len = (2 * self.batch_len).min(MAX_BATCH);
        }
        taken > 0
    }

    /// Submits the batch, if it has any items, and returns whether that was possible.
    fn submit_batch(&mut self) -> bool {
        let len = self.batch.len();
        if len == 0 {
            return true;
        }
        self.ahead += len;
        let job = match self.batch.take_job::<F, (A,), (Owned,)>() {
            Ok(job) => Arc::new(job),
            Err(error) => {
                self.window.push_back(Pending::Failed(error));
                return false;
            }
        };
        let rejection = self.pool.submit(&job).err();
        let is_submitted = rejection.is_none();
        if is_submitted {
            self.bytes_ahead += job.args_size();
            self.window.push_back(Pending::Batch(job, 0));
        } else {
            // Each item has an error of its own. A pool that has rejected a job
            // rejects all others.
            let others = (1..len).filter_map(|_| self.pool.submit(&job).err());
            let all = rejection.into_iter().chain(others);
            self.window.extend(all.map(Pending::Failed));
        }
        is_submitted
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
