//! What the READMEs say, and what each example says of itself, holds.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs};

use shared::multiprocessing::Process;
use tests::{Running, Suite, command, python, run};

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// What a docstring stands between.
const QUOTES: &str = "\"\"\"";

/// A command may have to build everything first.
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Captures `factor`.
const CAPTURE: &str = "
use shared::multiprocessing::{self, Process};

fn main() -> anyhow::Result<()> {
    multiprocessing::init();
    let factor = std::env::args().count();
    let p = Process::new(move |n: usize| n * factor, (3,)).start()?;
    println!(\"{}\", p.join()?);
    Ok(())
}
";

/// Calls `init` inside a runtime.
const INSIDE: &str = "
use shared::multiprocessing::{self, Process};
use tokio::runtime::Runtime;

fn worker() {
    Runtime::new().unwrap().block_on(async {});
}

fn main() -> anyhow::Result<()> {
    Runtime::new()?.block_on(async {
        multiprocessing::init();
        Ok(Process::new(worker, ()).start()?.join()?)
    })
}
";

fn main() -> ExitCode {
    let mut suite = Suite::new();
    suite.limit = BUILD_LIMIT;
    suite.test("the console blocks do what they show", console_blocks);
    suite.test("the table has a row for each example", table_of_examples);
    suite.test("the map has every name that the Python uses", map_of_names);
    suite.test("links lead somewhere", links);
    suite.test("the Chinese says what the English says", chinese);
    suite.test("the features are those of shared", table_of_features);
    suite.test("the first errors read as they are quoted", table_of_errors);
    suite.test("a program outside the workspace builds", own_program);
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
    let readme = read(ENGLISH);
    let blocks = readme.split("```console\n").skip(1);
    let mut commands: Vec<(&str, BTreeSet<&str>)> = Vec::new();
    for line in blocks.flat_map(|block| block.lines().take_while(|line| *line != "```")) {
        match line.strip_prefix("$ ") {
            Some(command) => commands.push((command, BTreeSet::new())),
            None => drop(commands.last_mut().expect("a command first").1.insert(line)),
        }
    }
    assert!(commands.len() >= 2);
    // Shown in a block of its own, with what has to be installed before.
    commands.push(("cargo test --no-run", BTreeSet::new()));
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
    let readme = read(ENGLISH);
    let rows: Vec<_> = readme
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("`cargo run -p"))
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
        let page = format!("](course/pages/{name}.md)");
        let row = rows
            .iter()
            .find(|row| row.contains(&columns))
            .expect(&columns);
        assert!(row.split('|').nth(1).unwrap().contains(&page), "{page}");
        let differs = row.split('|').nth(5).unwrap().trim();
        let header = read(example.with_extension("rs"));
        assert_eq!(
            differs.is_empty(),
            !header.contains("//! Differs:\n"),
            "{name}"
        );
    }
}

/// The rows of the table with this header.
fn table<'a>(readme: &'a str, header: &str) -> Vec<&'a str> {
    let (_, table) = readme.split_once(&format!("\n{header}\n")).expect(header);
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    rows.skip(1).collect()
}

/// Every `module.name` of the Python files, whether imported or written out,
/// and every attribute of another object.
fn map_of_names() {
    let readme = read(ENGLISH);
    let map = table(&readme, "| Python | Rust |").join("\n");
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
            let (object, name) = word.split_once('.')?;
            // `queue` may also be a variable.
            let is_queue = object == "queue" && name != "Queue";
            if modules.contains(&object) && !is_queue {
                return Some(format!("{object}.{name}"));
            }
            let other = ["", "__init__", "append", "com", "net", "num", "org"];
            (!other.contains(&name)).then(|| format!(".{name}"))
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
    assert!(names.len() > 25, "{names:?}");
    for name in names {
        assert!(map.contains(&name), "{name} is not in the map");
    }
}

/// To a file of the repository, or to a heading.
fn links() {
    for readme in [ENGLISH, CHINESE].map(read) {
        let anchors = anchors(&readme);
        let links = links_of(&readme);
        assert!(links.len() > 30);
        for link in links {
            match link.strip_prefix('#') {
                Some(anchor) => assert!(anchors.contains(&anchor.to_string()), "{link}"),
                None => assert!(root().join(link).is_file(), "{link}"),
            }
        }
    }
}

/// What the links to the sections of a README end in, in their order.
fn anchors(readme: &str) -> Vec<String> {
    let headings = readme.lines().filter_map(|line| line.strip_prefix("## "));
    let anchors = headings.map(|heading| {
        let heading = heading.to_lowercase().replace(' ', "-");
        heading.replace(|c: char| !c.is_alphanumeric() && c != '-', "")
    });
    anchors.collect()
}

fn links_of(text: &str) -> Vec<&str> {
    let links = text.split("](").skip(1);
    links.map(|link| link.split_once(')').unwrap().0).collect()
}

/// What stands between backquotes, one or more of them.
fn codes(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        let code = rest[start..].trim_start_matches('`');
        let quotes = &rest[start..rest.len() - code.len()];
        let (code, after) = code.split_once(quotes).expect(quotes);
        codes.insert(code.split_whitespace().collect::<Vec<_>>().join(" "));
        rest = after;
    }
    codes
}

/// The two READMEs have the same blocks of code, and text by text the same
/// inline code and links.
fn chinese() {
    let [english, chinese] = [ENGLISH, CHINESE].map(read);
    assert!(links_of(&english).contains(&CHINESE) && links_of(&chinese).contains(&ENGLISH));
    let blocks = |readme: &str| -> Vec<String> {
        let blocks = readme.split("```").skip(1).step_by(2);
        blocks.map(String::from).collect()
    };
    assert_eq!(blocks(&english), blocks(&chinese));
    let (texts, translated) = (texts(&english), texts(&chinese));
    assert_eq!(texts.len(), translated.len());
    for (text, translated) in texts.iter().zip(&translated) {
        assert_eq!(text.is_empty(), translated.is_empty(), "{text}{translated}");
        assert_eq!(codes(text), codes(translated), "{text}");
        let links = numbered(&english, text);
        assert_eq!(links, numbered(&chinese, translated), "{text}");
    }
}

