//! Measures `shared` and the examples beside Python, other crates and bare
//! system calls. All of them do the same work in the same run, take turns, and
//! have every result checked.
//!
//! A *work* is one thing that is measured, such as a round trip through a pipe.
//! It has several *contenders*, each of which does it in its own way. One of
//! them is `ours`, and for it the work may have *goals*.
//!
//! ```console
//! $ cargo run --release -p bench            # every row; see `--help`
//! $ cargo run --release -p bench -- queue   # the rows with "queue" in their names
//! ```
//!
//! The files, from the bottom up, each of which uses only those before it:
//!
//! - `common`, `timing`, `progress` and `load` are used by all others.
//! - `inputs` has the data that the works process. `cargo` builds the examples,
//!   and `python` finds Python and runs it.
//! - `ours`, `peers`, `limits` (with `robust`), `pages` and `contenders.py` have
//!   the contenders' code for each work.
//! - `measure` defines a work and runs its contenders.
//! - `works` is the list of all works, with their goals.
//! - `report` prints, and `chart` draws, the results.
//! - `examples` measures the fourteen examples of the tutorial.
//! - `options` reads the command line, `selection` picks the rows, and `main`
//!   runs them.

#![deny(unsafe_code)]

mod cargo;
mod chart;
mod common;
mod examples;
mod inputs;
mod limits;
mod load;
mod measure;
mod options;
mod ours;
mod pages;
mod peers;
mod progress;
mod python;
mod report;
#[expect(unsafe_code, reason = "POSIX's robust mutex has no safe wrapper")]
mod robust;
mod selection;
mod timing;
mod works;

use std::env;
use std::io::{Write, stdout};
use std::process::ExitCode;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::{Server, respond};

use common::{GIBIBYTE, Result};
use examples::{Costs, Example};
use measure::{Curve, Effort, Work};
use options::{HELP, Options};
use peers::ipc_channel;
use progress::Progress;
use report::Report;
use selection::Selection;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match args[..] {
        ["--child", ref role @ ..] => play(role),
        _ => bench(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress::clear();
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays the role of a process that `common::start_role` has started.
fn play(role: &[&str]) -> Result<()> {
    match *role {
        ["exit"] => Ok(()),
        ["echo", size] => limits::echo(size),
        ["increment", n] => limits::increment_on_signal(n),
        ["ipc-produce", server, n] => ipc_channel::produce(server, n),
        ["ipc-produce-people", server, n] => ipc_channel::produce_people(server, n),
        ["ipc-produce-bytes", server, size, n] => ipc_channel::produce_bytes(server, size, n),
        ["ipc-echo", server] => ipc_channel::echo(server),
        ["ipc-echo-bytes", server] => ipc_channel::echo_bytes(server),
        ["run", program, ref args @ ..] => examples::run(program, args),
        _ => Err(format!("there is no role {role:?}").into()),
    }
}

fn bench() -> Result<()> {
    shared::multiprocessing::init();
    procspawn::init();
    let options = Options::parse(env::args().skip(1))?;
    if options.help {
        return Ok(writeln!(stdout(), "{HELP}")?);
    }
    let selection = Selection::new(&options)?;
    if options.list {
        for (group, row) in selection.rows() {
            writeln!(stdout(), "{group:8}  {row}")?;
        }
        return Ok(());
    }
    if cfg!(debug_assertions) {
        return Err(
            "a dev build is too slow to be measured; use `cargo run --release -p bench`".into(),
        );
    }
    prepare(&options, &selection)?;

    // Limits the memory of this process and of each child, so that a fault
    // cannot use up the memory of the machine.
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    setrlimit(Resource::RLIMIT_DATA, hard.min(GIBIBYTE), hard)?;

    let effort = match options.short {
        true => Effort::SHORT,
        false => Effort::FULL,
    };
    let mut report = Report::new()?;
    let mut progress = Progress::new();
    measure_works(&selection.works, &effort, &mut report, &mut progress)?;
    measure_examples(&selection.examples, &effort, &mut report, &mut progress)?;
    for curve in &selection.curves {
        measure_curve(
            curve,
            &effort,
            options.is_full(),
            &mut report,
            &mut progress,
        )?;
    }
    progress::clear();
    if options.is_full() {
        report.write()?;
        eprintln!("bench/RESULTS.md and bench/charts are rewritten.");
    }
    Ok(())
}

/// Finds Python, and makes the files and programs that the rows need, before
/// anything is measured.
fn prepare(options: &Options, selection: &Selection) -> Result<()> {
    let rows = selection.rows().count();
    match options.is_full() {
        true => eprintln!(
            "{rows} rows take about a quarter of an hour. \
             At the end bench/RESULTS.md and bench/charts are rewritten."
        ),
        false => eprintln!(
            "This run leaves bench/RESULTS.md and bench/charts as they are. \
             Rows to measure: {rows}."
        ),
    }
    if !options.without_python {
        python::find(selection.needs_aiohttp())?;
    }
    let curves = selection.curves.iter().map(|curve| &curve.work);
    for work in selection.works.iter().chain(curves) {
        if let Some(prepare) = work.prepare {
            prepare()?;
        }
    }
    if !selection.examples.is_empty() {
        examples::build()?;
    }
    Ok(())
}

/// Each round measures all works once. So the rounds of one work are minutes
/// apart, and its spread includes whatever changes on the machine from one
/// minute to the next, as it does between two runs.
fn measure_works(
    works: &[Work],
    effort: &Effort,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    if works.is_empty() {
        return Ok(());
    }
    let turns = works.len() * (effort.rounds + 1);
    let mut measured = Vec::new();
    for (i, work) in works.iter().enumerate() {
        progress.turn(i + 1, turns, work.name);
        measured.push(work.calibrate(effort, progress)?);
    }
    for round in 1..=effort.rounds {
        for (i, work) in works.iter().enumerate() {
            progress.turn(works.len() * round + i + 1, turns, work.name);
            if work.has_round(round) {
                work.measure(&mut measured[i], progress)?;
            }
        }
    }
    report.works(works, &measured);
    Ok(())
}

fn measure_examples(
    examples: &[Example],
    effort: &Effort,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    if examples.is_empty() {
        return Ok(());
    }
    let server =
        Server::start(|target, _, stream| respond(stream, "200 OK", "", target.as_bytes()));
    let urls = ["/one", "/two", "/three"].map(|target| server.url(target));
    let turns = examples.len() * effort.rounds;
    let mut costs: Vec<Costs> = examples.iter().map(|_| Costs::default()).collect();
    for round in 1..=effort.rounds {
        for (i, example) in examples.iter().enumerate() {
            progress.turn(examples.len() * (round - 1) + i + 1, turns, example.name);
            if example.has_round(round) {
                example.measure(&urls, &mut costs[i])?;
            }
        }
    }
    examples::report(examples, &costs, report)
}

fn measure_curve(
    curve: &Curve,
    effort: &Effort,
    draw: bool,
    report: &mut Report,
    progress: &mut Progress,
) -> Result<()> {
    let turns = effort.rounds_of_a_curve;
    progress.turn(1, turns, curve.work.name);
    let mut measured = curve.calibrate(effort, progress)?;
    for round in 2..=turns {
        progress.turn(round, turns, curve.work.name);
        curve.work.measure(&mut measured, progress)?;
    }
    report.curve(curve, &measured);
    if draw {
        chart::draw(curve, &measured.summaries())?;
    }
    Ok(())
}
