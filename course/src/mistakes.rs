//! What the compiler does not refuse: mistakes that compile.
//!
//! A mistake is a program `mistakes/PAGE/NAME.rs`. The comment at its top says
//! how it ends, then what goes wrong:
//!
//! ```text
//! // never ends
//! // en: The thread waits for a lock that it holds itself.
//! // zh: 线程在等自己手里的锁。
//! ```
//!
//! If it says on standard error what is wrong, the words by which this is known
//! stand in the first line, too: `// ends with code 101: there is no reactor
//! running`.
//!
//! What one run printed stands in `NAME.stdout`, below the version of rustc and
//! the number of cores, and in `NAME.stderr`. `tests/mistakes.rs` runs it and
//! says what must go wrong.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::Both;
use crate::programs::{self, Built, Program};

/// A program that compiles and is wrong.
#[derive(Clone, Debug)]
pub struct Mistake {
    /// The page that shows it.
    pub page: String,
    /// Its name.
    pub name: String,
    /// The program, without the comment at its top.
    pub program: String,
    /// The exit code, or `None` if the program never ends.
    pub exit_code: Option<i32>,
    /// The words on standard error by which its error is known, if it has one.
    pub words: Option<String>,
    /// What one run printed.
    pub stdout: String,
    /// What it printed to standard error.
    pub stderr: String,
    /// Where that was: the version of rustc and the number of cores.
    pub recorded: String,
    /// What goes wrong, as Markdown.
    pub what_goes_wrong: Both,
    source: Program,
}

/// The mistake `name` of the page `page`.
///
/// # Errors
///
/// There is none of that name, or it cannot be read.
pub fn get(page: &str, name: &str) -> Result<Mistake> {
    let mut mistakes = read()?.into_iter();
    let mistake = mistakes.find(|mistake| mistake.page == page && mistake.name == name);
    mistake.with_context(|| {
        format!("there is no course/mistakes/{page}/{name}.rs: write it, or name one that is there")
    })
}

/// All mistakes, in alphabetical order.
///
/// # Errors
///
/// One of them cannot be read.
pub fn read() -> Result<Vec<Mistake>> {
    let mut mistakes = Vec::new();
    for program in programs::read("mistakes")? {
        let file = program.path.display().to_string();
        mistakes.push(Mistake::new(program).context(file)?);
    }
    Ok(mistakes)
}

impl Mistake {
    fn new(source: Program) -> Result<Mistake> {
        let [head] = &source.head[..] else {
            bail!("begin with one line that says how the program ends, then `// en: `");
        };
        let (end, words) = match head.split_once(": ") {
            Some((end, words)) => (end, Some(words.to_string())),
            None => (head.as_str(), None),
        };
        let exit_code = if end == "never ends" {
            None
        } else {
            let code = end.strip_prefix("ends with code ");
            let code = code.context("begin with `// never ends` or `// ends with code 0`")?;
            Some(code.parse().context("no number after `code`")?)
        };
        // Before the first recording there is none.
        let recorded =
            |ending| fs::read_to_string(source.path.with_extension(ending)).unwrap_or_default();
        let (stdout, stderr) = (recorded("stdout"), recorded("stderr"));
        let (place, stdout) = stdout.split_once('\n').unwrap_or_default();
        Ok(Mistake {
            page: source.page.clone(),
            name: source.name.clone(),
            program: source.code.clone(),
            exit_code,
            words,
            stdout: stdout.to_string(),
            stderr,
            recorded: place.to_string(),
            what_goes_wrong: source.text.clone(),
            source,
        })
    }

    /// The file of its recorded `stdout` or `stderr`.
    pub fn record(&self, stream: &str) -> PathBuf {
        self.source.path.with_extension(stream)
    }
}

/// Builds all mistakes and returns what came of each, in the same order.
///
/// # Errors
///
/// Cargo cannot build them.
pub fn build(mistakes: &[Mistake]) -> Result<Vec<Built>> {
    let programs: Vec<_> = mistakes
        .iter()
        .map(|mistake| mistake.source.clone())
        .collect();
    programs::build("mistakes", programs::DEPENDENCIES_OF_EXAMPLES, &programs)
}
