//! The page *names* has a row for each public name of five modules of Python's,
//! and its lines of Rust compile.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use course::page::{Directive, Page};
use course::programs::{self, Program};
use course::tables::{Name, Names};
use course::{Both, contents, markdown, root};
use tests::Suite;

const MODULES: [&str; 5] = [
    "multiprocessing",
    "threading",
    "queue",
    "concurrent.futures",
    "asyncio",
];

/// Lines of Rust in a row.
const MOST_LINES: usize = 7;

/// Sentences in the text of a row.
const MOST_SENTENCES: usize = 2;

/// What the lines of Rust use, beside the variables that they are given.
const PRELUDE: &str = "\
#![allow(dead_code, non_snake_case, unused_variables)]

fn main() {}

fn square(n: i32) -> i32 {
    n * n
}

async fn fetch(n: u32) -> std::io::Result<String> {
    Ok(n.to_string())
}
";

/// The crates that the lines of Rust use.
const DEPENDENCIES: &str = r#"
anyhow = "*"
crossbeam-channel = "*"
futures = { version = "*", default-features = false, features = ["std"] }
nix = { version = "*", default-features = false, features = ["process"] }
serde = { version = "*", features = ["derive"] }
shared = { path = SHARED }
tokio = { version = "*", default-features = false, features = ["io-util", "macros", "net", "process", "rt-multi-thread", "sync", "time"] }
"#;

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.limit = Duration::from_secs(60);
    suite.test(
        "the page has a table for each module",
        each_module_has_a_table,
    );
    suite.test("no name has two rows", no_name_has_two_rows);
    suite.test("the rows are in alphabetical order", the_rows_are_in_order);
    suite.test(
        "each row has a short text in both languages",
        each_text_is_short,
    );
    suite.test("each row names a page of the course", each_page_is_listed);
    suite.test(
        "a row has Rust, or says that there is none",
        each_row_has_rust_or_says_why,
    );
    suite.test(
        "a row says in which versions a name is",
        each_version_is_one,
    );
    suite.python_test("each name of Python's has a row", each_name_has_a_row);
    suite.test(
        "each line of Rust is formatted like the rest",
        each_line_is_formatted,
    );
    suite.limit = Duration::from_secs(300);
    suite.test("each line of Rust compiles", each_line_compiles);
    suite.run()
}

fn rows() -> Vec<Name> {
    Names::read().unwrap().name
}

fn called(row: &Name) -> String {
    format!("{}.{}", row.module, row.name)
}

