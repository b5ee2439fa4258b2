//! The tasks of one call of a pool, and their results.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::multiprocessing::child::{ExitStatus, exit_error};
use crate::multiprocessing::codec::{
    check_memory, decode_args, decode_next, decoder, encode_next, expect_end,
};
use crate::multiprocessing::entry::entry_offset;
use crate::multiprocessing::error::{Error, Failure};
use crate::multiprocessing::format::Encoder;
use crate::multiprocessing::memory::too_large;
use crate::multiprocessing::target::{Target, zero_sized_value};

/// Tasks given in together: one call of `apply` or `map`.
pub(super) struct Job {
    entry: u64,
    /// How many calls there are, and how many of them are one task.
    calls: usize,
    chunk: usize,
    /// The arguments of all calls, and where each task's end.
    args: Vec<u8>,
    ends: Vec<usize>,
    progress: Mutex<Progress>,
    /// The results of all tasks, or why one failed. It is set once and read
    /// without a lock, so that nothing waits while a value is being decoded.
    outcome: OnceLock<Result<Results, Cause>>,
}

struct Progress {
    results: Results,
    /// How many tasks are not done.
    left: usize,
}

#[derive(Default)]
struct Results {
    /// The results of the tasks, in the order in which they came.
    bytes: Vec<u8>,
    /// Where the results of each task are in `bytes`,
    places: Vec<Range<usize>>,
    /// unless they are large: to copy those would take long.
    large: BTreeMap<usize, Vec<u8>>,
}

/// Why a task, or the pool, failed.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    /// The worker with this process number says so.
    Failure(u32, Failure),
    /// The worker with this process number ended.
    Ended(u32, ExitStatus),
    Terminated,
    /// No worker can start.
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
    /// A job of one call for each of `args`. Given their number, `chunk` returns
    /// how many of them make one task.
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
        // No more than this is allocated on the word of an iterator.
        const MOST: usize = 1 << 20;
        let chunk = chunk(expected);
        let mut args = args.peekable();
        let mut calls = 0;
        let mut bytes = Vec::with_capacity(expected.saturating_mul(size_of::<Args>()).min(MOST));
        let mut ends = Vec::with_capacity(expected.div_ceil(chunk).min(MOST));
        while args.peek().is_some() {
            let mut encoder = Encoder::new(&mut bytes);
            for args in args.by_ref().take(chunk) {
                F::encode_args(&args, &mut encoder)?;
                calls += 1;
            }
            drop(encoder);
            ends.push(bytes.len());
        }
        let progress = Progress {
            results: Results {
                places: vec![0..0; ends.len()],
                ..Results::default()
            },
            left: ends.len(),
        };
        let outcome = OnceLock::new();
        if ends.is_empty() {
            _ = outcome.set(Ok(Results::default()));
        }
        Ok(Job {
            entry: entry_offset(run_calls::<F, Args, Passing>)?,
            calls,
            chunk,
            args: bytes,
            ends,
            progress: Mutex::new(progress),
            outcome,
        })
    }

    pub(super) fn tasks(&self) -> usize {
        self.ends.len()
    }

    /// What goes before a task's arguments: the entry and the number of calls.
    pub(super) fn head(&self, task: usize) -> [u8; 16] {
        let mut head = [0; 16];
        head[..8].copy_from_slice(&self.entry.to_le_bytes());
        head[8..].copy_from_slice(&(self.calls_of(task) as u64).to_le_bytes());
        head
    }

    fn calls_of(&self, task: usize) -> usize {
        self.chunk.min(self.calls - task * self.chunk)
    }

    pub(super) fn args(&self, task: usize) -> &[u8] {
        let start = if task == 0 { 0 } else { self.ends[task - 1] };
        &self.args[start..self.ends[task]]
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes why the job has failed, if it had not before.
    pub(super) fn fail(&self, cause: Cause) {
        _ = self.outcome.set(Err(cause));
        // They are of no use any more.
        self.lock().results = Results::default();
    }

    /// Whether its result is known. A failure is, before all tasks are done.
    pub(super) fn is_done(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// The results of all calls of a job that is done.
    pub(super) fn results<R: DeserializeOwned>(&self) -> Result<Vec<R>, Error> {
        let results = match self.outcome.get().expect("the job is done") {
            Ok(results) => results,
            Err(cause) => return Err(cause.to_error()),
        };
        let mut all = Vec::new();
        all.try_reserve_exact(self.calls)
            .map_err(|_| too_large("results", self.calls.saturating_mul(size_of::<R>()) as u64))?;
        for (task, place) in results.places.iter().enumerate() {
            let large = results.large.get(&task).map(Vec::as_slice);
            let bytes = large.unwrap_or(&results.bytes[place.clone()]);
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

/// What a worker runs for one task.
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

/// One task of a job.
pub(super) struct Task {
    pub(super) job: Arc<Job>,
    pub(super) index: usize,
}

impl Task {
    /// Notes that the task is done. `append` appends its results, or returns
    /// false if there is no memory for them, and the task fails with `cause`.
    pub(super) fn succeed(
        &self,
        append: impl FnOnce(&mut Vec<u8>) -> bool,
        cause: impl FnOnce() -> Cause,
    ) {
        let mut progress = self.job.lock();
        let bytes = &mut progress.results.bytes;
        let start = bytes.len();
        if !append(bytes) {
            drop(progress);
            return self.fail(cause());
        }
        if self.job.is_done() {
            // Another task has failed.
            bytes.clear();
            return;
        }
        let place = start..bytes.len();
        progress.results.places[self.index] = place;
        self.finish(&mut progress);
    }

    /// Notes that the task is done, with results of many bytes.
    pub(super) fn succeed_with(&self, results: Vec<u8>) {
        let mut progress = self.job.lock();
        if !self.job.is_done() {
            progress.results.large.insert(self.index, results);
            self.finish(&mut progress);
        }
    }

    fn finish(&self, progress: &mut Progress) {
        progress.left -= 1;
        if progress.left == 0 {
            _ = self.job.outcome.set(Ok(mem::take(&mut progress.results)));
        }
    }

    /// Notes that the task has failed, and with it the job.
    pub(super) fn fail(&self, cause: Cause) {
        self.job.fail(cause);
    }
}
