//! The form of a page, and how `pages/NAME.md` is read.
//!
//! The file is read line by line. `pages/README.md` shows each kind of line to
//! those who write pages. What is wrong is told with the file, the line and
//! what to write instead.

use std::fs;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::example::Example;
use crate::{Both, root};

/// A page of the course.
#[derive(Clone, Debug)]
pub struct Page {
    /// The name of its file, and of its example if it shows one.
    pub name: String,
    /// The heading of the page.
    pub title: Both,
    /// The example, if the page shows one; such a page has all ten sections.
    pub example: Option<Example>,
    /// The pages that a reader needs first.
    pub read_first: Vec<String>,
    /// What is new on this page.
    pub ideas: Vec<Both>,
    /// What stands between the heading and the first section.
    pub introduction: Vec<Part>,
    /// The sections in order.
    pub sections: Vec<Section>,
}

/// A part of a page that has a heading.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which of the ten it is, on the page of an example.
    pub kind: Option<Kind>,
    /// What a link to the section ends in.
    pub anchor: String,
    /// The heading.
    pub title: Both,
    /// What is in it.
    pub parts: Vec<Part>,
}

/// A directive and the texts after it, up to the next directive or heading.
#[derive(Clone, Debug)]
pub struct Part {
    /// The directive, or `Text` for texts that follow a heading.
    pub directive: Directive,
    /// The line of the directive in the file, counted from 1.
    pub line: usize,
    /// The texts after it.
    pub texts: Vec<Text>,
}

/// Some paragraphs in both languages, as Markdown.
#[derive(Clone, Debug)]
pub struct Text {
    /// What a link to the text ends in.
    pub anchor: String,
    /// The line of its English in the file, counted from 1.
    pub line: usize,
    /// What it says.
    pub says: Both,
}

/// What a line that begins with `@`, or with `###`, asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Directive {
    /// Nothing but texts.
    Text,
    /// `### English | 中文`: a heading inside a section.
    Heading(Both),
    /// `@answer`: the texts are folded until the reader asks for them.
    Answer,
    /// `@code FILE` or `@code FILE 3-7`: a file, or some lines of it.
    Code(String, Option<RangeInclusive<usize>>),
    /// `@row 1-7 | 1-9 | other look`: lines of the two files, side by side.
    Row(Row),
    /// `@recorded`: what both programs printed, and the counts of many runs.
    Recorded,
    /// `@timeline`: the swim lanes of the runs.
    Timeline,
    /// `@differs 1 FILE "TEST"`: the first bullet under `Differs:` and the
    /// test in FILE that shows it.
    Differs(usize, String, String),
    /// `@test FILE "TEST"`: the test in FILE that shows what the texts say.
    Test(String, String),
    /// `@command cargo test`: a line for the reader's terminal.
    Command(String),
    /// `@refusal NAME`: what the compiler says of `refusals/PAGE/NAME.rs`.
    Refusal(String),
    /// `@mistake NAME`: `mistakes/PAGE/NAME.rs`, which compiles and is wrong.
    Mistake(String),
    /// `@exercise`: the exercise of this page.
    Exercise,
    /// `@question 2`: one of the twenty; the first text is the question.
    Question(usize),
    /// `@names MODULE`: the table of the names of a module of Python's.
    Names(String),
    /// `@errors`: the table of rustc's errors.
    Errors,
}

/// Lines of the Python and of the Rust that do the same work.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The lines of the Python, if it has any for this.
    pub python: Option<RangeInclusive<usize>>,
    /// The lines of the Rust, if it has any for this.
    pub rust: Option<RangeInclusive<usize>>,
    /// How the two compare.
    pub mark: Mark,
}

/// How two pieces of code compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It looks alike and means the same.
    Same,
    /// It looks alike and means something else.
    FalseFriend,
    /// It looks different and means the same.
    OtherLook,
    /// The other language has nothing like it.
    New,
}

impl Mark {
    const ALL: [Mark; 4] = [Mark::Same, Mark::FalseFriend, Mark::OtherLook, Mark::New];

    /// Its name in both languages; the English one is used in a page's file.
    pub fn title(self) -> Both {
        match self {
            Mark::Same => Both::new("same", "相同"),
            Mark::FalseFriend => Both::new("false friend", "形同实异"),
            Mark::OtherLook => Both::new("other look", "形异实同"),
            Mark::New => Both::new("new", "新"),
        }
    }
}

/// One of the ten sections on the page of an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the titles say what they are")]
pub enum Kind {
    Predict,
    SideBySide,
    Prints,
    Ran,
    Differs,
    Refuses,
    Accepts,
    Turn,
    Questions,
    Teachers,
}

