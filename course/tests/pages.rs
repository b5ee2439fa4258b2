//! Each page keeps to the form: its length, its parts, and both languages
//! beside each other.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;

use course::contents::{self, QUESTIONS};
use course::example::Example;
use course::page::{Directive, Kind, Page, Part, Section};
use course::{lock, markdown, page, root, site};

/// English words of prose on a page.
const MOST_WORDS: usize = 600;

/// Chinese characters of prose on a page.
const MOST_CHARACTERS: usize = 1000;

/// English words in the note of a row.
const MOST_WORDS_OF_A_NOTE: usize = 25;

/// New ideas on a page.
const MOST_IDEAS: usize = 2;

/// Refusals and questions on a page.
const MOST: usize = 3;

fn pages() -> Vec<Page> {
    let names = page::names().unwrap();
    assert!(!names.is_empty());
    names.iter().map(|name| Page::read(name).unwrap()).collect()
}

fn examples() -> Vec<(Page, Example)> {
    let examples = pages().into_iter().filter_map(|page| {
        let example = page.example.clone()?;
        Some((page, example))
    });
    examples.collect()
}

fn section(page: &Page, kind: Kind) -> &Section {
    let mut sections = page.sections.iter();
    sections.find(|section| section.kind == Some(kind)).unwrap()
}

fn is_row(part: &Part) -> bool {
    matches!(part.directive, Directive::Row(_))
}

fn count(page: &Page, what: impl Fn(&Directive) -> bool) -> usize {
    page.parts().filter(|part| what(&part.directive)).count()
}

fn words(text: &str) -> usize {
    markdown::plain(text).split_whitespace().count()
}

