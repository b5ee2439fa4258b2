//! Makes HTML and plain text of the Markdown of a page.

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use crate::Language;

/// `text` as HTML. A link to a page leads to the page in `language`.
pub fn html(text: &str, language: Language) -> String {
    let text = joined(text, language);
    let events = events(&text).map(|event| match event {
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => Event::Start(Tag::Link {
            link_type,
            dest_url: CowStr::from(address(&dest_url)),
            title,
            id,
        }),
        // A text has no HTML of its own.
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        event => event,
    });
    let mut page = String::new();
    html::push_html(&mut page, events);
    page
}

/// `text` as HTML without the paragraph around it.
pub fn inline(text: &str, language: Language) -> String {
    let html = html(text, language);
    let html = html.trim_end();
    match html
        .strip_prefix("<p>")
        .and_then(|html| html.strip_suffix("</p>"))
    {
        Some(inside) if !inside.contains("<p>") => inside.to_string(),
        _ => html.to_string(),
    }
}

/// What a reader of `text` sees, without its markup.
pub fn plain(text: &str) -> String {
    let mut plain = String::new();
    for event in events(text) {
        match event {
            Event::Text(text) | Event::Code(text) => plain.push_str(&text),
            Event::SoftBreak | Event::HardBreak | Event::End(_) if !plain.ends_with(' ') => {
                plain.push(' ');
            }
            _ => {}
        }
    }
    plain.trim().to_string()
}

/// The inline code in `text`.
pub fn codes(text: &str) -> Vec<String> {
    let codes = events(text).filter_map(|event| match event {
        Event::Code(code) => Some(code.to_string()),
        _ => None,
    });
    codes.collect()
}

/// The words of `text` with a `C` in the place of each inline code, and each
/// paragraph, item and cell in a line of its own.
pub fn prose(text: &str) -> String {
    let mut prose = String::new();
    for event in events(text) {
        match event {
            Event::Text(text) => prose.push_str(&text),
            Event::Code(_) => prose.push('C'),
            Event::SoftBreak => prose.push(' '),
            Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::Item | TagEnd::TableCell) => {
                prose.push('\n')
            }
            _ => {}
        }
    }
    prose.trim().to_string()
}

/// Where the links in `text` lead, as they are written.
pub fn links(text: &str) -> Vec<String> {
    let links = events(text).filter_map(|event| match event {
        Event::Start(Tag::Link { dest_url, .. }) => Some(dest_url.to_string()),
        _ => None,
    });
    links.collect()
}

/// The parts of `text` as the Markdown parser finds them.
pub fn events(text: &str) -> Parser<'_> {
    Parser::new_ext(text, Options::ENABLE_TABLES)
}

/// `lock#refuses` as `lock.html#refuses`; an address on the web stays.
fn address(link: &str) -> String {
    if link.contains("://") {
        return link.to_string();
    }
    match link.split_once('#') {
        Some(("", anchor)) => format!("#{anchor}"),
        Some((page, anchor)) => format!("{page}.html#{anchor}"),
        None => format!("{link}.html"),
    }
}

/// A line may be broken between two Chinese characters. A browser would show
/// a space there.
fn joined(text: &str, language: Language) -> String {
    if language == Language::En {
        return text.to_string();
    }
    let mut joined = String::new();
    for line in text.lines() {
        let wide = |c: char| c >= '\u{2e80}' || "“”‘’…—".contains(c);
        let is_inside = joined.ends_with(wide) && line.starts_with(wide);
        if !joined.is_empty() && !is_inside {
            joined.push('\n');
        }
        joined.push_str(line);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_file_of_a_page() {
        assert_eq!(
            inline(
                "[a](lock#refuses) [b](lock) [c](https://peps.python.org)",
                Language::En
            ),
            "<a href=\"lock.html#refuses\">a</a> <a href=\"lock.html\">b</a> <a href=\"https://peps.python.org\">c</a>"
        );
    }

    #[test]
    fn chinese_lines_are_joined_without_a_space() {
        assert_eq!(
            inline("读旧值，\n再写\nRust", Language::Zh),
            "读旧值，再写\nRust"
        );
        assert_eq!(html("读\n\n写", Language::Zh), "<p>读</p>\n<p>写</p>\n");
        assert_eq!(inline("one\ntwo", Language::En), "one\ntwo");
    }
}
