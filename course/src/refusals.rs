//! What the compiler refuses: read from `refusals/PAGE/NAME.rs`, and what
//! rustc says of it.

use std::ops::RangeInclusive;

use anyhow::{Result, bail};

use crate::Both;

/// A program that a learner would try, and that does not compile.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The program, without the lines at its top that say what is expected.
    pub program: String,
    /// The lines of `program` that differ from the example, counted from 1.
    pub changed: Vec<RangeInclusive<usize>>,
    /// The line of `program` that rustc points at, counted from 1.
    pub line: usize,
    /// The code of the error, such as `E0277`, if it has one.
    pub code: Option<String>,
    /// What rustc says, word for word.
    pub message: String,
    /// What would happen if it compiled, as Markdown.
    pub had_it_compiled: Both,
}

/// The refusal `name` of the page `page`.
///
/// # Errors
///
/// There is none of that name, or it cannot be read.
pub fn get(page: &str, name: &str) -> Result<Refusal> {
    bail!(
        "there is no course/refusals/{page}/{name}.rs: write it, or name one that is in that folder"
    )
}

/// Each refusal as its page and its name, in alphabetical order.
///
/// # Errors
///
/// The folder cannot be read.
pub fn all() -> Result<Vec<(String, String)>> {
    Ok(Vec::new())
}
