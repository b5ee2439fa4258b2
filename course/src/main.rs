//! Builds the course and serves it on this machine.

use course::page::{self, Page};

fn main() -> anyhow::Result<()> {
    for name in page::names()? {
        Page::read(&name)?;
    }
    Ok(())
}
