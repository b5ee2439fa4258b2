//! What is told of the measurements: a Markdown table on stdout as it grows,
//! progress on stderr, `RESULTS.md` at the end.

use std::fs::{read_to_string, write};
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use crate::frame::{Goal, Side, Summary, Unit, Work};
use crate::works::Curve;
use crate::{Result, WORKSPACE, python};

/// What a column says where nobody could be measured.
pub const NO_PYTHON: &str = "no python3";

/// Tells the one who waits what is being measured.
pub fn progress(what: impl AsRef<str>) {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K{}", what.as_ref());
    }
}

pub struct Report {
    /// Asked for at the start: the charts change the checkout.
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
        progress("");
        println!("{}", line.as_ref());
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// A table's head, under its heading.
    pub fn head(&mut self, heading: &str, columns: &[&str]) {
        self.line(format!("\n## {heading}\n"));
        self.row(columns);
        self.row(&vec!["---"; columns.len()]);
    }

    pub fn row(&mut self, cells: &[impl AsRef<str>]) {
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        self.line(format!("| {} |", cells.join(" | ")));
    }

    /// Counts a goal and says what came of it.
    pub fn judge(&mut self, met: bool) -> &'static str {
        self.goals += 1;
        self.met += usize::from(met);
        if met { "met" } else { "**not met**" }
    }

    /// A row: what each contender's operation costs and how many times ours
    /// that is, and what became of the goals.
    pub fn work(&mut self, work: &Work, measured: &[Summary]) {
        let contenders = || work.contenders.iter().zip(measured);
        let of = |name: &str| {
            let found = contenders().find(|(contender, _)| contender.name == name);
            found.map(|(_, summary)| summary.median)
        };
        let ours = of("ours").unwrap_or(f64::NAN);
        let cell = |side| {
            let contenders = contenders().filter(|(contender, _)| contender.side == side);
            let shown = contenders.map(|(contender, summary)| {
                let cost = work.unit.show_with_spread(summary);
                let times = in_brackets(summary.median / ours);
                match contender.name {
                    "ours" => cost,
                    "Python" => cost + &times,
                    name => format!("{name} {cost}{times}"),
                }
            });
            match shown.collect::<Vec<_>>().join("<br>") {
                none if none.is_empty() && side == Side::Python => NO_PYTHON.to_string(),
                cell => cell,
            }
        };
        let mut row = vec![work.name.to_string()];
        row.extend([Side::Ours, Side::Python, Side::Peer, Side::Limit].map(cell));
        let goals = work.goals.iter().map(|goal| goal.show(work.unit));
        row.push(goals.collect::<Vec<_>>().join("<br>"));
        let reached = work.goals.iter().map(|goal| match goal.reached(of) {
            Some((reached, met)) => reached + self.judge(met),
            None => "not measured".to_string(),
        });
        row.push(reached.collect::<Vec<_>>().join("<br>"));
        self.row(&row);
    }

    pub fn curve(&mut self, curve: &Curve, points: &[Vec<Option<Summary>>]) {
        let unit = curve.work.unit;
        let names = curve.work.contenders.iter().map(|contender| contender.name);
        let columns: Vec<&str> = [curve.of].into_iter().chain(names).collect();
        self.head(curve.work.name, &columns);
        for (size, point) in curve.sizes.iter().zip(points) {
            let mut row = vec![size.to_string()];
            row.extend(point.iter().map(|summary| match summary {
                Some(summary) => unit.show_with_spread(summary),
                None => "too slow".to_string(),
            }));
            self.row(&row);
        }
        self.line(format!(
            "\n![{}](charts/{}.svg)",
            curve.work.name, curve.stem
        ));
    }

    /// Writes `RESULTS.md`.
    pub fn write(&self) -> Result<()> {
        let text = format!(
            "# Results\n\n\
             Written by `cargo run --release -p bench`: medians of several rounds in which all\n\
             contenders take turns, ± half the distance between the quartiles. In brackets,\n\
             how many times ours that costs.\n\n\
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
        let percent = match summary.median {
            0.0 => 0.0,
            median => 100.0 * summary.spread / median,
        };
        format!("{} ±{percent:.0}%", self.show(summary.median))
    }
}

fn in_brackets(times: f64) -> String {
    match times {
        10.0.. => format!(" ({times:.0} ×)"),
        0.0.. => format!(" ({times:.2} ×)"),
        _ => String::new(),
    }
}

/// Three digits and a prefix.
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

impl Goal {
    fn show(self, unit: Unit) -> String {
        match (self, unit) {
            (Self::AtMost(cost), Unit::Rate) => format!("≥ {}", unit.show(cost)),
            (Self::AtMost(cost), _) => format!("≤ {}", unit.show(cost)),
            (Self::AtMostTimes(factor, other), _) => format!("≤ {factor} × {other}"),
            (Self::TimesAheadOf(1.0, other), _) => format!("no slower than {other}"),
            (Self::TimesAheadOf(factor, other), _) => format!("{factor} × as fast as {other}"),
        }
    }

    /// How many times the other's cost ours is, or the other way round, and
    /// whether that is enough; `None` if the other was not there.
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

/// Where and with what the numbers were taken.
fn machine() -> Result<String> {
    let field = |file: &str, name: &str| -> Result<String> {
        let text = read_to_string(file)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(field, _)| field.trim() == name);
        Ok(found
            .ok_or(format!("no {name} in {file}"))?
            .1
            .trim()
            .to_string())
    };
    let cpu = field("/proc/cpuinfo", "model name")?;
    let cores = available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal")?;
    let linux = read_to_string("/proc/sys/kernel/osrelease")?;
    let rust = said_by(Command::new("rustc").arg("--version"))?;
    let python = match python::exists() {
        true => said_by(tests::python().arg("--version"))?,
        false => NO_PYTHON.to_string(),
    };
    let tree = ["tree", "-p", "bench", "--depth=1", "--prefix=none"];
    let tree = said_by(Command::new("cargo").args(tree))?;
    let peers = ["procspawn", "ipc-channel", "threadpool", "tokio"];
    let peers: Vec<&str> = tree
        .lines()
        .filter(|line| {
            peers
                .iter()
                .any(|peer| line.starts_with(&format!("{peer} ")))
        })
        .collect();
    let commit = said_by(Command::new("git").args(["describe", "--always", "--dirty"]))?;
    Ok(format!(
        "- {cpu}, {cores} cores, {memory}\n- Linux {}\n- {rust}\n- {python}\n- {}\n- commit {commit}",
        linux.trim(),
        peers.join(", ")
    ))
}

fn said_by(command: &mut Command) -> Result<String> {
    let output = command.current_dir(WORKSPACE).output()?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {stderr}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
