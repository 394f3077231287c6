//! Turns: no two jobs of a process that run at the same time have a unique value in common, over all topics and partitions,
//! those of lost ownerships included; and no topic has more jobs out than its `max_concurrency`,
//! but for the calls about the end of an ownership.
//!
//! Which priority goes first, and that nobody waits who could run, is judged while running (`process::turns`): a history
//! does not say who was ready.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::View;
use crate::history::{Event, History};

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut values: BTreeMap<(u32, u64), u64> = BTreeMap::new();
    let mut out: BTreeMap<(u32, usize), BTreeSet<u64>> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::HandedOut { call, job } => {
                let (process, topic) = (job.owner.process, job.place.topic);
                let jobs = out.entry((process, topic)).or_default();
                // Consumers hear of the end of an ownership beside the limit: it must not hold a rebalance up.
                if !super::hooks::is_farewell(job.kind) {
                    jobs.insert(*call);
                }
                let most = history.topics[topic].max_concurrency as usize;
                if most > 0 && jobs.len() > most {
                    violations.push(Violation::new(index, format!("{} jobs of topic {topic} are out", jobs.len())));
                }
                for value in &job.values {
                    let before = values.insert((process, *value), *call);
                    if let Some(other) = before.filter(|other| other != call) {
                        let problem = format!("calls {other} and {call} have value {value} at once");
                        violations.push(Violation::new(index, problem));
                    }
                }
            }
            Event::Finished { call, .. } => {
                values.retain(|_, other| other != call);
                if let Some(job) = view.job(*call)
                    && let Some(jobs) = out.get_mut(&(job.owner.process, job.place.topic))
                {
                    jobs.remove(call);
                }
            }
            Event::Crashed { process } => {
                values.retain(|(of, _), _| of != process);
                out.retain(|(of, _), _| of != process);
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn a_value_that_runs_twice_and_a_job_too_many_are_red() {
    use super::example::{at, falsified, handed_out, who_speaks};
    let ends = Event::Finished { call: 2, ending: crate::history::Ending::Done };
    let valued = |call, process, value| match handed_out(call, process, 80 + call, &[]) {
        Event::HandedOut { call, mut job } => {
            job.values = vec![value];
            Event::HandedOut { call, job }
        }
        other => other,
    };
    let both = |first, second| falsified(|events| drop(events.splice(at(&ends)..at(&ends), [first, second])));
    assert!(who_speaks(&both(valued(8, 1, 5), valued(9, 1, 5))).contains(&"turns"));
    assert_eq!(judge(&both(valued(8, 1, 5), valued(9, 1, 6))), [], "other values");
    assert_eq!(judge(&both(valued(8, 1, 5), valued(9, 2, 5))), [], "other processes");
    let mut limited = both(valued(8, 1, 5), valued(9, 1, 6));
    limited.topics[0].max_concurrency = 3;
    assert_eq!(judge(&limited), []);
    limited.topics[0].max_concurrency = 2;
    assert!(!judge(&limited).is_empty(), "three are out, one of the honest history");
    for event in &mut limited.events {
        if let (_, Event::HandedOut { call: 9, job }) = event {
            job.kind = karafka_engine::JobKind::Revoked;
        }
    }
    assert_eq!(judge(&limited), [], "the third one tells of a revocation");
}