/// Fails with everything that is wrong.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn each_module_has_a_table() {
    let page = Page::read("names").unwrap();
    let tables: Vec<&str> = page
        .parts()
        .filter_map(|part| match &part.directive {
            Directive::Names(module) => Some(module.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(tables, MODULES);
    for row in rows() {
        assert!(tables.contains(&row.module.as_str()), "{}", called(&row));
    }
}

fn no_name_has_two_rows() {
    let mut seen = BTreeSet::new();
    let twice = rows().into_iter().map(|row| called(&row));
    none(twice.filter(|name| !seen.insert(name.clone())).collect());
}

/// Those of a module, and those that begin with `_` after the others.
fn the_rows_are_in_order() {
    let place = |row: &Name| {
        let module = MODULES.iter().position(|module| *module == row.module);
        (module, row.name.starts_with('_'), row.name.to_lowercase())
    };
    let wrong = rows()
        .windows(2)
        .filter(|pair| place(&pair[0]) > place(&pair[1]))
        .map(|pair| format!("{} comes before {}", called(&pair[1]), called(&pair[0])))
        .collect();
    none(wrong);
}

fn each_text_is_short() {
    let mut wrong = Vec::new();
    for row in rows() {
        let Both { en, zh } = row.says();
        // A colon or a semicolon does not end a sentence.
        for (text, ends) in [(&en, &[". ", "? "][..]), (&zh, &["。", "？"][..])] {
            let prose = format!("{} ", markdown::prose(text));
            let sentences: usize = ends.iter().map(|end| prose.matches(end).count()).sum();
            if !(1..=MOST_SENTENCES).contains(&sentences) {
                wrong.push(format!("{}: {sentences} sentences: {text}", called(&row)));
            }
        }
    }
    none(wrong);
}

fn each_page_is_listed() {
    let listed: BTreeSet<&str> = contents::listed().collect();
    let mut wrong = Vec::new();
    for row in rows() {
        if let Some(page) = &row.page
            && !listed.contains(page.as_str())
        {
            wrong.push(format!("{}: no page is called `{page}`", called(&row)));
        }
    }
    none(wrong);
}

fn each_row_has_rust_or_says_why() {
    let mut wrong = Vec::new();
    for row in rows() {
        let says_none = row.en.starts_with("There is none") && row.zh.contains("没有");
        match &row.rust {
            None if !says_none => {
                wrong.push(format!("{}: say why there is none", called(&row)));
            }
            Some(rust) if !(1..=MOST_LINES).contains(&rust.trim().lines().count()) => {
                wrong.push(format!("{}: more than {MOST_LINES} lines", called(&row)));
            }
            Some(_) if says_none => {
                wrong.push(format!("{}: there is none, and there it is", called(&row)));
            }
            _ => {}
        }
        if row.given.is_some() && row.rust.is_none() {
            wrong.push(format!("{}: `given` without `rust`", called(&row)));
        }
    }
    none(wrong);
}

/// `3.12` as a number that can be compared.
fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn each_version_is_one() {
    for row in rows() {
        for text in row.since.iter().chain(&row.until) {
            assert!(version(text).is_some(), "{}: {text}", called(&row));
        }
    }
}

/// Prints the version, the names in the `__all__` of each module, and those names
/// with a row that a module has at all: `TaskGroup` is in no `__all__` of 3.11.
const ASK: &str = "
import importlib, sys, warnings
warnings.simplefilter('ignore')
print('%d.%d' % sys.version_info[:2])
for name in sys.argv[1].split():
    for public in importlib.import_module(name).__all__:
        print('public', name, public)
for row in sys.argv[2:]:
    module, name = row.split()
    if hasattr(importlib.import_module(module), name):
        print('has', module, name)
";

fn each_name_has_a_row() {
    let rows = rows();
    let mut python = tests::python();
    python.args(["-c", ASK, &MODULES.join(" ")]);
    python.args(
        rows.iter()
            .map(|row| format!("{} {}", row.module, row.name)),
    );
    let output = python.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = String::from_utf8(output.stdout).unwrap();
    let (python, names) = output.split_once('\n').unwrap();
    let python = version(python).unwrap();
    let names: BTreeSet<&str> = names.lines().collect();

    // Which versions a row is for, as far as it says so.
    let rows: BTreeMap<String, bool> = rows
        .iter()
        .map(|row| {
            let since = row.since.as_deref().and_then(version);
            let until = row.until.as_deref().and_then(version);
            let is_for = since.is_none_or(|since| since <= python)
                && until.is_none_or(|until| python <= until);
            (format!("{} {}", row.module, row.name), is_for)
        })
        .collect();

    let mut wrong = Vec::new();
    for name in names.iter().filter_map(|name| name.strip_prefix("public ")) {
        match rows.get(name) {
            None => wrong.push(format!("{name} has no row in course/pages/names.toml")),
            Some(false) => wrong.push(format!(
                "{name}: its `since` or `until` leaves out this Python, which has it"
            )),
            Some(true) => {}
        }
    }
    for (name, _) in rows.iter().filter(|(_, is_for)| **is_for) {
        if !names.contains(format!("has {name}").as_str()) {
            wrong.push(format!(
                "{name}: this Python lacks it: add `since` or `until`"
            ));
        }
    }
    none(wrong);
}

/// A program of the rows of one module, and in which line which of them begins.
fn program(module: &str) -> (Program, Vec<(usize, String)>) {
    let mut code = PRELUDE.to_string();
    let mut begins = Vec::new();
    // Only there can a line wait for a future.
    let fn_ = if module == "asyncio" {
        "async fn"
    } else {
        "fn"
    };
    for row in Names::of(module).unwrap() {
        let Some(rust) = &row.rust else { continue };
        begins.push((code.lines().count() + 1, called(&row)));
        let given = row.given.as_deref().unwrap_or_default();
        writeln!(
            code,
            "\n{fn_} row_{}({given}) -> anyhow::Result<()> {{",
            row.name
        )
        .unwrap();
        for line in rust.trim().lines() {
            writeln!(code, "    {line}").unwrap();
        }
        code += "    Ok(())\n}\n";
    }
    let program = Program {
        page: "names".into(),
        name: module.replace('.', "_"),
        path: root().join("course/pages/names.toml"),
        head: Vec::new(),
        text: Both::default(),
        code,
    };
    (program, begins)
}

/// The width of a line of code in the table, and the indent of a function.
const WIDTH: usize = 80 + 4;

fn each_line_is_formatted() {
    let mut wrong = Vec::new();
    for module in MODULES {
        let (program, _) = program(module);
        let mut rustfmt = Command::new("rustfmt")
            .args(["--edition", "2024", "--config"])
            .arg(format!("max_width={WIDTH},use_small_heuristics=Max"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = rustfmt.stdin.take().unwrap();
        stdin.write_all(program.code.as_bytes()).unwrap();
        drop(stdin);
        let output = rustfmt.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "rustfmt cannot read the lines of {module}"
        );
        let formatted = String::from_utf8(output.stdout).unwrap();
        for row in Names::of(module).unwrap() {
            let Some(rust) = &row.rust else { continue };
            let lines: String = rust
                .trim()
                .lines()
                .map(|line| format!("    {line}\n"))
                .collect();
            if !formatted.contains(&format!("{{\n{lines}    Ok(())\n}}")) {
                let (_, after) = formatted.split_once(&format!("row_{}(", row.name)).unwrap();
                let (after, _) = after.split_once("    Ok(())").unwrap();
                wrong.push(format!("{}: rustfmt writes:\n{after}", called(&row)));
            }
        }
    }
    none(wrong);
}

fn each_line_compiles() {
    let (programs, begins): (Vec<_>, Vec<_>) = MODULES.into_iter().map(program).unzip();
    let built = programs::build("names", DEPENDENCIES, &programs).unwrap();
    let mut wrong = Vec::new();
    for ((program, begins), built) in programs.iter().zip(begins).zip(built) {
        for said in &built.diagnostics {
            let line = said.line(program).unwrap_or_default();
            let row = begins.iter().rev().find(|(begin, _)| *begin <= line);
            let row = row.map_or("course/tests/names.rs", |(_, row)| row);
            wrong.push(format!("{row}:\n{}\n", said.rendered));
        }
        assert!(
            built.executable.is_some() || !wrong.is_empty(),
            "{} does not compile, and rustc does not say why",
            program.name
        );
    }
    none(wrong);
}
