//! The fourteen examples, as the pages show them: read from their own files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::root;

/// The members of the workspace that hold examples.
const SECTIONS: [&str; 3] = ["multiprocessing", "threading", "asyncio"];

/// A Python program and the Rust one beside it.
#[derive(Clone, Debug)]
pub struct Example {
    /// The name of both files and of the page.
    pub name: String,
    /// The member of the workspace: `multiprocessing`, `threading`, `asyncio`.
    pub section: &'static str,
    /// The text of the Python file.
    pub python: String,
    /// The text of the Rust file.
    pub rust: String,
}

impl Example {
    /// The example called `name`, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// One of its files cannot be read.
    pub fn find(name: &str) -> Result<Option<Example>> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        };
        for section in SECTIONS {
            let rust = root()
                .join(section)
                .join("src/bin")
                .join(format!("{name}.rs"));
            if rust.is_file() {
                return Ok(Some(Example {
                    name: name.to_string(),
                    section,
                    python: read(&rust.with_extension("py"))?,
                    rust: read(&rust)?,
                }));
            }
        }
        Ok(None)
    }

    /// The names of all examples, in alphabetical order.
    ///
    /// # Errors
    ///
    /// A folder cannot be read.
    pub fn names() -> Result<Vec<String>> {
        let mut names = Vec::new();
        for section in SECTIONS {
            let folder = root().join(section).join("src/bin");
            let files = fs::read_dir(&folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            for file in files {
                let file = PathBuf::from(file?.file_name());
                if file.extension().is_some_and(|ending| ending == "rs") {
                    names.extend(
                        file.file_stem()
                            .and_then(|name| name.to_str())
                            .map(String::from),
                    );
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// The command that runs the Rust.
    pub fn command(&self) -> String {
        format!("cargo run -p {} --bin {}", self.section, self.name)
    }

    /// The bullets under `Differs:` at the top of the Rust file, each as one
    /// line.
    pub fn differences(&self) -> Vec<String> {
        let mut bullets: Vec<String> = Vec::new();
        let docs = self.rust.lines().map_while(|line| line.strip_prefix("//!"));
        for line in docs.skip_while(|line| line.trim() != "Differs:").skip(1) {
            match line.strip_prefix(" - ") {
                Some(bullet) => bullets.push(bullet.to_string()),
                None => match bullets.last_mut() {
                    Some(bullet) if line.starts_with("   ") => {
                        bullet.push(' ');
                        bullet.push_str(line.trim());
                    }
                    _ => break,
                },
            }
        }
        bullets
    }
}
