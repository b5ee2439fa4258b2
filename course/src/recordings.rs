//! What the programs printed, and when: read from `recordings/`, made by
//! running them.

use anyhow::{Result, bail};

use crate::Both;

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
pub fn of(_page: &str) -> Result<Option<Recording>> {
    Ok(None)
}

/// Records the programs of `page`, or of all pages, anew.
///
/// # Errors
///
/// An unknown page, a missing Python, or a program that fails.
pub fn record(_page: Option<&str>) -> Result<()> {
    bail!("nothing can be recorded yet")
}
