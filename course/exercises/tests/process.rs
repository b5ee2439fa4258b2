use std::collections::HashSet;
use std::process;

use exercises::check::{succeed, within};
use exercises::process::chain;

const STUCK: &str = "the child did not end: was it told that no number comes any more?";

#[test]
fn the_chain_ends_with_one() {
    within(STUCK, || {
        let numbers: Vec<_> = succeed(chain(6)).into_iter().map(|(n, _)| n).collect();
        assert_eq!(
            numbers,
            [3, 10, 5, 16, 8, 4, 2, 1],
            "the numbers after 6 are wrong"
        );
        assert_eq!(succeed(chain(1)), [], "the chain of 1 has no step");
    });
}

#[test]
fn one_child_computes_all_numbers() {
    within(STUCK, || {
        let processes: HashSet<_> = succeed(chain(27)).into_iter().map(|(_, id)| id).collect();
        let here = processes.contains(&process::id());
        assert!(!here, "the numbers were not computed in a child");
        assert_eq!(
            processes.len(),
            1,
            "the numbers were computed in more than one child"
        );
    });
}
