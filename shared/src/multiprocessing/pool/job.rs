//! The tasks of a pool, and what became of them.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::multiprocessing::child::{ExitStatus, ended};
use crate::multiprocessing::codec::{decode_args, decode_next, decoder, encode_next, expect_end};
use crate::multiprocessing::error::{Error, Failure};
use crate::multiprocessing::format::Encoder;
use crate::multiprocessing::target::{Target, distance, only};

/// Tasks given in together: one call of `apply` or `map`.
pub(super) struct Job {
    entry: u64,
    /// How many calls there are, and how many of them are one task.
    calls: usize,
    chunk: usize,
    /// The arguments of all calls, and where each task's end.
    args: Vec<u8>,
    ends: Vec<usize>,
    results: Mutex<Results>,
}

struct Results {
    /// The results of all tasks, in the order in which they came.
    bytes: Vec<u8>,
    /// Where each task's are.
    places: Vec<Range<usize>>,
    left: usize,
    failure: Option<Cause>,
}

/// Why a task, or the pool, failed.
#[derive(Clone, Debug)]
pub(super) enum Cause {
    Failure(u32, Failure),
    Ended(u32, ExitStatus),
    Terminated,
    Broken(Arc<Error>),
}

impl Cause {
    pub(super) fn to_error(&self) -> Error {
        match self {
            Cause::Failure(pid, failure) => failure.clone().of(*pid),
            Cause::Ended(pid, status) => ended(*pid, *status),
            Cause::Terminated => Error::Terminated,
            Cause::Broken(error) => Error::WorkerStart(error.clone()),
        }
    }
}

impl Job {
    /// A job of one call for each of `args`; `chunk` tells from their number
    /// how many are one task.
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
        // No more than this is set aside for what an iterator says of itself.
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
        let results = Results {
            bytes: Vec::new(),
            places: vec![0..0; ends.len()],
            left: ends.len(),
            failure: None,
        };
        Ok(Job {
            entry: distance(run_calls::<F, Args, Passing>)?,
            calls,
            chunk,
            args: bytes,
            ends,
            results: Mutex::new(results),
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

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes why the job has failed, if it had not before.
    pub(super) fn fail(&self, cause: Cause) {
        self.lock().failure.get_or_insert(cause);
    }

    /// Whether its result is known. A failure is, before all tasks are done.
    pub(super) fn is_done(&self) -> bool {
        let results = self.lock();
        results.left == 0 || results.failure.is_some()
    }

    /// The results of all calls.
    pub(super) fn results<R: DeserializeOwned>(&self) -> Result<Vec<R>, Error> {
        let results = self.lock();
        if let Some(cause) = &results.failure {
            return Err(cause.to_error());
        }
        let mut all = Vec::with_capacity(self.calls);
        for (task, place) in results.places.iter().enumerate() {
            let mut decoder = decoder::<R>(&results.bytes[place.clone()])?;
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
    let mut args = decoder::<Args>(input)?;
    let mut results = Encoder::new(output);
    for _ in 0..u64::from_le_bytes(*calls) {
        let args = decode_args(&mut args)?;
        encode_next(&only::<F>().call(args), &mut results)?;
    }
    expect_end::<Args>(&args)
}

/// One task of a job.
pub(super) struct Task {
    pub(super) job: Arc<Job>,
    pub(super) index: usize,
}

impl Task {
    /// Notes that the task is done; `append` appends its results.
    pub(super) fn succeed(&self, append: impl FnOnce(&mut Vec<u8>)) {
        let mut results = self.job.lock();
        let start = results.bytes.len();
        append(&mut results.bytes);
        results.places[self.index] = start..results.bytes.len();
        results.left -= 1;
    }

    /// Notes that the task has failed, and with it the job.
    pub(super) fn fail(&self, cause: Cause) {
        self.job.lock().left -= 1;
        self.job.fail(cause);
    }
}
