//! Proves the tests of the exercises: each fails on the start that a learner
//! finds, passes on the solution, and fails on each wrong solution with the
//! message that is meant for it.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;
use toml::Table;

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
    let folder = wrong_package();
    let programs = build(&folder, &[]);
    let mut wrong = Vec::new();
    for exercise in names("wrong") {
        for name in names(&format!("wrong/{exercise}")) {
            let path = format!("{PACKAGE}/wrong/{exercise}/{name}.rs");
            wrong.push((path, &programs[&format!("{exercise}-{name}")]));
        }
    }
    thread::scope(|scope| {
        let runs: Vec<_> = wrong
            .iter()
            .map(|(path, program)| scope.spawn(move || check_wrong(path, program)))
            .collect();
        let faults: Vec<_> = runs
            .into_iter()
            .filter_map(|run| run.join().unwrap().err())
            .collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    });
}

fn check_wrong(path: &str, program: &Path) -> Result<(), String> {
    let source = fs::read_to_string(path).unwrap();
    let mut lines = source.lines();
    let says = |line: Option<&str>, prefix| line?.strip_prefix(prefix).map(String::from);
    let (Some(_), Some(message)) = (
        says(lines.next(), "//! Wrong: "),
        says(lines.next(), "//! Fails with: "),
    ) else {
        return Err(format!("{path} says not what is wrong, and how it fails"));
    };
    let output = run(program, &[]);
    let text = text(&output);
    if output.status.success() {
        Err(format!("{path} passes"))
    } else if !text.contains(&message) {
        Err(format!("{path} fails otherwise:\n{text}"))
    } else {
        Ok(())
    }
}

/// Writes a package with a test for each wrong solution: a crate that bears the
/// name of the exercises' and has the wrong module in the place of theirs.
fn wrong_package() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wrong-solutions");
    // What an earlier run left may be out of date.
    let _ = fs::remove_dir_all(&folder);
    let tests = folder.join("tests");
    fs::create_dir_all(&tests).unwrap();

    // The same versions and profiles as in the workspace, so that what is
    // compiled already is used again.
    let root = Path::new(PACKAGE).ancestors().nth(2).unwrap();
    let mut manifest = manifest(root);
    let paths = manifest["workspace"]["dependencies"]
        .as_table_mut()
        .unwrap();
    for path in paths.iter_mut().filter_map(|(_, of)| of.get_mut("path")) {
        *path = format!("{}/{}", root.display(), path.as_str().unwrap()).into();
    }
    manifest["workspace"]["members"] = vec!["."].into();
    manifest["workspace"]["default-members"] = vec!["."].into();
    let of_exercises = self::manifest(Path::new(PACKAGE));
    for (name, value) in ["package", "dependencies"].map(|name| (name, &of_exercises[name])) {
        manifest.insert(name.into(), value.clone());
    }
    manifest["package"]["name"] = "wrong-solutions".into();
    manifest["package"]["autotests"] = true.into();
    let of_tests = of_exercises["dev-dependencies"].as_table().unwrap();
    let dependencies = manifest["dependencies"].as_table_mut().unwrap();
    dependencies.extend(of_tests.clone());
    let original = format!("package = \"exercises\"\npath = {PACKAGE:?}");
    dependencies.insert("original".into(), original.parse::<Table>().unwrap().into());
    fs::write(folder.join("Cargo.toml"), manifest.to_string()).unwrap();
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();

    for exercise in names("wrong") {
        for name in names(&format!("wrong/{exercise}")) {
            let source = format!(
                "extern crate self as exercises;\n\
                 pub use original::check;\n\
                 #[path = {:?}]\npub mod {exercise};\n\
                 #[path = {:?}]\nmod tests;\n\
                 shared::multiprocessing::init_tests!();\n",
                format!("{PACKAGE}/wrong/{exercise}/{name}.rs"),
                format!("{PACKAGE}/tests/{exercise}.rs"),
            );
            fs::write(tests.join(format!("{exercise}-{name}.rs")), source).unwrap();
        }
    }
    folder
}

fn manifest(folder: &Path) -> Table {
    let text = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    text.parse().unwrap()
}

/// Builds tests and returns the program of each.
fn build(folder: &Path, arguments: &[&str]) -> BTreeMap<String, PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--message-format=json", "--offline"])
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", target())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
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
