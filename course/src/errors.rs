//! What the page *errors* lists: from the words of an error to the page that
//! explains it. The list is made from the [`refusals`] and from those
//! [`mistakes`] that say on standard error what is wrong, so every error in it
//! has been provoked.

use anyhow::Result;

use crate::{Both, mistakes, refusals};

/// An error, and where it is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether rustc says it; otherwise the program does when it runs.
    pub by_rustc: bool,
    /// The code, such as `E0373`, if it has one.
    pub code: Option<String>,
    /// The words: rustc's message, or what stands in the message of the program.
    pub words: String,
    /// The page.
    pub page: String,
    /// The place on that page: `refusal-NAME` or `mistake-NAME`.
    pub anchor: String,
    /// What it means, as Markdown: what would have happened had it compiled, or
    /// what goes wrong.
    pub meaning: Both,
}

/// All errors: those of rustc with a code, in the order of the codes, then those
/// without one, then those of running programs; each part in alphabetical order.
///
/// # Errors
///
/// A refusal or a mistake cannot be read.
pub fn entries() -> Result<Vec<Entry>> {
    let refused = refusals::read()?.into_iter().map(|refusal| Entry {
        by_rustc: true,
        code: refusal.code,
        words: refusal.summary,
        page: refusal.page,
        anchor: format!("refusal-{}", refusal.name),
        meaning: refusal.had_it_compiled,
    });
    let failed = mistakes::read()?.into_iter().filter_map(|mistake| {
        Some(Entry {
            by_rustc: false,
            code: None,
            words: mistake.words?,
            page: mistake.page,
            anchor: format!("mistake-{}", mistake.name),
            meaning: mistake.what_goes_wrong,
        })
    });
    let mut entries: Vec<Entry> = refused.chain(failed).collect();
    entries.sort_by_cached_key(|entry| {
        let Entry { code, words, .. } = entry.clone();
        (!entry.by_rustc, code.is_none(), code, words.to_lowercase())
    });
    Ok(entries)
}
