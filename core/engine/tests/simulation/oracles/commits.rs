//! Commits: none says that a record is done which is not, neither by its offset nor by its metadata, and none goes back.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, History, Place};

pub fn judge(history: &History) -> Vec<String> {
    let mut problems = Vec::new();
    let mut done: BTreeMap<Place, BTreeSet<i64>> = BTreeMap::new();
    let mut committed: BTreeMap<Place, i64> = BTreeMap::new();
    for (now, event) in &history.events {
        match event {
            Event::Done { place, offset, .. } => {
                done.entry(*place).or_default().insert(*offset);
            }
            Event::Committed { place, position, done: beyond } => {
                let before = committed.insert(*place, *position).unwrap_or(i64::MIN);
                if *position < before {
                    problems.push(format!("commit: {now:?} {place:?} goes back from {before} to {position}"));
                }
                // What earlier commits said was looked at then.
                let runs = std::iter::once(before.min(*position)..*position).chain(beyond.iter().cloned());
                let log = history.logs.get(place).map_or(&[][..], Vec::as_slice);
                for run in runs {
                    let first = log.partition_point(|record| record.offset < run.start);
                    let claimed =
                        log[first..].iter().map(|record| record.offset).take_while(|offset| *offset < run.end);
                    let is_done = |offset: &i64| done.get(place).is_some_and(|done| done.contains(offset));
                    for offset in claimed.filter(|offset| !is_done(offset)) {
                        problems.push(format!("commit: {now:?} {place:?} claims {offset}, which is not done"));
                    }
                }
            }
            _ => {}
        }
    }
    problems
}

#[test]
fn commits_that_claim_too_much_or_go_back_are_red() {
    use crate::oracles::example;
    let honest = example::honest();
    assert_eq!(judge(&example::history(honest.clone())), [""; 0]);
    let with_last = |event: Event| {
        let mut events = honest.clone();
        events.push(event);
        judge(&example::history(events)).len()
    };
    assert_eq!(with_last(example::committed(5)), 1, "back");
    let before = |events: Vec<Event>| {
        let mut events = events;
        events.splice(3..3, [example::committed(1)]);
        judge(&example::history(events)).len()
    };
    assert_eq!(before(honest.clone()), 1, "past a record that runs");
    let mut events = honest;
    let beyond = Event::Committed { place: example::PLACE, position: 0, done: std::iter::once(2..4).collect() };
    events.insert(3, beyond);
    assert_eq!(judge(&example::history(events)).len(), 2, "done beyond the position, but not done");
}
