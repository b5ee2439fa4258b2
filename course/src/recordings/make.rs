//! Makes the recordings: runs each example many times in both languages, in a
//! terminal and with a clock. Every run has to keep to the specification that the
//! tests have for it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs, mem, thread};

use anyhow::{Context, Result, bail, ensure};
use tests::{RUN_LIMIT, Run, Running, Server, page, specifications};

use super::file::{Event, Finding, Note, Noted, Recording, Runs, without_process_ids};
use super::{hash_of, path};
use crate::example::Example;
use crate::root;

/// How often a program runs, unless it sleeps for a second and more.
const RUNS: usize = 200;

/// How often each program of an example runs.
fn runs_of(name: &str) -> usize {
    match name {
        "async_await" | "tasks" | "semaphore" => 10,
        "async_queue" => 5,
        "fetch" => 20,
        _ => RUNS,
    }
}

/// What is counted in the runs of an example.
fn finding_of(name: &str) -> Option<Finding> {
    match name {
        "process" | "thread" | "thread_subclass" => Some(Finding::InOrder),
        "thread_queue" => Some(Finding::AllConsumed),
        "shared_memory" => Some(Finding::Lost),
        _ => None,
    }
}

/// Records these examples, one after the other. A recording that was there stays
/// as it is until the new one is whole.
pub fn record(names: &[String]) -> Result<()> {
    let needs_aiohttp = names.iter().any(|name| name == "fetch");
    if let Some(missing) = tests::missing(needs_aiohttp) {
        bail!("cannot run the Python programs: {missing}");
    }
    let probe = path(".probe");
    fs::write(&probe, "")
        .and_then(|()| fs::remove_file(&probe))
        .with_context(|| format!("cannot write {}", probe.display()))?;

    let programs = build()?;
    for name in names {
        let started = Instant::now();
        let example = Example::find(name)?.context("an example without files")?;
        let recording = record_example(&example, &programs)?;
        let path = path(name);
        // Renamed when it is whole, so that no half of one is ever there.
        let unfinished = path.with_extension("unfinished");
        fs::write(&unfinished, recording.to_string())
            .and_then(|()| fs::rename(&unfinished, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("{name} recorded in {:.0?}", started.elapsed());
    }
    Ok(())
}

/// Builds the examples and the recorder as this program was built, and returns
/// where they are.
fn build() -> Result<PathBuf> {
    let this = env::current_exe()?;
    let folder = this.parent().context("a program lies in a folder")?;
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "--bins"]);
    for package in ["multiprocessing", "threading", "asyncio", "recorder"] {
        cargo.args(["--package", package]);
    }
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo
        .current_dir(root())
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "the examples do not compile");
    Ok(folder.to_path_buf())
}

