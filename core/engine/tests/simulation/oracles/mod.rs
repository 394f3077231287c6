//! What must be true of every history. Each oracle is one file, with a test that shows it red on a falsified record; C1 to
//! C9 are the names they go by elsewhere.

pub mod at_least_once;
pub mod attempts;
pub mod backwards;
pub mod claims;
pub mod duplicates;
pub mod exactly_once;
#[cfg(test)]
pub mod example;
pub mod gaps;
pub mod hooks;
pub mod intake;
pub mod jobs;
pub mod letters;
pub mod order;
pub mod overlap;
pub mod ownership;
pub mod seeks;
pub mod stall;
pub mod texts;
pub mod ticks;
pub mod turns;
mod view;

use crate::history::History;

/// Something wrong with a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The event that showed it; the number of events for the end of the run.
    pub event: usize,
    pub problem: String,
}

impl Violation {
    fn new(event: usize, problem: String) -> Self {
        Self { event, problem }
    }
}

type Judge = fn(&History) -> Vec<Violation>;

/// Every oracle and its name.
pub const ORACLES: [(&str, Judge); 19] = [
    ("C1 at least once", at_least_once::judge),
    ("C2 duplicates", duplicates::judge),
    ("C3 order", order::judge),
    ("C3 overlap", overlap::judge),
    ("C4 claims", claims::judge),
    ("C5 backwards", backwards::judge),
    ("C6 ownership", ownership::judge),
    ("C7 exactly once", exactly_once::judge),
    ("C8 gaps", gaps::judge),
    ("C9 stall", stall::judge),
    ("attempts", attempts::judge),
    ("dead letters", letters::judge),
    ("hooks", hooks::judge),
    ("intake", intake::judge),
    ("jobs", jobs::judge),
    ("seeks", seeks::judge),
    ("texts", texts::judge),
    ("ticks", ticks::judge),
    ("turns", turns::judge),
];

/// Everything wrong with a history, with the name of the oracle that says so, the earliest first.
pub fn violations(history: &History) -> Vec<(&'static str, Violation)> {
    let judge = |&(name, judge): &(&'static str, Judge)| judge(history).into_iter().map(move |found| (name, found));
    let mut found: Vec<_> = ORACLES.iter().flat_map(judge).collect();
    found.sort_by_key(|(_, violation)| violation.event);
    found
}
