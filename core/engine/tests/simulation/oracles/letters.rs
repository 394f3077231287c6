//! Dead letters: a message is given up only by its owner, only when it was the one that failed, and only after as many
//! attempts as its topic allows, or because its handler said so; and what is given up leaves once in an ownership, unless
//! the answer to a copy was lost. Not before: C4 says that the commit waits.

use std::collections::{BTreeMap, BTreeSet};

use karafka_engine::{GivenUp, Verdict};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Owner, Place};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut said = BTreeMap::new();
    let mut done: BTreeMap<(Owner, Place), BTreeSet<i64>> = BTreeMap::new();
    // Given up and on its way, and whether a copy arrived.
    let mut leaving: BTreeMap<(Owner, Place, i64), bool> = BTreeMap::new();
    // Told to be tried again, however often.
    let mut spared: BTreeSet<(Owner, Place, i64)> = BTreeSet::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        let mut violate = |problem: String| violations.push(Violation::new(index, problem));
        match event {
            Event::Said { call, verdict, culprit } => {
                said.insert(*call, (*verdict, *culprit));
                if let Some(job) = view.job(*call).filter(|_| *verdict != Verdict::Unsaid) {
                    let offsets = job.parts.iter().flat_map(|part| &part.offsets);
                    spared.extend(offsets.map(|offset| (job.owner, job.place, *offset)));
                }
            }
            Event::Done { owner, place, offset } => {
                done.entry((*owner, *place)).or_default().insert(*offset);
            }
            Event::GivenUp { owner, place, call, offset, attempts, leaves } => {
                let options = &history.topics[place.topic];
                let (verdict, named) = said.get(call).copied().unwrap_or_default();
                let Some(job) = view.job(*call) else { continue };
                let done = done.entry((*owner, *place)).or_default();
                let offsets = job.parts.iter().flat_map(|part| &part.offsets);
                let others = offsets.filter(|other| *other != offset && !done.contains(other)).count();
                if others > 0 && named != Some(*offset) {
                    violate(format!("{place:?}: {offset} is given up for a call with {others} others"));
                }
                if view.owned(*owner, *place).is_none_or(|owned| owned.gone) {
                    violate(format!("{place:?}: {offset} is given up by who does not own it"));
                }
                let asked = matches!(verdict, Verdict::GiveUp | Verdict::Discard);
                let limit = options.max_retries.map(|most| most + 1);
                if !asked && limit.is_none_or(|limit| *attempts < limit) {
                    violate(format!("{place:?}: {offset} is given up after {attempts} attempts of {limit:?}"));
                }
                // A call of several is no proof: with one attempt allowed, the culprit needs one more to be known.
                let late = limit.is_some_and(|limit| *attempts > limit.max(2));
                if late && !options.bisect && !spared.contains(&(*owner, *place, *offset)) {
                    violate(format!("{place:?}: {offset} is given up only after {attempts} attempts of {limit:?}"));
                }
                let dispatched = matches!(options.given_up, GivenUp::Dispatched { .. });
                if *leaves != (dispatched && verdict != Verdict::Discard) {
                    violate(format!("{place:?}: {offset} leaves: {leaves}, by {verdict:?} and {:?}", options.given_up));
                }
                if *leaves {
                    leaving.insert((*owner, *place, *offset), false);
                }
            }
            Event::LetterSent { owner, place, offset, arrives, answered, .. } => {
                if view.owned(*owner, *place).is_none_or(|owned| owned.gone) {
                    violate(format!("{place:?}: {offset} leaves though its partition is lost"));
                }
                match leaving.get_mut(&(*owner, *place, *offset)) {
                    None => violate(format!("{place:?}: {offset} leaves and was not given up")),
                    Some(true) => violate(format!("{place:?}: {offset} leaves again after it arrived")),
                    Some(arrived) => *arrived = *arrives && *answered,
                }
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn letters_that_should_not_leave_are_red() {
    use super::example::{PLACE, at, falsified, handed_out, owner, who_speaks};
    use crate::history::Ending;
    let gone = Event::Revoking { owner: owner(1), place: PLACE };
    let given_up =
        |attempts| Event::GivenUp { owner: owner(1), place: PLACE, call: 9, offset: 7, attempts, leaves: true };
    let sent =
        || Event::LetterSent { owner: owner(1), place: PLACE, offset: 7, attempts: 1, arrives: true, answered: true };
    let story = |offsets: &[i64], attempts: u32, letters: usize| {
        let mut history = falsified(|events| {
            let place = at(&gone);
            let failed = Event::Finished { call: 9, ending: Ending::Failed };
            let mut story = vec![handed_out(9, 1, 77, offsets), Event::Started { call: 9 }, failed, given_up(attempts)];
            story.extend((0..letters).map(|_| sent()));
            events.splice(place..place, story);
        });
        history.topics[0].max_retries = Some(0);
        history.topics[0].given_up = GivenUp::Dispatched { wait: true };
        history
    };
    let problems = |history: &History| judge(history).len();
    assert_eq!(problems(&story(&[7], 1, 1)), 0);
    assert_eq!(problems(&story(&[7, 8], 1, 1)), 1, "with company");
    assert_eq!(problems(&story(&[7], 1, 2)), 1, "twice");
    assert_eq!(problems(&story(&[7], 0, 1)), 1, "early");
    assert_eq!(problems(&story(&[7], 5, 1)), 1, "late");
    let mut lost = story(&[7], 1, 0);
    lost.events.push((karafka_engine::Instant::NEVER, sent()));
    assert_eq!(problems(&lost), 1, "after the partition went");
    let mut never = story(&[7], 1, 1);
    never.topics[0].given_up = GivenUp::Never;
    assert!(who_speaks(&never).contains(&"dead letters"));
}