fn is_chinese(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// Fails with everything that is wrong.
fn none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_page_is_read_in_twenty_minutes() {
    let mut wrong = Vec::new();
    for (page, _) in examples() {
        let prose = page.introduction.iter().chain(
            page.sections
                .iter()
                .filter(|section| section.kind != Some(Kind::Teachers))
                .flat_map(|section| &section.parts),
        );
        let (mut en, mut zh) = (0, 0);
        for text in prose
            .filter(|part| !is_row(part))
            .flat_map(|part| &part.texts)
        {
            en += words(&text.says.en);
            zh += text.says.zh.chars().filter(|c| is_chinese(*c)).count();
        }
        println!("{}: {en} words, {zh} characters", page.name);
        if en > MOST_WORDS || zh > MOST_CHARACTERS {
            wrong.push(format!(
                "{}: {en} English words of {MOST_WORDS}, {zh} Chinese characters of {MOST_CHARACTERS}",
                page.name
            ));
        }
    }
    none(wrong);
}

#[test]
fn a_note_is_short() {
    let mut wrong = Vec::new();
    for page in pages() {
        for part in page.parts().filter(|part| is_row(part)) {
            let words = part
                .texts
                .iter()
                .map(|text| words(&text.says.en))
                .sum::<usize>();
            if words > MOST_WORDS_OF_A_NOTE {
                wrong.push(format!(
                    "course/pages/{}.md:{}: {words} words of {MOST_WORDS_OF_A_NOTE}",
                    page.name, part.line
                ));
            }
        }
    }
    none(wrong);
}

#[test]
fn a_page_brings_one_or_two_new_ideas() {
    for (page, _) in examples() {
        assert!(
            (1..=MOST_IDEAS).contains(&page.ideas.len()),
            "{} has {} ideas",
            page.name,
            page.ideas.len()
        );
    }
}

#[test]
fn each_section_has_what_it_is_for() {
    let mut wrong = Vec::new();
    for (page, _) in examples() {
        let exercise = format!("course/exercises/src/{}.rs", page.name);
        let exercises = usize::from(root().join(exercise).is_file());
        // A page that answers none of the twenty says so in a text.
        let asked = QUESTIONS.iter().filter(|it| it.1 == page.name).count();
        let has = |kind, what: fn(&Directive) -> bool| {
            let parts = &section(&page, kind).parts;
            parts.iter().filter(|part| what(&part.directive)).count()
        };
        for (kind, many, found) in [
            (
                Kind::Predict,
                1..=1,
                has(Kind::Predict, |it| *it == Directive::Answer),
            ),
            (
                Kind::Prints,
                1..=1,
                has(Kind::Prints, |it| *it == Directive::Recorded),
            ),
            (
                Kind::Ran,
                0..=1,
                has(Kind::Ran, |it| *it == Directive::Timeline),
            ),
            (
                Kind::Refuses,
                1..=MOST,
                has(Kind::Refuses, |it| matches!(it, Directive::Refusal(_))),
            ),
            (
                Kind::Accepts,
                1..=MOST,
                has(Kind::Accepts, |it| matches!(it, Directive::Mistake(_))),
            ),
            (
                Kind::Turn,
                exercises..=exercises,
                has(Kind::Turn, |it| *it == Directive::Exercise),
            ),
            (
                Kind::Questions,
                asked.min(1)..=MOST,
                has(Kind::Questions, |it| matches!(it, Directive::Question(_))),
            ),
        ] {
            if !many.contains(&found) {
                wrong.push(format!(
                    "{}: the section {} has {found}",
                    page.name,
                    kind.anchor()
                ));
            }
        }
        for section in &page.sections {
            if section.parts.iter().all(|part| part.texts.is_empty()) {
                wrong.push(format!(
                    "{}: the section {} says nothing",
                    page.name, section.anchor
                ));
            }
        }
    }
    none(wrong);
}

#[test]
fn each_difference_has_an_entry_in_order() {
    for (page, example) in examples() {
        let entries: Vec<usize> = section(&page, Kind::Differs)
            .parts
            .iter()
            .filter_map(|part| match &part.directive {
                Directive::Differs(number, ..) => Some(*number),
                _ => None,
            })
            .collect();
        let bullets: Vec<usize> = (1..=example.differences().len()).collect();
        assert_eq!(entries, bullets, "{}", page.name);
    }
}

#[test]
fn each_question_is_answered_on_its_page_and_once() {
    for page in pages() {
        let asked: Vec<usize> = page
            .parts()
            .filter_map(|part| match part.directive {
                Directive::Question(number) => Some(number),
                _ => None,
            })
            .collect();
        let once: BTreeSet<usize> = asked.iter().copied().collect();
        assert_eq!(once.len(), asked.len(), "{}", page.name);
        for number in asked {
            let question = number.checked_sub(1).and_then(|at| QUESTIONS.get(at));
            let (question, answered) = question.expect("a question from 1 to 20");
            assert_eq!(page.name, *answered, "{number}: {question}");
        }
    }
}

#[test]
fn both_languages_of_each_text_were_read() {
    none(
        pages()
            .iter()
            .flat_map(|page| lock::unread(page).unwrap())
            .collect(),
    );
}

#[test]
fn both_languages_have_the_same_code_numbers_and_links() {
    let mut wrong = Vec::new();
    for page in pages() {
        for text in lock::texts(&page).unwrap() {
            for (what, of) in [
                ("inline code", markdown::codes as fn(&str) -> Vec<String>),
                ("links", markdown::links),
                ("numbers", numbers),
            ] {
                let [mut en, mut zh] = [of(&text.says.en), of(&text.says.zh)];
                for found in [&mut en, &mut zh] {
                    found.sort();
                    found.dedup();
                }
                if en != zh {
                    wrong.push(format!("{}: {what}: {en:?} and {zh:?}", text.at));
                }
            }
        }
    }
    none(wrong);
}

/// The numbers in a text that are written in digits, those in code apart.
fn numbers(text: &str) -> Vec<String> {
    let prose = markdown::prose(text);
    let digits = prose.split(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = digits.map(|number| number.trim_matches('.'));
    numbers
        .filter(|number| !number.is_empty())
        .map(String::from)
        .collect()
}

#[test]
fn each_page_that_is_to_be_read_first_is_there() {
    let listed: Vec<&str> = contents::listed().collect();
    for page in pages() {
        for name in &page.read_first {
            assert!(listed.contains(&name.as_str()), "{}: {name}", page.name);
        }
    }
}

#[test]
fn each_line_of_an_example_is_in_one_row() {
    let name = "shared_memory";
    let text = fs::read_to_string(root().join(format!("course/pages/{name}.md"))).unwrap();
    Page::parse(name, &text).unwrap();
    let row = text
        .lines()
        .find(|line| line.starts_with("@row 7-9"))
        .unwrap();
    for (changed, says) in [
        (
            "@row 8-9 | 10-11 | same",
            "line 7 is the first that is in no row yet",
        ),
        ("@row 6-9 | 10-11 | same", "begins with line 6"),
        ("@row - | 10-11 | same", "line 7 is the first"),
        ("@row 7-9 | 10-11 | alike", "`alike` is no mark"),
        ("@row 7-9 10-11 same", "write a row as"),
        ("@row - | - | new", "a row needs lines"),
    ] {
        let error = Page::parse(name, &text.replace(row, changed)).unwrap_err();
        assert!(format!("{error:#}").contains(says), "{error:#}");
    }
    let last = text.rfind("@row").unwrap();
    let without = format!(
        "{}\n{}",
        &text[..last],
        &text[text.find("## prints").unwrap()..]
    );
    let error = Page::parse(name, &without).unwrap_err();
    assert!(
        format!("{error:#}").contains("each line has to be in one row"),
        "{error:#}"
    );
}

#[test]
fn what_is_wrong_with_a_page_is_told_with_its_line() {
    for (text, says) in [
        (
            "en: a\nen: b\nzh: 乙",
            ":2: the `en:` of line 1 has no `zh:`",
        ),
        ("# A | 甲\nzh: 乙", ":2: `zh:` comes after its `en:`"),
        (
            "# A | 甲\nen: a\nzh: 甲\nzh: 乙",
            ":4: this is the second `zh:`",
        ),
        ("# A", ":1: write both languages"),
        ("# A | 甲\n# B | 乙", ":2: a page has one title"),
        ("a", ":1: this line belongs to no text"),
        ("# A | 甲\nen:\nzh: 乙", ":3: the text of line 2 is empty"),
        ("@nothing", ":1: `@nothing` is no directive"),
        ("@code a.rs 7-3", ":1: `7-3` is no range of lines"),
        ("@differs 1 adds up", ":1: write the number of the bullet"),
        ("@question two", ":1: write the number of the question"),
        ("@answer now", ":1: `@answer` stands alone"),
        ("", ":0: the page has no title"),
    ] {
        let error = format!("{:#}", Page::parse("some_page", text).unwrap_err());
        assert!(error.starts_with("course/pages/some_page.md"), "{error}");
        assert!(error.contains(says), "{error}");
    }
    let error = Page::parse("lock", "# A | 甲\n## prints\n").unwrap_err();
    assert!(format!("{error:#}").contains("the next of the ten sections, which is `## predict`"));
    let error = Page::parse("lock", "# A | 甲\n## predict\n").unwrap_err();
    assert!(format!("{error:#}").contains("the next is `## side-by-side`"));
}

#[test]
fn the_site_can_be_built() {
    let files = site::build().unwrap();
    for language in ["en", "zh"] {
        for page in pages() {
            let path = format!("{language}/{}.html", page.name);
            assert!(files.iter().any(|file| file.path == path), "{path}");
        }
    }
}

#[test]
fn each_page_of_the_contents_is_written() {
    let written = page::names().unwrap();
    let missing: Vec<&str> = contents::listed()
        .filter(|name| !written.iter().any(|page| page == name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for name in Example::names().unwrap() {
        assert!(written.contains(&name), "{name}");
        let exercise = format!("course/exercises/src/{name}.rs");
        assert!(root().join(&exercise).is_file(), "{exercise}");
    }
    let asked: usize = pages()
        .iter()
        .map(|page| count(page, |it| matches!(it, Directive::Question(_))))
        .sum();
    assert_eq!(asked, QUESTIONS.len());
}

/// Each row of the README's table is an example with a page, and each name of
/// its map is found on a page.
#[test]
fn each_row_and_each_name_of_the_readme_leads_to_a_page() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let written = page::names().unwrap();
    let rows = readme
        .lines()
        .filter(|line| line.contains(".py](") && line.starts_with('|'));
    let mut number = 0;
    for row in rows {
        let name = row.split(".py](").next().unwrap();
        let name = name.rsplit('[').next().unwrap();
        assert!(written.iter().any(|page| page == name), "{name}");
        number += 1;
    }
    assert_eq!(number, Example::names().unwrap().len());

    let (_, map) = readme.split_once("| Python | Rust |\n|---|---|\n").unwrap();
    let files = site::build().unwrap();
    let site: String = files
        .iter()
        .filter(|file| file.path.starts_with("en/"))
        .map(|file| file.text.as_str())
        .collect();
    let mut missing = Vec::new();
    for row in map.lines().take_while(|line| line.starts_with('|')) {
        let python = row.split('|').nth(1).unwrap();
        for name in markdown::codes(python) {
            let word = |c: char| !c.is_alphanumeric() && c != '_';
            let path = name
                .split(|c: char| c != '.' && word(c))
                .find(|path| !path.is_empty());
            let last = path.and_then(|path| path.rsplit('.').next()).unwrap();
            if !site.split(word).any(|found| found == last) {
                missing.push(name);
            }
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}
