//! A [`Job`] is one call of a pool's method, or some items of an `Imap`: its arguments,
//! encoded and cut into tasks, and the results that have come so far. A task is what a
//! worker runs at a time, a chunk of one or more calls of the target. A [`Run`] is
//! tasks of a job that are sent together.
//!
//! Above stand [`dispatch`](super::dispatch), which chooses a worker for each
//! run, and [`result`](super::result), which decodes the results.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::multiprocessing::allocation::too_large;
use crate::multiprocessing::child::{ExitStatus, exit_error};
use crate::multiprocessing::codec::{
    check_memory, decode_args, decode_next, decoder, encode_next, expect_end,
};
use crate::multiprocessing::entry::entry_offset;
use crate::multiprocessing::error::{Error, Failure};
use crate::multiprocessing::format::Encoder;
use crate::multiprocessing::target::{Target, zero_sized_value};

/// One call of `apply`, `map` or another method: its tasks and their results.
pub(super) struct Job {
    /// The offset of [`run_calls`] for this target, which the worker calls.
    entry: u64,
    /// How many times the target is called.
    calls: usize,
    /// How many calls make one task; the last task may have fewer.
    chunk: usize,
    /// What a worker gets of the tasks: for each the number of its calls (8 bytes) and
    /// their encoded arguments.
    args: Vec<u8>,
    /// Where the arguments of each task end in `args`.
    args_ends: Vec<usize>,
    /// Each task has an outcome of its own. Otherwise a task that fails makes the
    /// job fail.
    is_separate: bool,
    /// The results so far. It is locked only to add to them, and to take those of
    /// single tasks before all are done.
    progress: Mutex<Results>,
    /// How many tasks are done.
    done: AtomicUsize,
    /// The results of all tasks, or why one failed. It is set once and read
    /// without a lock, so that nothing waits while a result is being decoded.
    outcome: OnceLock<Result<Results, Cause>>,
}

#[derive(Default)]
struct Results {
    /// The small results, in the order in which they came.
    bytes: Vec<u8>,
    /// Where the results of each task that is done are in `bytes`.
    ranges: Vec<Option<Range<usize>>>,
    /// The large results by the index of their task. To append them to `bytes`
    /// would copy them once more.
    large: BTreeMap<usize, Vec<u8>>,
    /// Why tasks have failed, if each has an outcome of its own.
    failures: BTreeMap<usize, Cause>,
    /// The tasks that are done, in the order in which they were.
    order: Vec<usize>,
}

impl Results {
    fn new(tasks: usize) -> Self {
        Results {
            ranges: vec![None; tasks],
            ..Results::default()
        }
    }

    /// The encoded results of a task that is done.
    fn of_task(&self, task: usize) -> Result<&[u8], Error> {
        if let Some(cause) = self.failures.get(&task) {
            return Err(cause.to_error());
        }
        let range = self.ranges[task].clone().expect("the task is done");
        let large = self.large.get(&task).map(Vec::as_slice);
        let bytes = large.unwrap_or(&self.bytes[range]);
        check_memory("a task's results", bytes.len())?;
        Ok(bytes)
    }
}

/// Why a task, or the whole pool, failed.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// The worker with this process ID has reported a failure.
    Failure(u32, Failure),
    /// The worker with this process ID has ended.
    Ended(u32, ExitStatus),
    Terminated,
    /// A worker cannot start.
    StartFailed(Arc<Error>),
}

impl Cause {
    pub(super) fn to_error(&self) -> Error {
        match self {
            Cause::Failure(pid, failure) => failure.clone().into_error(*pid),
            Cause::Ended(pid, status) => exit_error(*pid, *status),
            Cause::Terminated => Error::Terminated,
            Cause::StartFailed(error) => Error::WorkerStart(error.clone()),
        }
    }
}

