//! C6: what runs, what is accepted as done and what is committed lies inside an ownership of its process, no two processes
//! own a partition at once unless the group took it from the first, and who gives a partition up in order has nothing of
//! it running.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::hooks::is_farewell;
use super::view::View;
use crate::history::{End, Event, History, Owner, Place};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut present: BTreeSet<(Owner, Place)> = BTreeSet::new();
    let mut revoking: BTreeSet<(Owner, Place)> = BTreeSet::new();
    let mut taken: BTreeSet<(Place, u32)> = BTreeSet::new();
    let mut running = BTreeMap::new();
    let mut latest: BTreeMap<Place, u32> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        let mut violate = |problem: String| violations.push(Violation::new(index, problem));
        match event {
            Event::Taken { place, generation } => {
                taken.insert((*place, *generation));
            }
            Event::Assigned { owner, place, generation, .. } => {
                let another = |(other, at): &(Owner, Place)| {
                    let held = view.owned(*other, *at).map_or(0, |owned| owned.generation);
                    at == place && other.process != owner.process && !taken.contains(&(*at, held))
                };
                let newest = latest.get(place).is_none_or(|latest| latest <= generation);
                if let Some((other, _)) = present.iter().find(|held| another(held)).filter(|_| newest) {
                    violate(format!("{place:?}: {owner:?} owns it and {other:?} still does"));
                }
                if newest {
                    latest.insert(*place, *generation);
                }
                present.insert((*owner, *place));
            }
            Event::Revoking { owner, place } => {
                revoking.insert((*owner, *place));
            }
            Event::Gone { owner, place, end } => {
                present.remove(&(*owner, *place));
                let same = |(other, at): &&(Owner, Place)| {
                    at == place && (other.process, other.assignment) == (owner.process, owner.assignment)
                };
                let left = running.values().filter(same).count();
                if *end == (End::Released { overdue: false }) && left > 0 {
                    violate(format!("{place:?}: {owner:?} gave it up while {left} calls ran"));
                }
            }
            Event::Crashed { process } => {
                present.retain(|(owner, _)| owner.process != *process);
                running.retain(|_, (owner, _): &mut (Owner, Place)| owner.process != *process);
            }
            Event::HandedOut { call, job }
                if !is_farewell(job.kind)
                    && (!present.contains(&(job.owner, job.place)) || revoking.contains(&(job.owner, job.place))) =>
            {
                violate(format!("{:?}: call {call} outside of an ownership", job.place));
            }
            Event::Started { call } => {
                let Some(job) = view.job(*call) else { continue };
                running.insert(*call, (job.owner, job.place));
                if !is_farewell(job.kind) && !present.contains(&(job.owner, job.place)) {
                    violate(format!("{:?}: call {call} begins after the ownership", job.place));
                }
            }
            Event::Finished { call, .. } => {
                running.remove(call);
            }
            Event::Done { owner, place, offset } if !present.contains(&(*owner, *place)) => {
                violate(format!("{place:?}: a mark of offset {offset} counts for {owner:?}, which has lost it"));
            }
            Event::Asked { owner, place, position, .. } if !present.contains(&(*owner, *place)) => {
                violate(format!("{place:?}: {owner:?} commits {position} of what it has lost"));
            }
            Event::Committed { owner, place, .. } => {
                let generation = view.owned(*owner, *place).map(|owned| owned.generation);
                if generation < latest.get(place).copied() {
                    violate(format!("{place:?}: a commit of {owner:?} counts after the next owner began"));
                }
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn what_happens_outside_of_an_ownership_is_red() {
    use super::example::{PLACE, asked, assigned, at, done, falsified, handed_out, history, honest, owner, who_speaks};
    let gone = Event::Gone { owner: owner(1), place: PLACE, end: End::Released { overdue: false } };
    let moved_after_the_end = |first: usize, last: usize| {
        falsified(|events| {
            let moved: Vec<Event> = events.drain(first..=last).collect();
            let end = events.iter().position(|event| *event == gone).unwrap();
            events.splice(end + 1..=end, moved);
        })
    };
    let started = at(&Event::Started { call: 3 });
    assert!(who_speaks(&moved_after_the_end(started, started)).contains(&"C6 ownership"), "start");
    let mark = at(&done(1, 5)[1]);
    assert!(who_speaks(&moved_after_the_end(mark, mark)).contains(&"C6 ownership"), "mark");
    let commit = at(&asked(1, 6));
    assert!(!judge(&moved_after_the_end(commit, commit)).is_empty(), "commit");
    let ends = at(&Event::Finished { call: 3, ending: crate::history::Ending::Done });
    assert_eq!(who_speaks(&moved_after_the_end(ends, ends)), ["C6 ownership"], "given up too early");
    let revoking = at(&Event::Revoking { owner: owner(1), place: PLACE });
    let handed = falsified(|events| events.insert(revoking + 1, handed_out(9, 1, 11, &[6])));
    assert!(who_speaks(&handed).contains(&"C6 ownership"), "handed out while it is given up");
    let both = history(honest().into_iter().filter(|event| *event != gone));
    assert_eq!(who_speaks(&both), ["C6 ownership"], "two owners");
    assert_ne!(at(&assigned(2, 2, 6)), 0);
}
