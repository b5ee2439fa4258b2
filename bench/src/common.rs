//! What every part of the benchmark uses.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
pub const KIBIBYTE: usize = 1 << 10;
pub const MEBIBYTE: usize = 1 << 20;
pub const GIBIBYTE: u64 = 1 << 30;

/// Cargo's target folder: this program lies in one of its folders.
pub fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2);
    Ok(target.ok_or("no target folder")?.to_path_buf())
}

/// The folder for what the benchmark makes for itself.
pub fn folder() -> Result<PathBuf> {
    let folder = target()?.join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Returns what a command prints.
pub fn output_of(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}\n{stderr}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_string())
}

/// Starts this program again in a role that needs a process of its own; `main`
/// has the list of roles.
pub fn start_role(
    role: &str,
    args: &[&str],
    stdin: impl Into<Stdio>,
    stdout: impl Into<Stdio>,
) -> Result<Child> {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--child", role]).args(args);
    Ok(command.stdin(stdin).stdout(stdout).spawn()?)
}
