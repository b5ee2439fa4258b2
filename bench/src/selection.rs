//! The rows that a run measures.

use crate::common::Result;
use crate::examples::{EXAMPLES, Example};
use crate::measure::{Curve, Side, Work};
use crate::options::Options;
use crate::works;

pub struct Selection {
    pub works: Vec<Work>,
    pub examples: Vec<Example>,
    pub curves: Vec<Curve>,
}

impl Selection {
    /// # Errors
    /// A name selects no row.
    pub fn new(options: &Options) -> Result<Self> {
        let mut selection = Self {
            works: works::works(),
            examples: Vec::from(EXAMPLES),
            curves: works::curves(),
        };
        for name in &options.names {
            if !selection
                .rows()
                .any(|(group, row)| selects(name, group, row))
            {
                return Err(format!(
                    "no row has {name:?} in its name; the names are listed by\n    \
                     cargo run --release -p bench -- --list"
                )
                .into());
            }
        }
        let chosen = |group, row: &str| {
            let mut names = options.names.iter();
            options.names.is_empty() || names.any(|name| selects(name, group, row))
        };
        selection.works.retain(|work| chosen("works", work.name));
        selection
            .examples
            .retain(|example| chosen("examples", example.name));
        selection
            .curves
            .retain(|curve| chosen("growth", curve.work.name));
        if options.without_python {
            let curves = selection.curves.iter_mut().map(|curve| &mut curve.work);
            for work in selection.works.iter_mut().chain(curves) {
                work.contenders
                    .retain(|contender| contender.side != Side::Python);
            }
        }
        Ok(selection)
    }

    /// All rows, each with its group.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let works = self.works.iter().map(|work| ("works", work.name));
        let examples = self
            .examples
            .iter()
            .map(|example| ("examples", example.name));
        let curves = self.curves.iter().map(|curve| ("growth", curve.work.name));
        works.chain(examples).chain(curves)
    }

    pub fn needs_aiohttp(&self) -> bool {
        let mut works = self.works.iter();
        let mut examples = self.examples.iter();
        works.any(|work| work.needs_aiohttp) || examples.any(Example::needs_aiohttp)
    }
}

/// Examples have to be named in full, because their names are short and occur in
/// the names of many other rows.
fn selects(name: &str, group: &str, row: &str) -> bool {
    match group {
        "examples" => name == group || name == row,
        _ => name == group || row.to_lowercase().contains(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Bound;

    fn select(args: &[&str]) -> Result<Selection> {
        Selection::new(&Options::parse(args.iter().map(|arg| arg.to_string()))?)
    }

    fn all_works(selection: &Selection) -> impl Iterator<Item = &Work> {
        let curves = selection.curves.iter().map(|curve| &curve.work);
        selection.works.iter().chain(curves)
    }

    #[test]
    fn every_row_can_be_selected_by_its_name() {
        for (group, row) in select(&[]).unwrap().rows() {
            let selection = select(&[row]).unwrap();
            assert!(selection.rows().any(|found| found == (group, row)), "{row}");
        }
    }

    #[test]
    fn a_group_selects_its_rows_and_no_others() {
        for group in ["works", "examples", "growth"] {
            let all = select(&[]).unwrap();
            let wanted = all.rows().filter(|row| row.0 == group);
            assert!(select(&[group]).unwrap().rows().eq(wanted), "{group}");
        }
    }

    #[test]
    fn a_name_that_selects_no_row_is_an_error_even_beside_one_that_does() {
        assert!(select(&["queue", "no such row"]).is_err());
    }

    #[test]
    fn an_unknown_option_is_an_error() {
        assert!(select(&["--fast"]).is_err());
    }

    #[test]
    fn only_a_run_of_every_row_at_full_effort_is_full() {
        let full = |args: &[&str]| {
            let args = args.iter().map(|arg| arg.to_string());
            Options::parse(args).unwrap().is_full()
        };
        assert!(full(&[]));
        for args in [["queue"], ["--short"], ["--without-python"]] {
            assert!(!full(&args), "{args:?}");
        }
    }

    #[test]
    fn without_python_no_row_has_a_contender_in_python() {
        let selection = select(&["--without-python"]).unwrap();
        for work in all_works(&selection) {
            let mut contenders = work.contenders.iter();
            assert!(contenders.all(|contender| contender.side != Side::Python));
        }
    }

    /// Without this test, a misspelt name would only lead to a goal that is
    /// reported as not measured.
    #[test]
    fn every_goal_names_a_contender_of_its_row() {
        for work in all_works(&select(&[]).unwrap()) {
            for goal in &work.goals {
                if let Bound::AtMostTimes(_, other) | Bound::TimesAheadOf(_, other) = goal.bound {
                    let mut contenders = work.contenders.iter();
                    assert!(contenders.any(|found| found.name == other), "{}", work.name);
                }
            }
        }
    }
}
