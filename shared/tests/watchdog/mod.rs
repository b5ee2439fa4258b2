//! Aborts the test program when a test is stuck.

use std::io::{self, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;
use std::{process, thread};

/// Aborts the program unless it is dropped within five minutes, which is far longer
/// than any of the tests takes, also on a busy machine.
#[must_use]
pub struct Watchdog(#[expect(dead_code, reason = "dropping it is the signal")] Sender<()>);

pub fn watchdog() -> Watchdog {
    let test = thread::current().name().unwrap_or("a test").to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        if receiver.recv_timeout(Duration::from_secs(300)) == Err(RecvTimeoutError::Timeout) {
            // Not by `eprintln!`, which the test harness captures and would lose.
            let _ = writeln!(io::stderr(), "{test} is stuck");
            process::abort();
        }
    });
    Watchdog(sender)
}
