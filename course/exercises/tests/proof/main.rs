//! Proves the tests of the exercises: each fails on the start that a learner
//! finds, passes on the solution, and fails on each wrong solution with the
//! message that is meant for it.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

/// How often the solutions run.
const RUNS: usize = 20;

/// What `todo!` says.
const NOT_DONE: &str = "not yet implemented";

/// The package of the exercises.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn each_exercise_has_a_start_a_solution_tests_and_two_wrong_solutions() {
    let starts = names("src").into_iter();
    let starts: BTreeSet<_> = starts
        .filter(|name| !["lib", "check"].contains(&name.as_str()))
        .collect();
    let tests = names("tests").into_iter();
    let tests: BTreeSet<_> = tests
        .filter(|name| !["main", "proof"].contains(&name.as_str()))
        .collect();
    assert_eq!(starts, names("solutions"));
    assert_eq!(starts, tests);
    assert_eq!(starts, names("wrong"));
    for name in starts {
        let wrong = names(&format!("wrong/{name}"));
        assert!(wrong.len() >= 2, "{name} has only {wrong:?}");
    }
}

#[test]
fn each_start_fails_each_of_its_tests() {
    let programs = build(Path::new(PACKAGE), &["--test", "exercises"]);
    for name in names("solutions") {
        let prefix = format!("{name}::");
        let output = run(&programs["exercises"], &["--list", &prefix]);
        let tests = text(&output).matches(": test").count();
        assert!(tests > 0, "{name} has no test");
        let output = run(&programs["exercises"], &["--test-threads=1", &prefix]);
        let text = text(&output);
        let failed = text.matches("... FAILED").count();
        let not_done = text.matches(NOT_DONE).count();
        assert_eq!(failed, tests, "a start of {name} passed a test:\n{text}");
        assert!(not_done >= tests, "{name} failed otherwise:\n{text}");
    }
}

#[test]
fn each_solution_passes_every_time() {
    let programs = build(
        Path::new(PACKAGE),
        &["--features", "solutions", "--test", "exercises"],
    );
    for _ in 0..RUNS {
        let output = run(&programs["exercises"], &[]);
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn each_wrong_solution_fails_with_its_message() {
    let programs = build(&wrong_package(), &[]);
    thread::scope(|scope| {
        let mut runs = Vec::new();
        for exercise in names("wrong") {
            for (i, name) in names(&format!("wrong/{exercise}")).iter().enumerate() {
                let path = format!("{PACKAGE}/wrong/{exercise}/{name}.rs");
                let program = &programs[&format!("wrong-{i}")];
                let tests = format!("tests::{exercise}::");
                runs.push(scope.spawn(move || check_wrong(&path, program, &tests)));
            }
        }
        let results = runs.into_iter().map(|run| run.join().unwrap());
        let faults: Vec<_> = results.filter_map(Result::err).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}

fn check_wrong(path: &str, program: &Path, tests: &str) -> Result<(), String> {
    let source = fs::read_to_string(path).unwrap();
    let mut lines = source.lines();
    let says = |line: Option<&str>, prefix| line?.strip_prefix(prefix).map(String::from);
    let (Some(_), Some(message)) = (
        says(lines.next(), "//! Wrong: "),
        says(lines.next(), "//! Fails with: "),
    ) else {
        return Err(format!(
            "{path} does not say what is wrong and how it fails"
        ));
    };
    let output = run(program, &[tests]);
    let text = text(&output);
    if output.status.success() {
        Err(format!("{path} passes"))
    } else if !text.contains(&message) {
        Err(format!("{path} fails otherwise:\n{text}"))
    } else {
        Ok(())
    }
}

/// Writes a package with as many tests as an exercise has wrong solutions. Each
/// is a crate that bears the name of the exercises' and has one wrong solution
/// of each exercise in the place of what stands there.
fn wrong_package() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-solutions");
    // What an earlier run left may be out of date.
    let _ = fs::remove_dir_all(&folder);
    let tests = folder.join("tests");
    fs::create_dir_all(&tests).unwrap();

    let root = Path::new(PACKAGE).ancestors().nth(2).unwrap();
    let manifest = MANIFEST.replace("ROOT", root.to_str().unwrap());
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    fs::write(folder.join("build.rs"), BUILD_SCRIPT).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();

    let mut crates: Vec<(String, String)> = Vec::new();
    for exercise in names("wrong") {
        for (i, name) in names(&format!("wrong/{exercise}")).iter().enumerate() {
            if i == crates.len() {
                crates.push(Default::default());
            }
            let module = |path| format!("#[path = {path:?}]\npub mod {exercise};\n");
            let (subjects, tests) = &mut crates[i];
            *subjects += &module(format!("{PACKAGE}/wrong/{exercise}/{name}.rs"));
            *tests += &module(format!("{PACKAGE}/tests/{exercise}.rs"));
        }
    }
    for (i, (subjects, modules)) in crates.into_iter().enumerate() {
        let source = format!(
            "extern crate self as exercises;\n\
             pub use original::check;\n\
             {subjects}mod tests {{\n{modules}}}\n\
             shared::multiprocessing::init_tests!();\n"
        );
        fs::write(tests.join(format!("wrong-{i}.rs")), source).unwrap();
    }
    folder
}

/// What the exercises and their tests depend on. `Cargo.lock` has the versions,
/// and the features are theirs, so that what is compiled already is used again.
const MANIFEST: &str = r#"
[package]
name = "wrong-solutions"
edition = "2024"

[workspace]

[dependencies]
anyhow = "*"
crossbeam-channel = "*"
futures = { version = "*", default-features = false, features = ["std"] }
original = { package = "exercises", path = "ROOT/course/exercises" }
reqwest = { version = "*", default-features = false }
shared = { path = "ROOT/shared", default-features = false }
tests = { path = "ROOT/tests" }
tokio = { version = "*", default-features = false }
"#;

/// Leaves out the debugging information, which is most of a program. A setting
/// of the profile would compile all dependencies anew.
const BUILD_SCRIPT: &str = r#"fn main() {
    println!("cargo::rustc-link-arg-tests=-Wl,--strip-debug");
}
"#;

/// Builds tests and returns the program of each.
fn build(folder: &Path, arguments: &[&str]) -> BTreeMap<String, PathBuf> {
    let mut cargo = Command::new(env!("CARGO"));
    // The build script of ring runs again when the variables change in which
    // cargo describes the package of this test.
    for (variable, _) in env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&variable);
        }
    }
    let output = cargo
        .args([
            "test",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let messages = output.stdout.split(|&byte| byte == b'\n');
    messages
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter_map(|message| {
            let program = message["executable"].as_str()?;
            Some((message["target"]["name"].as_str()?.into(), program.into()))
        })
        .collect()
}

/// The folder in which cargo builds.
fn target() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

fn run(program: &Path, arguments: &[&str]) -> Output {
    let mut program = Command::new(program);
    // A backtrace of each failure would hide what failed.
    program.env("RUST_BACKTRACE", "0");
    program.args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    let [out, error] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    format!("{out}{error}")
}

/// The names of what is in a folder of the package, without extensions.
fn names(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(format!("{PACKAGE}/{folder}")).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().into())
        .collect()
}