/// What a README says outside its blocks of code: each cell of a table, each
/// path of the layout, and what else there is in each section.
fn texts(readme: &str) -> Vec<String> {
    let prose: String = readme.split("```").step_by(2).collect();
    let mut texts = Vec::new();
    for section in prose.split("\n## ") {
        let mut rest = String::new();
        for line in section.lines() {
            if line.starts_with('|') {
                texts.extend(line.split('|').map(|cell| cell.trim().to_string()));
            } else if let Some(path) = line.strip_prefix("    ") {
                texts.push(format!("`{}`", path.split(' ').next().unwrap()));
            } else {
                rest += line;
                rest.push('\n');
            }
        }
        texts.push(rest);
    }
    texts
}

/// The links in a text of a README but those to the other README. A link to a
/// section is given by its number.
fn numbered(readme: &str, text: &str) -> BTreeSet<String> {
    let anchors = anchors(readme);
    let links = links_of(text).into_iter();
    let links = links.filter(|link| ![ENGLISH, CHINESE].contains(link));
    let numbered = links.map(|link| match link.strip_prefix('#') {
        Some(anchor) => format!("{:?}", anchors.iter().position(|it| it == anchor)),
        None => link.to_string(),
    });
    numbered.collect()
}

/// Each feature and each public module of `shared` has its row.
fn table_of_features() {
    let readme = read(ENGLISH);
    let rows = table(&readme, "| Feature | Module of `shared` | What it has |");
    let described: BTreeSet<_> = rows[..]
        .iter()
        .filter_map(|row| {
            let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
            Some((cells.nth(1)?.to_string(), cells.next()?.to_string()))
        })
        .filter(|(feature, _)| !feature.starts_with('-'))
        .collect();
    let library = read("shared/src/lib.rs");
    let mut feature = "";
    let mut declared = BTreeSet::new();
    for line in library.lines() {
        // A condition may take several lines.
        if let Some((_, rest)) = line.split_once("feature = \"") {
            (feature, _) = rest.split_once('"').unwrap();
        }
        if let Some(module) = line.strip_prefix("pub mod ") {
            let module = module.strip_suffix(';').unwrap();
            declared.insert((feature.to_string(), module.to_string()));
        }
    }
    assert!(declared.len() >= 5);
    assert_eq!(described, declared);
}

/// `own_program` provokes those that need a program of their own.
fn table_of_errors() {
    let readme = read(ENGLISH);
    let rows = table(&readme, "| What you see | What to do |").join("\n");
    let quoted = |text: &str| assert!(rows.contains(text), "{text}");

    let error = Process::new(|| {}, ()).start().map(|_| ()).unwrap_err();
    let message = "call shared::multiprocessing::init() first in main";
    assert!(error.to_string().starts_with(message), "{error}");
    quoted(message);
    quoted(&format!("{error:?}"));

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no_linker.rs");
    fs::write(&file, "fn main() {}").unwrap();
    let mut rustc = command("rustc");
    rustc.args(["-Clinker=no-such-cc", "-o"]);
    let failed = run(rustc.arg(file.with_extension("")).arg(&file));
    assert!(failed.stderr.contains("linker `no-such-cc` not found"));
    quoted("linker `cc` not found");
}

/// A package with the dependencies, the program and the test that the README
/// shows, and with two of the errors that it explains.
fn own_program() {
    let readme = read(ENGLISH);
    let block = |language: &str, n: usize| {
        let start = readme.split(&format!("```{language}\n")).nth(n).unwrap();
        start.split("```").next().unwrap().to_string()
    };
    let shared = root().join("shared");
    let path = format!("path = {shared:?}");
    let dependencies = block("toml", 1).replace("path = \"../shared\"", &path);
    assert!(dependencies.contains(&path));
    let package = "[package]\nname = \"own\"\nedition = \"2024\"\n[workspace]\n";
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own");
    for (file, text) in [
        ("Cargo.toml", package.to_string() + &dependencies),
        ("Cargo.lock", read("Cargo.lock")),
        ("src/main.rs", block("rust", 1)),
        ("examples/capture.rs", CAPTURE.to_string()),
        ("examples/inside.rs", INSIDE.to_string()),
        ("tests/process.rs", block("rust", 2)),
    ] {
        let file = own.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let cargo = |line: &str| {
        let mut cargo = command("cargo");
        cargo.args(line.split(' ')).arg("--offline");
        cargo.args(["--target-dir", "target"]).current_dir(&own);
        Running::start(&mut cargo, BUILD_LIMIT).finish()
    };

    let squares = cargo("run");
    assert!(
        squares.stdout == "[1, 4, 9, 16, 25]\n",
        "{}",
        squares.stderr
    );
    let test = cargo("test --test process");
    assert!(test.stdout.contains("test a_process_squares ... ok"));

    assert!(cargo("check --example capture").status.success());
    let capture = cargo("build --example capture");
    let inside = cargo("run --example inside");
    let rows = table(&readme, "| What you see | What to do |").join("\n");
    for (message, stderr) in [
        (
            "a target is a function or a closure that captures nothing",
            &capture.stderr,
        ),
        ("{closure@", &capture.stderr),
        (
            "Cannot start a runtime from within a runtime",
            &inside.stderr,
        ),
    ] {
        assert!(stderr.contains(message), "{stderr}");
        assert!(rows.contains(message), "{message}");
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
