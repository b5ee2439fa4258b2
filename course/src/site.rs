//! Makes the files of the site: each page in both languages, the tables of
//! contents, the index of the search, the style and the script.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::colour::escape;
use crate::contents::{self, CONTENTS};
use crate::labels::Labels;
use crate::page::{self, Directive, Page};
use crate::tables::Names;
use crate::{Both, Language, html, markdown};

/// A file that shows that a folder was written by [`write`], which may then
/// replace it.
const MARKER: &str = ".course";

/// A file of the site: its path in the site's folder, and what is in it.
#[derive(Clone, Debug)]
pub struct File {
    /// Such as `en/lock.html`.
    pub path: String,
    /// The text of the file.
    pub text: String,
}

/// Makes all files of the site.
///
/// # Errors
///
/// A page that is not of the form, or that names what is not there.
pub fn build() -> Result<Vec<File>> {
    let pages = pages()?;
    let mut files = vec![
        file("style.css", include_str!("assets/style.css")),
        file("site.js", include_str!("assets/site.js")),
        file("search.js", search(&pages)?),
        file("index.html", include_str!("assets/index.html")),
        file(
            MARKER,
            "Written by `cargo run -p course`, which may replace it.\n",
        ),
    ];
    for language in Language::ALL {
        let code = language.code();
        files.push(file(format!("{code}/index.html"), home(&pages, language)?));
        for (at, page) in pages.iter().enumerate() {
            let previous = at.checked_sub(1).map(|at| &pages[at]);
            let around = [previous, pages.get(at + 1)];
            files.push(file(
                format!("{code}/{}.html", page.name),
                whole_page(page, around, &pages, language)?,
            ));
        }
    }
    Ok(files)
}

fn file(path: impl Into<String>, text: impl Into<String>) -> File {
    File {
        path: path.into(),
        text: text.into(),
    }
}

/// The pages that are written, in reading order.
///
/// # Errors
///
/// A page that is not of the form, or that the table of contents lacks.
pub fn pages() -> Result<Vec<Page>> {
    let written = page::names()?;
    let listed: Vec<&str> = contents::listed().collect();
    for name in &written {
        ensure!(
            listed.contains(&name.as_str()),
            "course/pages/{name}.md is in no group of course/src/contents.rs: add it to one"
        );
    }
    let listed = listed
        .into_iter()
        .filter(|name| written.iter().any(|page| page == name));
    listed.map(Page::read).collect()
}

/// Writes `files` into the folder `folder`. They are written beside it first,
/// so that the folder is as it was if anything fails.
///
/// # Errors
///
/// The folder holds something else, or it cannot be written.
pub fn write(files: &[File], folder: &Path) -> Result<()> {
    let taken = folder.exists() && !folder.join(MARKER).exists();
    if taken && (!folder.is_dir() || fs::read_dir(folder)?.next().is_some()) {
        bail!(
            "{} is not empty, and this command did not write what is in it: name another folder",
            folder.display()
        );
    }
    let (new, old) = (beside(folder, "new"), beside(folder, "old"));
    let written = write_all(files, &new).and_then(|()| {
        if folder.exists() {
            fs::rename(folder, &old)?;
        }
        fs::rename(&new, folder).inspect_err(|_| drop(fs::rename(&old, folder)))?;
        Ok(())
    });
    for left in [&new, &old] {
        if left.exists() {
            fs::remove_dir_all(left)?;
        }
    }
    written.with_context(|| {
        format!(
            "cannot write the course to {}: name a folder that you may write to, as in `cargo run -p course -- build DIR`",
            folder.display()
        )
    })
}

fn beside(folder: &Path, ending: &str) -> PathBuf {
    let mut name = folder.as_os_str().to_os_string();
    name.push(format!(".{ending}-{}", process::id()));
    PathBuf::from(name)
}

fn write_all(files: &[File], folder: &Path) -> Result<()> {
    for file in files {
        let path = folder.join(&file.path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, &file.text)?;
    }
    Ok(())
}

