//! A work, its contenders, and how they are measured. There are several rounds,
//! and every contender has a turn in each of them, so that whatever else the
//! machine does slows all contenders alike.

use std::time::Instant;

use nix::unistd::alarm;

use crate::common::Result;
use crate::load::Load;
use crate::progress::Progress;
use crate::python;

/// The greatest number of operations of a measurement.
const MAX_OPERATIONS: usize = 4_000_000;

/// A measurement that takes longer than this many seconds has hung: the program
/// is ended by SIGALRM.
pub const WATCHDOG: u32 = 60;

/// How much time is given to a measurement.
pub struct Effort {
    /// A measurement repeats its work for at least this many seconds.
    sample: f64,
    pub rounds: usize,
    pub rounds_of_a_curve: usize,
    /// A point of a curve is left out if it would take longer than this many
    /// seconds.
    longest: f64,
}

impl Effort {
    /// Enough for results that are written down.
    pub const FULL: Self = Self {
        sample: 0.1,
        rounds: 7,
        rounds_of_a_curve: 5,
        longest: 5.0,
    };

    /// Enough to see that everything works, and the orders of magnitude.
    pub const SHORT: Self = Self {
        sample: 0.02,
        rounds: 3,
        rounds_of_a_curve: 1,
        longest: 1.0,
    };
}

/// One work and its contenders.
pub struct Work {
    pub name: &'static str,
    pub unit: Unit,
    pub contenders: Vec<Contender>,
    pub goals: Vec<Goal>,
    /// Why two runs may differ by more than their spreads.
    pub remark: Option<&'static str>,
    /// Whether Python needs the package aiohttp for it.
    pub needs_aiohttp: bool,
    /// Makes the files and programs that the work needs.
    pub prepare: Option<fn() -> Result<()>>,
    operations: Option<usize>,
    rounds: usize,
}

/// A work whose cost is drawn as something grows.
pub struct Curve {
    pub work: Work,
    /// The file name of its chart.
    pub stem: &'static str,
    /// What grows.
    pub of: &'static str,
    pub growth: Growth,
    pub sizes: Vec<usize>,
}

#[derive(Clone, Copy)]
pub enum Growth {
    /// The number of operations grows, and with it the time they take.
    Operations,
    /// Another size grows, and the work chooses the number of its operations.
    Setting,
}

type Run = Box<dyn Fn(usize) -> Result<f64>>;

pub struct Contender {
    pub side: Side,
    pub name: &'static str,
    /// Does the work with this many operations, or at this size, and returns
    /// what one operation costs.
    run: Run,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Ours,
    Python,
    Peer,
    Limit,
}

/// What one operation costs is measured in seconds or bytes; a rate is shown
/// as operations per second.
#[derive(Clone, Copy)]
pub enum Unit {
    Time,
    Rate,
    Memory,
}

/// What `ours` has to reach. On a curve, this holds from the size `from` on.
#[derive(Clone, Copy)]
pub struct Goal {
    pub from: usize,
    pub bound: Bound,
}

#[derive(Clone, Copy)]
pub enum Bound {
    /// One operation costs no more than this.
    AtMost(f64),
    /// One operation costs at most this many times what it costs the other.
    AtMostTimes(f64, &'static str),
    /// One operation costs the other at least this many times what it costs
    /// `ours`.
    TimesAheadOf(f64, &'static str),
}

/// The cost of one operation over all rounds.
#[derive(Clone, Copy)]
pub struct Summary {
    pub median: f64,
    /// The distance from the median to the round that is farthest from it. A
    /// single round has none.
    pub spread: Option<f64>,
}

/// What has been measured of a work so far.
pub struct Measured {
    /// One point for a work, one for each size of a curve.
    points: Vec<Point>,
    pub load: Load,
}

struct Point {
    /// The number of operations or the size with which each contender is called;
    /// `None` if that would take too long.
    counts: Vec<Option<usize>>,
    samples: Vec<Vec<f64>>,
}

impl Work {
    pub fn new(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            contenders: Vec::new(),
            goals: Vec::new(),
            remark: None,
            needs_aiohttp: false,
            prepare: None,
            operations: None,
            rounds: usize::MAX,
        }
    }

    /// Measures exactly `n` operations, however long they take.
    pub fn operations(mut self, n: usize) -> Self {
        self.operations = Some(n);
        self
    }

    /// Measures no more rounds than this.
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    pub fn ours(self, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Ours, "ours", run)
    }

    /// Adds a contender that is a function of `contenders.py`.
    pub fn python(self, name: &'static str, function: &'static str) -> Self {
        self.contender(Side::Python, name, |n| python::run(function, n))
    }

    pub fn peer(self, name: &'static str, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Peer, name, run)
    }

    pub fn limit(self, name: &'static str, run: impl Fn(usize) -> Result<f64> + 'static) -> Self {
        self.contender(Side::Limit, name, run)
    }

    pub fn contender(
        mut self,
        side: Side,
        name: &'static str,
        run: impl Fn(usize) -> Result<f64> + 'static,
    ) -> Self {
        let run = Box::new(run);
        self.contenders.push(Contender { side, name, run });
        self
    }

    pub fn goal(self, bound: Bound) -> Self {
        self.goal_from(0, bound)
    }

    pub fn goal_from(mut self, from: usize, bound: Bound) -> Self {
        self.goals.push(Goal { from, bound });
        self
    }

    pub fn remark(mut self, remark: &'static str) -> Self {
        self.remark = Some(remark);
        self
    }

    pub fn needs_aiohttp(mut self) -> Self {
        self.needs_aiohttp = true;
        self
    }

    pub fn prepare(mut self, prepare: fn() -> Result<()>) -> Self {
        self.prepare = Some(prepare);
        self
    }

