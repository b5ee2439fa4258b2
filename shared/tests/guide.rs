//! The guide to `shared::multiprocessing` says what is so: rustdoc checks what its links
//! lead to, and this test the rest, by reading the files.

use std::fs;
use std::path::{Path, PathBuf};

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn guide() -> String {
    fs::read_to_string(source("src/multiprocessing/guide.rs")).unwrap()
}

/// All Rust files below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The anchor that rustdoc gives a heading.
fn anchor(heading: &str) -> String {
    heading
        .chars()
        .filter_map(|letter| match letter {
            ' ' => Some('-'),
            '-' | '_' => Some(letter),
            _ => letter
                .is_alphanumeric()
                .then(|| letter.to_ascii_lowercase()),
        })
        .collect()
}

/// The file of a module that the guide calls `super::..`.
fn file_of(module: &str) -> PathBuf {
    let folder = source("src/multiprocessing");
    let path = module
        .split("::")
        .skip(1)
        .fold(folder, |path, name| path.join(name));
    match path.with_extension("rs") {
        file if file.exists() => file,
        _ => path.join("mod.rs"),
    }
}

#[test]
fn every_heading_that_the_guide_links_to_exists() {
    let guide = guide();
    let links = guide.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split_once(')')?.0.split_once('#'));
    let mut count = 0;
    for (module, wanted) in links {
        let file = match module {
            "" => source("src/multiprocessing/guide.rs"),
            module => file_of(module),
        };
        let text = fs::read_to_string(&file).unwrap_or_else(|_| panic!("{}", file.display()));
        let headings = text.lines().filter_map(|line| line.strip_prefix("//! # "));
        assert!(
            headings.map(anchor).any(|anchor| anchor == wanted),
            "{module}#{wanted}"
        );
        count += 1;
    }
    assert!(count > 20, "{count} links");
}

#[test]
fn the_guide_names_every_file() {
    let guide = guide();
    let order = guide.split("# The order of the files").nth(1).unwrap();
    let order = order.split("//! # ").next().unwrap();
    for (folder, module) in [("", "super"), ("queue", "super::queue")] {
        let folder = source("src/multiprocessing").join(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap();
            if !["mod", "guide"].contains(&name) {
                assert!(order.contains(&format!("({module}::{name})")), "{name}");
            }
        }
    }
}

/// The documentation of the engine names tests, and a test may be renamed.
#[test]
fn every_test_that_the_documentation_names_exists() {
    let code: String = ["src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&source(folder)))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let mut count = 0;
    for file in rust_files(&source("src/multiprocessing")) {
        let text = fs::read_to_string(&file).unwrap();
        for comment in text
            .lines()
            .filter(|line| line.trim_start().starts_with("//!"))
        {
            for name in comment.split('`').skip(1).step_by(2) {
                let stem = name.strip_suffix('*').unwrap_or(name);
                let is_name = stem.chars().all(|c| c.is_ascii_lowercase() || c == '_');
                if is_name && stem.matches('_').count() > 3 {
                    let function = match stem == name {
                        true => format!("fn {stem}("),
                        false => format!("fn {stem}"),
                    };
                    assert!(code.contains(&function), "{}: {name}", file.display());
                    count += 1;
                }
            }
        }
    }
    assert!(count > 10, "{count} names");
}