fn whole_page(
    page: &Page,
    around: [Option<&Page>; 2],
    pages: &[Page],
    language: Language,
) -> Result<String> {
    let labels = Labels::in_language(language);
    let title = markdown::inline(page.title.in_language(language), language);
    let mut main = format!("<article>\n<header class=\"title\"><h1>{title}</h1>\n");
    if let Some(example) = &page.example {
        writeln!(
            main,
            "<p class=\"made\">{} · <code>{}</code></p>",
            labels.twenty_minutes,
            example.command()
        )?;
    }
    facts(&mut main, page, pages, language)?;
    main.push_str("</header>\n");
    main.push_str(&html::page(page, language)?);
    main.push_str("</article>\n");
    let mut links = String::new();
    for (side, label, page) in [
        ("prev", labels.previous, around[0]),
        ("next", labels.next, around[1]),
    ] {
        if let Some(page) = page {
            write!(
                links,
                "<a class=\"{side}\" rel=\"{side}\" href=\"{}.html\"><small>{label}</small> {}</a>",
                page.name,
                markdown::inline(page.title.in_language(language), language)
            )?;
        }
    }
    if !links.is_empty() {
        writeln!(
            main,
            "<nav class=\"around\" aria-label=\"{} · {}\">{links}</nav>",
            labels.previous, labels.next
        )?;
    }
    Ok(layout(&page.name, &page.title, &main, pages, language))
}

/// What to read first, what is new, and the sections of the page.
fn facts(main: &mut String, page: &Page, pages: &[Page], language: Language) -> Result<()> {
    let labels = Labels::in_language(language);
    if page.example.is_some() {
        main.push_str("<dl class=\"facts\">\n");
        let known = |name: &String| pages.iter().find(|page| page.name == *name);
        let first: Vec<String> = page
            .read_first
            .iter()
            .filter_map(known)
            .map(|page| link(page, language))
            .collect();
        let ideas: Vec<String> = page
            .ideas
            .iter()
            .map(|idea| markdown::inline(idea.in_language(language), language))
            .collect();
        for (label, values) in [(labels.read_first, first), (labels.new_here, ideas)] {
            if !values.is_empty() {
                writeln!(main, "<div><dt>{label}</dt>")?;
                for value in values {
                    writeln!(main, "<dd>{value}</dd>")?;
                }
                main.push_str("</div>\n");
            }
        }
        main.push_str("</dl>\n");
    }
    if page.sections.len() > 1 {
        writeln!(
            main,
            "<nav class=\"sections\" aria-label=\"{}\"><ul>",
            labels.on_this_page
        )?;
        for section in &page.sections {
            writeln!(
                main,
                "<li><a href=\"#{}\">{}</a></li>",
                section.anchor,
                markdown::inline(section.title.in_language(language), language)
            )?;
        }
        main.push_str("</ul></nav>\n");
    }
    Ok(())
}

fn link(page: &Page, language: Language) -> String {
    format!(
        "<a href=\"{}.html\">{}</a> <code>{}</code>",
        page.name,
        markdown::inline(page.title.in_language(language), language),
        page.name
    )
}

fn home(pages: &[Page], language: Language) -> Result<String> {
    let labels = Labels::in_language(language);
    let main = format!(
        "<header class=\"title\"><h1>{}</h1>\n<p>{}</p></header>\n<div class=\"contents\">{}</div>\n",
        labels.course,
        labels.about,
        table_of_contents(pages, language)
    );
    let title = Both::default();
    Ok(layout("index", &title, &main, pages, language))
}

fn table_of_contents(pages: &[Page], language: Language) -> String {
    let mut html = String::new();
    for group in CONTENTS {
        let listed = |name: &&str| pages.iter().find(|page| page.name == **name);
        let items: Vec<String> = group
            .pages
            .iter()
            .filter_map(listed)
            .map(|page| format!("<li>{}</li>\n", link(page, language)))
            .collect();
        if !items.is_empty() {
            html.push_str(&format!(
                "<section><h2>{}</h2>\n<ul>\n{}</ul></section>\n",
                group.title().in_language(language),
                items.concat()
            ));
        }
    }
    html
}