impl Kind {
    /// The ten in the order in which a page has them.
    pub const ALL: [Kind; 10] = [
        Kind::Predict,
        Kind::SideBySide,
        Kind::Prints,
        Kind::Ran,
        Kind::Differs,
        Kind::Refuses,
        Kind::Accepts,
        Kind::Turn,
        Kind::Questions,
        Kind::Teachers,
    ];

    /// Its name in a page's file, and what a link to it ends in.
    pub fn anchor(self) -> &'static str {
        match self {
            Kind::Predict => "predict",
            Kind::SideBySide => "side-by-side",
            Kind::Prints => "prints",
            Kind::Ran => "ran",
            Kind::Differs => "differs",
            Kind::Refuses => "refuses",
            Kind::Accepts => "accepts",
            Kind::Turn => "turn",
            Kind::Questions => "questions",
            Kind::Teachers => "teachers",
        }
    }

    /// Its heading.
    pub fn title(self) -> Both {
        match self {
            Kind::Predict => Both::new("Predict", "先想一想"),
            Kind::SideBySide => Both::new("Side by side", "对照"),
            Kind::Prints => Both::new("What it prints", "输出"),
            Kind::Ran => Both::new("What ran", "运行时间线"),
            Kind::Differs => Both::new("What differs and why", "差别与原因"),
            Kind::Refuses => Both::new("What the compiler refuses", "编译器会拦下什么"),
            Kind::Accepts => Both::new("What it does not refuse", "编译器拦不住什么"),
            Kind::Turn => Both::new("Your turn", "动手"),
            Kind::Questions => Both::new("People ask", "常见问题"),
            Kind::Teachers => Both::new("For teachers", "教学提示"),
        }
    }
}

/// The names of all pages that are written, in alphabetical order.
///
/// # Errors
///
/// The folder of the pages cannot be read.
pub fn names() -> Result<Vec<String>> {
    let folder = root().join("course/pages");
    let files =
        fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names = Vec::new();
    for file in files {
        let file = file?.file_name();
        if let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".md"))
            && name != "README"
        {
            names.push(name.to_string());
        }
    }
    names.sort();
    Ok(names)
}

impl Page {
    /// Reads the page `name` from its file.
    ///
    /// # Errors
    ///
    /// There is no such page, or its file is not of the form.
    pub fn read(name: &str) -> Result<Page> {
        let names = names()?;
        ensure!(
            names.iter().any(|known| known == name),
            "there is no page {name}; the pages are {}",
            names.join(", ")
        );
        let path = root().join(format!("course/pages/{name}.md"));
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Page::parse(name, &text)
    }

    /// Reads the page `name` from the text of its file.
    ///
    /// # Errors
    ///
    /// The text is not of the form. The error says in which line, and what to
    /// write instead.
    pub fn parse(name: &str, text: &str) -> Result<Page> {
        let mut reader = Reader {
            page: Page {
                name: name.to_string(),
                title: Both::default(),
                example: Example::find(name)?,
                read_first: Vec::new(),
                ideas: Vec::new(),
                introduction: vec![Part::text(1)],
                sections: Vec::new(),
            },
            text: None,
        };
        let mut last = 0;
        for (number, line) in (1..).zip(text.lines()) {
            last = number;
            reader
                .line(number, line)
                .with_context(|| format!("course/pages/{name}.md:{number}"))?;
        }
        reader
            .end_of_text()
            .and_then(|()| reader.page.whole())
            .with_context(|| format!("course/pages/{name}.md:{last}"))?;
        reader.page.set_anchors();
        Ok(reader.page)
    }

    /// The parts of the introduction and of all sections in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        let sections = self.sections.iter().flat_map(|section| &section.parts);
        self.introduction.iter().chain(sections)
    }

    /// Checks what only a whole page shows: that the sections are there, and
    /// that each line of the example is in one row.
    fn whole(&self) -> Result<()> {
        ensure!(
            !self.title.en.is_empty(),
            "the page has no title: write `# English | 中文` in the first line"
        );
        let Some(example) = &self.example else {
            return Ok(());
        };
        ensure!(
            self.sections.len() == Kind::ALL.len(),
            "the page of an example has ten sections: the next is `## {}`",
            Kind::ALL[self.sections.len()].anchor()
        );
        let rows = || {
            self.parts().filter_map(|part| match &part.directive {
                Directive::Row(row) => Some((part.line, row)),
                _ => None,
            })
        };
        let python = rows().map(|(line, row)| (line, row.python.clone()));
        let rust = rows().map(|(line, row)| (line, row.rust.clone()));
        in_one_row("py", example.python.lines().count(), python)?;
        in_one_row("rs", example.rust.lines().count(), rust)
    }

    fn set_anchors(&mut self) {
        number("top", &mut self.introduction);
        for section in &mut self.sections {
            number(&section.anchor, &mut section.parts);
        }
    }
}

