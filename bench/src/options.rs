//! The command line.

use crate::common::Result;

pub const HELP: &str = "\
Measures `shared` and the examples beside Python, other crates and system calls.

    cargo run --release -p bench                     every row
    cargo run --release -p bench -- NAME...          the rows that NAME selects
    cargo run --release -p bench -- --short [NAME]   few rounds, as a check
    cargo run --release -p bench -- --list           the names of all rows

NAME is a part of a row's name, such as `queue` or `Pool(2)`, or a group:
`works`, `examples` or `growth`. Upper and lower case are the same.

A run of every row takes a quarter of an hour and needs a quiet machine. It
rewrites bench/RESULTS.md and the charts in bench/charts; no other run does.

Options:
    --short            fewer rounds, each with less work
    --without-python   leave out all Python programs
    --list             print the names of the rows, and measure nothing
    --help             print this help";

#[derive(Default)]
pub struct Options {
    /// In lower case. If there are none, every row is selected.
    pub names: Vec<String>,
    pub short: bool,
    pub without_python: bool,
    pub list: bool,
    pub help: bool,
}

impl Options {
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        for arg in args {
            match arg.as_str() {
                "--short" => options.short = true,
                "--without-python" => options.without_python = true,
                "--list" => options.list = true,
                "--help" | "-h" => options.help = true,
                _ if arg.starts_with('-') => {
                    return Err(format!("there is no option {arg}\n\n{HELP}").into());
                }
                name => options.names.push(name.to_lowercase()),
            }
        }
        Ok(options)
    }

    /// Returns whether every row is measured, with full effort.
    pub fn is_full(&self) -> bool {
        self.names.is_empty() && !self.short && !self.without_python
    }
}
