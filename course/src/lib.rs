//! The course: a page for each example, in English and in Chinese.
//!
//! A page is written as one file, `pages/NAME.md`, which has both languages
//! block by block ([`page`]). The code, the outputs and the messages on it are
//! never part of the text: they come from the examples themselves
//! ([`example`]), from runs of them ([`recordings`]) and from the compiler
//! ([`refusals`]). [`site`] makes the files of all that, and [`serve`] shows them.
//!
//! mdBook is what Rust learners know, and it was tried. Its text is 750 pixels
//! wide, where two columns of code need 1200; its search splits text at spaces,
//! so that it finds no Chinese word; and two languages side by side in one file
//! need a preprocessor before it. A generator on `pulldown-cmark` that does only
//! what these pages need is smaller than that preprocessor with the theme and
//! the scripts would be, and adds four crates to those of the workspace.

#![forbid(unsafe_code)]

use std::path::Path;

pub mod colour;
pub mod contents;
pub mod errors;
pub mod example;
pub mod html;
pub mod labels;
pub mod lock;
pub mod markdown;
pub mod mistakes;
pub mod page;
pub mod programs;
pub mod recordings;
pub mod refusals;
pub mod serve;
pub mod site;
pub mod tables;

/// A language of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    En,
    /// Chinese, in simplified characters.
    Zh,
}

impl Language {
    /// Both languages.
    pub const ALL: [Language; 2] = [Language::En, Language::Zh];

    /// The name in file names and in HTML: `en` or `zh`.
    pub fn code(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
        }
    }

    /// The other one.
    pub fn other(self) -> Language {
        match self {
            Language::En => Language::Zh,
            Language::Zh => Language::En,
        }
    }
}

/// One thing in both languages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Both {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Both {
    /// What `en` and `zh` say.
    pub fn new(en: impl Into<String>, zh: impl Into<String>) -> Both {
        Both {
            en: en.into(),
            zh: zh.into(),
        }
    }

    /// The text in `language`.
    pub fn in_language(&self, language: Language) -> &str {
        match language {
            Language::En => &self.en,
            Language::Zh => &self.zh,
        }
    }
}

/// The root of the workspace.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the course is a folder of the workspace")
}

/// Names a text in `sync.lock` and a source in a recording: 64 bits of FNV-1a
/// in hexadecimal. It finds changes, which nobody makes in order to hide them.
pub fn hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
