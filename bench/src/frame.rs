//! A work, its contenders, and how they are measured: turn by turn, several
//! rounds, so that whatever else the machine does meets all of them.

use std::time::Instant;

use nix::unistd::alarm;

use crate::report::progress;
use crate::{Result, python};

const ROUNDS: usize = 7;
const ROUNDS_OF_A_CURVE: usize = 3;

/// A measurement takes at least this many seconds of work, or this many
/// operations.
const SAMPLE: f64 = 0.1;
const MOST: usize = 4_000_000;

/// A point of a curve that would take longer than this many seconds is left
/// out, and whatever takes longer than the watchdog's ends the program.
const LONGEST: f64 = 5.0;
const WATCHDOG: u32 = 60;

/// One work and those who do it.
pub struct Work {
    pub name: &'static str,
    pub unit: Unit,
    pub contenders: Vec<Contender>,
    pub goals: Vec<Goal>,
    operations: Option<usize>,
    rounds: usize,
}

pub struct Contender {
    pub side: Side,
    pub name: &'static str,
    /// Does the work so many times and tells what one operation costs.
    run: Box<dyn Fn(usize) -> Result<f64>>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Ours,
    Python,
    Peer,
    Limit,
}

/// What one operation costs is measured in seconds or bytes; a rate is shown
/// as operations a second.
#[derive(Clone, Copy)]
pub enum Unit {
    Time,
    Rate,
    Memory,
}

/// What `ours` shall reach.
#[derive(Clone, Copy)]
pub enum Goal {
    /// One operation costs no more than this.
    AtMost(f64),
    /// One operation costs no more than so many times what it costs another.
    AtMostTimes(f64, &'static str),
    /// One operation costs another at least so many times more.
    TimesAheadOf(f64, &'static str),
}

/// The cost of one operation over all rounds.
#[derive(Clone, Copy)]
pub struct Summary {
    pub median: f64,
    /// Half the distance between the quartiles.
    pub spread: f64,
}

impl Work {
    pub fn new(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            contenders: Vec::new(),
            goals: Vec::new(),
            operations: None,
            rounds: ROUNDS,
        }
    }

    /// Measures exactly `n` operations, not as many as fill a sample.
    pub fn operations(mut self, n: usize) -> Self {
        self.operations = Some(n);
        self
    }

    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    pub fn ours(self, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.ours_as("ours", run)
    }

    pub fn ours_as(self, name: &'static str, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Ours, name, run)
    }

    /// A function of `contenders.py`; nobody where there is no Python.
    pub fn python(self, name: &'static str, function: &'static str) -> Self {
        match python::exists() {
            true => self.contender(Side::Python, name, |n| python::run(function, n)),
            false => self,
        }
    }

    pub fn peer(self, name: &'static str, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Peer, name, run)
    }

    pub fn limit(self, name: &'static str, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Limit, name, run)
    }

    fn contender(
        mut self,
        side: Side,
        name: &'static str,
        run: impl Fn(usize) -> Result<f64> + 'static,
    ) -> Self {
        let run = Box::new(run);
        self.contenders.push(Contender { side, name, run });
        self
    }

    pub fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    pub fn measure(&self) -> Result<Vec<Summary>> {
        let mut counts = Vec::new();
        for contender in &self.contenders {
            counts.push(match self.operations {
                Some(n) => n,
                None => self.calibrate(contender)?,
            });
        }
        let mut samples = vec![Vec::new(); counts.len()];
        for round in 1..=self.rounds {
            for (i, contender) in self.contenders.iter().enumerate() {
                progress(format!(
                    "{}: {}, round {round} of {}",
                    self.name, contender.name, self.rounds
                ));
                samples[i].push(self.sample(contender, counts[i])?);
            }
        }
        Ok(samples.into_iter().filter_map(Summary::of).collect())
    }

    /// The cost at each size, `None` for a contender who would take too long.
    pub fn measure_growth(&self, sizes: &[usize]) -> Result<Vec<Vec<Option<Summary>>>> {
        let mut pace = vec![0.0; self.contenders.len()];
        let mut points = Vec::new();
        for &size in sizes {
            let mut samples = vec![Vec::new(); self.contenders.len()];
            for round in 1..=ROUNDS_OF_A_CURVE {
                for (i, contender) in self.contenders.iter().enumerate() {
                    if pace[i] * size as f64 > LONGEST {
                        continue;
                    }
                    progress(format!(
                        "{}: {} at {size}, round {round} of {ROUNDS_OF_A_CURVE}",
                        self.name, contender.name
                    ));
                    let start = Instant::now();
                    samples[i].push(self.sample(contender, size)?);
                    pace[i] = start.elapsed().as_secs_f64() / size as f64;
                }
            }
            points.push(samples.into_iter().map(Summary::of).collect());
        }
        Ok(points)
    }

    fn calibrate(&self, contender: &Contender) -> Result<usize> {
        progress(format!("{}: {} warms up", self.name, contender.name));
        let mut n = 8;
        loop {
            let elapsed = self.sample(contender, n)? * n as f64;
            if elapsed >= SAMPLE || n == MOST {
                return Ok(n);
            }
            let growth = (1.1 * SAMPLE / elapsed).clamp(1.5, 30.0);
            n = MOST.min((n as f64 * growth) as usize);
        }
    }

    fn sample(&self, contender: &Contender, n: usize) -> Result<f64> {
        alarm::set(WATCHDOG);
        let cost = (contender.run)(n)
            .map_err(|error| format!("{}, {}: {error}", self.name, contender.name));
        alarm::cancel();
        Ok(cost?)
    }
}

impl Summary {
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let last = samples.len().checked_sub(1)?;
        let quantile = |part: f64| samples[(last as f64 * part).round() as usize];
        let median = quantile(0.5);
        let spread = (quantile(0.75) - quantile(0.25)) / 2.0;
        Some(Self { median, spread })
    }
}

/// Does a work of `n` operations and tells what one of them took, in seconds.
pub fn per_operation(n: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64() / n as f64)
}
