//! Attempts: a job says for each message which attempt it is: one more than the calls that failed with it in this
//! ownership, unless another message was named, or the failure was none of a message; counted anew after each success of
//! its virtual partition where the topic says so. Dead letters and back-offs are counted by it.

use std::collections::{BTreeMap, BTreeSet};

use karafka_engine::Verdict;

use super::Violation;
use super::view::View;
use crate::history::{Ending, Event, History, Owner, Place};

/// Of one ownership: how often each message failed, and in which virtual partition it is.
type Failed = BTreeMap<i64, (u64, u32)>;

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut done: BTreeMap<(Owner, Place), BTreeSet<i64>> = BTreeMap::new();
    let mut failed: BTreeMap<(Owner, Place), Failed> = BTreeMap::new();
    let mut said = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Done { owner, place, offset } => {
                done.entry((*owner, *place)).or_default().insert(*offset);
            }
            Event::Said { call, verdict, culprit } => {
                said.insert(*call, (*verdict, *culprit));
            }
            Event::HandedOut { call, job } => {
                let failed = failed.entry((job.owner, job.place)).or_default();
                let offsets = job.parts.iter().flat_map(|part| &part.offsets);
                for (offset, attempt) in offsets.zip(&job.attempts) {
                    let expected = failed.get(offset).map_or(1, |(_, failures)| failures + 1);
                    if *attempt != expected {
                        let place = job.place;
                        let problem =
                            format!("{place:?}: call {call} of offset {offset} is attempt {attempt}, not {expected}");
                        violations.push(Violation::new(index, problem));
                    }
                }
            }
            Event::Finished { call, ending } if *ending != Ending::PutBack => {
                let Some(job) = view.job(*call) else { continue };
                let done = done.entry((job.owner, job.place)).or_default();
                let failed = failed.entry((job.owner, job.place)).or_default();
                let (verdict, named) = said.remove(call).unwrap_or_default();
                let offsets = || job.parts.iter().flat_map(|part| &part.offsets);
                let undone: Vec<i64> = offsets().copied().filter(|offset| !done.contains(offset)).collect();
                let named = named.filter(|offset| undone.contains(offset));
                for part in &job.parts {
                    let succeeded = *ending == Ending::Done || part.offsets.iter().any(|offset| done.contains(offset));
                    if succeeded && history.topics[job.place.topic].independent {
                        failed.retain(|_, (virtual_partition, _)| *virtual_partition != part.virtual_partition);
                    }
                    for offset in &part.offsets {
                        if *ending == Ending::Done || done.contains(offset) {
                            failed.remove(offset);
                        } else if verdict != Verdict::Critical && named.is_none_or(|named| named == *offset) {
                            failed.entry(*offset).or_insert((part.virtual_partition, 0)).1 += 1;
                        }
                    }
                }
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn attempts_that_were_not_made_are_red() {
    use super::example::{at, falsified, handed_out, who_speaks};
    let counted = |call, virtual_partition, offsets: &[i64], attempt| {
        let mut event = handed_out(call, 1, virtual_partition, offsets);
        if let Event::HandedOut { job, .. } = &mut event {
            job.attempts = vec![attempt; offsets.len()];
        }
        event
    };
    let before = at(&handed_out(2, 1, 12, &[3]));
    let first = falsified(|events| events[before] = counted(2, 12, &[3], 2));
    assert_eq!(who_speaks(&first), ["attempts"]);
    let failed_before = |attempt| {
        falsified(|events| {
            events[before] = counted(2, 12, &[3], attempt);
            let failed = Event::Finished { call: 8, ending: Ending::Failed };
            events.splice(before..before, [handed_out(8, 1, 12, &[3]), Event::Started { call: 8 }, failed]);
        })
    };
    assert_eq!(who_speaks(&failed_before(2)), [""; 0]);
    assert_eq!(who_speaks(&failed_before(1)), ["attempts"]);
}
