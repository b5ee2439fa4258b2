//! Measures `shared` against Python, its Rust peers and bare system calls: the
//! same work, in the same run, turn by turn, every result checked.
//!
//!     cargo run --release -p bench              # all; writes bench/RESULTS.md
//!     cargo run --release -p bench -- queue     # what has "queue" in its name
//!     cargo run --release -p bench -- examples  # the fourteen, or one by its name

#![deny(unsafe_code)]

mod chart;
mod examples;
mod frame;
mod limits;
mod ours;
mod peers;
mod python;
mod report;
#[expect(unsafe_code, reason = "POSIX's robust mutex has no safe wrapper")]
mod robust;
mod works;

use std::env;
use std::error::Error;
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tests::{Server, respond};

use crate::examples::EXAMPLES;
use crate::peers::ipc_channel;
use crate::report::Report;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const MEBIBYTE: usize = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

fn main() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if let ["--child", role @ ..] = &args[..] {
        return play(role);
    }
    shared::multiprocessing::init();
    procspawn::init();
    if cfg!(debug_assertions) {
        return Err("only a release build tells anything: cargo run --release -p bench".into());
    }
    bench(&args)
}

/// Measures whatever has one of the given words in its name.
fn bench(words: &[&str]) -> Result<()> {
    let chosen = |name: &str| {
        let name = name.to_lowercase();
        words.is_empty() || words.iter().any(|word| name.contains(&word.to_lowercase()))
    };
    let mut works = works::works();
    works.retain(|work| chosen(work.name));
    let mut curves = works::curves();
    curves.retain(|curve| chosen(curve.work.name));
    let mut examples = Vec::from(EXAMPLES);
    examples.retain(|example| {
        words.is_empty() || words.contains(&example.name) || words.contains(&"examples")
    });
    let folder = if examples.is_empty() {
        None
    } else {
        Some(examples::build()?)
    };

    // Nobody takes more memory than this, whatever goes wrong.
    let (_, hard) = getrlimit(Resource::RLIMIT_DATA)?;
    setrlimit(Resource::RLIMIT_DATA, hard.min(GIBIBYTE), hard)?;

    let mut report = Report::new()?;
    if !works.is_empty() {
        let columns = [
            "work",
            "ours",
            "Python",
            "Rust peers",
            "limit",
            "goal",
            "reached",
        ];
        report.head("Works", &columns);
    }
    for work in works {
        report.work(&work, &work.measure()?);
    }
    if let Some(folder) = folder {
        let columns = [
            "example",
            "ours",
            "its peak memory",
            "Python",
            "its peak memory",
            "goal",
        ];
        report.head("Examples: the whole process, less what it sleeps", &columns);
        let server =
            Server::start(|target, _, stream| respond(stream, "200 OK", "", target.as_bytes()));
        let urls = ["/one", "/two", "/three"].map(|target| server.url(target));
        for example in examples {
            example.measure(&folder, &urls, &mut report)?;
        }
    }
    for curve in curves {
        let points = curve.work.measure_growth(&curve.sizes)?;
        report.curve(&curve, &points);
        if words.is_empty() {
            chart::draw(&curve, &points)?;
        }
    }
    if words.is_empty() {
        report.write()?;
    }
    Ok(())
}

/// Starts this program again in a role that needs a process of its own.
fn child(
    role: &str,
    args: &[&str],
    stdin: impl Into<Stdio>,
    stdout: impl Into<Stdio>,
) -> Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--child", role]).args(args);
    Ok(command.stdin(stdin).stdout(stdout).spawn()?)
}

fn play(role: &[&str]) -> Result<()> {
    match *role {
        ["exit"] => Ok(()),
        ["echo", size] => limits::echo(size),
        ["increment", n] => limits::increment_on_signal(n),
        ["ipc-produce", server, n] => ipc_channel::produce(server, n),
        ["ipc-produce-bytes", server, size, n] => ipc_channel::produce_bytes(server, size, n),
        ["ipc-echo", server] => ipc_channel::echo(server),
        ["ipc-echo-bytes", server] => ipc_channel::echo_bytes(server),
        ["run", program, ref args @ ..] => examples::run(program, args),
        _ => Err(format!("no such role: {role:?}").into()),
    }
}
