//! What the compiler refuses: changes of an example that somebody who knows the
//! Python would try.
//!
//! A refusal is a program `refusals/PAGE/NAME.rs`: the example with a small
//! change. The comment at its top says at which line the compiler refuses it,
//! counted without this comment, and with which code, or for an error without a
//! code with which message: `// line 19: error: future cannot be sent between
//! threads safely`. After that it says what would have happened had it
//! compiled.
//!
//! What rustc says stands in `NAME.stderr`, below the version of rustc. [`record`]
//! writes it.

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::Both;
use crate::example::Example;
use crate::programs::{self, Built, Diagnostic, Program};

/// The most refusals of a page.
pub const MOST: usize = 3;

/// A program that a learner would try, and that does not compile.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The page that shows it.
    pub page: String,
    /// Its name.
    pub name: String,
    /// The program, without the lines at its top that say what is expected.
    pub program: String,
    /// The lines of `program` that differ from the example, counted from 1, and
    /// `line`.
    pub changed: Vec<RangeInclusive<usize>>,
    /// The line of `program` that rustc points at, counted from 1.
    pub line: usize,
    /// The code of the error, such as `E0277`, if it has one.
    pub code: Option<String>,
    /// The first line of what rustc says, without `error` and the code.
    pub summary: String,
    /// What rustc says, word for word. If it says more than one error of the
    /// program, the first.
    pub message: String,
    /// The version of rustc that says so.
    pub compiler: String,
    /// What would happen if it compiled, as Markdown.
    pub had_it_compiled: Both,
    source: Program,
}

/// The refusal `name` of the page `page`.
///
/// # Errors
///
/// There is none of that name, or it cannot be read.
pub fn get(page: &str, name: &str) -> Result<Refusal> {
    let mut refusals = read()?.into_iter();
    let refusal = refusals.find(|refusal| refusal.page == page && refusal.name == name);
    refusal.with_context(|| {
        format!("there is no course/refusals/{page}/{name}.rs: write it, or name one that is there")
    })
}

/// All refusals, in alphabetical order.
///
/// # Errors
///
/// One of them cannot be read.
pub fn read() -> Result<Vec<Refusal>> {
    let mut refusals = Vec::new();
    for program in programs::read("refusals")? {
        let file = program.path.display().to_string();
        refusals.push(Refusal::new(program).context(file)?);
    }
    Ok(refusals)
}

impl Refusal {
    fn new(source: Program) -> Result<Refusal> {
        let [head] = &source.head[..] else {
            bail!("begin with one line that says what rustc must say, then `// en: `");
        };
        let (line, error) = head
            .strip_prefix("line ")
            .and_then(|head| head.split_once(": error"))
            .context("begin with `// line N: error[E0000]` or `// line N: error: MESSAGE`")?;
        let code = error
            .strip_prefix('[')
            .and_then(|code| code.strip_suffix(']'));

        // Before the first recording there is none.
        let recorded = fs::read_to_string(record_path(&source)).unwrap_or_default();
        let (compiler, message) = recorded.split_once('\n').unwrap_or_default();
        let first = message.lines().next().unwrap_or_default();
        let summary = match code {
            Some(_) => first.split_once(": ").unwrap_or_default().1,
            None => error
                .strip_prefix(": ")
                .context("no message after `error`")?,
        };

        let example = Example::find(&source.page)?;
        let example = example.with_context(|| format!("no example is called {}", source.page))?;
        let line = line.parse().context("no number after `line`")?;
        let mut changed = changed(without_docs(&example.rust), &source.code);
        if !changed.iter().any(|lines| lines.contains(&line)) {
            changed.push(line..=line);
            changed.sort_by_key(|lines| *lines.start());
        }
        Ok(Refusal {
            page: source.page.clone(),
            name: source.name.clone(),
            program: source.code.clone(),
            changed,
            line,
            code: code.map(String::from),
            summary: summary.to_string(),
            message: message.trim_end().to_string(),
            compiler: compiler.to_string(),
            had_it_compiled: source.text.clone(),
            source,
        })
    }

