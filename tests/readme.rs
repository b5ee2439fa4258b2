//! What README.md says, and what each example says of itself, holds.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use tests::{Running, Suite, command, python, run};

/// What a docstring stands between.
const QUOTES: &str = "\"\"\"";

/// A command may have to build everything first.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.limit = BUILD_LIMIT;
    suite.test("the console blocks do what they show", console_blocks);
    suite.test("the table has a row for each example", table_of_examples);
    suite.test("the map has every name that the Python uses", map_of_names);
    suite.test("each example keeps to the form", form_of_examples);
    suite.python_test(
        "no Python file hides a module of Python's",
        no_module_is_hidden,
    );
    suite.run()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The examples, as `section/src/bin/name` without an ending.
fn examples() -> BTreeSet<PathBuf> {
    ["multiprocessing", "threading", "asyncio"]
        .into_iter()
        .flat_map(|section| fs::read_dir(root().join(section).join("src/bin")).unwrap())
        .map(|file| file.unwrap().path().with_extension(""))
        .map(|file| file.strip_prefix(root()).unwrap().to_path_buf())
        .collect()
}

fn section_and_name(example: &Path) -> (&str, &str) {
    let section = example.iter().next().unwrap().to_str().unwrap();
    (section, example.file_name().unwrap().to_str().unwrap())
}

/// After each `$` command comes what it prints, unless nothing is shown.
fn console_blocks() {
    let readme = read("README.md");
    let blocks = readme.split("```console\n").skip(1);
    let mut commands: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for line in blocks.flat_map(|block| block.lines().take_while(|line| *line != "```")) {
        match line.strip_prefix("$ ") {
            // What runs this test runs all tests already.
            Some("cargo test") => commands.push(("cargo test --no-run", BTreeSet::new())),
            Some(command) => commands.push((command, BTreeSet::new())),
            None => drop(commands.last_mut().expect("a command first").1.insert(line)),
        }
    }
    assert!(commands.len() >= 2);
    for (line, output) in commands {
        let mut shell = command("sh");
        shell.args(["-c", line]).current_dir(root());
        let run = Running::start(&mut shell, BUILD_LIMIT).finish();
        assert!(run.status.success());
        assert!(!run.stderr.contains("warning"), "a warning");
        // Tasks may take turns in another order than is shown.
        assert!(output.is_empty() || output == run.lines().into_iter().collect());
    }
}

fn table_of_examples() {
    let readme = read("README.md");
    let rows: Vec<_> = readme
        .lines()
        .filter(|line| line.contains("`cargo run -p"))
        .collect();
    let examples = examples();
    assert_eq!((rows.len(), examples.len()), (14, 14));
    for example in examples {
        let (section, name) = section_and_name(&example);
        let path = example.display();
        let columns = format!(
            "| [{name}.py]({path}.py) | [{name}.rs]({path}.rs) \
             | `cargo run -p {section} --bin {name}` |"
        );
        let row = rows
            .iter()
            .find(|row| row.contains(&columns))
            .expect(&columns);
        let differs = row.split('|').nth(5).unwrap().trim();
        let header = read(example.with_extension("rs"));
        assert_eq!(
            differs.is_empty(),
            !header.contains("//! Differs:\n"),
            "{name}"
        );
    }
}

/// Every `module.name` of the Python files, whether imported or written out.
fn map_of_names() {
    let readme = read("README.md");
    let map = readme.split("\n| Python | Rust |\n").nth(1).unwrap();
    let modules = [
        "aiohttp",
        "asyncio",
        "multiprocessing",
        "os",
        "queue",
        "sys",
        "threading",
    ];
    let mut names = BTreeSet::new();
    for example in examples() {
        let source = read(example.with_extension("py"));
        let words = source.split(|c: char| !c.is_alphanumeric() && !"._".contains(c));
        names.extend(words.filter_map(|word| {
            let (module, name) = word.split_once('.')?;
            modules
                .contains(&module)
                .then(|| format!("{module}.{name}"))
        }));
        for line in source.lines() {
            if let Some((module, imported)) = line
                .strip_prefix("from ")
                .and_then(|line| line.split_once(" import "))
            {
                names.extend(imported.split(", ").map(|name| format!("{module}.{name}")));
            }
        }
    }
    // `queue` may also be a variable.
    names.retain(|name| !name.starts_with("queue.") || name == "queue.Queue");
    assert!(names.len() > 15, "{names:?}");
    for name in names {
        assert!(map.contains(&name), "{name} is not in the map");
    }
}

/// A header, a docstring that says what the tutorial has otherwise, a main
/// guard, the names of its counterpart in their order and with their
/// docstrings, half again its lines at most, 80 columns.
fn form_of_examples() {
    for example in examples() {
        let (section, name) = section_and_name(&example);
        let rust = read(example.with_extension("rs"));
        let python = read(example.with_extension("py"));
        let arguments = if name == "fetch" { " [URL...]" } else { "" };
        let header = format!(
            "//!\n//! Python: `{name}.py`\n\
             //! Run: `cargo run -p {section} --bin {name}{arguments}`\n"
        );
        assert!(
            rust.starts_with("//! ") && rust.contains(&header),
            "the header of {name}.rs"
        );
        assert!(
            python.contains("\nif __name__ == \"__main__\":\n"),
            "the guard of {name}.py"
        );
        assert_eq!(
            definitions(&rust, ["fn ", "struct "]),
            definitions(&python, ["def ", "class "]),
            "the names of {name}"
        );
        assert_eq!(
            documented(&rust, "/// ", ""),
            documented(&python, QUOTES, QUOTES),
            "the docstrings of {name}'s functions"
        );
        let (docstring, code) = python.split_once("\n\"\"\"\n\n").expect(name);
        assert!(
            docstring.contains("\n\nChanged from the tutorial: "),
            "the docstring of {name}.py"
        );
        // Of the docstring only the title counts, and an empty line after it.
        let lines = 2 + code.lines().count();
        assert!(2 * rust.lines().count() <= 3 * lines, "{name}.rs is long");
        // As in the tutorial, what is started has been stored before.
        if let (Some(store), Some(start)) = (python.find(".append("), python.find(".start()")) {
            assert!(store < start, "{name}.py starts before it appends");
        }
        for line in rust.lines().chain(python.lines()) {
            assert!(line.chars().count() <= 80, "in {name}: {line}");
        }
    }
}

/// The docstrings of functions: the text of each line that begins and ends with
/// these marks.
fn documented<'a>(source: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let text = |line: &'a str| line.trim_start().strip_prefix(before)?.strip_suffix(after);
    source.lines().filter_map(text).collect()
}

/// The names of functions and types, but for those that only one language has.
fn definitions<'a>(source: &'a str, keywords: [&str; 2]) -> Vec<&'a str> {
    let name = |line: &'a str| {
        let line = line.trim_start().trim_start_matches("async ");
        let rest = keywords
            .iter()
            .find_map(|keyword| line.strip_prefix(keyword))?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
    };
    source
        .lines()
        .filter_map(name)
        .filter(|name| !["main", "__init__"].contains(name))
        .collect()
}

fn no_module_is_hidden() {
    let code = "import sys; print(*sys.stdlib_module_names)";
    let run = run(python().args(["-c", code])).succeeded();
    for example in examples() {
        let (_, name) = section_and_name(&example);
        assert!(
            run.stdout.split_whitespace().all(|module| module != name),
            "{name}.py"
        );
    }
}