/// A whole HTML file around `main`.
fn layout(name: &str, title: &Both, main: &str, pages: &[Page], language: Language) -> String {
    let labels = Labels::in_language(language);
    let other = language.other();
    let title = match title.in_language(language) {
        "" => labels.course.to_string(),
        title => format!("{} · {}", escape(&markdown::plain(title)), labels.course),
    };
    let tag = |language| match language {
        Language::En => "en",
        Language::Zh => "zh-CN",
    };
    let themes: String = [
        ("", labels.system),
        ("light", labels.light),
        ("dark", labels.dark),
    ]
    .map(|(value, label)| format!("<option value=\"{value}\">{label}</option>"))
    .concat();
    // Headings in the menu would stand in a screen reader's list of headings
    // before the page's own.
    let menu = table_of_contents(pages, language)
        .replace("<h2>", "<p>")
        .replace("</h2>", "</p>")
        .replace("<section>", "<div>")
        .replace("</section>", "</div>");
    format!(
        r##"<!DOCTYPE html>
<html lang="{lang}" data-copy="{copy}" data-copied="{copied}" data-none="{none}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="../style.css">
<link rel="alternate" hreflang="{other_lang}" href="../{other_code}/{name}.html">
<script>document.documentElement.dataset.theme = localStorage.theme || ""; document.documentElement.classList.add("js");</script>
<script defer src="../site.js"></script>
</head>
<body>
<a class="skip" href="#content">{skip}</a>
<header class="bar">
<a class="home" href="index.html" aria-label="{home}">{course}</a>
<details class="menu"><summary>{contents}</summary><nav class="contents" aria-label="{contents}">
{menu}</nav></details>
<search class="needs-script"><input type="search" id="search" placeholder="{search}" aria-label="{search}" autocomplete="off" aria-controls="results"><div id="results" role="status"></div></search>
<label class="theme needs-script"><span>{theme}</span> <select id="theme">{themes}</select></label>
<a class="switch" lang="{other_lang}" hreflang="{other_lang}" href="../{other_code}/{name}.html" title="{language_label}">{other_name}</a>
</header>
<main id="content" tabindex="-1">
{main}</main>
</body>
</html>
"##,
        lang = tag(language),
        copy = labels.copy,
        copied = labels.copied,
        none = labels.no_results,
        other_lang = tag(other),
        other_code = other.code(),
        skip = labels.skip,
        home = labels.home,
        course = labels.course,
        contents = labels.contents,
        search = labels.search,
        theme = labels.theme,
        language_label = labels.language,
        other_name = Labels::in_language(other).language_name,
    )
}

/// The texts of all pages, as a script that the search loads: a substring
/// search needs no more, and finds Chinese words, which have no spaces.
fn search(pages: &[Page]) -> Result<String> {
    let mut entries = Vec::new();
    for page in pages {
        let plain = |both: &Both| [&both.en, &both.zh].map(|text| markdown::plain(text));
        let title = plain(&page.title);
        let mut add = |anchor: &str, heading: &Both, en: &str, zh: &str| {
            let heading = plain(heading);
            entries.push(json!([
                page.name, anchor, title[0], title[1], heading[0], heading[1], en, zh
            ]));
        };
        add("", &Both::default(), &page.name, &page.name);
        let introduction = (&Both::default(), &page.introduction);
        let sections = page
            .sections
            .iter()
            .map(|section| (&section.title, &section.parts));
        for (heading, parts) in [introduction].into_iter().chain(sections) {
            for part in parts {
                let Directive::Names(module) = &part.directive else {
                    continue;
                };
                for name in Names::of(module)? {
                    let rust = name.rust.as_deref().unwrap_or_default();
                    let says =
                        |text| format!("{module}.{}: {rust} {}", name.name, markdown::plain(text));
                    add(&name.anchor(), heading, &says(&name.en), &says(&name.zh));
                }
            }
            for text in parts.iter().flat_map(|part| &part.texts) {
                add(
                    &text.anchor,
                    heading,
                    &markdown::plain(&text.says.en),
                    &markdown::plain(&text.says.zh),
                );
            }
        }
    }
    Ok(format!("window.courseTexts = {};\n", json!(entries)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_in_a_title_is_code_on_the_page_and_text_in_the_window() {
        let text = "# Calling `join` | 调用 `join`\n\n## Two `await` | 两个 `await`\n";
        let page = Page::parse("errors", text).unwrap();
        let html = whole_page(&page, [Some(&page), None], &[], Language::Zh).unwrap();
        assert!(html.contains("<h1>调用 <code>join</code></h1>"), "{html}");
        assert!(html.contains("<title>调用 join · "), "{html}");
        assert!(
            html.contains("</small> 调用 <code>join</code></a>"),
            "{html}"
        );
        assert!(
            html.contains("<a href=\"#two-await\">两个 <code>await</code></a></h2>"),
            "{html}"
        );
    }
}
