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

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut aborted: BTreeSet<(Place, i64)> = BTreeSet::new();
    let mut disturbed = BTreeSet::new();
    let mut asked = BTreeMap::new();
    let mut outputs = BTreeSet::new();
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
                let Some(&said) = asked.get(&(*owner, *place, *id)) else { continue };
                let before = covered.insert(*place, said);
                if let Some(problem) = taken_back(history, &view, *place, before, said)
                    && !disturbed.contains(place)
                {
                    violations.push(Violation::new(index, problem));
                }
            }
            Event::Transacted { place, position, done, outputs: visible, .. } => {
                let said = (*position, done.as_slice());
                let before = covered.insert(*place, said);
                if disturbed.contains(place) {
                    continue;
                }
                violations.extend(
                    taken_back(history, &view, *place, before, said).map(|problem| Violation::new(index, problem)),
                );
                // Marks that do not fit beside the offset are lost with a process.
                let kept = history.has_room_for_marks();
                let claimed = |offset: &i64| offset < position || done.iter().any(|run| run.contains(offset));
                for offset in visible.iter().filter(|_| kept) {
                    if !outputs.insert((*place, *offset)) {
                        let problem = format!("{place:?}: what was produced of {offset} is visible twice");
                        violations.push(Violation::new(index, problem));
                    }
                    if !claimed(offset) {
                        let problem =
                            format!("{place:?}: what was produced of {offset} is visible, and it is not done");
                        violations.push(Violation::new(index, problem));
                    }
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

/// What a commit says is done no more that the one before it said was.
fn taken_back(
    history: &History,
    view: &View<'_>,
    place: Place,
    before: Option<(i64, &[Range<i64>])>,
    (position, done): (i64, &[Range<i64>]),
) -> Option<String> {
    let (before, marks) = before?;
    let dropped = done.is_empty() && !history.has_room_for_marks();
    let claimed = std::iter::once(position..before).chain(marks.iter().filter(|_| !dropped).cloned());
    let lost = claimed.flat_map(|run| view.records(place, run)).find(|known| {
        !known.removed && known.offset >= position && !done.iter().any(|run| run.contains(&known.offset))
    })?;
    Some(format!("{place:?}: a commit of {position} takes back that {} is done", lost.offset))
}

#[test]
fn inputs_that_count_twice_or_were_aborted_are_red() {
    use super::example::{PLACE, asked, at, falsified, handed_out, history, honest, owner, who_speaks};
    let aborted = falsified(|events| events[at(&handed_out(2, 1, 12, &[3]))] = handed_out(2, 1, 12, &[4]));
    assert!(who_speaks(&aborted).contains(&"C7 exactly once"));
    let taken_back = falsified(|events| {
        let position = at(&asked(1, 3));
        if let Event::Asked { done, .. } = &mut events[position] {
            done.push(6..7);
        }
    });
    assert_eq!(judge(&taken_back).len(), 1);
    // Of 3 and 5 the results are visible with the offset that passes them: an honest history, and two falsified ones.
    let transacted = |position, outputs: &[i64]| {
        let (done, outputs) = (Vec::new(), outputs.to_vec());
        Event::Transacted { owner: owner(1), place: PLACE, position, done, outputs }
    };
    let with = |transactions: [Event; 2]| {
        falsified(|events| {
            let position = at(&Event::Revoking { owner: owner(1), place: PLACE });
            events.splice(position..position, transactions);
        })
    };
    assert_eq!(who_speaks(&with([transacted(5, &[3]), transacted(6, &[5])])), [""; 0]);
    let twice = with([transacted(5, &[3]), transacted(6, &[3, 5])]);
    assert_eq!((judge(&twice).len(), who_speaks(&twice)), (1, vec!["C7 exactly once"]));
    let torn = with([transacted(5, &[3]), transacted(5, &[5])]);
    assert_eq!((judge(&torn).len(), who_speaks(&torn)), (1, vec!["C7 exactly once"]));
    let mut unfinished = history(honest());
    unfinished.ends = vec![(PLACE, Some(6), Some(6))];
    assert_eq!(who_speaks(&unfinished), ["C7 exactly once"]);
    unfinished.ends = vec![(PLACE, Some(8), Some(6))];
    assert_eq!(who_speaks(&unfinished), ["C7 exactly once"]);
}
