//! What is told of the measurements: a Markdown table on stdout as it grows,
//! progress on stderr, `RESULTS.md` and the charts at the end.

use std::fs::{create_dir_all, read_to_string, write};
use std::io::{IsTerminal, stderr};
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use plotters::prelude::*;

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

#[derive(Default)]
pub struct Report {
    text: String,
    goals: usize,
    met: usize,
}

impl Report {
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

    pub fn work(&mut self, work: &Work, measured: &[Summary]) {
        let cell = |side| {
            let parts = work.contenders.iter().zip(measured);
            let parts = parts.filter(|(contender, _)| contender.side == side);
            let parts: Vec<String> = parts
                .map(|(contender, summary)| match contender.name {
                    "ours" | "Python" => work.unit.show_with_spread(summary),
                    name => format!("{name} {}", work.unit.show_with_spread(summary)),
                })
                .collect();
            match (side, parts.is_empty()) {
                (Side::Python, true) => NO_PYTHON.to_string(),
                _ => parts.join("<br>"),
            }
        };
        let cells = [Side::Ours, Side::Python, Side::Peer, Side::Limit].map(cell);
        let of = |name: &str| {
            let mut parts = work.contenders.iter().zip(measured);
            parts
                .find_map(|(contender, summary)| (contender.name == name).then_some(summary.median))
        };
        let mut goals = Vec::new();
        let mut reached = Vec::new();
        for goal in &work.goals {
            goals.push(goal.show(work.unit));
            reached.push(match goal.reached(work.unit, of) {
                Some((reached, met)) => format!("{reached}, {}", self.judge(met)),
                None => "not measured".to_string(),
            });
        }
        let [ours, python, peers, limit] = &cells;
        let (goals, reached) = (goals.join("<br>"), reached.join("<br>"));
        self.row(&[work.name, ours, python, peers, limit, &goals, &reached]);
    }

    pub fn curve(&mut self, curve: &Curve, points: &[Vec<Option<Summary>>]) {
        let names = curve.work.contenders.iter().map(|contender| contender.name);
        let columns: Vec<&str> = [curve.of].into_iter().chain(names).collect();
        self.head(curve.work.name, &columns);
        for (size, point) in curve.sizes.iter().zip(points) {
            let mut cells = vec![size.to_string()];
            cells.extend(point.iter().map(|summary| match summary {
                Some(summary) => curve.work.unit.show_with_spread(summary),
                None => "too slow".to_string(),
            }));
            self.row(&cells);
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
             contenders take turns, ± half the distance between the quartiles.\n\n\
             {}\n\n{} of {} goals are met.\n{}",
            machine()?,
            self.met,
            self.goals,
            self.text
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

/// Three digits and a prefix.
fn si(value: f64, unit: &str) -> String {
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
            (Self::TimesAheadOf(factor, other), _) => format!("≥ {factor} × as fast as {other}"),
        }
    }

    /// What was reached and whether that is enough; `None` if the other was
    /// not there.
    fn reached(self, unit: Unit, of: impl Fn(&str) -> Option<f64>) -> Option<(String, bool)> {
        let ours = of("ours")?;
        Some(match self {
            Self::AtMost(cost) => (unit.show(ours), ours <= cost),
            Self::AtMostTimes(factor, other) => {
                let times = ours / of(other)?;
                (format!("{times:.2} ×"), times <= factor)
            }
            Self::TimesAheadOf(factor, other) => {
                let times = of(other)? / ours;
                (format!("{times:.2} ×"), times >= factor)
            }
        })
    }
}

/// Draws a curve, both axes logarithmic.
pub fn chart(curve: &Curve, points: &[Vec<Option<Summary>>]) -> Result<()> {
    let folder = Path::new(WORKSPACE).join("bench/charts");
    create_dir_all(&folder)?;
    let path = folder.join(curve.stem).with_extension("svg");
    let root = SVGBackend::new(&path, (760, 440)).into_drawing_area();
    root.fill(&WHITE)?;

    let sizes: Vec<f64> = curve.sizes.iter().map(|&size| size as f64).collect();
    let costs = || {
        points
            .iter()
            .flatten()
            .flatten()
            .map(|summary| summary.median)
    };
    let (lowest, highest) = (
        costs().fold(f64::MAX, f64::min),
        costs().fold(0.0, f64::max),
    );
    let mut chart = ChartBuilder::on(&root)
        .caption(curve.work.name, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (sizes[0]..sizes[sizes.len() - 1]).log_scale(),
            (lowest / 2.0..highest * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(curve.of)
        .x_label_formatter(&|size| si(*size, "").trim_end().to_string())
        .y_label_formatter(&|cost| curve.work.unit.show(*cost))
        .draw()?;
    for (i, contender) in curve.work.contenders.iter().enumerate() {
        let color = Palette99::pick(i).to_rgba();
        let line = sizes.iter().zip(points);
        let line = line.filter_map(|(&size, point)| Some((size, point[i]?.median)));
        let line: Vec<(f64, f64)> = line.collect();
        chart
            .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
            .label(contender.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        chart.draw_series(
            line.into_iter()
                .map(|at| Circle::new(at, 3, color.filled())),
        )?;
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    Ok(root.present()?)
}

/// Where and with what the numbers were taken.
fn machine() -> Result<String> {
    let field = |file: &str, name: &str| -> Result<String> {
        let text = read_to_string(file)?;
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        Ok(value
            .ok_or(format!("no {name} in {file}"))?
            .1
            .trim()
            .to_string())
    };
    let peers = said_by(
        &mut Command::new("cargo"),
        &["tree", "-p", "bench", "--depth=1", "--prefix=none"],
    )?;
    let peers = peers.lines().filter_map(|line| {
        let (name, version) = line.split_once(" v")?;
        let known = ["ipc-channel", "procspawn", "threadpool", "tokio"].contains(&name);
        known.then(|| format!("{name} {}", version.trim()))
    });
    let python = match python::exists() {
        true => said_by(&mut tests::python(), &["--version"])?,
        false => NO_PYTHON.to_string(),
    };
    Ok([
        format!(
            "- {}, {} cores, {} of memory",
            field("/proc/cpuinfo", "model name")?,
            available_parallelism()?,
            field("/proc/meminfo", "MemTotal")?
        ),
        format!(
            "- Linux {}",
            read_to_string("/proc/sys/kernel/osrelease")?.trim()
        ),
        format!("- {}", said_by(&mut Command::new("rustc"), &["--version"])?),
        format!("- {python}"),
        format!("- {}", peers.collect::<Vec<_>>().join(", ")),
        format!(
            "- commit {}",
            said_by(
                &mut Command::new("git"),
                &["describe", "--always", "--dirty"]
            )?
        ),
    ]
    .join("\n"))
}

fn said_by(program: &mut Command, args: &[&str]) -> Result<String> {
    let output = program.args(args).current_dir(WORKSPACE).output();
    let output = output.map_err(|error| format!("{program:?}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program:?}: {stderr}").into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}