fn record_example(example: &Example, programs: &Path) -> Result<Recording> {
    let rust = |name: &str| tests::command(&programs.join(name).to_string_lossy());
    let python = |script: &[&str]| {
        let mut command = tests::python();
        command.args(script.iter().map(|script| root().join(script)));
        command
    };
    let script = format!("{}/src/bin/{}.py", example.section, example.name);
    let mut in_python = record_runs(&example.name, || python(&[&script]))?;
    let mut in_rust = record_runs(&example.name, || rust(&example.name))?;
    if let "pool" | "shared_memory" | "thread_pool" = &example.name[..] {
        let recorder = "course/recorder/recorder.py";
        let recorded = format!("recorded_{}", example.name);
        in_python.noted = Some(record_notes(&example.name, || {
            python(&[recorder, &script])
        })?);
        in_rust.noted = Some(record_notes(&example.name, || rust(&recorded))?);
    }
    Ok(Recording {
        rustc: version(Command::new("rustc").arg("--version"))?,
        python: version(tests::python().arg("--version"))?,
        linux: version(Command::new("uname").arg("-sr"))?,
        cores: thread::available_parallelism()?.get(),
        date: output(Command::new("date").args(["-u", "+%F"]))?,
        sources: hash_of(example),
        in_python,
        in_rust,
    })
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

/// The second word of what a command prints, up to a hyphen.
fn version(command: &mut Command) -> Result<String> {
    let text = output(command)?;
    let version = text.split(['-', ' ']).nth(1);
    Ok(version
        .with_context(|| format!("{command:?}: {text}"))?
        .to_string())
}

/// Runs a program of an example often, one run after the other.
fn record_runs(name: &str, command: impl Fn() -> Command) -> Result<Runs> {
    let keeps_to = specifications::of(name).context("an example without a specification")?;
    let mut runs = Vec::new();
    let mut outputs: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..runs_of(name) {
        let (run, notes) = match name {
            "fetch" => fetch(command()),
            _ => (terminal(command()), None),
        };
        *outputs.entry(without_process_ids(&run.stdout)).or_default() += 1;
        runs.push((run.clone(), notes));
        keeps_to(run);
    }
    let count = runs.len();
    let found = finding_of(name).map(|finding| {
        let held = runs.iter().filter(|(run, _)| finding.holds(&run.stdout));
        (finding, held.count())
    });
    runs.sort_by_key(|(run, _)| run.elapsed);
    let (run, noted) = runs.swap_remove(count / 2);
    let lines = run.stdout.lines().map(str::to_string);
    Ok(Runs {
        count,
        outputs: outputs.len(),
        most_equal: outputs.into_values().max().unwrap_or(0),
        found,
        pid: run.pid,
        forked: run.forked,
        elapsed: run.elapsed,
        lines: run.times.iter().copied().zip(lines).collect(),
        noted,
    })
}

fn terminal(mut command: Command) -> Run {
    Running::start_in_terminal(&mut command, RUN_LIMIT).finish()
}

/// Runs `fetch` with a server of this machine, whose first page takes the
/// longest, and notes when the server is asked and when it has answered.
fn fetch(mut command: Command) -> (Run, Option<Noted>) {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let started = Instant::now();
    let server = Server::start({
        let notes = notes.clone();
        move |target, _, stream| {
            let note = |event| {
                let time = started.elapsed();
                let lane = format!("task {}", &target[1..]);
                notes.lock().unwrap().push(Note { time, lane, event });
            };
            note(Event::Asks);
            let turn = target[1..].parse::<u32>().expect("a number");
            thread::sleep((3 - turn) * Duration::from_millis(100));
            page(stream, target.as_bytes())?;
            note(Event::IsAnswered);
            Ok(())
        }
    });
    command.args(["/0", "/1", "/2"].map(|target| server.url(target)));
    let run = terminal(command);
    drop(server);
    let mut notes = mem::take(&mut *notes.lock().unwrap());
    notes.sort_by_key(|note| note.time);
    let noted = Noted {
        runs: 1,
        found: 0,
        notes,
    };
    (run, Some(noted))
}

/// Runs a program with a recorder inside. The run that is kept is the one of
/// median duration, among those that lost an update if there are any.
fn record_notes(name: &str, command: impl Fn() -> Command) -> Result<Noted> {
    let keeps_to = specifications::of(name).context("an example without a specification")?;
    let mut found = 0;
    let (mut lost, mut others) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let mut run = terminal(command());
        let notes = read_notes(&mem::take(&mut run.stderr), run.pid)?;
        let loses = name == "shared_memory" && Finding::Lost.holds(&run.stdout);
        keeps_to(run);
        let alone = name != "shared_memory" && notes.iter().all(|n| n.lane == notes[0].lane);
        found += usize::from(loses || alone);
        if loses {
            lost.push(notes);
        } else {
            others.push(notes);
        }
    }
    let mut kept = if lost.is_empty() { others } else { lost };
    kept.sort_by_key(|notes| notes.last().map(|note| note.time));
    Ok(Noted {
        runs: RUNS,
        found,
        notes: kept.swap_remove(kept.len() / 2),
    })
}

/// Reads lines of a time, a thread, and what it did. A worker of `shared_memory`
/// is known by what it adds, its own number, and those of a pool are numbered in
/// the order of their start, as far as they did anything.
fn read_notes(text: &str, main: u32) -> Result<Vec<Note>> {
    let mut notes: Vec<(u64, u32, Event)> = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.splitn(3, ' ').collect();
        let [time, thread, event] = fields[..] else {
            bail!("the recorder wrote {line:?}");
        };
        notes.push((time.parse()?, thread.parse()?, event.parse()?));
    }
    // The threads of a pool may write in another order than they looked at the
    // clock; accesses, under a lock, are in order already.
    notes.sort_by_key(|(time, ..)| *time);
    let start = notes.first().context("the recorder wrote nothing")?.0;
    let workers: BTreeSet<u32> = notes.iter().map(|(_, thread, _)| *thread).collect();
    let name = |thread| -> Result<String> {
        if thread == main {
            return Ok("main".to_string());
        }
        let mut events = notes.iter().filter(|note| note.1 == thread);
        let number = match (events.next(), events.next()) {
            (Some((.., Event::Reads(old))), Some((.., Event::Writes(new)))) => new - old,
            (Some((.., Event::Takes(_))), Some((.., Event::Returns(_)))) => {
                workers.range(..thread).count() as i64
            }
            _ => bail!("thread {thread} did not do two things, one after the other"),
        };
        Ok(format!("worker {number}"))
    };
    notes
        .iter()
        .map(|&(time, thread, event)| {
            Ok(Note {
                time: Duration::from_nanos(time - start),
                lane: name(thread)?,
                event,
            })
        })
        .collect()
}
