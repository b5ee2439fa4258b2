//! The fourteen examples of the tutorial, each a whole process, beside their
//! Python counterparts.

use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::unistd::alarm;
use tests::command;

use crate::cargo::{self, Profile};
use crate::common::{Result, WORKSPACE};
use crate::load::Load;
use crate::measure::{Summary, Unit, WATCHDOG};
use crate::python;
use crate::report::Report;

pub struct Example {
    package: &'static str,
    pub name: &'static str,
    /// The seconds that it sleeps, which are not counted as its cost.
    sleeps: u32,
    /// The lines that it prints, without process ids. A line with # stands for
    /// five lines, with 0 to 4 in its place.
    lines: &'static [&'static str],
}

pub const EXAMPLES: [Example; 14] = {
    const fn example(
        package: &'static str,
        name: &'static str,
        sleeps: u32,
        lines: &'static [&'static str],
    ) -> Example {
        Example {
            package,
            name,
            sleeps,
            lines,
        }
    }
    const SQUARES: &[&str] = &["[1, 4, 9, 16, 25]"];
    const SHARED: &[&str] = &["shared_num: 10", "shared_arr: [11, 12, 13, 14, 15]"];
    const QUEUE: &[&str] = &["Produced #", "Consumed #"];
    const PROCESSES: &[&str] = &["Worker # is running", "All processes have finished."];
    const THREADS: &[&str] = &["Worker # is running", "All threads have finished."];
    const CLASSES: &[&str] = &["Thread # is running", "All threads have finished."];
    const TASKS: &[&str] = &["Worker # is starting", "Worker # is finished"];
    [
        example("multiprocessing", "process", 0, PROCESSES),
        example("multiprocessing", "pool", 0, SQUARES),
        example("multiprocessing", "shared_memory", 0, SHARED),
        example("multiprocessing", "process_queue", 0, QUEUE),
        example("threading", "thread", 0, THREADS),
        example("threading", "thread_pool", 0, SQUARES),
        example("threading", "lock", 0, &["Final counter value: 1000"]),
        example("threading", "thread_queue", 0, QUEUE),
        example("threading", "thread_subclass", 0, CLASSES),
        example("asyncio", "tasks", 1, TASKS),
        example("asyncio", "fetch", 0, &["/one", "/two", "/three"]),
        example("asyncio", "async_queue", 5, QUEUE),
        example("asyncio", "semaphore", 3, TASKS),
        example("asyncio", "async_await", 1, &["Hello"]),
    ]
};

/// Builds the release programs, each section by itself as a user would.
pub fn build() -> Result<()> {
    for package in ["multiprocessing", "threading", "asyncio"] {
        cargo::build(Profile::Release, &["-p", package])?;
    }
    Ok(())
}

/// What the runs of an example and of its Python counterpart have cost so far.
#[derive(Default)]
pub struct Costs {
    ours: Samples,
    python: Samples,
    /// The number of runs in which Python did not print the expected lines.
    wrong: usize,
    load: Load,
}

#[derive(Default)]
struct Samples {
    times: Vec<f64>,
    memory: Vec<f64>,
}

impl Example {
    pub fn needs_aiohttp(&self) -> bool {
        self.name == "fetch"
    }

    /// Returns whether it is measured in this round. The first is number 1.
    pub fn has_round(&self, round: usize) -> bool {
        self.sleeps == 0 || round <= 3
    }

    /// Runs both programs.
    pub fn measure(&self, urls: &[String], costs: &mut Costs) -> Result<()> {
        let program = Profile::Release.folder()?.join(self.name);
        let script = format!("{WORKSPACE}/{}/src/bin/{}.py", self.package, self.name);
        let urls = if self.name == "fetch" { urls } else { &[] };
        let Costs {
            ours,
            python,
            wrong,
            load,
        } = costs;
        load.during(|| {
            if !self.run(Command::new(&program).args(urls), ours)? {
                return Err(format!("{} did not print the expected lines", self.name).into());
            }
            if python::exists() {
                let right = self.run(python::command()?.arg(&script).args(urls), python)?;
                *wrong += usize::from(!right);
            }
            Ok(())
        })
    }

    /// Runs a program through [`run`] and returns whether it printed the right
    /// lines, in any order.
    fn run(&self, program: &Command, samples: &mut Samples) -> Result<bool> {
        alarm::set(WATCHDOG);
        let output = command("/proc/self/exe")
            .args(["--child", "run"])
            .arg(program.get_program())
            .args(program.get_args())
            .stderr(Stdio::inherit())
            .output()?;
        alarm::cancel();
        let output = String::from_utf8(output.stdout)?;
        let (cost, printed) = output
            .split_once('\n')
            .ok_or(format!("{program:?} failed"))?;
        let (time, memory) = cost.split_once(' ').ok_or("no cost")?;
        let time = time.parse::<f64>()? - f64::from(self.sleeps);
        samples.times.push(time);
        samples.memory.push(memory.parse()?);

        let lines = printed
            .lines()
            .map(|line| line.split(" in process ").next());
        let mut lines: Vec<String> = lines.flatten().map(String::from).collect();
        let mut right = Vec::new();
        for line in self.lines {
            match line.contains('#') {
                true => right.extend((0..5).map(|i| line.replace('#', &i.to_string()))),
                false => right.push(line.to_string()),
            }
        }
        lines.sort();
        right.sort();
        Ok(lines == right)
    }
}

/// Adds the examples' table to the report.
pub fn report(examples: &[Example], costs: &[Costs], report: &mut Report) -> Result<()> {
    let columns = [
        "example",
        "ours",
        "its peak memory",
        "Python",
        "its peak memory",
        "goal: faster and smaller than Python",
        "remarks",
    ];
    report.head(
        "The examples: whole processes, without the time they sleep",
        &columns,
    );
    for (example, costs) in examples.iter().zip(costs) {
        let (time, memory) = costs.ours.summaries().ok_or("an example was never run")?;
        let mut row = vec![
            example.name.to_string(),
            Unit::Time.show_with_spread(&time),
            Unit::Memory.show_with_spread(&memory),
        ];
        if let Some((their_time, their_memory)) = costs.python.summaries() {
            let faster = their_time.median / time.median;
            let smaller = their_memory.median / memory.median;
            let judged = report.judge(faster > 1.0 && smaller > 1.0);
            row.extend([
                Unit::Time.show_with_spread(&their_time),
                Unit::Memory.show_with_spread(&their_memory),
                format!("{faster:.1} × faster, {smaller:.1} × smaller, {judged}"),
            ]);
        } else {
            row.extend(["", "", "not measured"].map(String::from));
        }
        let wrong = (costs.wrong > 0).then(|| {
            let runs = costs.python.times.len();
            format!(
                "Python's output was wrong in {} of {runs} runs.",
                costs.wrong
            )
        });
        let remarks: Vec<String> = wrong.into_iter().chain(costs.load.remark()).collect();
        row.push(remarks.join("<br>"));
        report.row(&row);
    }
    Ok(())
}

impl Samples {
    fn summaries(&self) -> Option<(Summary, Summary)> {
        Some((Summary::of(&self.times)?, Summary::of(&self.memory)?))
    }
}

/// Runs a program. Prints its wall time and the peak memory of its largest
/// process on one line, then what the program printed. This runs in a small
/// process of its own, because the peak that the kernel reports for a program is
/// at least that of the process that started it: here 3 MB.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    // The stacks of a thousand threads need more than the benchmark's limit.
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    setrlimit(Resource::RLIMIT_DATA, hard, hard)?;
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
    print!("{elapsed} {memory}\n{}", String::from_utf8(output.stdout)?);
    Ok(())
}