impl Part {
    fn text(line: usize) -> Part {
        Part {
            directive: Directive::Text,
            line,
            texts: Vec::new(),
        }
    }
}

/// The texts of a section are numbered, so that a link can lead to each, in
/// either language.
fn number(anchor: &str, parts: &mut [Part]) {
    let texts = parts.iter_mut().flat_map(|part| &mut part.texts);
    for (number, text) in (1..).zip(texts) {
        text.anchor = format!("{anchor}-{number}");
    }
}

/// Checks that `rows` hold the lines of a file from the first to the last,
/// in order.
fn in_one_row(
    ending: &str,
    lines: usize,
    rows: impl Iterator<Item = (usize, Option<RangeInclusive<usize>>)>,
) -> Result<()> {
    let mut next = 1;
    for (at, range) in rows {
        let Some(range) = range else { continue };
        ensure!(
            *range.start() == next,
            "the row in line {at} begins with line {} of the .{ending} file, but line {next} is the first that is in no row yet",
            range.start()
        );
        next = range.end() + 1;
    }
    ensure!(
        next == lines + 1,
        "the rows hold {} lines of the .{ending} file, which has {lines}: each line has to be in one row",
        next - 1
    );
    Ok(())
}

/// Reads a page line by line.
struct Reader {
    page: Page,
    /// The text that is being read, if the last heading or directive has one.
    text: Option<Open>,
}

/// A text that may still go on.
struct Open {
    line: usize,
    en: String,
    zh: Option<String>,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<()> {
        if let Some(text) = line.strip_prefix("en:") {
            self.end_of_text()?;
            self.text = Some(Open {
                line: number,
                en: text.trim_start().to_string(),
                zh: None,
            });
        } else if let Some(text) = line.strip_prefix("zh:") {
            let open = self.text.as_mut();
            let open = open.context("`zh:` comes after its `en:`, which is missing")?;
            ensure!(
                open.zh.is_none(),
                "this is the second `zh:` after one `en:`: write the English of this one before it"
            );
            open.zh = Some(text.trim_start().to_string());
        } else if let Some(title) = line.strip_prefix("# ") {
            self.end_of_text()?;
            ensure!(
                self.page.title.en.is_empty(),
                "a page has one title: write `## ` for a section"
            );
            self.page.title = both(title)?;
        } else if let Some(heading) = line.strip_prefix("## ") {
            self.end_of_text()?;
            let section = self.section(number, heading.trim())?;
            self.page.sections.push(section);
        } else if let Some(heading) = line.strip_prefix("### ") {
            self.end_of_text()?;
            self.part(number, Directive::Heading(both(heading)?));
        } else if let Some(directive) = line.strip_prefix('@') {
            self.end_of_text()?;
            self.directive(number, directive)?;
        } else if let Some(open) = &mut self.text {
            let text = open.zh.as_mut().unwrap_or(&mut open.en);
            text.push('\n');
            text.push_str(line.trim_end());
        } else {
            ensure!(
                line.trim().is_empty(),
                "this line belongs to no text: begin with `en:` or `zh:`, or with `@` for a directive"
            );
        }
        Ok(())
    }

    /// Adds the text that was read last to the page.
    fn end_of_text(&mut self) -> Result<()> {
        let Some(open) = self.text.take() else {
            return Ok(());
        };
        let Some(zh) = open.zh else {
            bail!("the `en:` of line {} has no `zh:` after it", open.line);
        };
        let says = Both::new(open.en.trim(), zh.trim());
        ensure!(
            !says.en.is_empty() && !says.zh.is_empty(),
            "the text of line {} is empty in one language",
            open.line
        );
        let part = self.parts().last_mut().expect("there is always a part");
        part.texts.push(Text {
            anchor: String::new(),
            line: open.line,
            says,
        });
        Ok(())
    }

    /// The parts that are being read.
    fn parts(&mut self) -> &mut Vec<Part> {
        match self.page.sections.last_mut() {
            Some(section) => &mut section.parts,
            None => &mut self.page.introduction,
        }
    }

    fn part(&mut self, line: usize, directive: Directive) {
        self.parts().push(Part {
            directive,
            line,
            texts: Vec::new(),
        });
    }

