//! A [`Job`] is one call of a pool's method: its arguments, encoded and cut into
//! tasks, and the results that have come so far. A task is what a worker runs
//! at a time, a chunk of one or more calls of the target.
//!
//! Above stand [`dispatch`](super::dispatch), which chooses a worker for each
//! task, and [`result`](super::result), which decodes the results.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
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
    /// The encoded arguments of all calls.
    args: Vec<u8>,
    /// Where the arguments of each task end in `args`.
    args_ends: Vec<usize>,
    /// The results so far. It is locked only to add to them.
    progress: Mutex<Progress>,
    /// The results of all tasks, or why one failed. It is set once and read
    /// without a lock, so that nothing waits while a result is being decoded.
    outcome: OnceLock<Result<Results, Cause>>,
}

struct Progress {
    results: Results,
    /// How many tasks are not done.
    tasks_left: usize,
}

#[derive(Default)]
struct Results {
    /// The small results, in the order in which they came.
    bytes: Vec<u8>,
    /// Where the results of each task are in `bytes`.
    ranges: Vec<Range<usize>>,
    /// The large results by the index of their task. To append them to `bytes`
    /// would copy them once more.
    large: BTreeMap<usize, Vec<u8>>,
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
        let mut bytes = Vec::with_capacity(expected_bytes.min(MAX_PREALLOCATED));
        let mut args_ends = Vec::with_capacity(expected.div_ceil(chunk).min(MAX_PREALLOCATED));
        while args.peek().is_some() {
            let mut encoder = Encoder::new(&mut bytes);
            for args in args.by_ref().take(chunk) {
                F::encode_args(&args, &mut encoder)?;
                calls += 1;
            }
            drop(encoder);
            args_ends.push(bytes.len());
        }
        let progress = Progress {
            results: Results {
                ranges: vec![0..0; args_ends.len()],
                ..Results::default()
            },
            tasks_left: args_ends.len(),
        };
        let outcome = OnceLock::new();
        if args_ends.is_empty() {
            _ = outcome.set(Ok(Results::default()));
        }
        Ok(Job {
            entry: entry_offset(run_calls::<F, Args, Passing>)?,
            calls,
            chunk,
            args: bytes,
            args_ends,
            progress: Mutex::new(progress),
            outcome,
        })
    }

    pub(super) fn tasks(&self) -> usize {
        self.args_ends.len()
    }

    /// What is sent before a task's arguments: the entry, which
    /// [`split_task`] removes, and the number of calls, which [`run_calls`] does.
    pub(super) fn task_header(&self, task: usize) -> [u8; 16] {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&self.entry.to_le_bytes());
        header[8..].copy_from_slice(&(self.calls_of(task) as u64).to_le_bytes());
        header
    }

    fn calls_of(&self, task: usize) -> usize {
        self.chunk.min(self.calls - task * self.chunk)
    }

    /// The encoded arguments of a task.
    pub(super) fn args(&self, task: usize) -> &[u8] {
        let start = if task == 0 {
            0
        } else {
            self.args_ends[task - 1]
        };
        &self.args[start..self.args_ends[task]]
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the job fail, unless its outcome is already known.
    pub(super) fn fail(&self, cause: Cause) {
        _ = self.outcome.set(Err(cause));
        // The other tasks' results are not needed any more.
        self.lock().results = Results::default();
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
        for (task, range) in results.ranges.iter().enumerate() {
            let large = results.large.get(&task).map(Vec::as_slice);
            let bytes = large.unwrap_or(&results.bytes[range.clone()]);
            check_memory("a task's results", bytes.len())?;
            let mut decoder = decoder::<R>(bytes)?;
            for _ in 0..self.calls_of(task) {
                all.push(decode_next(&mut decoder)?);
            }
            expect_end::<R>(&decoder)?;
        }
        Ok(all)
    }
}

/// Splits a task, as a worker receives it, into the offset of the function to
/// call and the input of this function.
pub(super) fn split_task(task: &[u8]) -> (u64, &[u8]) {
    let (entry, input) = task
        .split_first_chunk()
        .expect("a task starts with its function");
    (u64::from_le_bytes(*entry), input)
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

/// One task of a job, by its index.
pub(super) struct Task {
    pub(super) job: Arc<Job>,
    pub(super) index: usize,
}

impl Task {
    /// Completes the task with a small result. `append` appends it to a buffer;
    /// if it returns false, because there is no memory, the task fails with
    /// `cause`.
    pub(super) fn append_results(
        &self,
        append: impl FnOnce(&mut Vec<u8>) -> bool,
        cause: impl FnOnce() -> Cause,
    ) {
        let mut progress = self.job.lock();
        let bytes = &mut progress.results.bytes;
        let start = bytes.len();
        if !append(bytes) {
            drop(progress);
            return self.job.fail(cause());
        }
        if self.job.is_done() {
            // Another task has failed.
            bytes.clear();
            return;
        }
        let range = start..bytes.len();
        progress.results.ranges[self.index] = range;
        self.complete(&mut progress);
    }

    /// Completes the task with a large result.
    pub(super) fn store_results(&self, results: Vec<u8>) {
        let mut progress = self.job.lock();
        if !self.job.is_done() {
            progress.results.large.insert(self.index, results);
            self.complete(&mut progress);
        }
    }

    fn complete(&self, progress: &mut Progress) {
        progress.tasks_left -= 1;
        if progress.tasks_left == 0 {
            _ = self.job.outcome.set(Ok(mem::take(&mut progress.results)));
        }
    }
}
