//! C1: every record was handled to success by somebody whose word counted, unless it was taken out of the log before or the
//! user moved past it.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Origin, Place};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut view = View::default();
    let mut owed: BTreeMap<Place, BTreeSet<i64>> = BTreeMap::new();
    let mut skipped: BTreeMap<Place, i64> = BTreeMap::new();
    for (_, event) in &history.events {
        view.follow(event);
        match event {
            Event::Readable { place, records } => {
                let from = skipped.get(place).copied().unwrap_or(i64::MIN);
                let offsets = records.iter().map(|record| record.offset).filter(|offset| *offset >= from);
                owed.entry(*place).or_default().extend(offsets);
            }
            // What a reader of a log that was cut says is not said of the records that came instead.
            Event::Done { owner, place, offset }
                if view.owned(*owner, *place).is_some_and(|owned| owned.cut.is_none_or(|cut| *offset < cut)) =>
            {
                owed.entry(*place).or_default().remove(offset);
            }
            Event::Transacted { owner, place, outputs, .. } => {
                let cut = view.owned(*owner, *place).and_then(|owned| owned.cut);
                let owed = owed.entry(*place).or_default();
                for offset in outputs.iter().filter(|offset| cut.is_none_or(|cut| **offset < cut)) {
                    owed.remove(offset);
                }
            }
            Event::Removed { place, offsets } => {
                owed.entry(*place).or_default().retain(|offset| offsets.binary_search(offset).is_err());
            }
            Event::Truncated { place, end } => {
                owed.entry(*place).or_default().split_off(end);
                if let Some(from) = skipped.get_mut(place) {
                    *from = (*from).min(*end);
                }
            }
            Event::Moved { place, position: to } | Event::Assigned { place, origin: Origin::Seek, start: to, .. } => {
                let after = owed.entry(*place).or_default().split_off(to);
                owed.insert(*place, after);
                // A seek may be forgotten with its ownership: the next one begins at the committed offset again.
                let before = skipped.get(place).copied().filter(|_| matches!(event, Event::Assigned { .. }));
                skipped.insert(*place, before.map_or(*to, |before| before.max(*to)));
            }
            _ => {}
        }
    }
    let lost = owed.into_iter().flat_map(|(place, offsets)| offsets.into_iter().map(move |offset| (place, offset)));
    let end = history.events.len();
    lost.map(|(place, offset)| Violation::new(end, format!("{place:?}: offset {offset} was never done"))).collect()
}

#[test]
fn a_record_nobody_handled_is_red() {
    use super::example::{PLACE, falsified, owner, who_speaks};
    let missing = Event::Done { owner: owner(2), place: PLACE, offset: 6 };
    let history = falsified(|events| events.retain(|event| *event != missing));
    assert_eq!(judge(&history).len(), 1);
    // The commit behind it lies, too.
    assert_eq!(who_speaks(&history), ["C1 at least once", "C4 claims"]);
    let history = falsified(|events| events.push(super::example::readable(9, 1)));
    assert_eq!(who_speaks(&history), ["C1 at least once"]);
}
