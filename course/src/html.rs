//! Makes the HTML of a page in one language.

use std::fmt::Write as _;
use std::fs;
use std::ops::RangeInclusive;

use anyhow::{Context, Result, bail, ensure};

use crate::colour::{Syntax, escape, lines};
use crate::example::Example;
use crate::labels::{self, Labels};
use crate::page::{Directive, Kind, Mark, Page, Part, Row, Section, Text};
use crate::recordings::{self, Recording, Timeline};
use crate::{Language, markdown, mistakes, refusals, root, tables};

/// What is inside the `<main>` of the page, in `language`.
///
/// # Errors
///
/// What a directive names is missing.
pub fn page(page: &Page, language: Language) -> Result<String> {
    let mut writer = Writer {
        page,
        language,
        labels: Labels::in_language(language),
        recording: recordings::of(&page.name)?,
        html: String::new(),
    };
    writer.parts(&page.introduction)?;
    for section in &page.sections {
        writer.section(section)?;
    }
    Ok(writer.html)
}

struct Writer<'a> {
    page: &'a Page,
    language: Language,
    labels: &'static Labels,
    recording: Option<Recording>,
    html: String,
}

impl Writer<'_> {
    fn add(&mut self, html: impl AsRef<str>) {
        self.html.push_str(html.as_ref());
    }

    fn section(&mut self, section: &Section) -> Result<()> {
        let anchor = &section.anchor;
        let title = markdown::inline(section.title.in_language(self.language), self.language);
        self.add(format!(
            "<section id=\"{anchor}\" aria-labelledby=\"{anchor}-heading\">\n\
             <h2 id=\"{anchor}-heading\"><a href=\"#{anchor}\">{title}</a></h2>\n"
        ));
        let folded = section.kind == Some(Kind::Teachers);
        if folded {
            self.add(format!(
                "<details><summary>{}</summary>\n",
                self.labels.teachers_open
            ));
        }
        if section.kind == Some(Kind::SideBySide) {
            self.rows(section)?;
        } else {
            self.parts(&section.parts)?;
        }
        if folded {
            self.add("</details>\n");
        }
        self.add("</section>\n");
        Ok(())
    }

    fn parts(&mut self, parts: &[Part]) -> Result<()> {
        for part in parts {
            self.part(part)
                .with_context(|| format!("course/pages/{}.md:{}", self.page.name, part.line))?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part) -> Result<()> {
        match &part.directive {
            Directive::Text => self.texts(&part.texts),
            Directive::Heading(title) => {
                let title = markdown::inline(title.in_language(self.language), self.language);
                self.add(format!("<h3>{title}</h3>\n"));
                self.texts(&part.texts);
            }
            Directive::Answer => {
                self.add(format!(
                    "<details class=\"answer\"><summary>{}</summary>\n",
                    self.labels.show_answer
                ));
                self.texts(&part.texts);
                self.add("</details>\n");
            }
            Directive::Code(file, range) => {
                self.code(file, range.as_ref())?;
                self.texts(&part.texts);
            }
            Directive::Row(_) => bail!("`@row` belongs into the section `## side-by-side`"),
            Directive::Recorded => {
                self.recorded()?;
                self.texts(&part.texts);
            }
            Directive::Timeline => {
                let timelines = self.recording()?.timelines;
                ensure!(
                    !timelines.is_empty(),
                    "no timeline was recorded: leave `@timeline` out and say why there is none"
                );
                for timeline in timelines {
                    self.timeline(&timeline);
                }
                self.texts(&part.texts);
            }
            Directive::Differs(number, file, test) => {
                self.differs(*number, file, test, &part.texts)?;
            }
            Directive::Test(file, test) => self.test(file, test, &part.texts)?,
            Directive::Command(command) => {
                self.command(command);
                self.texts(&part.texts);
            }
            Directive::Refusal(name) => self.refusal(name, &part.texts)?,
            Directive::Mistake(name) => self.mistake(name, &part.texts)?,
            Directive::Exercise => self.exercise(&part.texts)?,
            Directive::Question(number) => self.question(*number, &part.texts)?,
            Directive::Names(module) => {
                self.texts(&part.texts);
                let table = tables::names(module, self.language)?;
                self.add(table);
            }
            Directive::Errors => {
                self.texts(&part.texts);
                let table = tables::errors(self.language)?;
                self.add(table);
            }
        }
        Ok(())
    }

    fn texts(&mut self, texts: &[Text]) {
        for text in texts {
            let html = markdown::html(text.says.in_language(self.language), self.language);
            let html = html
                .replace("<table>", "<div class=\"table\"><table>")
                .replace("</table>", "</table></div>");
            self.add(format!(
                "<div class=\"text\" id=\"{}\">\n{html}</div>\n",
                text.anchor
            ));
        }
    }

    /// The two files in rows. The notes stand below the code of their rows.
    fn rows(&mut self, section: &Section) -> Result<()> {
        let example = self.example()?;
        let (files, wide) = (files(example), widest(example));
        let python = lines(&example.python, Syntax::Python);
        let rust = lines(&example.rust, Syntax::Rust);
        let mut table = String::new();
        for part in &section.parts {
            let Directive::Row(row) = &part.directive else {
                ensure!(
                    matches!(part.directive, Directive::Text),
                    "course/pages/{}.md:{}: the section `## side-by-side` has rows and texts only",
                    self.page.name,
                    part.line
                );
                self.texts(&part.texts);
                continue;
            };
            ensure!(
                part.texts.len() == usize::from(row.mark != Mark::Same)
                    || row.mark == Mark::Same && part.texts.len() == 1,
                "course/pages/{}.md:{}: a row that is not the same has one note, as one text",
                self.page.name,
                part.line
            );
            self.row(&mut table, row, part.texts.first(), &python, &rust)?;
        }
        self.add(format!(
            "<div class=\"rows\" style=\"--py-width:{}; --rs-width:{}; --columns: minmax(0, {0}fr) minmax(0, {1}fr)\">\n\
             <div class=\"heads\"><p>{}</p><p>{}</p></div>\n{table}</div>\n",
            wide.0, wide.1, files.0, files.1
        ));
        Ok(())
    }

    fn row(
        &self,
        table: &mut String,
        row: &Row,
        note: Option<&Text>,
        python: &[String],
        rust: &[String],
    ) -> Result<()> {
        let title = row.mark.title();
        let class = title.en.replace(' ', "-");
        writeln!(table, "<div class=\"row {class}\">")?;
        for (name, range, code) in [("py", &row.python, python), ("rs", &row.rust, rust)] {
            match range {
                Some(range) => table.push_str(&numbered(name, code, range, &[])),
                None => writeln!(table, "<div class=\"nothing\"></div>")?,
            }
        }
        let anchor = note.map_or(String::new(), |note| format!(" id=\"{}\"", note.anchor));
        let says = note.map_or(String::new(), |note| {
            markdown::inline(note.says.in_language(self.language), self.language)
        });
        writeln!(
            table,
            "<p class=\"note\"{anchor}><span class=\"mark\">{}</span> {says}</p>\n</div>",
            title.in_language(self.language)
        )?;
        Ok(())
    }

    fn example(&self) -> Result<&Example> {
        let example = self.page.example.as_ref();
        example.context("only the page of an example can show this")
    }

    fn code(&mut self, file: &str, range: Option<&RangeInclusive<usize>>) -> Result<()> {
        let path = root().join(file);
        let code =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let code = lines(&code, Syntax::of(file));
        let range = range.cloned().unwrap_or(1..=code.len());
        ensure!(
            *range.end() <= code.len(),
            "{file} has {} lines, not {}",
            code.len(),
            range.end()
        );
        let code = numbered(side(file), &code, &range, &[]);
        self.figure(&format!("<code>{}</code>", escape(file)), &code);
        Ok(())
    }

    fn figure(&mut self, caption: &str, content: &str) {
        self.add(format!(
            "<figure class=\"code\"><figcaption>{caption}</figcaption>\n{content}</figure>\n"
        ));
    }

    fn recording(&self) -> Result<Recording> {
        self.recording.clone().with_context(|| {
            format!(
                "there is no recording: make one with `cargo run -p course -- record {}`",
                self.page.name
            )
        })
    }

    fn recorded(&mut self) -> Result<()> {
        let recording = self.recording()?;
        let labels = self.labels;
        self.add("<div class=\"outputs\">\n");
        for (name, title, output) in [
            ("py", "Python", &recording.python_output),
            ("rs", "Rust", &recording.rust_output),
        ] {
            self.add(format!(
                "<figure class=\"code\"><figcaption>{title}</figcaption>\n\
                 <pre class=\"{name} output\" tabindex=\"0\">{}</pre></figure>\n",
                escape(output.trim_end())
            ));
        }
        self.add("</div>\n");
        if !recording.counts.is_empty() {
            self.add(format!(
                "<div class=\"table\"><table class=\"counts\"><thead><tr><th scope=\"col\">{}</th>\
                 <th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>\n",
                labels.program, labels.what_happened, labels.how_often
            ));
            for count in &recording.counts {
                let program = if count.of_python { "Python" } else { "Rust" };
                let what = markdown::inline(count.what.in_language(self.language), self.language);
                let times = labels::of_runs(count.times, count.runs, self.language);
                self.add(format!(
                    "<tr><td>{program}</td><td>{what}</td><td>{times}</td></tr>\n"
                ));
            }
            self.add("</tbody></table></div>\n");
        }
        self.add(format!(
            "<p class=\"made\">{} {} · Python {} · rustc {} · {} {}</p>\n",
            labels.recorded_on,
            recording.date,
            escape(&recording.python),
            escape(&recording.rustc),
            recording.cores,
            labels.cores
        ));
        Ok(())
    }

    fn timeline(&mut self, timeline: &Timeline) {
        let svg = timeline.svg.in_language(self.language);
        let caption = markdown::inline(timeline.caption.in_language(self.language), self.language);
        self.add(format!(
            "<figure class=\"timeline\">\n<div class=\"drawing\" tabindex=\"0\">{svg}</div>\n\
             <figcaption>{caption}</figcaption></figure>\n"
        ));
    }

    fn differs(&mut self, number: usize, file: &str, test: &str, texts: &[Text]) -> Result<()> {
        let bullets = self.example()?.differences().len();
        ensure!(
            (1..=bullets).contains(&number),
            "the Rust file has {bullets} bullets under `Differs:`, and this is number {number}"
        );
        self.test(file, test, texts)
    }

    fn test(&mut self, file: &str, test: &str, texts: &[Text]) -> Result<()> {
        let path = root().join(file);
        let source =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        ensure!(
            source.contains(&format!("\"{test}\"")) || source.contains(&format!("fn {test}(")),
            "{file} has no test \"{test}\""
        );
        self.add("<div class=\"entry\">\n");
        self.texts(texts);
        self.add(format!(
            "<p class=\"made\">{} <code>{}</code> · <code>{}</code></p></div>\n",
            self.labels.shown_by,
            escape(test),
            escape(file)
        ));
        Ok(())
    }

    fn refusal(&mut self, name: &str, texts: &[Text]) -> Result<()> {
        let refusal = refusals::get(&self.page.name, name)?;
        let labels = self.labels;
        let code = lines(&refusal.program, Syntax::Rust);
        self.add(format!(
            "<div class=\"entry refusal\" id=\"refusal-{name}\">\n"
        ));
        self.texts(texts);
        let mut shown = String::new();
        for range in &refusal.changed {
            shown.push_str(&numbered("rs refused", &code, range, &[refusal.line]));
        }
        let number = refusal.code.as_ref().map_or(String::new(), |code| {
            format!(" · <a href=\"https://doc.rust-lang.org/error_codes/{code}.html\">{code}</a>")
        });
        self.figure(&format!("{}{number}", labels.refused), &shown);
        self.figure(
            labels.rustc_says,
            &format!(
                "<pre class=\"message\" tabindex=\"0\" lang=\"en\">{}</pre>",
                message(&refusal.message)
            ),
        );
        let compiled = refusal.had_it_compiled.in_language(self.language);
        self.add(format!(
            "<div class=\"compiled\"><h3>{}</h3>\n{}</div></div>\n",
            labels.had_it_compiled,
            markdown::html(compiled, self.language)
        ));
        Ok(())
    }

    fn mistake(&mut self, name: &str, texts: &[Text]) -> Result<()> {
        let mistake = mistakes::get(&self.page.name, name)?;
        self.add(format!("<div class=\"entry\" id=\"mistake-{name}\">\n"));
        self.texts(texts);
        let code = lines(&mistake.program, Syntax::Rust);
        let code = numbered("rs wrong", &code, &(1..=code.len()), &[]);
        self.figure(self.labels.compiles_and_is_wrong, &code);
        let printed = format!("{}{}", mistake.stdout, mistake.stderr);
        if !printed.is_empty() {
            self.figure(
                self.labels.it_prints,
                &format!(
                    "<pre class=\"message output\" tabindex=\"0\">{}</pre>",
                    escape(printed.trim_end())
                ),
            );
        }
        if mistake.exit_code.is_none() {
            self.add(format!(
                "<p class=\"made\">{}</p>\n",
                self.labels.never_ends
            ));
        }
        let wrong = mistake.what_goes_wrong.in_language(self.language);
        let recorded = match mistake.recorded.rsplit_once(", ") {
            Some((rustc, cores)) => {
                let cores = cores.split(' ').next().unwrap_or_default();
                format!("{} · {cores} {}", escape(rustc), self.labels.cores)
            }
            None => String::new(),
        };
        self.add(format!(
            "<div class=\"text\">{}</div>\n<p class=\"made\">{recorded}</p></div>\n",
            markdown::html(wrong, self.language)
        ));
        Ok(())
    }

    fn exercise(&mut self, texts: &[Text]) -> Result<()> {
        let name = &self.page.name;
        let path = root().join(format!("course/exercises/src/{name}.rs"));
        let source =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let (docs, code): (Vec<&str>, Vec<&str>) =
            source.lines().partition(|line| line.starts_with("//!"));
        let docs: Vec<&str> = docs
            .iter()
            .map(|line| line[3..].strip_prefix(' ').unwrap_or(""))
            .collect();
        let python = docs.split(|line| line.starts_with("```")).nth(1);
        let python = python.context("the exercise shows no Python program in its docs")?;
        let (python, rust) = (python.join("\n"), code.join("\n"));
        let python = lines(&python, Syntax::Python);
        let rust = lines(rust.trim_start(), Syntax::Rust);
        self.add(format!("<h3>{}</h3>\n", self.labels.exercise));
        self.texts(texts);
        self.figure("Python", &numbered("py", &python, &(1..=python.len()), &[]));
        self.figure(
            &format!("<code>course/exercises/src/{name}.rs</code>"),
            &numbered("rs", &rust, &(1..=rust.len()), &[]),
        );
        self.command(&format!("cargo test -p exercises {name}::"));
        Ok(())
    }

    fn command(&mut self, command: &str) {
        self.add(format!(
            "<figure class=\"code\"><pre class=\"command\" tabindex=\"0\">{}</pre></figure>\n",
            escape(command)
        ));
    }

    fn question(&mut self, number: usize, texts: &[Text]) -> Result<()> {
        let [question, answer @ ..] = texts else {
            bail!("`@question` is followed by the question, as one text, and by its answer");
        };
        let title = markdown::inline(question.says.in_language(self.language), self.language);
        self.add(format!(
            "<div class=\"entry\" id=\"question-{number}\">\n<h3 id=\"{}\">{title}</h3>\n",
            question.anchor
        ));
        self.texts(answer);
        self.add("</div>\n");
        Ok(())
    }
}

