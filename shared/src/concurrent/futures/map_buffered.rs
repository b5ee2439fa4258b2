//! `executor.map` with a `buffersize`: a call of its own for each item,
//! submitted when an earlier result is read.

use super::error::{catch_and_ignore, catch_panic, resume};
use super::executor::ThreadPoolExecutor;
use super::future::Future;
use crate::sync::Arc;
use std::collections::VecDeque;

impl<'scope> ThreadPoolExecutor<'scope> {
    /// `executor.map(fn, items, buffersize=buffersize)`, which Python has
    /// since 3.14: like [`map`](Self::map), but reads `items` only as fast as
    /// the results are read, so `items` may be endless.
    ///
    /// The first `buffersize` items are read and submitted at once, and one
    /// more before each result is yielded. So at most `buffersize` calls,
    /// waiting, running or done, have results that were not yielded.
    ///
    /// These calls run even if the iterator is dropped before its first `next`.
    /// If it is dropped later, calls that have not started are cancelled.
    /// Either way, no further item is read.
    ///
    /// # Panics
    /// `map_buffered` panics with `buffersize must be greater than 0`, where
    /// Python raises `ValueError`, or with the message of the
    /// [`Error`](super::Error) if the executor is shut down or broken.
    ///
    /// The iterator resumes the panic of a call, or of `items`, where it would
    /// yield the result. If the call was cancelled or rejected, it panics with
    /// the message of the [`Error`](super::Error). It ends then, and calls that
    /// have not started are cancelled.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(4);
    /// let mut squares = executor.map_buffered(|n: u64| n * n, 0.., 8);
    /// assert_eq!(squares.find(|n| *n > 100), Some(121));
    /// ```
    ///
    /// ```python
    /// squares = executor.map(lambda n: n * n, count(), buffersize=8)
    /// assert next(n for n in squares if n > 100) == 121
    /// ```
    ///
    /// An item costs what a [`submit`](Self::submit) costs.
    #[track_caller]
    pub fn map_buffered<T, R, F, I>(
        &self,
        function: F,
        items: I,
        buffersize: usize,
    ) -> impl Iterator<Item = R>
    where
        F: Fn(T) -> R + Send + Sync + 'scope,
        I: IntoIterator<Item = T>,
        T: Send + 'scope,
        R: Send + 'scope,
    {
        assert!(buffersize > 0, "buffersize must be greater than 0");
        if let Err(error) = self.pool.check_open() {
            panic!("{error}");
        }
        let mut results = BufferedResults {
            executor: self,
            function: Arc::new(function),
            items: Some(items.into_iter()),
            futures: VecDeque::new(),
            begun: false,
        };
        while results.futures.len() < buffersize && results.submit_next() {}
        results
    }
}

/// The iterator of `map_buffered`.
struct BufferedResults<'executor, 'scope, F, I, R> {
    executor: &'executor ThreadPoolExecutor<'scope>,
    function: Arc<F>,
    /// `None` once they have ended or an error has occurred.
    items: Option<I>,
    /// The futures of the calls whose results have not been yielded.
    futures: VecDeque<Future<R>>,
    /// Whether `next` has been called.
    begun: bool,
}

impl<F, I, R> BufferedResults<'_, '_, F, I, R> {
    /// Drops the unread items and results. Cancels the calls that have not
    /// started, if the iterator has begun.
    fn close(&mut self) {
        // The last ones first, because the threads take the first ones
        // meanwhile.
        for future in self.futures.drain(..).rev() {
            if self.begun {
                future.cancel();
            }
            catch_and_ignore(|| drop(future));
        }
        self.items = None;
    }
}

impl<'scope, F, I, R> BufferedResults<'_, 'scope, F, I, R>
where
    F: Fn(I::Item) -> R + Send + Sync + 'scope,
    I: Iterator<Item: Send + 'scope>,
    R: Send + 'scope,
{
    /// Submits the call of the next item. Returns whether another may follow.
    fn submit_next(&mut self) -> bool {
        let Some(mut items) = self.items.take() else {
            return false;
        };
        let submitted = match catch_panic(|| items.next()) {
            Ok(None) => return false,
            Ok(Some(item)) => {
                let function = self.function.clone();
                self.executor.try_submit(move || function(item))
            }
            Err(panic) => Err(panic),
        };
        let more = submitted.is_ok();
        if more {
            self.items = Some(items);
        }
        // An error is put behind the futures of earlier items, so that `next` yields
        // their results first.
        let future = submitted.unwrap_or_else(Future::failed);
        self.futures.push_back(future);
        more
    }
}

impl<'scope, F, I, R> Iterator for BufferedResults<'_, 'scope, F, I, R>
where
    F: Fn(I::Item) -> R + Send + Sync + 'scope,
    I: Iterator<Item: Send + 'scope>,
    R: Send + 'scope,
{
    type Item = R;

    fn next(&mut self) -> Option<R> {
        self.begun = true;
        let result = self.futures.pop_front()?.result();
        match result {
            Ok(result) => {
                self.submit_next();
                Some(result)
            }
            Err(error) => {
                self.close();
                resume(error)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let ahead = self.futures.len();
        match &self.items {
            None => (ahead, Some(ahead)),
            Some(items) => {
                let (lower, upper) = items.size_hint();
                let upper = upper.and_then(|upper| upper.checked_add(ahead));
                (lower.saturating_add(ahead), upper)
            }
        }
    }
}

impl<F, I, R> Drop for BufferedResults<'_, '_, F, I, R> {
    fn drop(&mut self) {
        self.close();
    }
}
