//! Seeks: a partition that was moved and is kept tells the group its new position, forwards or backwards, and gives its
//! handlers nothing of before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Origin};

/// Longer than any commit is on its way, any process is frozen and any outage lasts.
const TOLD: Duration = Duration::from_secs(120);

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    // Since when a seek was not told to the group.
    let mut untold = BTreeMap::new();
    for (index, (now, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Assigned { owner, place, origin: Origin::Seek, start, .. } => {
                untold.insert((*owner, *place), (*now, *start));
            }
            Event::Asked { owner, place, .. }
            | Event::Transacted { owner, place, .. }
            | Event::Gone { owner, place, .. } => {
                untold.remove(&(*owner, *place));
            }
            Event::Crashed { process } => untold.retain(|(owner, _), _| owner.process != *process),
            Event::HandedOut { call, job } => {
                let sought = job.owner.era > 0;
                let start = view.owned(job.owner, job.place).filter(|_| sought).map_or(i64::MIN, |owned| owned.start);
                if let Some(offset) = job.parts.iter().flat_map(|part| &part.offsets).find(|offset| **offset < start) {
                    let problem = format!("{:?}: call {call} gets offset {offset} after a seek to {start}", job.place);
                    violations.push(Violation::new(index, problem));
                }
            }
            _ => {}
        }
        let late = |(since, _): &(karafka_engine::Instant, i64)| now.since(*since) > TOLD;
        if let Some(((_, place), (_, start))) = untold.iter().find(|(_, told)| late(told)) {
            violations.push(Violation::new(index, format!("{place:?}: a seek to {start} is not committed")));
            untold.clear();
        }
    }
    violations
}

#[test]
fn a_seek_that_is_not_committed_or_gives_what_lies_before_is_red() {
    use super::example::{PLACE, at, call, committed, falsified, history, honest, owner};
    let sought = |start| {
        let mut owner = owner(2);
        owner.era = 1;
        Event::Assigned { owner, place: PLACE, generation: 2, origin: Origin::Seek, start, done: Vec::new() }
    };
    let mut silent = history(honest().into_iter().chain([sought(3)]));
    let (last, _) = silent.events[silent.events.len() - 1];
    assert_eq!(judge(&silent), []);
    silent.add(last + TOLD + Duration::from_secs(1), Event::Removed { place: PLACE, offsets: Vec::new() });
    assert_eq!(judge(&silent).len(), 1);
    let before = falsified(|events| {
        let place = at(&committed(2));
        let mut late = call(7, 2, 11, &[5]);
        for event in &mut late {
            if let Event::HandedOut { job, .. } = event {
                job.owner.era = 1;
            }
        }
        events.splice(place + 1..=place, std::iter::once(sought(6)).chain(late));
    });
    assert_eq!(judge(&before).len(), 1);
}
