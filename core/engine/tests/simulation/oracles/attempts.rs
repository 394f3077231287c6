//! Attempts: a job says which attempt it is for its first message: one more than this message failed in a row as the first
//! unfinished one of its virtual partition, in this ownership. Dead letters and back-offs are counted by it.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Ending, Event, History, Owner, Place};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut done: BTreeMap<(Owner, Place), BTreeSet<i64>> = BTreeMap::new();
    let mut failed: BTreeMap<(Owner, Place, u64), (i64, u32)> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Done { owner, place, offset } => {
                done.entry((*owner, *place)).or_default().insert(*offset);
            }
            Event::HandedOut { call, job } => {
                let Some((part, &first)) = job.parts.first().and_then(|part| Some((part, part.offsets.first()?)))
                else {
                    continue;
                };
                let before = failed.get(&(job.owner, job.place, part.virtual_partition));
                let expected = before.filter(|(offset, _)| *offset == first).map_or(1, |(_, failures)| failures + 1);
                if job.attempt != expected {
                    let (place, attempt) = (job.place, job.attempt);
                    let problem =
                        format!("{place:?}: call {call} of offset {first} is attempt {attempt}, not {expected}");
                    violations.push(Violation::new(index, problem));
                }
            }
            Event::Finished { call, ending } if *ending != Ending::PutBack => {
                let Some(job) = view.job(*call) else { continue };
                let done = done.entry((job.owner, job.place)).or_default();
                for part in &job.parts {
                    let key = (job.owner, job.place, part.virtual_partition);
                    let first = part.offsets.iter().find(|offset| !done.contains(offset));
                    match first.filter(|_| *ending == Ending::Failed) {
                        Some(&first) => {
                            let before = failed.get(&key).filter(|(offset, _)| *offset == first);
                            failed.insert(key, (first, before.map_or(1, |(_, failures)| failures + 1)));
                        }
                        None => {
                            failed.remove(&key);
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
            job.attempt = attempt;
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
