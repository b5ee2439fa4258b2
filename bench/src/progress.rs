//! Progress on stderr. A terminal shows one line that is overwritten; a log
//! gets one line for each turn of a row.

use std::io::{IsTerminal, stderr};
use std::time::Instant;

/// Longer lines are cut, because a line that does not fit into the terminal
/// could not be overwritten.
const WIDTH: usize = 79;

pub struct Progress {
    start: Instant,
    heading: String,
}

impl Progress {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            heading: String::new(),
        }
    }

    /// Shows that a row has its turn, which is number `turn` of `turns`.
    pub fn turn(&mut self, turn: usize, turns: usize, what: &str) {
        let minutes = self.start.elapsed().as_secs() / 60;
        self.heading = format!("[{turn}/{turns}, {minutes} min] {what}");
        if stderr().is_terminal() {
            self.step("");
        } else {
            eprintln!("{}", self.heading);
        }
    }

    /// Shows which step of the turn begins, on a terminal only.
    pub fn step(&self, step: &str) {
        if stderr().is_terminal() {
            let line = format!("{} {step}", self.heading);
            let line: String = line.chars().take(WIDTH).collect();
            eprint!("\r\x1b[K{line}");
        }
    }
}

/// Clears the line of a terminal, before something else is printed.
pub fn clear() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}
