//! The fourteen examples as whole processes, beside their Python counterparts.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};
use nix::unistd::alarm;
use tests::command;

use crate::frame::{Summary, Unit};
use crate::report::{Report, progress};
use crate::{Result, WORKSPACE, python};

pub struct Example {
    package: &'static str,
    pub name: &'static str,
    /// The seconds that it sleeps, which are not its cost.
    sleeps: u32,
    /// What it prints, without process ids; # stands for 0 to 4.
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

/// Builds the release binaries, each section by itself as a user would, and
/// tells in which folder they are: this program's.
pub fn build() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().ok_or("no folder")?;
    let target = folder.parent().ok_or("no target folder")?;
    for package in ["multiprocessing", "threading", "asyncio"] {
        progress(format!("cargo build --release -p {package}"));
        let mut cargo = Command::new(env::var("CARGO").unwrap_or("cargo".to_string()));
        cargo.args(["build", "--quiet", "--release", "-p", package]);
        cargo.arg("--target-dir").arg(target).current_dir(WORKSPACE);
        if !cargo.status()?.success() {
            return Err(format!("cargo build --release -p {package} failed").into());
        }
    }
    Ok(folder.to_path_buf())
}

impl Example {
    /// Runs both programs in turn and reports what they cost.
    pub fn measure(&self, folder: &Path, urls: &[String], report: &mut Report) -> Result<()> {
        let rounds = if self.sleeps > 0 { 3 } else { 7 };
        let program = folder.join(self.name);
        let script = format!("{WORKSPACE}/{}/src/bin/{}.py", self.package, self.name);
        let urls = if self.name == "fetch" { urls } else { &[] };
        let (mut ours, mut theirs) = (Costs::default(), Costs::default());
        let (mut python, mut wrong) = (python::exists(), 0);
        for round in 1..=rounds {
            progress(format!("{}, round {round} of {rounds}", self.name));
            if !self.run(Command::new(&program).args(urls), &mut ours)? {
                return Err(format!("{} did not print what it should", self.name).into());
            }
            if python {
                match self.run(tests::python().arg(&script).args(urls), &mut theirs) {
                    Ok(right) => wrong += usize::from(!right),
                    Err(_) => python = false,
                }
            }
        }

        let (time, memory) = ours.summaries()?;
        let mut row = vec![
            self.name.to_string(),
            Unit::Time.show_with_spread(&time),
            Unit::Memory.show_with_spread(&memory),
        ];
        if python {
            let (their_time, their_memory) = theirs.summaries()?;
            let faster = their_time.median / time.median;
            let smaller = their_memory.median / memory.median;
            let judged = report.judge(faster > 1.0 && smaller > 1.0);
            let wrong = match wrong {
                0 => String::new(),
                _ => format!(", wrong in {wrong} of {rounds} runs"),
            };
            row.extend([
                Unit::Time.show_with_spread(&their_time) + &wrong,
                Unit::Memory.show_with_spread(&their_memory),
                format!("{faster:.1} × faster, {smaller:.1} × smaller, {judged}"),
            ]);
        } else {
            row.extend(["could not run", "", "not measured"].map(String::from));
        }
        report.row(&row);
        Ok(())
    }

    /// Runs a program through [`run`]; tells whether it printed the right lines,
    /// in whatever order.
    fn run(&self, program: &Command, costs: &mut Costs) -> Result<bool> {
        alarm::set(60);
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
        costs
            .times
            .push(time.parse::<f64>()? - f64::from(self.sleeps));
        costs.memory.push(memory.parse()?);

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

#[derive(Default)]
struct Costs {
    times: Vec<f64>,
    memory: Vec<f64>,
}

impl Costs {
    fn summaries(self) -> Result<(Summary, Summary)> {
        let summary = |samples| Summary::of(samples).ok_or("never run");
        Ok((summary(self.times)?, summary(self.memory)?))
    }
}

/// Runs a program and prints a line of its wall time and the peak memory of its
/// largest process, then what it printed. This is a process of its own since a
/// program's peak memory is told to be no less than that of its starter, here
/// 3 MB.
pub fn run(program: &str, args: &[&str]) -> Result<()> {
    // A thousand threads reserve more than that for their stacks.
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
