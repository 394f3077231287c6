//! Calls without messages: none runs beside another call of its consumer; each consumer that was used hears of the end of its
//! ownership once, of the right one, after the running calls and before the partition is given up in order; and the next
//! ownership in the process waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use karafka_engine::{Instant, JobKind, TopicOptions, VirtualPartitions};

use super::Violation;
use crate::history::{End, Event, HandedOut, History, Origin, Owner, Place};

/// Longer than a farewell waits for a seat and for running calls.
const LONGEST: Duration = Duration::from_secs(300);

/// Whose ownership it is: a seek goes on with the same.
pub fn ownership_of(owner: Owner) -> Owner {
    Owner { era: 0, ..owner }
}

/// Whether what looks like an end is a seek.
pub fn goes_on(history: &History, index: usize, owner: Owner, place: Place) -> bool {
    let (now, _) = history.events[index];
    let at_once = history.events[index..].iter().take_while(|(at, _)| *at == now);
    at_once.into_iter().any(|(_, event)| {
        matches!(event, Event::Assigned { owner: next, place: at, origin: Origin::Seek, .. }
            if *at == place && ownership_of(*next) == ownership_of(owner))
    })
}

pub fn is_farewell(kind: JobKind) -> bool {
    matches!(kind, JobKind::Revoked | JobKind::Shutdown)
}

pub fn is_whole(options: &TopicOptions) -> bool {
    !matches!(options.virtual_partitions, VirtualPartitions::Off | VirtualPartitions::Fixed(_))
}

/// The consumers that a call is for; with virtual partitions that come and go, the partition is one, named 0.
pub fn consumers(history: &History, job: &HandedOut) -> Vec<u64> {
    if is_whole(&history.topics[job.place.topic]) {
        return vec![0];
    }
    job.parts.iter().map(|part| part.virtual_partition).chain(job.consumer).collect()
}

#[derive(Default)]
struct Ownership {
    used: BTreeSet<u64>,
    told: BTreeSet<u64>,
    heard: BTreeSet<u64>,
    ending: bool,
    gone: Option<Instant>,
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut owned: BTreeMap<(Owner, Place), Ownership> = BTreeMap::new();
    let mut out: BTreeMap<u64, &HandedOut> = BTreeMap::new();
    let mut stopping = BTreeSet::new();
    let mut ends = Instant::START;
    for (index, (now, event)) in history.events.iter().enumerate() {
        ends = *now;
        let mut violate = |problem: String| violations.push(Violation::new(index, problem));
        match event {
            // A seek goes on with the same ownership.
            Event::Assigned { owner, place, .. } => {
                owned.entry((ownership_of(*owner), *place)).or_default();
            }
            Event::Stopping { process } => drop(stopping.insert(*process)),
            Event::Revoking { owner, place } => owned.entry((ownership_of(*owner), *place)).or_default().ending = true,
            Event::Gone { owner, place, .. } if goes_on(history, index, *owner, *place) => {}
            Event::Gone { owner, place, end } => {
                let ownership = owned.entry((ownership_of(*owner), *place)).or_default();
                (ownership.ending, ownership.gone) = (true, Some(*now));
                let wanted = wanted(history, *place, stopping.contains(&owner.process));
                if *end == (End::Released { overdue: false }) && wanted && ownership.heard != ownership.used {
                    violate(format!("{place:?}: given up before its consumers heard of it"));
                }
            }
            Event::Crashed { process } => {
                owned.retain(|(owner, _), _| owner.process != *process);
                out.retain(|_, job| job.owner.process != *process);
            }
            Event::HandedOut { call, job } => {
                let options = &history.topics[job.place.topic];
                let same = |other: &&HandedOut| other.owner.process == job.owner.process && other.place == job.place;
                let own = |other: &&HandedOut| ownership_of(other.owner) == ownership_of(job.owner);
                let ownership = owned.entry((ownership_of(job.owner), job.place)).or_default();
                let mine = consumers(history, job);
                if let Some(other) =
                    out.values().copied().filter(same).find(|other| !own(other)).filter(|_| !is_farewell(job.kind))
                {
                    violate(format!(
                        "{:?}: {:?} {call} beside {:?} of an earlier ownership",
                        job.place, job.kind, other.kind
                    ));
                }
                if is_farewell(job.kind) {
                    let [consumer] = mine[..] else { continue };
                    let long = options.long_running_job && job.kind == JobKind::Revoked;
                    let busy = out.values().copied().filter(same).filter(own).any(|other| !is_farewell(other.kind));
                    if !ownership.ending || (busy && !long) {
                        violate(format!("{:?}: {:?} {call} while the ownership goes on", job.place, job.kind));
                    }
                    if !ownership.used.contains(&consumer) {
                        violate(format!("{:?}: {:?} {call} of a consumer that was never used", job.place, job.kind));
                    }
                    if !ownership.told.insert(consumer) {
                        violate(format!("{:?}: {:?} {call} is told a second time", job.place, job.kind));
                    }
                    if job.kind == JobKind::Shutdown && !stopping.contains(&job.owner.process) {
                        violate(format!("{:?}: {:?} {call} in a process that goes on", job.place, job.kind));
                    }
                } else {
                    let hook = |kind: JobKind| matches!(kind, JobKind::Tick | JobKind::Eofed);
                    let beside = |other: &&HandedOut| {
                        let shared =
                            is_whole(options) || consumers(history, other).iter().any(|one| mine.contains(one));
                        shared && (hook(job.kind) || hook(other.kind))
                    };
                    if let Some(other) = out.values().copied().filter(same).filter(own).find(beside) {
                        violate(format!("{:?}: {:?} {call} beside {:?}", job.place, job.kind, other.kind));
                    }
                    if matches!(job.kind, JobKind::Handle | JobKind::Tick) {
                        ownership.used.extend(mine);
                    }
                }
                out.insert(*call, job);
            }
            Event::Finished { call, ending } => {
                let Some(job) = out.remove(call).filter(|job| is_farewell(job.kind)) else { continue };
                let ownership = owned.entry((ownership_of(job.owner), job.place)).or_default();
                let consumers = consumers(history, job);
                if *ending == crate::history::Ending::PutBack {
                    ownership.told.retain(|told| !consumers.contains(told));
                } else {
                    ownership.heard.extend(consumers);
                }
            }
            _ => {}
        }
    }
    for ((owner, place), ownership) in owned {
        let wanted = wanted(history, place, stopping.contains(&owner.process));
        let late = ownership.gone.is_some_and(|gone| ends.since(gone) > LONGEST);
        if wanted && late && ownership.told != ownership.used {
            let problem = format!("{place:?}: consumers of {owner:?} never heard that it is over");
            violations.push(Violation::new(history.events.len(), problem));
        }
    }
    violations
}

