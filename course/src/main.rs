//! Builds the course, serves it on this machine, and keeps what it is made of:
//! the recordings, and the note of which texts were read in both languages.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use course::page::{self, Page};
use course::{lock, recordings, root, serve, site};

const USAGE: &str = "\
Usage: cargo run -p course                      build the course and serve it
       cargo run -p course -- --port PORT       the same on another port
       cargo run -p course -- build [DIR]       only build it, into DIR
       cargo run -p course -- record [PAGE]     run the examples and record them
       cargo run -p course -- accept [PAGE]     both languages were read";

const PORT: u16 = 8000;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("course: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match *arguments {
        [] => show(PORT),
        ["--port", port] => show(port.parse().with_context(|| {
            format!(
                "`{port}` is no port: write a number from 0 to 65535, where 0 means any free one"
            )
        })?),
        ["build"] => build(&default_folder()?).map(drop),
        ["build", folder] => build(Path::new(folder)).map(drop),
        ["record"] => recordings::record(None),
        ["record", page] => recordings::record(Some(page)),
        ["accept"] => lock::accept(&page::names()?),
        ["accept", page] => known(page).and_then(|()| lock::accept(&[page.to_string()])),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("`{}` is not understood\n{USAGE}", arguments.join(" ")),
    }
}

/// An error that names the pages, unless `page` is one.
fn known(page: &str) -> Result<()> {
    Page::read(page).map(drop)
}

/// `target/course`.
fn default_folder() -> Result<PathBuf> {
    let target = match env::var_os("CARGO_TARGET_DIR") {
        Some(target) => PathBuf::from(target),
        None => root().join("target"),
    };
    fs::create_dir_all(&target).with_context(|| format!("cannot write to {}", target.display()))?;
    Ok(target.join("course"))
}

fn build(folder: &Path) -> Result<PathBuf> {
    site::write(&site::build()?, folder)?;
    let folder = folder.canonicalize()?;
    println!("The course is in {}", folder.display());
    Ok(folder)
}

fn show(port: u16) -> Result<()> {
    let listener = serve::listen(port)?;
    let folder = build(&default_folder()?)?;
    println!(
        "Read it at http://{}/ (Ctrl-C ends)",
        listener.local_addr()?
    );
    serve::serve(&listener, &folder);
    Ok(())
}