impl Job {
    /// Encodes the arguments of the calls, of which `args` has one tuple each. Given
    /// the number of calls, `chunk` returns how many of them make one task.
    pub(super) fn new<F, Args, Passing>(
        _target: F,
        args: impl IntoIterator<Item = Args>,
        chunk: impl FnOnce(usize) -> usize,
    ) -> Result<Self, Error>
    where
        F: Target<Args, Passing>,
        Args: DeserializeOwned,
        F::Output: Serialize,
    {
        let args = args.into_iter();
        let (expected, most) = args.size_hint();
        if most != Some(expected) {
            return Self::new(_target, args.collect::<Vec<_>>(), chunk);
        }
        // The length that an iterator claims is trusted up to this limit.
        const MAX_PREALLOCATED: usize = 1 << 20;
        let chunk = chunk(expected);
        let mut args = args.peekable();
        let mut calls = 0;
        let expected_bytes = expected.saturating_mul(size_of::<Args>());
        let mut batch = Batch {
            args: Vec::with_capacity(expected_bytes.min(MAX_PREALLOCATED)),
            args_ends: Vec::with_capacity(expected.div_ceil(chunk).min(MAX_PREALLOCATED)),
        };
        while args.peek().is_some() {
            calls += batch.add::<F, _, _>(args.by_ref().take(chunk))?;
        }
        Self::of_batch::<F, Args, Passing>(calls, chunk, batch, false)
    }

    fn of_batch<F, Args, Passing>(
        calls: usize,
        chunk: usize,
        Batch { args, args_ends }: Batch,
        is_separate: bool,
    ) -> Result<Self, Error>
    where
        F: Target<Args, Passing>,
        Args: DeserializeOwned,
        F::Output: Serialize,
    {
        let outcome = OnceLock::new();
        if args_ends.is_empty() {
            _ = outcome.set(Ok(Results::default()));
        }
        Ok(Job {
            entry: entry_offset(run_calls::<F, Args, Passing>)?,
            calls,
            chunk,
            progress: Mutex::new(Results::new(args_ends.len())),
            args,
            args_ends,
            is_separate,
            done: AtomicUsize::new(0),
            outcome,
        })
    }

    pub(super) fn tasks(&self) -> usize {
        self.args_ends.len()
    }

    /// How many bytes the arguments of all tasks have.
    pub(super) fn args_size(&self) -> usize {
        self.args.len()
    }

    fn calls_of(&self, task: usize) -> usize {
        self.chunk.min(self.calls - task * self.chunk)
    }

    /// Where the arguments of tasks are in `args`.
    fn args_range(&self, tasks: Range<usize>) -> Range<usize> {
        let end_before = |task: usize| {
            if task == 0 {
                0
            } else {
                self.args_ends[task - 1]
            }
        };
        end_before(tasks.start)..end_before(tasks.end)
    }

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the job fail, unless its outcome is already known. If each task has an
    /// outcome of its own, those that are not done fail.
    pub(super) fn fail(&self, cause: &Cause) {
        if self.is_separate {
            return (0..self.tasks()).for_each(|task| self.fail_task(task, cause));
        }
        _ = self.outcome.set(Err(cause.clone()));
        // The other tasks' results are not needed any more.
        *self.lock() = Results::default();
    }

    /// Makes a task fail that is not done.
    fn fail_task(&self, task: usize, cause: &Cause) {
        if !self.is_separate {
            return self.fail(cause);
        }
        self.complete(&mut self.lock(), task, |results| {
            results.failures.insert(task, cause.clone());
            0..0
        });
    }

    /// Adds the results of a task, whose range in `bytes` `add` returns, unless the
    /// outcome of the job or of the task is known.
    fn complete(
        &self,
        results: &mut Results,
        task: usize,
        add: impl FnOnce(&mut Results) -> Range<usize>,
    ) {
        if self.is_done() || results.ranges[task].is_some() {
            return;
        }
        results.ranges[task] = Some(add(results));
        if self.is_separate {
            results.order.push(task);
        }
        let done = self.done.load(Relaxed) + 1;
        self.done.store(done, Release);
        if done == self.tasks() {
            _ = self.outcome.set(Ok(mem::take(results)));
        }
    }

