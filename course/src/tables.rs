//! The tables of the pages *names* and *errors*.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::colour::{Syntax, escape, lines};
use crate::labels::Labels;
use crate::{Language, markdown, refusals, root};

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
    /// A line of Rust in its place, if there is one.
    pub rust: Option<String>,
    /// What to know of it, or why there is none.
    pub en: String,
    /// The same in Chinese.
    pub zh: String,
    /// The page that shows it.
    pub page: Option<String>,
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
}

/// A table for each module, with a row for each name.
///
/// # Errors
///
/// The names cannot be read.
pub fn names(language: Language) -> Result<String> {
    let labels = Labels::in_language(language);
    let mut modules: Vec<(String, Vec<Name>)> = Vec::new();
    for name in Names::read()?.name {
        match modules.last_mut() {
            Some((module, names)) if *module == name.module => names.push(name),
            _ => modules.push((name.module.clone(), vec![name])),
        }
    }
    let mut html = String::new();
    for (module, names) in modules {
        writeln!(
            html,
            "<h2 id=\"{module}\"><a href=\"#{module}\"><code>{module}</code></a></h2>\n\
             <div class=\"table\"><table class=\"names\"><thead><tr><th scope=\"col\">Python</th>\
             <th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>",
            labels.in_rust, labels.page
        )?;
        for name in names {
            let says = match language {
                Language::En => &name.en,
                Language::Zh => &name.zh,
            };
            let rust = name.rust.as_deref().map_or(String::new(), |rust| {
                format!(
                    "<pre class=\"rs\"><code>{}</code></pre>",
                    lines(rust, Syntax::Rust).join("\n")
                )
            });
            let page = name.page.as_deref().map_or(String::new(), |page| {
                format!("<a href=\"{page}.html\">{page}</a>")
            });
            writeln!(
                html,
                "<tr id=\"{module}.{0}\"><th scope=\"row\"><code>{0}</code></th>\
                 <td>{rust}{1}</td><td>{page}</td></tr>",
                escape(&name.name),
                markdown::inline(says, language)
            )?;
        }
        html.push_str("</tbody></table></div>\n");
    }
    Ok(html)
}

/// A row for each code of an error, or for each message of one without a code.
///
/// # Errors
///
/// A refusal cannot be read.
pub fn errors(language: Language) -> Result<String> {
    let labels = Labels::in_language(language);
    let mut rows: BTreeMap<(String, String), Vec<(String, String)>> = BTreeMap::new();
    for (page, name) in refusals::all()? {
        let refusal = refusals::get(&page, &name)?;
        let words = refusal.message.lines().next().unwrap_or_default();
        let words = words.split_once(": ").map_or(words, |(_, words)| words);
        rows.entry((refusal.code.unwrap_or_default(), words.to_string()))
            .or_default()
            .push((page, name));
    }
    let mut html = format!(
        "<div class=\"table\"><table class=\"errors\"><thead><tr><th scope=\"col\">{}</th>\
         <th scope=\"col\">{}</th><th scope=\"col\">{}</th></tr></thead><tbody>\n",
        labels.error_code, labels.rustc_says, labels.page
    );
    for ((code, words), places) in rows {
        let links: Vec<String> = places
            .iter()
            .map(|(page, name)| format!("<a href=\"{page}.html#refusal-{name}\">{page}</a>"))
            .collect();
        writeln!(
            html,
            "<tr><th scope=\"row\">{code}</th><td lang=\"en\">{}</td><td>{}</td></tr>",
            escape(&words),
            links.join(", ")
        )?;
    }
    html.push_str("</tbody></table></div>\n");
    Ok(html)
}
