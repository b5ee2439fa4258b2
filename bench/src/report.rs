//! The results as text: Markdown tables on stdout, and `RESULTS.md`.

use std::env;
use std::fs::{read_to_string, write};
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use crate::common::{KIBIBYTE, Result, WORKSPACE, output_of};
use crate::measure::{Bound, Curve, Goal, Measured, Side, Summary, Unit, Work};
use crate::{cargo, progress, python};

pub struct Report {
    /// The machine and the versions of the programs. It is made at the start,
    /// because drawing the charts changes files that `git describe` looks at.
    machine: String,
    text: String,
    goals: usize,
    met: usize,
}

impl Report {
    pub fn new() -> Result<Self> {
        Ok(Self {
            machine: machine()?,
            text: String::new(),
            goals: 0,
            met: 0,
        })
    }

    pub fn line(&mut self, line: impl AsRef<str>) {
        progress::clear();
        println!("{}", line.as_ref());
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Begins a table with its heading and the names of its columns.
    pub fn head(&mut self, heading: &str, columns: &[&str]) {
        self.line(format!("\n## {heading}\n"));
        self.row(columns);
        self.row(&vec!["---"; columns.len()]);
    }

    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(format!("| {} |", cells.join(" | ")));
    }

    /// Counts a goal, and returns the words for whether it is met.
    pub fn judge(&mut self, met: bool) -> &'static str {
        self.goals += 1;
        self.met += usize::from(met);
        if met { "met" } else { "**not met**" }
    }

    /// Adds the table of the works.
    pub fn works(&mut self, works: &[Work], measured: &[Measured]) {
        let columns = [
            "work",
            "ours",
            "Python",
            "other crates",
            "limit",
            "goal",
            "reached",
            "remarks",
        ];
        self.head("Works", &columns);
        for (work, measured) in works.iter().zip(measured) {
            for point in &measured.summaries() {
                self.work(work, point, measured.load.remark());
            }
        }
    }

    /// Adds a row. It shows the cost of an operation for each contender, also as
    /// a multiple of the cost for `ours`, and which goals are met.
    fn work(&mut self, work: &Work, point: &[Option<Summary>], load: Option<String>) {
        let costs = || {
            let contenders = work.contenders.iter().zip(point);
            contenders.filter_map(|(contender, summary)| Some((contender, summary.as_ref()?)))
        };
        let ours = cost(work, point, "ours").unwrap_or(f64::NAN);
        let cell = |side| {
            let shown = costs().filter(|(contender, _)| contender.side == side);
            let shown = shown.map(|(contender, summary)| {
                let cost = work.unit.show_with_spread(summary);
                let times = in_brackets(summary.median / ours);
                match contender.name {
                    "ours" => cost,
                    "Python" => cost + &times,
                    name => format!("{name} {cost}{times}"),
                }
            });
            shown.collect::<Vec<_>>().join("<br>")
        };
        let mut row = vec![work.name.to_string()];
        row.extend([Side::Ours, Side::Python, Side::Peer, Side::Limit].map(cell));
        let goals = work.goals.iter().map(|goal| goal.show(work.unit));
        row.push(goals.collect::<Vec<_>>().join("<br>"));
        row.push(self.reached(work, &work.goals, point));
        row.push(remarks(work, load).join("<br>"));
        self.row(&row);
    }

    /// Returns how far each goal is reached, and counts it.
    fn reached(&mut self, work: &Work, goals: &[Goal], point: &[Option<Summary>]) -> String {
        let reached =
            goals.iter().map(
                |goal| match goal.bound.reached(|name| cost(work, point, name)) {
                    Some((reached, met)) => reached + self.judge(met),
                    None => "not measured".to_string(),
                },
            );
        reached.collect::<Vec<_>>().join("<br>")
    }

    /// Adds the table of a curve.
    pub fn curve(&mut self, curve: &Curve, measured: &Measured) {
        let work = &curve.work;
        let names = work.contenders.iter().map(|contender| contender.name);
        let mut columns: Vec<&str> = [curve.of].into_iter().chain(names).collect();
        if !work.goals.is_empty() {
            columns.push("reached");
        }
        self.head(work.name, &columns);
        for (&size, point) in curve.sizes.iter().zip(measured.summaries()) {
            let mut row = vec![size.to_string()];
            row.extend(point.iter().map(|summary| match summary {
                Some(summary) => work.unit.show_with_spread(summary),
                None => "too slow".to_string(),
            }));
            if !work.goals.is_empty() {
                let goals = work.goals.iter().copied();
                let goals: Vec<Goal> = goals.filter(|goal| goal.from <= size).collect();
                row.push(self.reached(work, &goals, &point));
            }
            self.row(&row);
        }
        if !work.goals.is_empty() {
            let goals = work.goals.iter().map(|goal| goal.show(work.unit));
            let goals = goals.collect::<Vec<_>>().join("; ");
            self.line(format!("\nGoal at each size: {goals}."));
        }
        for remark in remarks(work, measured.load.remark()) {
            self.line(format!("\n{remark}"));
        }
        self.line(format!("\n![{}](charts/{}.svg)", work.name, curve.stem));
    }

    /// Writes `RESULTS.md`.
    pub fn write(&self) -> Result<()> {
        let text = format!(
            "# Results\n\n\
             `cargo run --release -p bench` has written this file. Each figure is the median of\n\
             several rounds, and ± is the distance to the round that is farthest from it. All\n\
             contenders of a row take turns in each round, and every result is checked. In\n\
             brackets is how many times the cost of ours another one's cost is. Two runs on a\n\
             quiet machine agree if their medians differ by no more than both their spreads;\n\
             where they may not, the remark on the row says why.\n\n\
             {}\n\n{} of {} goals are met.\n{}",
            self.machine, self.met, self.goals, self.text
        );
        Ok(write(Path::new(WORKSPACE).join("bench/RESULTS.md"), text)?)
    }
}

