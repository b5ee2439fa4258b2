//! Builds the course and serves it on this machine.

use std::env;

use course::page::{self, Page};
use course::recordings;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [command, pages @ ..] = &arguments[..]
        && command == "record"
    {
        return recordings::record(pages.first().map(String::as_str));
    }
    for name in page::names()? {
        Page::read(&name)?;
    }
    Ok(())
}