    /// Checks that the compiler refuses the program at its line and with its
    /// code or its message, and returns the error.
    ///
    /// # Errors
    ///
    /// It compiles, or the compiler refuses it for another reason.
    pub fn check<'a>(&self, built: &'a Built) -> Result<&'a Diagnostic> {
        ensure!(built.executable.is_none(), "it compiles");
        let mut errors = built.diagnostics.iter().filter(|said| said.is_error);
        let first = errors
            .next()
            .context("it does not compile, without an error")?;
        ensure!(
            first.line(&self.source) == Some(self.line),
            "the first error is not at line {}:\n{}",
            self.line,
            first.rendered
        );
        // There may be more than one, but only of the same kind.
        for error in [first].into_iter().chain(errors) {
            let is_expected = match &self.code {
                Some(code) => error.code.as_ref() == Some(code),
                None => error.message == self.summary,
            };
            ensure!(is_expected, "another error:\n{}", error.rendered);
        }
        Ok(first)
    }

    /// Checks that the compiler says what is recorded.
    ///
    /// What it shows of other files is not compared: a library may change
    /// without any change of the error.
    ///
    /// # Errors
    ///
    /// It says something else.
    pub fn check_message(&self, said: &Diagnostic) -> Result<()> {
        let (recorded, said_now) = (
            self.own_lines(&self.message),
            self.own_lines(&said.rendered),
        );
        ensure!(
            recorded == said_now,
            "the compiler does not say what is recorded, but:\n{}",
            said.rendered
        );
        Ok(())
    }

    /// The lines of a message without excerpts from other files, and without the
    /// spaces before them, whose number depends on the line numbers in them.
    fn own_lines<'a>(&self, message: &'a str) -> Vec<&'a str> {
        let mut lines = Vec::new();
        let mut is_own = true;
        for line in message.lines() {
            let text = line.trim_start();
            if text.starts_with("--> ") || text.starts_with("::: ") {
                is_own = text.contains(&self.source.file());
            } else if text.starts_with("= ") || line.starts_with(char::is_alphabetic) {
                is_own = true;
            }
            if is_own {
                lines.push(text);
            }
        }
        lines
    }
}

/// Builds all refusals and returns what came of each, in the same order.
///
/// # Errors
///
/// Cargo cannot build them.
pub fn build(refusals: &[Refusal]) -> Result<Vec<Built>> {
    let programs: Vec<_> = refusals
        .iter()
        .map(|refusal| refusal.source.clone())
        .collect();
    programs::build("refusals", programs::DEPENDENCIES_OF_EXAMPLES, &programs)
}

/// Records what the compiler says of each refusal.
///
/// # Errors
///
/// One of them is not refused as it has to be.
pub fn record() -> Result<()> {
    let compiler = programs::compiler()?;
    let refusals = read()?;
    for (refusal, built) in refusals.iter().zip(build(&refusals)?) {
        let error = refusal.check(&built);
        let error = error.with_context(|| refusal.source.path.display().to_string())?;
        let text = format!("{compiler}\n{}\n", error.rendered);
        fs::write(record_path(&refusal.source), text)?;
    }
    Ok(())
}

fn record_path(program: &Program) -> PathBuf {
    program.path.with_extension("stderr")
}

/// The source of an example without the `//!` comment at its top.
fn without_docs(source: &str) -> &str {
    let mut rest = source;
    while rest.starts_with("//!") || rest.starts_with('\n') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

/// The lines of `new`, counted from 1, that are not in a longest common
/// subsequence of its lines and those of `old`.
fn changed(old: &str, new: &str) -> Vec<RangeInclusive<usize>> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // The length of that subsequence from a line of each on.
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for (i, old) in old.iter().enumerate().rev() {
        for (j, new) in new.iter().enumerate().rev() {
            common[i][j] = if old == new {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut changed: Vec<RangeInclusive<usize>> = Vec::new();
    while j < new.len() {
        if i < old.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < old.len() && common[i + 1][j] >= common[i][j + 1] {
            i += 1;
        } else {
            j += 1;
            match changed.last_mut() {
                Some(last) if *last.end() + 1 == j => *last = *last.start()..=j,
                _ => changed.push(j..=j),
            }
        }
    }
    changed
}
