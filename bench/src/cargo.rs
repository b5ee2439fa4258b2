//! Builds the examples that are measured.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::common::{Result, WORKSPACE, target};
use crate::progress;

#[derive(Clone, Copy)]
pub enum Profile {
    Dev,
    Release,
}

impl Profile {
    /// The folder where Cargo puts the programs of this profile.
    pub fn folder(self) -> Result<PathBuf> {
        Ok(target()?.join(match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }))
    }
}

/// Returns a `cargo` command without arguments.
pub fn command() -> Command {
    let mut cargo = Command::new(env::var("CARGO").unwrap_or("cargo".to_string()));
    cargo.current_dir(WORKSPACE);
    cargo
}

/// Builds the packages that `selection`, such as `-p asyncio`, names.
pub fn build(profile: Profile, selection: &[&str]) -> Result<()> {
    let mut args = vec!["build"];
    if let Profile::Release = profile {
        args.push("--release");
    }
    args.extend(selection);
    progress::clear();
    eprintln!("cargo {}", args.join(" "));
    let mut cargo = command();
    cargo.args(&args).arg("--quiet");
    cargo.arg("--target-dir").arg(target()?);
    if !cargo.status()?.success() {
        return Err(format!("`cargo {}` failed; its messages are above", args.join(" ")).into());
    }
    Ok(())
}
