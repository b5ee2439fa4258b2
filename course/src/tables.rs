//! The tables of the pages *names* and *errors*.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::colour::{Syntax, escape, lines};
use crate::labels::Labels;
use crate::{Both, Language, errors, markdown, page, root};

/// `pages/names.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Its tables `[[name]]`.
    pub name: Vec<Name>,
}

/// A public name of Python's, and what a Rust programmer uses in its place.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The module of the name, such as `concurrent.futures`.
    pub module: String,
    /// The name in that module.
    pub name: String,
    /// The first version of Python that has it, if older ones lack it.
    pub since: Option<String>,
    /// The last version of Python that has it, if newer ones lack it.
    pub until: Option<String>,
    /// A few lines of Rust in its place, if there are any.
    pub rust: Option<String>,
    /// The variables that these lines use, as parameters of a function.
    pub given: Option<String>,
    /// What to know of it, or why there is none.
    pub en: String,
    /// The same in Chinese.
    pub zh: String,
    /// The page that shows it.
    pub page: Option<String>,
}

impl Name {
    /// What a link to its row ends in, such as `concurrent-futures-wait`.
    pub fn anchor(&self) -> String {
        format!("{}-{}", self.module.replace('.', "-"), self.name)
    }

    /// What to know of it, in both languages.
    pub fn says(&self) -> Both {
        Both::new(self.en.as_str(), self.zh.as_str())
    }
}

impl Names {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// There is none, or it is not of the form.
    pub fn read() -> Result<Names> {
        let path = root().join("course/pages/names.toml");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        basic_toml::from_str(&text).context("course/pages/names.toml")
    }

    /// The names of `module`, in order.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has none of that module.
    pub fn of(module: &str) -> Result<Vec<Name>> {
        let mut names = Names::read()?.name;
        names.retain(|name| name.module == module);
        ensure!(
            !names.is_empty(),
            "course/pages/names.toml has no name of the module `{module}`"
        );
        Ok(names)
    }
}

/// A table with a row for each name of `module`.
///
/// # Errors
///
/// The names cannot be read.
pub fn names(module: &str, language: Language) -> Result<String> {
    let labels = Labels::in_language(language);
    let written = page::names()?;
    let mut html = String::new();
    writeln!(
        html,
        "<div class=\"table wide names\"><table><thead><tr><th scope=\"col\">Python</th>\
         <th scope=\"col\">{}</th></tr></thead><tbody>",
        labels.in_rust
    )?;
    for name in Names::of(module)? {
        let versions: String = [("≥", &name.since), ("≤", &name.until)]
            .into_iter()
            .filter_map(|(sign, version)| {
                let version = version.as_ref()?;
                Some(format!(" <small>{sign} {version}</small>"))
            })
            .collect();
        let rust = name.rust.as_deref().map_or(String::new(), |rust| {
            format!(
                "<pre class=\"rs\"><code>{}</code></pre>",
                lines(rust.trim(), Syntax::Rust).join("\n")
            )
        });
        let page = name.page.as_ref().filter(|page| written.contains(page));
        let page = page.map_or(String::new(), |page| page_link(page));
        writeln!(
            html,
            "<tr id=\"{}\"><th scope=\"row\"><code>{}</code>{versions}</th>\
             <td>{rust}{}{page}</td></tr>",
            name.anchor(),
            escape(&name.name),
            markdown::inline(name.says().in_language(language), language)
        )?;
    }
    html.push_str("</tbody></table></div>\n");
    Ok(html)
}

/// The errors of the compiler, then those of running programs, each with what
/// it means and the pages that show it.
///
/// # Errors
///
/// A refusal or a mistake cannot be read.
pub fn errors(language: Language) -> Result<String> {
    let labels = Labels::in_language(language);
    let mut html = String::new();
    let entries = errors::entries()?;
    for (by_rustc, title) in [(true, labels.rustc_says), (false, labels.program_says)] {
        writeln!(
            html,
            "<h2>{title}</h2>\n<div class=\"table wide\"><table><thead><tr>\
             <th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>",
            labels.error, labels.meaning
        )?;
        for entry in entries.iter().filter(|entry| entry.by_rustc == by_rustc) {
            let code = entry.code.as_deref().unwrap_or_default();
            writeln!(
                html,
                "<tr><th scope=\"row\" lang=\"en\"><b>{code}</b> {}</th><td>{}{}</td></tr>",
                escape(&entry.words),
                markdown::inline(entry.meaning.in_language(language), language),
                page_link(&format!("{}#{}", entry.page, entry.anchor))
            )?;
        }
        html.push_str("</tbody></table></div>\n");
    }
    Ok(html)
}

/// A link to `page`, or to a place in it if there is a `#`.
fn page_link(page: &str) -> String {
    let (name, anchor) = page.split_once('#').unwrap_or((page, ""));
    let anchor = match anchor {
        "" => String::new(),
        _ => format!("#{anchor}"),
    };
    format!(" <a class=\"page\" href=\"{name}.html{anchor}\">{name}</a>")
}
