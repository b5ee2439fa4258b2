//! The example `fetch` and its Python counterpart, with many pages of a server
//! on this machine. The Rust is the dev build that the README's command makes.

use std::process::{Command, Stdio};
use std::time::Instant;

use tests::{Server, respond};

use crate::cargo::{self, Profile};
use crate::common::{Result, WORKSPACE, output_of};
use crate::python;

const PAGES: usize = 200;

pub fn prepare() -> Result<()> {
    for profile in [Profile::Dev, Profile::Release] {
        cargo::build(profile, &["-p", "asyncio"])?;
    }
    Ok(())
}

pub fn dev_build(_: usize) -> Result<f64> {
    fetch(rust(Profile::Dev)?)
}

pub fn release_build(_: usize) -> Result<f64> {
    fetch(rust(Profile::Release)?)
}

pub fn aiohttp(_: usize) -> Result<f64> {
    let mut command = python::command()?;
    command.arg(format!("{WORKSPACE}/asyncio/src/bin/fetch.py"));
    fetch(command)
}

fn rust(profile: Profile) -> Result<Command> {
    let program = profile.folder()?.join("fetch");
    Ok(tests::command(
        program.to_str().ok_or("a path that is not UTF-8")?,
    ))
}

/// Runs a program with the addresses of all pages and returns the seconds that
/// the whole process takes.
fn fetch(mut program: Command) -> Result<f64> {
    let server =
        Server::start(|target, _, stream| respond(stream, "200 OK", "", target.as_bytes()));
    let targets: Vec<String> = (0..PAGES).map(|i| format!("/pages/{i}")).collect();
    program.args(targets.iter().map(|target| server.url(target)));
    program.stdin(Stdio::null());
    let start = Instant::now();
    let printed = output_of(&mut program)?;
    let elapsed = start.elapsed().as_secs_f64();
    assert!(printed.lines().eq(&targets));
    Ok(elapsed)
}