fn wanted(history: &History, place: Place, stopping: bool) -> bool {
    let options = &history.topics[place.topic];
    // Where only one of both is wanted, it depends on when the end began.
    if stopping { options.hooks.shutdown && options.hooks.revoked } else { options.hooks.revoked }
}

#[test]
fn a_hook_beside_its_consumer_too_early_twice_or_never_is_red() {
    use super::example::{PLACE, at, falsified, handed_out, owner, who_speaks};
    use karafka_engine::Hooks;
    let hook = |call: u64, kind: JobKind| {
        let Event::HandedOut { mut job, .. } = handed_out(call, 1, 0, &[]) else { unreachable!() };
        (job.kind, job.parts) = (kind, Vec::new());
        let finished = Event::Finished { call, ending: crate::history::Ending::Done };
        [Event::HandedOut { call, job }, Event::Started { call }, finished]
    };
    let revoking = at(&Event::Revoking { owner: owner(1), place: PLACE });
    let with = |place: usize, calls: &[(u64, JobKind)]| {
        let calls: Vec<Event> = calls.iter().flat_map(|&(call, kind)| hook(call, kind)).collect();
        let mut found = falsified(|events| drop(events.splice(place..place, calls)));
        found.topics[0].hooks = Hooks { revoked: true, ..Hooks::default() };
        found
    };
    assert_eq!(judge(&with(revoking + 1, &[(8, JobKind::Revoked)])), []);
    for (wrong, why) in [
        (with(revoking + 1, &[]), "never"),
        (with(revoking, &[(8, JobKind::Revoked)]), "early"),
        (with(revoking + 1, &[(8, JobKind::Revoked), (9, JobKind::Revoked)]), "twice"),
        (with(revoking + 1, &[(8, JobKind::Shutdown)]), "another"),
        (with(at(&Event::Started { call: 2 }), &[(8, JobKind::Tick), (9, JobKind::Revoked)]), "beside"),
    ] {
        assert!(who_speaks(&wrong).contains(&"hooks"), "{why}");
    }
}
