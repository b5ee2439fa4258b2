//! The data that the works process. `contenders.py` has the same for Python.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::common::{Result, folder};

pub fn square(n: i64) -> i64 {
    n * n
}

/// A small struct with strings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub id: i64,
    pub age: u32,
    pub name: String,
    pub email: String,
    pub city: String,
}

const NAMES: [&str; 4] = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Tony Hoare"];
const EMAILS: [&str; 4] = [
    "ada@example.com",
    "alan.turing@example.org",
    "grace@example.net",
    "tony.hoare@example.com",
];
const CITIES: [&str; 4] = ["London", "Wilmslow", "New York", "Cambridge"];

impl Person {
    pub fn new(id: i64) -> Self {
        let i = id as usize % 4;
        Self {
            id,
            age: id as u32 % 90,
            name: NAMES[i].to_string(),
            email: EMAILS[i].to_string(),
            city: CITIES[i].to_string(),
        }
    }

    /// Compares with the result of [`Person::new`], without allocating it.
    pub fn is(&self, id: i64, age: u32) -> bool {
        let i = id as usize % 4;
        let strings = [&*self.name, &*self.email, &*self.city];
        (self.id, self.age) == (id, age) && strings == [NAMES[i], EMAILS[i], CITIES[i]]
    }
}

/// The task that is mapped over people.
pub fn birthday(mut person: Person) -> Person {
    person.age += 1;
    person
}

/// The number of lines in [`text`], and of words in all of them.
pub const LINES: usize = 400_000;
pub const WORDS: usize = LINES / 8 * (4 + 5 + 6 + 7 + 8 + 9 + 10 + 11);

/// The task that is mapped over lines of text.
pub fn count_words(line: String) -> usize {
    line.split_whitespace().count()
}

/// The path of the file that [`write_text`] writes.
pub fn text() -> Result<PathBuf> {
    Ok(folder()?.join("lines.txt"))
}

/// Writes the file of text: [`LINES`] lines of 4 to 11 words.
pub fn write_text() -> Result<()> {
    const VOCABULARY: [&str; 8] = [
        "a",
        "process",
        "waits",
        "until",
        "another",
        "has",
        "written",
        "everything",
    ];
    let part = folder()?.join("lines.part");
    let mut file = BufWriter::new(File::create(&part)?);
    for i in 0..LINES {
        for j in 0..4 + i % 8 {
            let space = if j == 0 { "" } else { " " };
            write!(file, "{space}{}", VOCABULARY[(i + j) % 8])?;
        }
        writeln!(file)?;
    }
    file.into_inner()?;
    Ok(fs::rename(part, text()?)?)
}
