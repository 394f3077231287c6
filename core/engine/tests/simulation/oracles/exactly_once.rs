//! C7, as far as the engine goes: outputs that become visible with the commit that covers their input become so exactly
//! once.
//!
//! Nothing of an aborted transaction is handed out. What an applied commit covers, by its offset or its text, the next one
//! covers, too, as long as nobody moved the offset, sought or lost the end of the log. And in the end the group's offset is
//! one beyond the last input.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Origin, Place};

/// The shortest limit of text at which marks always fit.
const ROOM_FOR_MARKS: usize = 4096;

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut aborted: BTreeSet<(Place, i64)> = BTreeSet::new();
    let mut disturbed = BTreeSet::new();
    let mut asked = BTreeMap::new();
    let mut covered: BTreeMap<Place, (i64, &[Range<i64>])> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Aborted { place, offsets } => aborted.extend(offsets.iter().map(|offset| (*place, *offset))),
            Event::Truncated { place, end } => {
                aborted.retain(|(at, offset)| at != place || offset < end);
                disturbed.insert(*place);
            }
            Event::Moved { place, .. } | Event::Assigned { place, origin: Origin::Seek | Origin::Reset, .. } => {
                disturbed.insert(*place);
            }
            Event::HandedOut { call, job } => {
                // What was cut off may still run; other records have the offsets by now.
                let owned = view.owned(job.owner, job.place).filter(|owned| owned.cut.is_some());
                let known = |offset: &&i64| owned.is_none_or(|owned| owned.cut > Some(**offset));
                for offset in job.parts.iter().flat_map(|part| &part.offsets).filter(known) {
                    if aborted.contains(&(job.place, *offset)) {
                        let problem = format!("{:?}: call {call} gets offset {offset}, which was aborted", job.place);
                        violations.push(Violation::new(index, problem));
                    }
                }
            }
            Event::Asked { owner, place, id, position, done, .. } => {
                asked.insert((*owner, *place, *id), (*position, done.as_slice()));
            }
            Event::Committed { owner, place, id } => {
                let Some(&(position, done)) = asked.get(&(*owner, *place, *id)) else { continue };
                let Some((before, marks)) = covered.insert(*place, (position, done)) else { continue };
                let dropped = done.is_empty() && history.metadata_limit < ROOM_FOR_MARKS;
                let claimed = std::iter::once(position..before).chain(marks.iter().filter(|_| !dropped).cloned());
                let lost = claimed.flat_map(|run| view.records(*place, run)).find(|known| {
                    !known.removed && known.offset >= position && !done.iter().any(|run| run.contains(&known.offset))
                });
                if let Some(known) = lost.filter(|_| !disturbed.contains(place)) {
                    let problem = format!("{place:?}: a commit of {position} takes back that {} is done", known.offset);
                    violations.push(Violation::new(index, problem));
                }
            }
            _ => {}
        }
    }
    for (place, committed, last) in &history.ends {
        let end = last.map(|last| last + 1);
        let input = view.log(*place).last().map(|known| known.offset + 1);
        let beyond = committed > &input && !disturbed.contains(place);
        if committed < &end || beyond {
            let problem =
                format!("{place:?}: in the end the group's offset is {committed:?}, the input ends at {end:?}");
            violations.push(Violation::new(history.events.len(), problem));
        }
    }
    violations
}

#[test]
fn inputs_that_count_twice_or_were_aborted_are_red() {
    use super::example::{PLACE, asked, at, falsified, handed_out, history, honest, who_speaks};
    let aborted = falsified(|events| events[at(&handed_out(2, 1, 12, &[3]))] = handed_out(2, 1, 12, &[4]));
    assert!(who_speaks(&aborted).contains(&"C7 exactly once"));
    let taken_back = falsified(|events| {
        let position = at(&asked(1, 3));
        if let Event::Asked { done, .. } = &mut events[position] {
            done.push(6..7);
        }
    });
    assert_eq!(judge(&taken_back).len(), 1);
    let mut unfinished = history(honest());
    unfinished.ends = vec![(PLACE, Some(6), Some(6))];
    assert_eq!(who_speaks(&unfinished), ["C7 exactly once"]);
    unfinished.ends = vec![(PLACE, Some(8), Some(6))];
    assert_eq!(who_speaks(&unfinished), ["C7 exactly once"]);
}
