//! Small programs that belong to a page and are not a part of the course's own
//! code. Each begins with a comment that says what it shows:
//!
//! ```text
//! // line 11: error[E0373]
//! // en: The thread would read `i` after the loop has gone on.
//! // zh: 线程读 `i` 时，循环可能已经走到下一轮。
//!
//! use std::thread;
//! ```
//!
//! [`build`] builds many of them by one cargo command, and those that do not
//! compile as far as they go. [`refusals`](crate::refusals) and
//! [`mistakes`](crate::mistakes) say what must come of it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Both, root};

/// A program and the comment at its top.
#[derive(Clone, Debug)]
pub struct Program {
    /// The page that shows it.
    pub page: String,
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The lines of the comment before `en:`, without `// `.
    pub head: Vec<String>,
    /// What stands after `en:` and `zh:`.
    pub text: Both,
    /// The program without the comment. Its lines are counted from 1, by the
    /// page as by the compiler, which gets it so as well.
    pub code: String,
}

/// The programs `PAGE/NAME.rs` of a folder of the course, in alphabetical
/// order.
///
/// # Errors
///
/// One of them cannot be read, or does not begin as a program here has to.
pub fn read(folder: &str) -> Result<Vec<Program>> {
    let mut programs = Vec::new();
    for page in entries(&root().join("course").join(folder))? {
        for path in entries(&page)? {
            if path.extension().is_some_and(|ending| ending == "rs") {
                let file = path.display().to_string();
                programs.push(Program::read(&page, path).context(file)?);
            }
        }
    }
    Ok(programs)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let cannot = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

impl Program {
    fn read(page: &Path, path: PathBuf) -> Result<Program> {
        let stem = |path: &Path| Some(path.file_stem()?.to_str()?.to_string());
        let file = fs::read_to_string(&path)?;
        let Some((comment, code)) = file.split_once("\n\n") else {
            bail!("write an empty line after the comment at the top");
        };
        let mut head = Vec::new();
        for line in comment.lines() {
            let line = line.strip_prefix("// ");
            head.push(line.context("begin each line of the comment with `// `")?);
        }
        let mut text = |language| {
            let line = head.pop().and_then(|line| line.strip_prefix(language));
            line.with_context(|| format!("end the comment with `en: ` and `zh: `: no `{language}`"))
        };
        let (zh, en) = (text("zh: ")?, text("en: ")?);
        Ok(Program {
            page: stem(page).context("the folder's name is not text")?,
            name: stem(&path).context("the name is not text")?,
            text: Both::new(en, zh),
            head: head.into_iter().map(String::from).collect(),
            code: code.to_string(),
            path,
        })
    }

    /// `PAGE/NAME.rs`, as the compiler calls it.
    pub fn file(&self) -> String {
        format!("{}/{}.rs", self.page, self.name)
    }

    /// The name of its executable.
    fn binary(&self) -> String {
        format!("{}-{}", self.page, self.name)
    }
}

/// What came of building a program.
#[derive(Debug, Default)]
pub struct Built {
    /// The executable, if the program compiles.
    pub executable: Option<PathBuf>,
    /// What the compiler says of it, in order.
    pub diagnostics: Vec<Diagnostic>,
}

/// An error or a warning of the compiler.
#[derive(Debug)]
pub struct Diagnostic {
    /// Whether it is an error.
    pub is_error: bool,
    /// The code of the error, as `E0373`, or the name of the lint.
    pub code: Option<String>,
    /// What it says first.
    pub message: String,
    /// All that it says, as a terminal shows it, with the paths of libraries
    /// shortened to what they are on any machine.
    pub rendered: String,
}

impl Diagnostic {
    fn new(message: &Value) -> Option<Diagnostic> {
        let is_error = match message["level"].as_str()? {
            "error" => true,
            "warning" => false,
            _ => return None,
        };
        Some(Diagnostic {
            is_error,
            code: message["code"]["code"].as_str().map(String::from),
            message: message["message"].as_str()?.to_string(),
            rendered: shorten_paths(message["rendered"].as_str()?.trim_end()),
        })
    }

    /// The line of the program that it names first. The place of an error that
    /// is found while code is made is in the library, and the line of the
    /// program stands in a note.
    pub fn line(&self, program: &Program) -> Option<usize> {
        let place = format!("{}:", program.file());
        let (_, rest) = self.rendered.split_once(&place)?;
        rest.split(':').next()?.parse().ok()
    }
}

/// Shortens the paths in a message to `shared/src/..`, `tokio-1.54.1/src/..`
/// and `library/core/src/..`.
fn shorten_paths(message: &str) -> String {
    let mut short = message.replace(&format!("{}/", root().display()), "");
    // What stands before the part that is left out, and after it.
    for (before, after) in [
        ("/registry/src/", "/"),
        ("/rustc/", "/"),
        ("/lib/rustlib/src/", "rust/"),
    ] {
        while let Some(found) = short.find(before) {
            let start = short[..found]
                .rfind(char::is_whitespace)
                .map_or(0, |i| i + 1);
            let rest = &short[found + before.len()..];
            let rest = rest.split_once(after).map_or(rest, |(_, rest)| rest);
            short = format!("{}{rest}", &short[..start]);
        }
    }
    short
}

/// Builds programs and returns what came of each, in the same order.
///
/// It makes a package called `package` of them, below the target directory, that
/// has these `dependencies`. They are built and not only checked, because some
/// errors, such as E0080, are found only while code is made.
///
/// # Errors
///
/// Cargo cannot run, or does not come so far as to compile each program.
pub fn build(package: &str, dependencies: &str, programs: &[Program]) -> Result<Vec<Built>> {
    let target = root().join(env::var_os("CARGO_TARGET_DIR").unwrap_or("target".into()));
    let folder = target.join("programs").join(package);
    let mut manifest = MANIFEST.replace("PACKAGE", package) + dependencies;
    manifest = manifest.replace("SHARED", &format!("{:?}", root().join("shared")));
    for program in programs {
        let (name, path) = (program.binary(), program.file());
        manifest += &format!("\n[[bin]]\nname = {name:?}\npath = {path:?}\n");
        write(&folder.join(path), &program.code)?;
    }
    write(&folder.join("Cargo.toml"), &manifest)?;
    write(&folder.join("build.rs"), BUILD_SCRIPT)?;
    // The versions of the workspace.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock"))?;

    let output = cargo()
        .args(["build", "--keep-going", "--quiet"])
        .arg("--message-format=json")
        .arg("--target-dir")
        .arg(target)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .context("cannot run cargo")?;

    let mut built: BTreeMap<String, Built> = BTreeMap::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let Some(name) = message["target"]["name"].as_str() else {
            continue;
        };
        let built = built.entry(name.to_string()).or_default();
        match message["reason"].as_str() {
            Some("compiler-artifact") => {
                built.executable = message["executable"].as_str().map(PathBuf::from);
            }
            Some("compiler-message") => {
                built
                    .diagnostics
                    .extend(Diagnostic::new(&message["message"]));
            }
            _ => {}
        }
    }
    let mut result = Vec::new();
    for program in programs {
        match built.remove(&program.binary()) {
            Some(built) => result.push(built),
            None => bail!(
                "cargo has not come to {}:\n{}",
                program.file(),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }
    Ok(result)
}

/// `build` adds the dependencies.
const MANIFEST: &str = r#"# Made by course/src/programs.rs.
[package]
name = "PACKAGE"
edition = "2024"
autobins = false

[workspace]

[dependencies]
"#;

/// What the examples depend on. `Cargo.lock` has the versions.
pub const DEPENDENCIES_OF_EXAMPLES: &str = r#"
anyhow = "*"
crossbeam-channel = "*"
futures = { version = "*", default-features = false, features = ["std"] }
reqwest = { version = "*", default-features = false, features = ["rustls-no-provider"] }
shared = { path = SHARED, features = ["aiohttp"] }
tokio = { version = "*", default-features = false, features = ["macros", "rt", "sync", "time"] }
"#;

/// Leaves out the debugging information, which is fifty times as large as these
/// programs. A setting of the profile would compile all dependencies anew.
const BUILD_SCRIPT: &str = r#"fn main() {
    println!("cargo::rustc-link-arg-bins=-Wl,--strip-debug");
}
"#;

/// Writes a file unless it is there with this text, because cargo builds anew
/// what has been written.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let cannot = || format!("cannot write {}", path.display());
    fs::create_dir_all(path.parent().with_context(cannot)?).with_context(cannot)?;
    fs::write(path, text).with_context(cannot)
}

/// Cargo, without the variables in which a cargo that runs this program
/// describes the package `course`. Build scripts that look at them would run
/// anew.
fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|told| name.starts_with(told))
        {
            command.env_remove(&*name);
        }
    }
    command
}

/// What the compiler calls itself, as `rustc 1.95.0 (59807616e 2026-04-14)`.
///
/// # Errors
///
/// It cannot run.
pub fn compiler() -> Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let version = output.context("cannot run rustc")?.stdout;
    Ok(String::from_utf8(version)?.trim().to_string())
}
