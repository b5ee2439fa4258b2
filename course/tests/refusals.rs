//! The compiler refuses what the pages say that it refuses. What it says is
//! recorded by `cargo test -p course --test refusals -- --ignored record`.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::LazyLock;

use course::example::Example;
use course::programs::{self, Built};
use course::refusals::{self, Refusal};
use course::root;

static REFUSALS: LazyLock<Vec<Refusal>> = LazyLock::new(|| refusals::read().unwrap());

/// All of them are built once, for all tests.
static BUILT: LazyLock<Vec<Built>> = LazyLock::new(|| refusals::build(&REFUSALS).unwrap());

/// Checks each refusal, and fails with all that is wrong.
fn check_each(check: impl Fn(&Refusal, &Built) -> anyhow::Result<()>) {
    let mut wrong = String::new();
    for (refusal, built) in REFUSALS.iter().zip(&*BUILT) {
        if let Err(error) = check(refusal, built) {
            wrong += &format!("\n{}/{}: {error}\n", refusal.page, refusal.name);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_refusal_is_refused_with_its_code_at_its_line() {
    check_each(|refusal, built| refusal.check(built).map(drop));
}

#[test]
fn the_recorded_compiler_says_what_is_recorded() {
    let compiler = programs::compiler().unwrap();
    check_each(|refusal, built| {
        // Another one may use other words.
        if refusal.compiler != compiler {
            return Ok(());
        }
        refusal.check_message(refusal.check(built)?)
    });
}

#[test]
fn each_refusal_is_recorded_by_one_compiler_and_names_no_path_of_a_machine() {
    for refusal in &*REFUSALS {
        let name = format!("{}/{}", refusal.page, refusal.name);
        assert!(
            refusal.compiler.starts_with("rustc "),
            "{name}: not recorded"
        );
        assert_eq!(refusal.compiler, REFUSALS[0].compiler, "{name}");
        for place in ["--> /", "::: /", "@/", "registry"] {
            assert!(!refusal.message.contains(place), "{name}: {place}");
        }
    }
}

#[test]
fn each_page_has_one_to_three_refusals_and_no_refusal_is_left_without_a_page() {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for refusal in &*REFUSALS {
        *counts.entry(refusal.page.clone()).or_default() += 1;
    }
    let examples = Example::names().unwrap();
    assert!(counts.keys().eq(&examples), "{counts:?}");
    assert!(
        counts.values().all(|count| *count <= refusals::MOST),
        "{counts:?}"
    );
}

#[test]
fn each_refusal_is_a_small_change_of_its_example() {
    for refusal in &*REFUSALS {
        let changed: usize = refusal
            .changed
            .iter()
            .map(|lines| lines.clone().count())
            .sum();
        let all = refusal.program.lines().count();
        let name = format!("{}/{}", refusal.page, refusal.name);
        assert!(
            changed <= 12 && changed * 2 <= all,
            "{name}: {changed} of {all}"
        );
    }
}

#[test]
fn each_refusal_is_formatted_like_the_rest() {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--check", "--edition", "2024"]);
    for refusal in &*REFUSALS {
        let file = format!("course/refusals/{}/{}.rs", refusal.page, refusal.name);
        rustfmt.arg(root().join(file));
    }
    assert!(rustfmt.status().unwrap().success());
}

#[test]
#[ignore = "writes what the compiler says beside the programs"]
fn record() {
    refusals::record().unwrap();
}
