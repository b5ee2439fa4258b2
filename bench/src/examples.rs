//! The fourteen examples as whole processes, beside their Python counterparts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::alarm;
use tests::command;

use crate::frame::{Summary, Unit};
use crate::report::{NO_PYTHON, Report, progress};
use crate::{Result, WORKSPACE, python};

pub struct Example {
    package: &'static str,
    pub name: &'static str,
    /// The seconds that it sleeps, which are not its cost.
    sleeps: f64,
    /// What it prints, sorted, without process ids.
    output: String,
}

pub fn examples() -> Vec<Example> {
    let each = |lines: &[&str]| -> String {
        let lines = lines
            .iter()
            .flat_map(|line| (0..5).map(move |i| line.replace('#', &i.to_string())));
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        lines.join("\n")
    };
    let example = |package, name, sleeps, output: String| Example {
        package,
        name,
        sleeps,
        output,
    };
    let squares = "[1, 4, 9, 16, 25]".to_string();
    let started = each(&["Worker # is finished", "Worker # is starting"]);
    let produced = each(&["Consumed #", "Produced #"]);
    vec![
        example(
            "multiprocessing",
            "process",
            0.0,
            format!(
                "All processes have finished.\n{}",
                each(&["Worker # is running"])
            ),
        ),
        example("multiprocessing", "pool", 0.0, squares.clone()),
        example(
            "multiprocessing",
            "shared_memory",
            0.0,
            "shared_arr: [11, 12, 13, 14, 15]\nshared_num: 10".to_string(),
        ),
        example("multiprocessing", "process_queue", 0.0, produced.clone()),
        example(
            "threading",
            "thread",
            0.0,
            format!(
                "All threads have finished.\n{}",
                each(&["Worker # is running"])
            ),
        ),
        example("threading", "thread_pool", 0.0, squares),
        example(
            "threading",
            "lock",
            0.0,
            "Final counter value: 1000".to_string(),
        ),
        example("threading", "thread_queue", 0.0, produced.clone()),
        example(
            "threading",
            "thread_subclass",
            0.0,
            format!(
                "All threads have finished.\n{}",
                each(&["Thread # is running"])
            ),
        ),
        example("asyncio", "tasks", 1.0, started.clone()),
        example("asyncio", "fetch", 0.0, "/one\n/three\n/two".to_string()),
        example("asyncio", "async_queue", 5.0, produced),
        example("asyncio", "semaphore", 3.0, started),
        example("asyncio", "async_await", 1.0, "Hello".to_string()),
    ]
}

/// Builds the release binaries, each section by itself as a user would, and
/// tells where they are: beside this program.
pub fn build() -> Result<PathBuf> {
    let folder = env::current_exe()?;
    let folder = folder.parent().ok_or("no folder")?;
    let cargo = env::var("CARGO").unwrap_or("cargo".to_string());
    for package in ["multiprocessing", "threading", "asyncio"] {
        progress(format!("cargo build --release -p {package}"));
        let mut build = Command::new(&cargo);
        build.args([
            "build",
            "--quiet",
            "--release",
            "--bins",
            "-p",
            package,
            "--target-dir",
        ]);
        build
            .arg(folder.parent().ok_or("no target folder")?)
            .current_dir(WORKSPACE);
        if !build.status()?.success() {
            return Err(format!("cargo build --release -p {package} failed").into());
        }
    }
    Ok(folder.to_path_buf())
}

impl Example {
    /// Runs both programs in turn and reports what they cost.
    pub fn measure(&self, folder: &Path, urls: &[String], report: &mut Report) -> Result<()> {
        let rounds = if self.sleeps > 0.0 { 3 } else { 7 };
        let args: &[String] = if self.name == "fetch" { urls } else { &[] };
        let script = format!("{WORKSPACE}/{}/src/bin/{}.py", self.package, self.name);
        let (mut ours, mut theirs, mut wrong) = (Costs::default(), Costs::default(), 0);
        for round in 1..=rounds {
            progress(format!("{}, round {round} of {rounds}", self.name));
            let mut rust = command("/proc/self/exe");
            rust.args(["--child", "run"])
                .arg(folder.join(self.name))
                .args(args);
            let output = ours.add(&mut rust, self.sleeps)?;
            if output != self.output {
                return Err(format!("{} printed {output:?}", self.name).into());
            }
            if python::exists() {
                let mut python = command("/proc/self/exe");
                python
                    .args(["--child", "run"])
                    .arg(tests::python().get_program());
                python.arg(&script).args(args);
                let output = theirs.add(&mut python, self.sleeps)?;
                wrong += usize::from(output != self.output);
            }
        }

        let (time, memory) = ours.summaries()?;
        let mut row = vec![
            self.name.to_string(),
            Unit::Time.show_with_spread(&time),
            Unit::Memory.show_with_spread(&memory),
        ];
        match theirs.summaries() {
            Ok((their_time, their_memory)) => {
                let faster = their_time.median / time.median;
                let smaller = their_memory.median / memory.median;
                let judged = report.judge(faster > 1.0 && smaller > 1.0);
                let lost = match wrong {
                    0 => String::new(),
                    _ => format!(" (wrong in {wrong} of {rounds})"),
                };
                row.extend([
                    Unit::Time.show_with_spread(&their_time) + &lost,
                    Unit::Memory.show_with_spread(&their_memory),
                    format!("{faster:.1} × faster, {smaller:.1} × smaller, {judged}"),
                ]);
            }
            Err(_) => row.extend([NO_PYTHON, "", "not measured"].map(String::from)),
        }
        report.row(&row);
        Ok(())
    }
}

#[derive(Default)]
struct Costs {
    times: Vec<f64>,
    memory: Vec<f64>,
}

impl Costs {
    /// Runs a program through [`run`], and returns what it printed as lines in
    /// the order in which they are compared.
    fn add(&mut self, program: &mut Command, sleeps: f64) -> Result<String> {
        alarm::set(60);
        let output = program.stderr(Stdio::inherit()).output()?;
        alarm::cancel();
        let output = String::from_utf8(output.stdout)?;
        let (cost, printed) = output
            .split_once('\n')
            .ok_or(format!("{program:?} failed"))?;
        let (time, memory) = cost.split_once(' ').ok_or("no cost")?;
        self.times.push(time.parse::<f64>()? - sleeps);
        self.memory.push(memory.parse()?);
        let lines = printed.lines().filter(|line| !line.is_empty());
        let mut lines: Vec<&str> = lines
            .map(|line| line.split(" in process ").next().unwrap_or(line))
            .collect();
        lines.sort();
        Ok(lines.join("\n"))
    }

    fn summaries(self) -> Result<(Summary, Summary)> {
        let summary = |samples| Summary::of(samples).ok_or("never run");
        Ok((summary(self.times)?, summary(self.memory)?))
    }
}

/// Runs a program and prints a line of its wall time and the peak memory of its
/// largest process, then what it printed. This is a process of its own since a
/// program's peak memory counts from that of the one who started it.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    let start = Instant::now();
    let output = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    let elapsed = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{program}: {}", output.status).into());
    }
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() * 1024;
    println!("{elapsed} {memory}\n{}", String::from_utf8(output.stdout)?);
    Ok(())
}