impl Unit {
    pub fn show(self, cost: f64) -> String {
        match self {
            Self::Time => si(cost, "s"),
            Self::Rate => si(1.0 / cost, "/s"),
            Self::Memory => si(cost, "B"),
        }
    }

    pub fn show_with_spread(self, summary: &Summary) -> String {
        let cost = self.show(summary.median);
        match (summary.spread, summary.median) {
            (None, _) => cost,
            (Some(_), 0.0) => format!("{cost} ±0%"),
            (Some(spread), median) => format!("{cost} ±{:.0}%", 100.0 * spread / median),
        }
    }
}

fn in_brackets(times: f64) -> String {
    match times {
        10.0.. => format!(" ({times:.0} ×)"),
        0.0.. => format!(" ({times:.2} ×)"),
        _ => String::new(),
    }
}

/// Shows a value with three digits and the prefix of its unit.
pub fn si(value: f64, unit: &str) -> String {
    const PREFIXES: [(&str, f64); 7] = [
        ("G", 1e9),
        ("M", 1e6),
        ("k", 1e3),
        ("", 1.0),
        ("m", 1e-3),
        ("µ", 1e-6),
        ("n", 1e-9),
    ];
    if value == 0.0 {
        return format!("0 {unit}");
    }
    let fits = |(_, scale): &&(&str, f64)| value.abs() >= 0.9995 * scale;
    let (prefix, scale) = PREFIXES.iter().find(fits).unwrap_or(&PREFIXES[6]);
    let value = value / scale;
    let digits = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.digits$} {prefix}{unit}")
}

/// Returns what an operation costs for a contender.
fn cost(work: &Work, point: &[Option<Summary>], name: &str) -> Option<f64> {
    let found = work
        .contenders
        .iter()
        .position(|contender| contender.name == name);
    Some(point[found?]?.median)
}

fn remarks(work: &Work, load: Option<String>) -> Vec<String> {
    work.remark
        .map(String::from)
        .into_iter()
        .chain(load)
        .collect()
}

