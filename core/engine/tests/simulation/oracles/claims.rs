//! C4: no commit that the engine asks for says of a record that it is done when it is not, neither by its offset nor by the
//! text beside it. It counts what the owner knew when it began and what it accepted as done since.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Owner, Place};

#[derive(Default)]
struct Said {
    done: BTreeSet<i64>,
    /// What lies below was looked at in an earlier commit.
    until: i64,
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut owners: BTreeMap<(Owner, Place), Said> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Done { owner, place, offset } => {
                owners.entry((*owner, *place)).or_default().done.insert(*offset);
            }
            Event::Transacted { owner, place, outputs, .. } => {
                owners.entry((*owner, *place)).or_default().done.extend(outputs);
            }
            Event::Asked { owner, place, position, done, .. } => {
                let Some(owned) = view.owned(*owner, *place).filter(|owned| owned.cut.is_none()) else { continue };
                let said = owners.entry((*owner, *place)).or_default();
                let below = said.until.max(owned.start)..*position;
                for run in std::iter::once(below).chain(done.iter().cloned()) {
                    let claimed = view.records(*place, run).filter(|known| !known.removed).map(|known| known.offset);
                    for offset in claimed.filter(|offset| !owned.knew(*offset) && !said.done.contains(offset)) {
                        let problem = format!("{place:?}: a commit of {position} claims {offset}, which is not done");
                        violations.push(Violation::new(index, problem));
                    }
                }
                said.until = said.until.max(*position);
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn commits_that_claim_too_much_are_red() {
    use super::example::{PLACE, asked, at, call, falsified, owner, who_speaks};
    let too_early = falsified(|events| {
        let position = at(&asked(1, 3));
        events[position] = asked(1, 4);
    });
    assert_eq!(judge(&too_early).len(), 1, "past a record that waits");
    assert!(who_speaks(&too_early).contains(&"C4 claims"));
    let beyond = falsified(|events| {
        let position = at(&asked(1, 3));
        if let Event::Asked { done, .. } = &mut events[position] {
            done.push(5..7);
        }
    });
    assert_eq!(judge(&beyond).len(), 2, "done beyond the position, but not done");
    assert!(who_speaks(&beyond).contains(&"C4 claims"));
    // What another owner did, whose word did not reach this one, does not count.
    let foreign = falsified(|events| {
        let last = call(4, 2, 11, &[6]);
        let Some(position) = events.iter().position(|event| *event == last[3]) else { return };
        events[position] = Event::Done { owner: owner(1), place: PLACE, offset: 6 };
    });
    assert_eq!(judge(&foreign).len(), 1);
}