    /// Whether the outcome is known: all tasks are done, or one has failed.
    pub(super) fn is_done(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Decodes the results of all calls of a job that is done.
    pub(super) fn results<R: DeserializeOwned>(&self) -> Result<Vec<R>, Error> {
        let results = match self.outcome.get().expect("the job is done") {
            Ok(results) => results,
            Err(cause) => return Err(cause.to_error()),
        };
        let mut all = Vec::new();
        all.try_reserve_exact(self.calls)
            .map_err(|_| too_large("results", self.calls.saturating_mul(size_of::<R>()) as u64))?;
        for task in 0..self.tasks() {
            let mut decoder = decoder::<R>(results.of_task(task)?)?;
            for _ in 0..self.calls_of(task) {
                all.push(decode_next(&mut decoder)?);
            }
            expect_end::<R>(&decoder)?;
        }
        Ok(all)
    }
}

/// Splits a message with a run of tasks, as a worker receives it, into the offset of
/// the function to call and the inputs of this function.
pub(super) fn split_run(message: &[u8]) -> (u64, impl Iterator<Item = &[u8]>) {
    let number = |bytes: &mut &[u8]| {
        let (number, rest) = bytes.split_first_chunk().expect("a message has a header");
        *bytes = rest;
        u64::from_le_bytes(*number)
    };
    let mut rest = message;
    let entry = number(&mut rest);
    let others = number(&mut rest) as usize - 1;
    let (lengths, mut rest) = rest.split_at(others * size_of::<u32>());
    let mut lengths = lengths
        .as_chunks()
        .0
        .iter()
        .map(|len| u32::from_le_bytes(*len));
    let inputs = (0..=others).map(move |_| {
        let len = lengths.next().map_or(rest.len(), |len| len as usize);
        rest.split_off(..len).expect("as long as its tasks")
    });
    (entry, inputs)
}

/// The function that a worker calls for a task: it decodes the arguments of each
/// call, calls the target, and encodes what it returns.
fn run_calls<F, Args, Passing>(input: &[u8], output: &mut Vec<u8>) -> Result<(), Error>
where
    F: Target<Args, Passing>,
    Args: DeserializeOwned,
    F::Output: Serialize,
{
    let (calls, input) = input
        .split_first_chunk()
        .expect("a task starts with the number of its calls");
    check_memory("a task's arguments", input.len())?;
    let mut args = decoder::<Args>(input)?;
    let mut results = Encoder::new(output);
    for _ in 0..u64::from_le_bytes(*calls) {
        let args = decode_args(&mut args)?;
        encode_next(&zero_sized_value::<F>().call(args), &mut results)?;
    }
    expect_end::<Args>(&args)
}

/// Tasks of a job that follow one another, by their indices. They are sent to a worker
/// in one message.
pub(super) struct Run {
    job: Arc<Job>,
    tasks: Range<usize>,
}

impl Run {
    /// All tasks of a job.
    pub(super) fn all(job: Arc<Job>) -> Self {
        let tasks = 0..job.tasks();
        Run { job, tasks }
    }

    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Removes the first tasks, no more than `most`: as many as have no more than
    /// `size` bytes together, but at least one.
    pub(super) fn take_first(&mut self, most: usize, size: usize) -> Run {
        let start = self.tasks.start;
        let most = &self.job.args_ends[start..self.tasks.end.min(start + most.max(1))];
        let end = self.job.args_range(start..start).end + size;
        let len = most.partition_point(|&task_end| task_end <= end).max(1);
        self.tasks.start += len;
        Run {
            job: self.job.clone(),
            tasks: start..start + len,
        }
    }

    /// Removes all tasks but the first `len`, and returns them.
    pub(super) fn split_off(&mut self, len: usize) -> Run {
        let middle = self.tasks.start + len;
        let end = mem::replace(&mut self.tasks.end, middle);
        Run {
            job: self.job.clone(),
            tasks: middle..end,
        }
    }

    /// Replaces `header` by what is sent before [`args`](Self::args): the entry, how
    /// many tasks there are, and the length of each but the last.
    pub(super) fn write_header(&self, header: &mut Vec<u8>) {
        header.clear();
        header.extend(self.job.entry.to_le_bytes());
        header.extend((self.len() as u64).to_le_bytes());
        for task in self.tasks.start..self.tasks.end - 1 {
            let len = self.job.args_range(task..task + 1).len() as u32;
            header.extend(len.to_le_bytes());
        }
    }

    /// The arguments of its tasks.
    pub(super) fn args(&self) -> &[u8] {
        &self.job.args[self.job.args_range(self.tasks.clone())]
    }

    /// Removes the first task, and completes it with a small result. `append` appends
    /// it to a buffer; if it returns false, because there is no memory, the task fails
    /// with `cause`.
    pub(super) fn append_results(
        &mut self,
        append: impl FnOnce(&mut Vec<u8>) -> bool,
        cause: impl FnOnce() -> Cause,
    ) {
        let task = self.next();
        let job = &self.job;
        let mut results = job.lock();
        let start = results.bytes.len();
        if !append(&mut results.bytes) {
            drop(results);
            return job.fail_task(task, &cause());
        }
        if job.is_done() {
            // Another task has failed.
            results.bytes.clear();
            return;
        }
        job.complete(&mut results, task, |results| start..results.bytes.len());
    }

