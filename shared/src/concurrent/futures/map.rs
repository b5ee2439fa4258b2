//! `executor.map`: one job for all items, which several threads share.

use super::error::{Error, catch_and_ignore, catch_panic, resume};
use super::executor::ThreadPoolExecutor;
use super::future::Slot;
use super::pool::{Busy, Job};
use crate::sync::{Arc, Mutex};
use std::{mem, vec};

impl<'scope> ThreadPoolExecutor<'scope> {
    /// `executor.map(fn, items)`: returns an iterator over the results, in the
    /// order of the items.
    ///
    /// All items are submitted at once, and their calls run even if the
    /// iterator is dropped before its first `next`. If it is dropped later,
    /// calls that have not started are cancelled, as when a generator is closed
    /// in Python.
    ///
    /// `items` is read to its end before the first call starts; in Python,
    /// calls start meanwhile. So with endless items, such as `0..`, `map` never
    /// returns and fills the memory, as it does in Python. For those, and for
    /// more items or results than fit into memory, use
    /// [`map_buffered`](Self::map_buffered).
    ///
    /// # Panics
    /// `map` panics with the message of the [`Error`] if the executor is shut
    /// down or broken, or if the system refuses to start a thread for it.
    ///
    /// The iterator resumes the panic of a call where it would yield the result
    /// of that call. If the call was rejected, it panics with the message of
    /// [`Error::Cancelled`] or [`Error::Broken`]. It ends then, and calls that
    /// have not started are cancelled.
    ///
    /// ```
    /// # use shared::concurrent::futures::ThreadPoolExecutor;
    /// let executor = ThreadPoolExecutor::new(4);
    /// let lengths = executor.map(|word: &str| word.len(), ["I", "am"]);
    /// assert!(lengths.eq([1, 2]));
    /// ```
    ///
    /// An item costs three locks: one to take it, one to store its result and
    /// one to read it. The map as a whole is one job.
    #[track_caller]
    pub fn map<T, R, F, I>(
        &self,
        function: F,
        items: I,
    ) -> impl Iterator<Item = R> + Send + use<'scope, T, R, F, I>
    where
        F: Fn(T) -> R + Send + Sync + 'scope,
        I: IntoIterator<Item = T>,
        T: Send + 'scope,
        R: Send + 'scope,
    {
        let items = collect(items.into_iter());
        let batch = Arc::new(Batch {
            slots: items.iter().map(|_| Slot::new()).collect(),
            rest: Mutex::new(Rest {
                function: Some(Arc::new(function)),
                items: items.into_iter(),
            }),
        });
        let job: Arc<dyn Job + 'scope> = batch.clone();
        let workers = batch.slots.len().min(self.pool.max_workers);
        let jobs = (0..workers).map(|_| job.clone());
        if let Err(error) = self.pool.push(jobs, Some(Arc::downgrade(&job))) {
            // Drops the items before this panic, because a destructor that
            // panics during a panic aborts the process.
            batch.reject_rest(|| Error::Cancelled);
            panic!("{error}");
        }
        Results { batch, read: 0 }
    }
}

/// The job of a `map`. Several threads run it at the same time. A call starts
/// when its item is taken from `rest`, and only a call whose item is still
/// there can be cancelled, so the slots need no `start`.
struct Batch<F, T, R> {
    slots: Vec<Slot<R>>,
    rest: Mutex<Rest<F, T>>,
}

/// The calls of a `map` that have not started.
struct Rest<F, T> {
    /// Taken together with the last item. So no copy is left here when the last
    /// thread has called the function, and that thread drops it while it still counts
    /// as busy.
    function: Option<Arc<F>>,
    /// If `n` items remain, they belong to the last `n` slots.
    items: vec::IntoIter<T>,
}

impl<F, T, R> Job for Batch<F, T, R>
where
    F: Fn(T) -> R + Send + Sync,
    T: Send,
    R: Send,
{
    fn run(&self, busy: Busy<'_>) {
        let mut busy = Some(busy);
        let mut function = None;
        loop {
            let mut rest = self.rest.lock().unwrap();
            let slot = self.slots.len() - rest.items.len();
            let Some(item) = rest.items.next() else { break };
            let last = rest.items.len() == 0;
            if last {
                function = rest.function.take();
            } else if function.is_none() {
                function = rest.function.clone();
            }
            drop(rest);
            let call = function.as_ref().expect("taken with the last item");
            let outcome = catch_panic(|| call(item));
            if last {
                catch_and_ignore(|| drop(function.take()));
            }
            self.slots[slot].finish(outcome, busy.take_if(|_| last));
        }
    }

    fn reject(&self, error: fn() -> Error) {
        self.reject_rest(error);
    }
}

impl<F, T, R> Batch<F, T, R> {
    fn reject_rest(&self, error: fn() -> Error) {
        let (function, items) = {
            let mut rest = self.rest.lock().unwrap();
            (rest.function.take(), mem::take(&mut rest.items))
        };
        for slot in &self.slots[self.slots.len() - items.len()..] {
            slot.reject(error());
        }
        // One by one, because if two items panicked while a vector drops them,
        // the process would abort.
        for item in items {
            catch_and_ignore(|| drop(item));
        }
        catch_and_ignore(|| drop(function));
    }
}

/// The iterator of `map`.
struct Results<F, T, R> {
    batch: Arc<Batch<F, T, R>>,
    /// The number of results that were read.
    read: usize,
}

impl<F, T, R> Iterator for Results<F, T, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let slot = self.batch.slots.get(self.read)?;
        self.read += 1;
        match slot.wait(None) {
            Ok(result) => Some(result),
            Err(error) => {
                self.close();
                resume(error)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.slots.len() - self.read;
        (left, Some(left))
    }
}

impl<F, T, R> Results<F, T, R> {
    /// Cancels the calls that have not started, and drops the unread results.
    fn close(&mut self) {
        self.batch.reject_rest(|| Error::Cancelled);
        self.abandon();
    }

    /// Drops the unread results.
    fn abandon(&mut self) {
        for slot in &self.batch.slots[self.read..] {
            catch_and_ignore(|| slot.abandon());
        }
        self.read = self.batch.slots.len();
    }
}

impl<F, T, R> Drop for Results<F, T, R> {
    fn drop(&mut self) {
        match self.read {
            0 => self.abandon(),
            _ => self.close(),
        }
    }
}

/// Collects the items even if their `size_hint` is wrong. `Iterator::collect`
/// reserves memory for that many items at once and panics if it cannot.
fn collect<T>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut collected = Vec::new();
    // A failure is ignored, because reserving only saves time.
    let _ = collected.try_reserve(items.size_hint().0);
    for item in items {
        collected.push(item);
    }
    collected
}
