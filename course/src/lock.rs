//! `sync.lock`: which texts were read in both languages.
//!
//! It has a line for each text of each page, with the hashes of its English
//! and its Chinese. A text that was changed in one language alone would say
//! something else in the other, and nobody would notice.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::page::{self, Directive, Page};
use crate::tables::Names;
use crate::{Both, hash, mistakes, refusals, root};

/// A text in both languages, and where it stands.
#[derive(Clone, Debug)]
pub struct Located {
    /// File and line, or file and name.
    pub at: String,
    /// What it says.
    pub says: Both,
}

/// All texts of `page`, with those of what it shows: refusals, mistakes, names.
///
/// # Errors
///
/// What the page names cannot be read.
pub fn texts(page: &Page) -> Result<Vec<Located>> {
    let file = format!("course/pages/{}.md", page.name);
    let mut texts = Vec::new();
    let mut add = |at: String, says: &Both| {
        texts.push(Located {
            at,
            says: says.clone(),
        });
    };
    add(format!("{file}:1"), &page.title);
    for idea in &page.ideas {
        add(format!("{file}: @idea {}", idea.en), idea);
    }
    for section in page
        .sections
        .iter()
        .filter(|section| section.kind.is_none())
    {
        add(format!("{file}: ## {}", section.title.en), &section.title);
    }
    for part in page.parts() {
        if let Directive::Heading(title) = &part.directive {
            add(format!("{file}:{}", part.line), title);
        }
        for text in &part.texts {
            add(format!("{file}:{}", text.line), &text.says);
        }
        match &part.directive {
            Directive::Refusal(name) => add(
                format!("course/refusals/{}/{name}.rs", page.name),
                &refusals::get(&page.name, name)?.had_it_compiled,
            ),
            Directive::Mistake(name) => add(
                format!("course/mistakes/{}/{name}.rs", page.name),
                &mistakes::get(&page.name, name)?.what_goes_wrong,
            ),
            Directive::Names(module) => {
                for name in Names::of(module)? {
                    add(
                        format!("course/pages/names.toml: {}.{}", name.module, name.name),
                        &name.says(),
                    );
                }
            }
            _ => {}
        }
    }
    Ok(texts)
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    page: String,
    en: String,
    zh: String,
}

impl Line {
    fn new(page: &str, says: &Both) -> Line {
        Line {
            page: page.to_string(),
            en: hash(&says.en),
            zh: hash(&says.zh),
        }
    }
}

fn path() -> PathBuf {
    root().join("course/sync.lock")
}

fn read() -> Result<Vec<Line>> {
    let path = path();
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let line = |line: &str| {
        let [page, en, zh] = line.split(' ').collect::<Vec<_>>()[..] else {
            bail!("course/sync.lock has the line `{line}`: take it out, then run `accept`");
        };
        Ok(Line {
            page: page.to_string(),
            en: en.to_string(),
            zh: zh.to_string(),
        })
    };
    text.lines().map(line).collect()
}

/// Notes that somebody has read both languages of `pages`.
///
/// # Errors
///
/// A page that is not of the form, or a file that cannot be written.
pub fn accept(pages: &[String]) -> Result<()> {
    let written = page::names()?;
    let mut lines: Vec<Line> = read()?
        .into_iter()
        .filter(|line| written.contains(&line.page) && !pages.contains(&line.page))
        .collect();
    for name in pages {
        let page = Page::read(name)?;
        lines.extend(texts(&page)?.iter().map(|text| Line::new(name, &text.says)));
    }
    // Stable: the texts of a page stay in their order.
    lines.sort_by(|a, b| a.page.cmp(&b.page));
    let mut text = String::new();
    for Line { page, en, zh } in &lines {
        writeln!(text, "{page} {en} {zh}")?;
    }
    fs::write(path(), text).with_context(|| format!("cannot write {}", path().display()))?;
    println!("Accepted: {}", pages.join(", "));
    Ok(())
}

/// What is wrong with `page` by the file, one line for each text.
///
/// # Errors
///
/// A file that cannot be read.
pub fn unread(page: &Page) -> Result<Vec<String>> {
    let lines: Vec<Line> = read()?
        .into_iter()
        .filter(|line| line.page == page.name)
        .collect();
    Ok(compare(&lines, &page.name, &texts(page)?))
}

fn compare(lines: &[Line], page: &str, texts: &[Located]) -> Vec<String> {
    let accepted: HashSet<&Line> = lines.iter().collect();
    let mut wrong = Vec::new();
    for text in texts {
        let line = Line::new(page, &text.says);
        if accepted.contains(&line) {
            continue;
        }
        let what = if lines.iter().any(|known| known.en == line.en) {
            "its Chinese was changed, and its English was not"
        } else if lines.iter().any(|known| known.zh == line.zh) {
            "its English was changed, and its Chinese was not"
        } else {
            "it is new, or both languages were changed"
        };
        wrong.push(format!(
            "{}: {what}: read both, then run `cargo run -p course -- accept {page}`",
            text.at
        ));
    }
    if wrong.is_empty() && lines.len() != texts.len() {
        wrong.push(format!(
            "course/sync.lock has texts that {page} no longer has: run `cargo run -p course -- accept {page}`"
        ));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(en: &str, zh: &str) -> Located {
        Located {
            at: "here".into(),
            says: Both::new(en, zh),
        }
    }

    #[test]
    fn a_text_that_changed_in_one_language_is_found() {
        let lines = [Line::new("lock", &Both::new("one", "一"))];
        assert!(compare(&lines, "lock", &[located("one", "一")]).is_empty());
        for (text, says) in [
            (located("One", "一"), "its English was changed"),
            (located("one", "二"), "its Chinese was changed"),
            (located("two", "二"), "it is new"),
        ] {
            let wrong = compare(&lines, "lock", &[text]);
            assert!(wrong[0].contains(says), "{wrong:?}");
        }
        assert!(compare(&lines, "lock", &[])[0].contains("no longer has"));
    }
}
