//! The form of the files in `recordings/`.
//!
//! A file has a first line on where and when it was made, and then for each
//! language:
//!
//! ```text
//! # Python
//! 200 runs, distinct outputs: 3, most frequent: 192
//! 6 lost an update
//! process 4711, with children, 61.204 ms
//!     58.310  shared_num: 10
//!     58.322  shared_arr: [11, 12, 13, 14, 15]
//! noted in 200 runs, found in 51
//!      0.000  worker 1: reads 0
//! ```
//!
//! The run whose lines are shown, with their milliseconds since its start, is
//! the one of median duration. Notes are what a recorder saw that the program
//! does not print: in how many runs it was inside, and in how many of them an
//! update was lost, or one worker did everything. Only some examples have them.

use std::fmt::{self, Display, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tests::Run;

/// What some runs of an example do and others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The workers printed in the order in which they were started.
    InOrder,
    /// The consumer got every item.
    AllConsumed,
    /// A sum is too small.
    Lost,
}

impl Finding {
    const ALL: [Finding; 3] = [Finding::InOrder, Finding::AllConsumed, Finding::Lost];

    /// Whether a run that printed `stdout` did it.
    pub fn holds(self, stdout: &str) -> bool {
        match self {
            Finding::InOrder => {
                let numbers: Vec<_> = stdout
                    .lines()
                    .filter_map(|line| line.split(' ').nth(1)?.parse::<u32>().ok())
                    .collect();
                numbers.is_sorted()
            }
            Finding::AllConsumed => stdout.contains("Consumed 4\n"),
            Finding::Lost => stdout != "shared_num: 10\nshared_arr: [11, 12, 13, 14, 15]\n",
        }
    }

    /// As it stands in a recording, after a number of runs.
    fn words(self) -> &'static str {
        match self {
            Finding::InOrder => "printed in the order of the start",
            Finding::AllConsumed => "consumed all",
            Finding::Lost => "lost an update",
        }
    }
}

/// A file of `recordings/`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The compiler's version: `1.95.0`.
    pub rustc: String,
    /// The interpreter's version: `3.11.7`.
    pub python: String,
    /// The kernel's version: `6.18.44`.
    pub linux: String,
    /// How many processors there were.
    pub cores: usize,
    /// The day, in UTC: `2026-01-31`.
    pub date: String,
    /// The hash of the sources that ran: [`hash`](crate::hash) of the Python and the Rust after it.
    pub sources: String,
    /// The runs in Python.
    pub in_python: Runs,
    /// The runs in Rust.
    pub in_rust: Runs,
}

/// The runs of one program.
#[derive(Clone, Debug, PartialEq)]
pub struct Runs {
    /// How many.
    pub count: usize,
    /// How many different texts they printed, apart from process ids.
    pub outputs: usize,
    /// How many of them printed the text that most of them printed.
    pub most_equal: usize,
    /// In how many of them the example's finding held.
    pub found: Option<(Finding, usize)>,
    /// The process of the run that is shown.
    pub pid: u32,
    /// Whether it had child processes.
    pub forked: bool,
    /// How long it took.
    pub elapsed: Duration,
    /// What it printed, and when.
    pub lines: Vec<(Duration, String)>,
    /// What a recorder saw.
    pub noted: Option<Noted>,
}

/// What a recorder saw that a program does not print.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// How many runs were recorded so.
    pub runs: usize,
    /// In how many of them an update was lost, or one worker did everything.
    pub found: usize,
    /// What happened in the one that is shown.
    pub notes: Vec<Note>,
}

/// One thing that a recorder saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// When: since the start of `fetch`, otherwise since the first note.
    pub time: Duration,
    /// In which process or task: `worker 2`.
    pub lane: String,
    /// What.
    pub event: Event,
}

/// What a [`Note`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The shared number was read.
    Reads(i64),
    /// The shared number was written.
    Writes(i64),
    /// A worker was given this.
    Takes(i64),
    /// A worker returned this.
    Returns(i64),
    /// A request arrived at the server.
    Asks,
    /// The server has answered it.
    IsAnswered,
}

impl Runs {
    /// What the run that is shown printed.
    pub fn stdout(&self) -> String {
        self.lines
            .iter()
            .flat_map(|(_, line)| [line, "\n"])
            .collect()
    }

    /// The run that is shown, as one that has just ended.
    pub fn replay(&self, is_python: bool) -> Run {
        Run {
            command: "a recording".to_string(),
            pid: self.pid,
            status: ExitStatus::from_raw(0),
            stdout: self.stdout(),
            times: self.lines.iter().map(|(time, _)| *time).collect(),
            stderr: String::new(),
            elapsed: self.elapsed,
            forked: self.forked,
            orphans: 0,
            is_python,
        }
    }
}

/// Milliseconds with three decimals.
fn milliseconds(time: Duration) -> String {
    format!("{}.{:03}", time.as_millis(), time.as_micros() % 1000)
}

fn duration(milliseconds: &str) -> Result<Duration> {
    let (whole, thousandths) = milliseconds.split_once('.').context("a time has a point")?;
    ensure!(thousandths.len() == 3, "a time has three decimals");
    Ok(Duration::from_millis(whole.parse()?) + Duration::from_micros(thousandths.parse()?))
}

impl Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rustc,
            python,
            linux,
            cores,
            date,
            sources,
            in_python,
            in_rust,
        } = self;
        writeln!(
            f,
            "rustc {rustc}, Python {python}, Linux {linux}, {cores} cores, {date}, sources {sources}"
        )?;
        write!(f, "\n# Python\n{in_python}\n# Rust\n{in_rust}")
    }
}