    /// Returns whether it is measured in this round. The first is number 1.
    pub fn has_round(&self, round: usize) -> bool {
        round <= self.rounds
    }

    /// Finds how many operations make each contender's measurement long enough.
    pub fn calibrate(&self, effort: &Effort, progress: &Progress) -> Result<Measured> {
        let mut counts = Vec::new();
        for contender in &self.contenders {
            progress.step(&format!("{} warms up", contender.name));
            counts.push(Some(match self.operations {
                Some(n) => n,
                None => self.count(contender, effort)?,
            }));
        }
        Ok(Measured::of(vec![Point::new(counts)]))
    }

    fn count(&self, contender: &Contender, effort: &Effort) -> Result<usize> {
        let mut n = 8;
        loop {
            let elapsed = self.sample(contender, n)? * n as f64;
            if elapsed >= effort.sample || n == MAX_OPERATIONS {
                return Ok(n);
            }
            let growth = (1.1 * effort.sample / elapsed).clamp(1.5, 30.0);
            n = MAX_OPERATIONS.min((n as f64 * growth) as usize);
        }
    }

    /// Gives each contender a turn.
    pub fn measure(&self, measured: &mut Measured, progress: &Progress) -> Result<()> {
        let Measured { points, load } = measured;
        for point in points {
            load.during(|| self.measure_point(point, progress).map(drop))?;
        }
        Ok(())
    }

    /// Returns the seconds that each contender's turn took.
    fn measure_point(&self, point: &mut Point, progress: &Progress) -> Result<Vec<Option<f64>>> {
        let mut turns = vec![None; self.contenders.len()];
        for (i, contender) in self.contenders.iter().enumerate() {
            let Some(n) = point.counts[i] else {
                continue;
            };
            progress.step(contender.name);
            let start = Instant::now();
            point.samples[i].push(self.sample(contender, n)?);
            turns[i] = Some(start.elapsed().as_secs_f64());
        }
        Ok(turns)
    }

    fn sample(&self, contender: &Contender, n: usize) -> Result<f64> {
        alarm::set(WATCHDOG);
        let cost = (contender.run)(n)
            .map_err(|error| format!("{}, {}: {error}", self.name, contender.name));
        alarm::cancel();
        Ok(cost?)
    }
}

impl Curve {
    /// Measures the first round. Leaves out the sizes at which a contender would
    /// take too long.
    pub fn calibrate(&self, effort: &Effort, progress: &Progress) -> Result<Measured> {
        let contenders = self.work.contenders.len();
        let points = self.sizes.iter();
        let points = points.map(|&size| Point::new(vec![Some(size); contenders]));
        let mut measured = Measured::of(points.collect());
        for p in 0..self.sizes.len() {
            let point = &mut measured.points[p];
            let work = || self.work.measure_point(point, progress);
            let turns = measured.load.during(work)?;
            if let Growth::Operations = self.growth
                && let Some(next) = measured.points.get_mut(p + 1)
            {
                let growth = self.sizes[p + 1] as f64 / self.sizes[p] as f64;
                for (count, turn) in next.counts.iter_mut().zip(turns) {
                    if turn.is_none_or(|seconds| seconds * growth > effort.longest) {
                        *count = None;
                    }
                }
            }
        }
        Ok(measured)
    }
}

impl Measured {
    fn of(points: Vec<Point>) -> Self {
        let load = Load::default();
        Self { points, load }
    }

    /// Returns what each contender's operation costs, at each point. `None`
    /// means that the contender would have taken too long.
    pub fn summaries(&self) -> Vec<Vec<Option<Summary>>> {
        let points = self.points.iter();
        let of_point = |point: &Point| {
            let samples = point.samples.iter();
            samples.map(|costs| Summary::of(costs)).collect()
        };
        points.map(of_point).collect()
    }
}

impl Point {
    fn new(counts: Vec<Option<usize>>) -> Self {
        let samples = vec![Vec::new(); counts.len()];
        Self { counts, samples }
    }
}

impl Summary {
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut samples = samples.to_vec();
        samples.sort_by(f64::total_cmp);
        let (lowest, highest) = (samples.first()?, samples.last()?);
        let median = samples[samples.len() / 2];
        let spread = (highest - median).max(median - lowest);
        let spread = (samples.len() > 1).then_some(spread);
        Some(Self { median, spread })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_reaches_from_the_median_to_the_farthest_round() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0, 9.0]).unwrap();
        assert_eq!((summary.median, summary.spread), (3.0, Some(6.0)));
    }

    #[test]
    fn a_single_round_has_no_spread() {
        assert_eq!(Summary::of(&[4.0]).unwrap().spread, None);
    }

    #[test]
    fn a_contender_that_was_not_measured_has_no_summary() {
        assert!(Summary::of(&[]).is_none());
    }

    #[test]
    fn a_curve_leaves_out_the_sizes_that_would_take_a_contender_too_long() {
        let effort = Effort {
            longest: 0.5,
            ..Effort::SHORT
        };
        let curve = |growth| Curve {
            work: Work::new("sleeping", Unit::Time).ours(|n| {
                std::thread::sleep(std::time::Duration::from_millis(n as u64));
                Ok(1.0)
            }),
            stem: "sleeping",
            of: "milliseconds",
            growth,
            sizes: vec![1, 10, 600],
        };
        let measured = |growth| {
            let curve = curve(growth);
            let measured = curve.calibrate(&effort, &Progress::new()).unwrap();
            let points = measured.summaries();
            points.iter().map(|point| point[0].is_some()).collect()
        };
        let operations: Vec<bool> = measured(Growth::Operations);
        assert_eq!(operations, [true, true, false]);
        let setting: Vec<bool> = measured(Growth::Setting);
        assert_eq!(setting, [true, true, true]);
    }
}
