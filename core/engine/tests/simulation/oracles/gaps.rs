//! C8: what an owner commits it was given without a gap: each record from where it began to the offset was handed to a
//! handler of this very ownership, passed over because an option says so, or known to be done when it began. Offsets that are missing in the log are none.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Owner, Place};

#[derive(Default)]
struct Given {
    offsets: BTreeSet<i64>,
    /// What lies below was looked at in an earlier commit.
    until: i64,
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut given: BTreeMap<(Owner, Place), Given> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Started { call } => {
                let Some(job) = view.job(*call) else { continue };
                let offsets = job.parts.iter().flat_map(|part| part.offsets.iter().copied());
                given.entry((job.owner, job.place)).or_default().offsets.extend(offsets);
            }
            Event::Passed { owner, place, offset } => {
                given.entry((*owner, *place)).or_default().offsets.insert(*offset);
            }
            Event::Asked { owner, place, position, .. } => {
                let Some(owned) = view.owned(*owner, *place).filter(|owned| owned.cut.is_none()) else { continue };
                let given = given.entry((*owner, *place)).or_default();
                let records = view.records(*place, given.until.max(owned.start)..*position);
                let missed = records.filter(|known| {
                    !known.removed && !owned.knew(known.offset) && !given.offsets.contains(&known.offset)
                });
                for known in missed {
                    let problem = format!("{place:?}: a commit of {position} leaves out {}", known.offset);
                    violations.push(Violation::new(index, problem));
                }
                given.until = given.until.max(*position);
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn a_commit_past_a_record_that_was_not_given_is_red() {
    use super::example::{falsified, who_speaks};
    let history = falsified(|events| events.retain(|event| *event != Event::Started { call: 2 }));
    assert_eq!(judge(&history).len(), 1);
    assert!(who_speaks(&history).contains(&"C8 gaps"));
}