    fn section(&self, number: usize, heading: &str) -> Result<Section> {
        let parts = vec![Part::text(number)];
        if self.page.example.is_none() {
            let title = both(heading)?;
            return Ok(Section {
                kind: None,
                anchor: title
                    .en
                    .replace('`', "")
                    .to_lowercase()
                    .replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
                title,
                parts,
            });
        }
        let kind = Kind::ALL.get(self.page.sections.len());
        let kind = *kind.context("a page has ten sections, and this is the eleventh")?;
        ensure!(
            heading == kind.anchor(),
            "`## {heading}` is not the next of the ten sections, which is `## {}`",
            kind.anchor()
        );
        Ok(Section {
            kind: Some(kind),
            anchor: kind.anchor().to_string(),
            title: kind.title(),
            parts,
        })
    }

    fn directive(&mut self, number: usize, line: &str) -> Result<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        let alone = |directive| {
            ensure!(rest.is_empty(), "`@{word}` stands alone in its line");
            Ok(directive)
        };
        let named = || {
            ensure!(
                !rest.is_empty() && !rest.contains(' '),
                "write one name after `@{word}`"
            );
            Ok(rest.to_string())
        };
        let directive = match word {
            "read-first" => {
                self.page.read_first = rest.split(' ').map(String::from).collect();
                return Ok(());
            }
            "idea" => {
                self.page.ideas.push(both(rest)?);
                return Ok(());
            }
            "answer" => alone(Directive::Answer)?,
            "code" => match rest.split_once(' ') {
                Some((file, lines)) => Directive::Code(file.to_string(), Some(range(lines)?)),
                None => Directive::Code(named()?, None),
            },
            "row" => Directive::Row(row(rest)?),
            "recorded" => alone(Directive::Recorded)?,
            "timeline" => alone(Directive::Timeline)?,
            "differs" => differs(rest)?,
            "test" => {
                let (file, test) = test(rest).context(
                    "write the file of the test and its name: `@test tests/threading.rs \"adds up\"`",
                )?;
                Directive::Test(file, test)
            }
            "command" => {
                ensure!(!rest.is_empty(), "write a command after `@command`");
                Directive::Command(rest.to_string())
            }
            "refusal" => Directive::Refusal(named()?),
            "mistake" => Directive::Mistake(named()?),
            "exercise" => alone(Directive::Exercise)?,
            "question" => Directive::Question(rest.parse().map_err(|_| {
                anyhow!("write the number of the question, from 1 to 20, after `@question`")
            })?),
            "names" => Directive::Names(named()?),
            "errors" => alone(Directive::Errors)?,
            _ => bail!("`@{word}` is no directive; course/pages/README.md shows all of them"),
        };
        self.part(number, directive);
        Ok(())
    }
}

/// `English | 中文`.
fn both(text: &str) -> Result<Both> {
    let (en, zh) = text
        .split_once('|')
        .with_context(|| format!("write both languages as `English | 中文`, not `{text}`"))?;
    Ok(Both::new(en.trim(), zh.trim()))
}

/// `3-7`, or `3` for one line.
fn range(text: &str) -> Result<RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if 1 <= first && first <= last => Ok(first..=last),
        _ => bail!("`{text}` is no range of lines: write `3-7`, or `3` for one line"),
    }
}

/// `1-7 | 1-9 | other look`; `-` stands for no lines.
fn row(text: &str) -> Result<Row> {
    let columns: Vec<&str> = text.split('|').map(str::trim).collect();
    let [python, rust, mark] = columns[..] else {
        bail!("write a row as `@row PYTHON LINES | RUST LINES | MARK`");
    };
    let lines = |text| match text {
        "-" => Ok(None),
        _ => range(text).map(Some),
    };
    let known = Mark::ALL.into_iter().find(|known| known.title().en == mark);
    let row = Row {
        python: lines(python)?,
        rust: lines(rust)?,
        mark: known.with_context(|| {
            let marks = Mark::ALL.map(|mark| mark.title().en);
            format!("`{mark}` is no mark; the marks are: {}", marks.join(", "))
        })?,
    };
    ensure!(
        row.python.is_some() || row.rust.is_some(),
        "a row needs lines of at least one of the two files"
    );
    Ok(row)
}

/// `1 tests/multiprocessing.rs "the name of a test"`.
fn differs(text: &str) -> Result<Directive> {
    let parts = text.split_once(' ').and_then(|(number, rest)| {
        let (file, test) = test(rest)?;
        Some(Directive::Differs(number.parse().ok()?, file, test))
    });
    parts.context(
        "write the number of the bullet, the file of the test and its name: `@differs 1 tests/threading.rs \"no item is lost\"`",
    )
}

/// `tests/multiprocessing.rs "the name of a test"`.
fn test(text: &str) -> Option<(String, String)> {
    let (file, test) = text.split_once(' ')?;
    let test = test.strip_prefix('"')?.strip_suffix('"')?;
    Some((file.to_string(), test.to_string()))
}