impl Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} runs, distinct outputs: {}, most frequent: {}",
            self.count, self.outputs, self.most_equal
        )?;
        if let Some((finding, count)) = self.found {
            writeln!(f, "{count} {}", finding.words())?;
        }
        writeln!(
            f,
            "process {}, {} children, {} ms",
            self.pid,
            if self.forked { "with" } else { "without" },
            milliseconds(self.elapsed)
        )?;
        for (time, line) in &self.lines {
            writeln!(f, "{:>10}  {line}", milliseconds(*time))?;
        }
        if let Some(noted) = &self.noted {
            writeln!(f, "noted in {} runs, found in {}", noted.runs, noted.found)?;
            for Note { time, lane, event } in &noted.notes {
                write!(f, "{:>10}  {lane}: ", milliseconds(*time))?;
                match event {
                    Event::Reads(value) => writeln!(f, "reads {value}")?,
                    Event::Writes(value) => writeln!(f, "writes {value}")?,
                    Event::Takes(value) => writeln!(f, "takes {value}")?,
                    Event::Returns(value) => writeln!(f, "returns {value}")?,
                    Event::Asks => writeln!(f, "asks")?,
                    Event::IsAnswered => writeln!(f, "is answered")?,
                }
            }
        }
        Ok(())
    }
}

impl FromStr for Event {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.split_once(' ') {
            Some(("reads", value)) => Event::Reads(value.parse()?),
            Some(("writes", value)) => Event::Writes(value.parse()?),
            Some(("takes", value)) => Event::Takes(value.parse()?),
            Some(("returns", value)) => Event::Returns(value.parse()?),
            Some(("is", "answered")) => Event::IsAnswered,
            None if text == "asks" => Event::Asks,
            _ => bail!("{text:?} is no event"),
        })
    }
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Result<&'a str> {
    text.strip_prefix(before)
        .and_then(|text| text.strip_suffix(after))
        .with_context(|| format!("{text:?} is not {before:?} ... {after:?}"))
}

impl FromStr for Recording {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (first, runs) = text.split_once("\n\n# Python\n").context("no Python")?;
        let (in_python, in_rust) = runs.split_once("\n# Rust\n").context("no Rust")?;
        let fields: Vec<_> = first.split(", ").collect();
        let [rustc, python, linux, cores, date, sources] = fields[..] else {
            bail!("the first line has not six fields: {first:?}");
        };
        Ok(Recording {
            rustc: between(rustc, "rustc ", "")?.to_string(),
            python: between(python, "Python ", "")?.to_string(),
            linux: between(linux, "Linux ", "")?.to_string(),
            cores: between(cores, "", " cores")?.parse()?,
            date: date.to_string(),
            sources: between(sources, "sources ", "")?.to_string(),
            in_python: in_python.parse().context("# Python")?,
            in_rust: in_rust.parse().context("# Rust")?,
        })
    }
}

impl FromStr for Runs {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines().peekable();
        let first = lines.next().context("it is empty")?;
        let fields: Vec<_> = first.split(", ").collect();
        let [count, outputs, most_equal] = fields[..] else {
            bail!("{first:?} has not three fields");
        };
        let mut line = lines.next().context("no run")?;
        let mut found = None;
        if !line.starts_with("process ") {
            let (count, words) = line.split_once(' ').context("no count")?;
            let finding = Finding::ALL
                .into_iter()
                .find(|finding| finding.words() == words)
                .with_context(|| format!("{words:?} is no finding"))?;
            found = Some((finding, count.parse()?));
            line = lines.next().context("no run")?;
        }
        let fields: Vec<_> = between(line, "process ", " ms")?.split(", ").collect();
        let [pid, children, elapsed] = fields[..] else {
            bail!("{line:?} has not three fields");
        };
        let timed = |line: &str| -> Result<(Duration, String)> {
            let (time, text) = line.trim_start().split_once("  ").context("no time")?;
            Ok((duration(time)?, text.to_string()))
        };
        let mut printed = Vec::new();
        while let Some(line) = lines.next_if(|line| line.starts_with(' ')) {
            printed.push(timed(line)?);
        }
        let mut noted = None;
        if let Some(line) = lines.next() {
            let (runs, found) = between(line, "noted in ", "")?
                .split_once(" runs, found in ")
                .context("no number of runs")?;
            let mut notes = Vec::new();
            for line in lines {
                let (time, text) = timed(line)?;
                let (lane, event) = text.split_once(": ").context("no event")?;
                notes.push(Note {
                    time,
                    lane: lane.to_string(),
                    event: event.parse()?,
                });
            }
            noted = Some(Noted {
                runs: runs.parse()?,
                found: found.parse()?,
                notes,
            });
        }
        Ok(Runs {
            count: between(count, "", " runs")?.parse()?,
            outputs: between(outputs, "distinct outputs: ", "")?.parse()?,
            most_equal: between(most_equal, "most frequent: ", "")?.parse()?,
            found,
            pid: pid.parse()?,
            forked: children == "with children",
            elapsed: duration(elapsed)?,
            lines: printed,
            noted,
        })
    }
}

/// Replaces each process id by a word, so that runs can be compared.
pub fn without_process_ids(stdout: &str) -> String {
    let mut text = String::new();
    for line in stdout.lines() {
        match line.rsplit_once(" in process ") {
            Some((worker, _)) => writeln!(text, "{worker} in process PID"),
            None => writeln!(text, "{line}"),
        }
        .expect("a String takes all");
    }
    text
}
