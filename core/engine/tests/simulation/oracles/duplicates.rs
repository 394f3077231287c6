//! C2: a record is handled again only if it was running, or was finished after the last commit was asked for.
//!
//! What an owner had done when it asked for a commit that the broker applied, no later owner may get, wherever the first
//! unfinished record stood: the text beside the offset says it. Where the broker takes no text of that length, this holds
//! for the offset only. Committed offsets set by hand, seeks and lost ends of the log begin anew.

use std::collections::BTreeMap;

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Origin, Owner, Place};

#[derive(Default)]
struct Finished {
    owner: Option<(u32, Owner)>,
    /// What the present owner must not get, and the event that said it is done.
    done_at: BTreeMap<i64, usize>,
    /// What was done by this event is committed: all of it, or what lies below the offset.
    committed: Option<(usize, i64)>,
}

impl Finished {
    fn begin_anew(&mut self) {
        self.done_at.clear();
        self.committed = None;
    }
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut places: BTreeMap<Place, Finished> = BTreeMap::new();
    let mut asked = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Assigned { owner, place, generation, origin, .. } => {
                let finished = places.entry(*place).or_default();
                if finished.owner.is_some_and(|(latest, _)| latest > *generation) {
                    continue;
                }
                finished.owner = Some((*generation, *owner));
                match (origin, finished.committed) {
                    (Origin::Group, Some((until, below))) => {
                        finished.done_at.retain(|offset, at| *at < until && *offset < below);
                    }
                    _ => finished.begin_anew(),
                }
            }
            Event::HandedOut { call, job } => {
                let Some(finished) = places.get(&job.place) else { continue };
                if finished.owner.is_none_or(|(_, owner)| owner != job.owner) {
                    continue;
                }
                let offsets = job.parts.iter().flat_map(|part| &part.offsets);
                for offset in offsets.filter(|offset| finished.done_at.contains_key(offset)) {
                    let problem = format!("{:?}: call {call} gets offset {offset} again", job.place);
                    violations.push(Violation::new(index, problem));
                }
            }
            Event::Done { owner, place, offset } => {
                let Some(finished) = places.get_mut(place) else { continue };
                if finished.owner.is_some_and(|(_, present)| present == *owner) {
                    finished.done_at.entry(*offset).or_insert(index);
                }
            }
            Event::Asked { owner, place, id, position, done, .. } => {
                let dropped = done.is_empty() && !history.has_room_for_marks();
                let below = if dropped { *position } else { i64::MAX };
                asked.insert((*owner, *place, *id), (index, below));
            }
            Event::Committed { owner, place, id } => {
                let Some(finished) = places.get_mut(place) else { continue };
                let present = finished.owner.is_some_and(|(_, present)| present == *owner);
                if let Some(said) = asked.get(&(*owner, *place, *id)).filter(|_| present) {
                    finished.committed = Some(*said);
                }
            }
            // What a transaction says was taken from the ledger at a moment that is not recorded: it adds nothing here, and takes
            // the marks away that did not fit beside its offset.
            Event::Transacted { place, position, done, .. } if done.is_empty() => {
                let dropped = !history.has_room_for_marks();
                if let Some((_, below)) =
                    places.get_mut(place).and_then(|found| found.committed.as_mut()).filter(|_| dropped)
                {
                    *below = *position;
                }
            }
            Event::Moved { place, .. } | Event::Truncated { place, .. } => {
                places.entry(*place).or_default().begin_anew();
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn a_record_handled_again_after_its_commit_is_red() {
    use super::example::{assigned, at, call, committed, falsified, handed_out, who_speaks};
    let again = |events: &mut Vec<Event>| {
        // The second owner resumes at 3 although 6 was committed, and handles 3 and 5 once more.
        let start = events.iter().position(|event| *event == assigned(2, 2, 6)).unwrap();
        events[start] = assigned(2, 2, 3);
        let calls = call(8, 2, 12, &[3]).into_iter().chain(call(9, 2, 11, &[5]));
        events.splice(start + 1..=start, calls);
    };
    let history = falsified(again);
    assert_eq!(judge(&history).len(), 2);
    assert_eq!(who_speaks(&history), ["C2 duplicates"]);
    // Not after a commit that the broker did not apply.
    let unapplied = falsified(|events| {
        again(events);
        let last = events.iter().rposition(|event| *event == committed(1)).unwrap();
        events.remove(last);
    });
    assert_eq!(judge(&unapplied).len(), 0);
    let twice = falsified(|events| events.insert(at(&handed_out(2, 1, 12, &[3])), handed_out(7, 1, 11, &[2])));
    assert_eq!(judge(&twice).len(), 1, "the same owner");
}