    /// Removes the first task, and completes it with a large result.
    pub(super) fn store_results(&mut self, bytes: Vec<u8>) {
        let task = self.next();
        let job = &self.job;
        job.complete(&mut job.lock(), task, |results| {
            results.large.insert(task, bytes);
            0..0
        });
    }

    /// Removes the first task, which fails, and the job with it unless each task has
    /// an outcome of its own.
    pub(super) fn fail_first(&mut self, cause: &Cause) {
        let task = self.next();
        self.job.fail_task(task, cause);
    }

    /// Makes all its tasks fail.
    pub(super) fn fail(mut self, cause: &Cause) {
        while self.len() > 0 {
            self.fail_first(cause);
        }
    }

    fn next(&mut self) -> usize {
        self.tasks.next().expect("it has a task")
    }
}

/// Encoded tasks on their way into a job: see [`Job::args`].
#[derive(Default)]
pub(super) struct Batch {
    args: Vec<u8>,
    args_ends: Vec<usize>,
}

impl Batch {
    /// How many tasks there are.
    pub(super) fn len(&self) -> usize {
        self.args_ends.len()
    }

    /// How many bytes they have.
    pub(super) fn size(&self) -> usize {
        self.args.len()
    }

    /// Adds a task of these calls, and returns how many they are. If their arguments
    /// cannot be encoded, the batch is as it was.
    pub(super) fn add<F, Args, Passing>(
        &mut self,
        calls: impl IntoIterator<Item = Args>,
    ) -> Result<usize, Error>
    where
        F: Target<Args, Passing>,
    {
        let start = self.args.len();
        self.args.extend(0u64.to_le_bytes());
        let mut count = 0;
        let mut encoder = Encoder::new(&mut self.args);
        let encoded = calls.into_iter().try_for_each(|args| {
            count += 1;
            F::encode_args(&args, &mut encoder)
        });
        drop(encoder);
        if let Err(error) = encoded {
            self.args.truncate(start);
            return Err(error);
        }
        let bytes = (count as u64).to_le_bytes();
        self.args[start..][..bytes.len()].copy_from_slice(&bytes);
        self.args_ends.push(self.args.len());
        Ok(count)
    }

    /// The job of these tasks, if each has one call and an outcome of its own; the
    /// batch is empty afterwards.
    pub(super) fn take_job<F, Args, Passing>(&mut self) -> Result<Job, Error>
    where
        F: Target<Args, Passing>,
        Args: DeserializeOwned,
        F::Output: Serialize,
    {
        Job::of_batch::<F, Args, Passing>(self.len(), 1, mem::take(self), true)
    }
}

/// The results of single tasks that have one call each.
impl Job {
    /// Whether the result of a call is there: of the one with the index `n`, or of
    /// the one that was done after `n` others, whichever it is.
    pub(super) fn has_result(&self, n: usize, ordered: bool) -> bool {
        let done = self.done.load(Acquire);
        if !ordered {
            return done > n;
        }
        // They are taken away when the last one has come.
        let is_there = |results: &Results| results.ranges.get(n).is_none_or(Option::is_some);
        done == self.tasks() || done > 0 && is_there(&self.lock())
    }

    /// Decodes the result that is there: see [`has_result`](Self::has_result).
    pub(super) fn result<R: DeserializeOwned>(&self, n: usize, ordered: bool) -> Result<R, Error> {
        let task = |results: &Results| if ordered { n } else { results.order[n] };
        if !self.is_done() {
            let results = self.lock();
            if !self.is_done() {
                // They are copied, because decoding runs the user's code.
                let bytes = results.of_task(task(&results))?.to_vec();
                drop(results);
                return decode_result(&bytes);
            }
        }
        let outcome = self.outcome.get().expect("the job is done").as_ref();
        let results = outcome.map_err(Cause::to_error)?;
        decode_result(results.of_task(task(results))?)
    }
}

fn decode_result<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, Error> {
    let mut decoder = decoder::<R>(bytes)?;
    let result = decode_next(&mut decoder)?;
    expect_end::<R>(&decoder)?;
    Ok(result)
}