impl Goal {
    fn show(self, unit: Unit) -> String {
        let bound = match (self.bound, unit) {
            (Bound::AtMost(cost), Unit::Rate) => format!("≥ {}", unit.show(cost)),
            (Bound::AtMost(cost), _) => format!("≤ {}", unit.show(cost)),
            (Bound::AtMostTimes(factor, other), _) => format!("≤ {factor} × {other}"),
            (Bound::TimesAheadOf(1.0, other), _) => format!("no slower than {other}"),
            (Bound::TimesAheadOf(factor, other), _) => format!("{factor} × as fast as {other}"),
        };
        match self.from {
            0 => bound,
            from => format!("{bound}, from {from} on"),
        }
    }
}

impl Bound {
    /// Returns the ratio of the costs, as text, and whether it is enough;
    /// `None` if the other one was not measured.
    fn reached(self, of: impl Fn(&str) -> Option<f64>) -> Option<(String, bool)> {
        let ours = of("ours")?;
        Some(match self {
            Self::AtMost(cost) => (String::new(), ours <= cost),
            Self::AtMostTimes(factor, other) => {
                let reached = ours / of(other)?;
                (format!("{reached:.2} ×, "), reached <= factor)
            }
            Self::TimesAheadOf(factor, other) => {
                let reached = of(other)? / ours;
                (format!("{reached:.2} ×, "), reached >= factor)
            }
        })
    }
}

/// Describes the machine and the versions of the programs.
fn machine() -> Result<String> {
    let cores = available_parallelism()?;
    let meminfo = read_to_string("/proc/meminfo")?;
    let kibibytes = field(&meminfo, "MemTotal").ok_or("no MemTotal in /proc/meminfo")?;
    let kibibytes: usize = kibibytes.trim_end_matches("kB").trim().parse()?;
    let memory = (kibibytes * KIBIBYTE) as f64 / (1 << 30) as f64;
    let linux = read_to_string("/proc/sys/kernel/osrelease")?;
    let load = read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let rustc = env::var("RUSTC").unwrap_or("rustc".to_string());
    let rust = output_of(Command::new(rustc).arg("--version"))?;
    let python = match python::exists() {
        true => output_of(python::command()?.arg("--version"))?,
        false => "without Python".to_string(),
    };
    let tree = ["tree", "-p", "bench", "--depth=1", "--prefix=none"];
    let tree = output_of(cargo::command().args(tree))?;
    let peers = ["procspawn", "ipc-channel", "threadpool", "tokio"];
    let is_peer = |line: &&str| {
        line.split(' ')
            .next()
            .is_some_and(|name| peers.contains(&name))
    };
    let peers: Vec<&str> = tree.lines().filter(is_peer).collect();
    let mut git = Command::new("git");
    git.args(["describe", "--always", "--dirty"])
        .current_dir(WORKSPACE);
    let commit = output_of(&mut git).unwrap_or("unknown: this is no git checkout".to_string());
    Ok(format!(
        "- Processor: {}, {cores} cores\n- Memory: {memory:.1} GiB\n- Linux {}\n\
         - Load average before the start: {load}\n- {rust}\n- {python}\n- {}\n- Commit: {commit}",
        processor()?,
        linux.trim(),
        peers.join(", ")
    ))
}

/// Returns the name of the processor. On ARM, the kernel does not show it in
/// `/proc/cpuinfo`, but `lscpu` knows most of them.
fn processor() -> Result<String> {
    let cpuinfo = read_to_string("/proc/cpuinfo")?;
    let lscpu = output_of(Command::new("lscpu").env("LC_ALL", "C")).unwrap_or_default();
    let named = field(&cpuinfo, "model name").or(field(&lscpu, "Model name"));
    Ok(named.unwrap_or(env::consts::ARCH).to_string())
}

/// The value of the first line `name: value` in a text.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(field, _)| field.trim() == name)?;
    Some(value.trim())
}
