//! The page *errors* leads from every error that a page shows to that page.

use course::errors::{self, Entry};
use course::example::Example;
use course::{mistakes, refusals};

fn entries() -> Vec<Entry> {
    errors::entries().unwrap()
}

#[test]
fn each_refusal_and_each_error_of_a_mistake_is_listed_once() {
    let mut anchors: Vec<_> = entries()
        .into_iter()
        .map(|entry| (entry.page, entry.anchor))
        .collect();
    anchors.sort();
    let refused = refusals::read().unwrap().into_iter();
    let refused = refused.map(|refusal| (refusal.page, format!("refusal-{}", refusal.name)));
    let failed = mistakes::read().unwrap().into_iter();
    let failed = failed.filter(|mistake| mistake.words.is_some());
    let failed = failed.map(|mistake| (mistake.page, format!("mistake-{}", mistake.name)));
    let mut expected: Vec<_> = refused.chain(failed).collect();
    expected.sort();
    assert_eq!(anchors, expected);
}

#[test]
fn each_error_has_words_and_leads_to_a_page() {
    let pages = Example::names().unwrap();
    for entry in entries() {
        assert!(!entry.words.is_empty(), "{entry:?}");
        assert!(pages.contains(&entry.page), "{entry:?}");
    }
}

#[test]
fn the_codes_come_first_and_in_order() {
    let entries = entries();
    let codes = entries.iter().map_while(|entry| entry.code.as_ref());
    let codes: Vec<_> = codes.collect();
    assert!(codes.is_sorted());
    assert!(
        entries[codes.len()..]
            .iter()
            .all(|entry| entry.code.is_none())
    );
    assert!(entries.is_sorted_by_key(|entry| !entry.by_rustc));
}