/// What rustc says as HTML: what is wrong, and where, stands out.
fn message(message: &str) -> String {
    let lines = message.trim_end().lines().map(|line| {
        let line = escape(line);
        let (before, after) = line.split_at(line.find('^').unwrap_or(line.len()));
        if line.starts_with("error") {
            format!("<b>{line}</b>")
        } else if before.contains('|') && !after.is_empty() {
            format!("{before}<em>{after}</em>")
        } else {
            line
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The names of the two files of an example, as HTML.
fn files(example: &Example) -> (String, String) {
    let file = |ending| {
        format!(
            "<code>{}/src/bin/{}.{ending}</code>",
            example.section, example.name
        )
    };
    (file("py"), file("rs"))
}

/// The width of the widest line of the Python and of the Rust.
fn widest(example: &Example) -> (usize, usize) {
    let widest = |code: &str| code.lines().map(|line| line.chars().count()).max();
    (
        widest(&example.python).unwrap_or(0),
        widest(&example.rust).unwrap_or(0),
    )
}

/// The class of a column of code.
fn side(file: &str) -> &'static str {
    match Syntax::of(file) {
        Syntax::Python => "py",
        Syntax::Rust => "rs",
        Syntax::Plain => "",
    }
}

/// Lines of code with their numbers, which a reader does not copy with them.
fn numbered(
    class: &str,
    code: &[String],
    range: &RangeInclusive<usize>,
    pointed: &[usize],
) -> String {
    let language = match class.split(' ').next() {
        Some("py") => " role=\"group\" aria-label=\"Python\"",
        Some("rs") => " role=\"group\" aria-label=\"Rust\"",
        _ => "",
    };
    let mut html = format!("<pre class=\"{class}\" tabindex=\"0\"{language}><code>");
    for number in range.clone() {
        let pointed = if pointed.contains(&number) {
            " class=\"pointed\""
        } else {
            ""
        };
        let line = code.get(number - 1).map_or("", String::as_str);
        html.push_str(&format!(
            "<span data-n=\"{number}\"{pointed}>{line}\n</span>"
        ));
    }
    html.push_str("</code></pre>\n");
    html
}
