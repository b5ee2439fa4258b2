//! What the programs printed, and when: read from `recordings/`, made by
//! running them.
//!
//! [`mod@file`] is the form of a recording, `make` runs the programs and writes
//! one, and `timeline` draws one.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::example::Example;
use crate::{Both, hash, root};

pub mod file;
mod make;
mod timeline;

use file::{Finding, Runs};

/// What the page of an example shows of its runs.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The day of the runs, such as `2026-11-25`.
    pub date: String,
    /// How many processor cores there were.
    pub cores: usize,
    /// The version of Python, such as `3.11.7`.
    pub python: String,
    /// The version of rustc, such as `1.95.0`.
    pub rustc: String,
    /// What one run of the Python printed.
    pub python_output: String,
    /// What one run of the Rust printed.
    pub rust_output: String,
    /// What many runs printed, or what happened in them, each with how often.
    pub counts: Vec<Count>,
    /// Swim lanes, drawn from runs; none where none could be recorded.
    pub timelines: Vec<Timeline>,
}

/// In `times` of `runs` runs of one program the same happened.
#[derive(Clone, Debug)]
pub struct Count {
    /// Whether it is the Python, not the Rust, that was run.
    pub of_python: bool,
    /// What happened, as Markdown: an output, or "lost an update".
    pub what: Both,
    /// In how many of the runs it happened.
    pub times: usize,
    /// How many runs there were.
    pub runs: usize,
}

/// A picture of a run, or of a run of each program on one time axis.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// A whole `<svg>` element in each language, with `<title>` and `<desc>`.
    /// It stands in the page, so its colours can be the page's variables.
    pub svg: Both,
    /// How it was recorded, as Markdown.
    pub caption: Both,
}

/// The recording of the page `page`, or `None` if it has none yet.
///
/// # Errors
///
/// A recording that cannot be read.
pub fn of(page: &str) -> Result<Option<Recording>> {
    let path = path(page);
    if !path.is_file() {
        return Ok(None);
    }
    let recording = read(page)?;
    let counts = [(true, &recording.in_python), (false, &recording.in_rust)]
        .into_iter()
        .flat_map(|(of_python, runs)| counts(of_python, runs))
        .collect();
    let timelines = timeline::draw(page, &recording);
    Ok(Some(Recording {
        python_output: recording.in_python.stdout(),
        rust_output: recording.in_rust.stdout(),
        date: recording.date,
        cores: recording.cores,
        python: recording.python,
        rustc: recording.rustc,
        counts,
        timelines: timelines.into_iter().collect(),
    }))
}

/// The file of a recording.
///
/// # Errors
///
/// There is none, or it cannot be read.
pub fn read(page: &str) -> Result<file::Recording> {
    let path = path(page);
    let advice = || {
        let path = path.display();
        format!("{path}: make it anew with `cargo run -p course -- record {page}`")
    };
    let text = fs::read_to_string(&path).with_context(advice)?;
    text.parse().with_context(advice)
}

/// Records the programs of `page`, or of all pages, anew.
///
/// # Errors
///
/// An unknown page, a missing Python, or a program that fails.
///
/// # Panics
///
/// A run does not keep to its specification.
pub fn record(page: Option<&str>) -> Result<()> {
    let names = Example::names()?;
    match page {
        Some(page) if names.iter().any(|name| name == page) => make::record(&[page.to_string()]),
        Some(page) => bail!(
            "no example is called {page:?}; there are {}",
            names.join(", ")
        ),
        None => make::record(&names),
    }
}

/// What names the sources of an example in its recording.
pub fn hash_of(example: &Example) -> String {
    hash(&format!("{}{}", example.python, example.rust))
}

fn path(page: &str) -> PathBuf {
    root().join(format!("course/recordings/{page}.txt"))
}

/// How often the finding of an example held, and how many different texts its
/// runs have printed.
fn counts(of_python: bool, runs: &Runs) -> Vec<Count> {
    let what = match runs.found.map(|(finding, _)| finding) {
        Some(Finding::InOrder) => Both::new(
            "the workers printed in the order in which they were started",
            "按启动的顺序输出",
        ),
        Some(Finding::AllConsumed) => Both::new("all five items were consumed", "5 个元素都取到了"),
        Some(Finding::Lost) => Both::new("an update was lost", "丢失了更新"),
        None => Both::new("the same output", "输出相同"),
    };
    let times = match runs.found {
        Some((_, times)) => times,
        None => runs.most_equal,
    };
    vec![Count {
        of_python,
        what,
        times,
        runs: runs.count,
    }]
}
