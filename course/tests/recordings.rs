//! What the recordings claim holds.

#![forbid(unsafe_code)]

use course::example::Example;
use course::recordings::file::{Event, Recording};
use course::recordings::{self, Timeline};
use course::{Language, recordings::hash_of};
use roxmltree::{Document, Node};
use tests::specifications;

/// Each example and its recording.
fn all() -> Vec<(Example, Recording)> {
    let names = Example::names().unwrap();
    assert_eq!(names.len(), 14);
    let read = |name: &String| {
        let example = Example::find(name).unwrap().unwrap();
        let recording = recordings::read(name).unwrap_or_else(|error| panic!("{error:#}"));
        (example, recording)
    };
    names.iter().map(read).collect()
}

/// Each page that has a timeline, with it in both languages.
fn timelines() -> Vec<(String, Timeline)> {
    let of = |name: String| {
        let recording = recordings::of(&name).unwrap().unwrap();
        Some((name, recording.timelines.into_iter().next()?))
    };
    Example::names()
        .unwrap()
        .into_iter()
        .filter_map(of)
        .collect()
}

#[test]
fn recorded_runs_keep_to_the_specification_of_live_runs() {
    for (example, recording) in all() {
        let keeps_to = specifications::of(&example.name).unwrap();
        keeps_to(recording.in_python.replay(true));
        keeps_to(recording.in_rust.replay(false));
    }
}

#[test]
fn recordings_are_of_the_sources_as_they_are() {
    for (example, recording) in all() {
        assert_eq!(
            recording.sources,
            hash_of(&example),
            "{0} has changed: `cargo run -p course -- record {0}`",
            example.name
        );
    }
}

#[test]
fn recordings_are_written_as_they_are_read() {
    for (example, recording) in all() {
        let path = course::root().join(format!("course/recordings/{}.txt", example.name));
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(recording.to_string(), text);
    }
}

#[test]
fn damaged_recordings_are_refused() {
    let (_, recording) = all().swap_remove(0);
    let text = recording.to_string();
    let damages = [
        ("cores", "horses"),
        ("# Rust", "# C"),
        ("process ", "program "),
        (" runs, ", " walks, "),
        (" ms\n", " s\n"),
        ("rustc ", "rust "),
    ];
    for (old, new) in damages {
        assert!(text.contains(old), "{old:?} in\n{text}");
        let damaged: Result<Recording, _> = text.replace(old, new).parse();
        assert!(damaged.is_err(), "{new:?} in the place of {old:?}");
    }
}

#[test]
fn times_never_go_back_and_end_before_the_program() {
    for (_, recording) in all() {
        for runs in [&recording.in_python, &recording.in_rust] {
            let lines: Vec<_> = runs.lines.iter().map(|(time, _)| *time).collect();
            assert!(lines.is_sorted());
            assert!(lines.last().unwrap() <= &runs.elapsed);
            let notes = runs.noted.iter().flat_map(|noted| &noted.notes);
            assert!(notes.map(|note| note.time).is_sorted());
        }
    }
}

#[test]
fn counts_are_of_all_runs_and_of_both_programs() {
    for (example, recording) in all() {
        for runs in [&recording.in_python, &recording.in_rust] {
            assert!(runs.count >= 5);
            assert!((1..=runs.count).contains(&runs.outputs));
            // The others printed each something else, at least once.
            assert!(runs.most_equal + runs.outputs - 1 <= runs.count);
            assert!(runs.found.is_none_or(|(_, times)| times <= runs.count));
        }
        let counts = recordings::of(&example.name).unwrap().unwrap().counts;
        assert!(counts.iter().any(|count| count.of_python));
        assert!(counts.iter().any(|count| !count.of_python));
    }
}

/// The thousand threads of `lock` print nothing, and no recorder can stand in for
/// std's `Mutex`.
#[test]
fn every_page_but_lock_has_a_timeline() {
    let with: Vec<_> = timelines().into_iter().map(|(name, _)| name).collect();
    let mut without = Example::names().unwrap();
    without.retain(|name| !with.contains(name));
    assert_eq!(without, ["lock"]);
}

#[test]
fn timelines_are_whole_xml_with_a_title_and_a_description() {
    for (name, timeline) in timelines() {
        for language in Language::ALL {
            let svg = timeline.svg.in_language(language);
            let document = Document::parse(svg).unwrap_or_else(|error| panic!("{name}: {error}"));
            let root = document.root_element();
            let labels = root.attribute("aria-labelledby").unwrap();
            for (tag, id) in ["title", "desc"].into_iter().zip(labels.split(' ')) {
                let node = root.children().find(|node| node.has_tag_name(tag)).unwrap();
                assert_eq!(node.attribute("id"), Some(id));
                assert!(!node.text().unwrap().is_empty());
            }
            assert!(!timeline.caption.in_language(language).is_empty());
            let is_chinese = svg.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert_eq!(is_chinese, language == Language::Zh, "{name}");
        }
    }
}

#[test]
fn all_of_a_timeline_lies_in_the_picture() {
    for (name, timeline) in timelines() {
        for language in Language::ALL {
            let document = Document::parse(timeline.svg.in_language(language)).unwrap();
            let size: Vec<f64> = document
                .root_element()
                .attribute("viewBox")
                .unwrap()
                .split(' ')
                .map(|number| number.parse().unwrap())
                .collect();
            let number = |node: &Node, attribute| node.attribute(attribute)?.parse::<f64>().ok();
            for node in document.descendants() {
                for (horizontal, vertical) in [("x", "y"), ("cx", "cy")] {
                    let x = number(&node, horizontal).unwrap_or(0.0);
                    let y = number(&node, vertical).unwrap_or(0.0);
                    assert!((0.0..=size[2]).contains(&x), "{name}: {x}");
                    assert!((0.0..=size[3]).contains(&y), "{name}: {y}");
                }
            }
        }
    }
}

/// What is lost can be added up from the notes, and is marked by a cross and a
/// word.
#[test]
fn each_lost_update_is_marked() {
    let recording = recordings::read("shared_memory").unwrap();
    let noted = recording.in_python.noted.unwrap();
    let last = noted.notes.last().unwrap();
    assert_eq!(last.lane, "main");
    let Event::Reads(sum) = last.event else {
        panic!("the last note is of the sum");
    };
    let (_, timeline) = timelines()
        .into_iter()
        .find(|(name, _)| name == "shared_memory")
        .unwrap();
    for (language, word) in [(Language::En, " lost"), (Language::Zh, " 丢失")] {
        let document = Document::parse(timeline.svg.in_language(language)).unwrap();
        let labels: Vec<&str> = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("label"))
            .filter_map(|node| node.text()?.strip_suffix(word))
            .collect();
        assert_eq!(labels.is_empty(), sum == 10);
        let lost: i64 = noted
            .notes
            .iter()
            .filter(|note| match note.event {
                Event::Writes(value) => labels.contains(&value.to_string().as_str()),
                _ => false,
            })
            .map(|note| {
                note.lane
                    .rsplit_once(' ')
                    .unwrap()
                    .1
                    .parse::<i64>()
                    .unwrap()
            })
            .sum();
        assert_eq!(sum + lost, 10);
    }
}
