//! C5: committed offsets never go back: not within an ownership, not below where it began, and not over all of a partition
//! as long as nobody set its offset by hand or lost the end of its log. A seek begins anew: it alone may take them back, once,
//! to its target.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Origin};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut asked = BTreeMap::new();
    let mut by_owner = BTreeMap::new();
    let mut by_place = BTreeMap::new();
    let mut sought = BTreeMap::new();
    let mut disturbed = BTreeSet::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Asked { owner, place, id, position, .. } => {
                asked.insert((*owner, *place, *id), *position);
            }
            Event::Committed { owner, place, id } => {
                let Some(&position) = asked.get(&(*owner, *place, *id)) else {
                    violations.push(Violation::new(index, format!("{place:?}: a commit nobody asked for")));
                    continue;
                };
                let start = view.owned(*owner, *place).map_or(i64::MIN, |owned| owned.start);
                let own = by_owner.insert((*owner, *place), position).unwrap_or(start).max(start);
                // A commit that was on its way when its owner moved on says nothing of what comes after it.
                let latest = sought.get(&(*place, owner.process, owner.assignment));
                let overtaken = latest.is_some_and(|era| *era > owner.era);
                let any = if overtaken { None } else { by_place.insert(*place, position) };
                let any = any.filter(|_| !disturbed.contains(place)).unwrap_or(own);
                if position < own.max(any) {
                    let problem = format!("{place:?}: goes back from {} to {position}", own.max(any));
                    violations.push(Violation::new(index, problem));
                }
            }
            Event::Assigned { owner, place, origin: Origin::Seek, .. } => {
                // One that has lost the partition and does not know it yet may seek, too.
                sought.insert((*place, owner.process, owner.assignment), owner.era);
                by_place.remove(place);
            }
            Event::Moved { place, .. }
            | Event::Truncated { place, .. }
            | Event::Assigned { place, origin: Origin::Reset, .. } => {
                disturbed.insert(*place);
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn commits_that_go_back_are_red() {
    use super::example::{asked, assigned, at, committed, falsified, owner, who_speaks};
    let back = falsified(|events| {
        let position = at(&asked(1, 6));
        events[position] = asked(1, 2);
    });
    assert_eq!(judge(&back).len(), 1, "within an ownership");
    assert!(who_speaks(&back).contains(&"C5 backwards"));
    let stale = falsified(|events| events.push(committed(1)));
    assert_eq!(
        who_speaks(&stale),
        ["C5 backwards", "C6 ownership", "C7 exactly once"],
        "a late commit of the old owner"
    );
    let below = falsified(|events| events[at(&assigned(1, 1, 0))] = assigned(1, 1, 4));
    assert!(!judge(&below).is_empty(), "below the start");
    let unasked = falsified(|events| events.retain(|event| *event != asked(2, 7)));
    assert_eq!(judge(&unasked).len(), 1, "{:?}", owner(2));
}
