//! The contenders in Python: `contenders.py`, started once for each measurement.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::common::{Result, folder, output_of};
use crate::{inputs, progress};

/// The interpreter that `find` has found.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The names under which Python 3.11 or newer may be found.
const NAMES: [&str; 5] = [
    "python3",
    "python3.14",
    "python3.13",
    "python3.12",
    "python3.11",
];

const NO_PYTHON: &str = "Python 3.11 or newer, with which `shared` is compared, was not found.
Install it, on Debian and Ubuntu with
    sudo apt install python3 python3-venv
or measure without it, which leaves Python's columns empty:
    cargo run --release -p bench -- --without-python";

const NO_AIOHTTP: &str =
    "The package aiohttp, which `fetch.py` needs, is missing and could not be installed.
On Debian and Ubuntu the module `venv` is a package, and PyPI has to be reachable:
    sudo apt install python3-venv
or let an environment with aiohttp be the first `python3` on the PATH.";

/// Finds Python. If `aiohttp` is needed and missing, a virtual environment that
/// has it is made in the target folder, once.
pub fn find(aiohttp: bool) -> Result<()> {
    let mut program = NAMES.into_iter().find_map(ask_for_program);
    if let (Some(system), true) = (&program, aiohttp)
        && !has_aiohttp(system)
    {
        program = Some(environment(system)?);
    }
    let program = program.ok_or(NO_PYTHON)?;
    PROGRAM
        .set(program)
        .map_err(|_| "python::find was called twice")?;
    Ok(())
}

/// Returns the path of the interpreter itself, because `python3` may be a script
/// that searches for an interpreter at each call.
fn ask_for_program(name: &str) -> Option<PathBuf> {
    let script = "import sys; assert sys.version_info >= (3, 11); print(sys.executable)";
    let asked = output_of(tests::command(name).args(["-c", script]));
    asked.ok().map(PathBuf::from)
}

fn has_aiohttp(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.args(["-c", "import aiohttp"]);
    output_of(&mut command).is_ok()
}

fn environment(system: &Path) -> Result<PathBuf> {
    let folder = folder()?.join("venv");
    let program = folder.join("bin/python");
    if has_aiohttp(&program) {
        return Ok(program);
    }
    let mut venv = Command::new(system);
    venv.args(["-m", "venv", "--clear"]).arg(&folder);
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--quiet", "aiohttp==3.*"]);
    for command in [&mut venv, &mut pip] {
        progress::clear();
        eprintln!("{command:?}");
        output_of(command.stdin(Stdio::null()))
            .map_err(|error| format!("{NO_AIOHTTP}\n\n{error}"))?;
    }
    Ok(program)
}

/// Returns whether Python has been found.
pub fn exists() -> bool {
    PROGRAM.get().is_some()
}

/// The command that runs Python.
pub fn command() -> Result<Command> {
    let program = PROGRAM.get().ok_or(NO_PYTHON)?;
    Ok(tests::command(
        program.to_str().ok_or("a path that is not UTF-8")?,
    ))
}

/// Calls a function of `contenders.py` with `n` and returns what one operation
/// costs.
pub fn run(function: &str, n: usize) -> Result<f64> {
    let mut command = command()?;
    command
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/contenders.py"))
        .args([function, &n.to_string()])
        .env("BENCH_TEXT", inputs::text()?);
    Ok(output_of(&mut command)?.parse()?)
}
