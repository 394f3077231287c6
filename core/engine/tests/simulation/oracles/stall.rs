//! C9, no silent stall: no partition stands still for more than 30 s while there is something to read or commit, its owner
//! has a free seat, and nothing is known that holds it up; no counter went astray; and once the faults had ended everything
//! drained.
//!
//! A partition does not stand still while one of its calls begins or ends, or a commit is applied or refused.

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::{Instant, JobKind, UniqueBy};

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Owner, Place};

const LONGEST: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Pool {
    seats: u32,
    busy: u32,
}

#[derive(Default)]
struct Partition {
    owner: Option<(u32, Owner)>,
    position: i64,
    /// Since when it may have stood still.
    since: Instant,
}

#[derive(Default)]
struct Clocks<'a> {
    view: View<'a>,
    partitions: BTreeMap<Place, Partition>,
    pools: BTreeMap<(u32, usize), Pool>,
    violations: Vec<Violation>,
}

impl Clocks<'_> {
    /// Something moved: tells if it comes too late.
    fn moves(
        &mut self,
        history: &History,
        event: usize,
        now: Instant,
        until: Instant,
        fits: impl Fn(Place, Owner) -> bool,
    ) {
        for (&place, partition) in &mut self.partitions {
            let Some((_, owner)) = partition.owner.filter(|(_, owner)| fits(place, *owner)) else {
                continue;
            };
            let since = partition.since;
            partition.since = since.max(until);
            let lags = self.view.lags(place, partition.position);
            let pool = self.pools.get(&(owner.process, history.pools[place.topic]));
            let free = pool.is_some_and(|pool| pool.busy < pool.seats);
            if lags && free && now.since(since) > LONGEST {
                let problem = format!("{place:?} of {owner:?} stood still since {since:?}, at {}", partition.position);
                self.violations.push(Violation::new(event, problem));
            }
        }
    }
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut clocks = Clocks::default();
    let mut asked = BTreeMap::new();
    let mut ends = Instant::START;
    for (index, (now, event)) in history.events.iter().enumerate() {
        let now = *now;
        ends = now;
        match event {
            Event::Readable { place, .. } => {
                let partition = clocks.partitions.entry(*place).or_default();
                if !clocks.view.lags(*place, partition.position) {
                    partition.since = partition.since.max(now);
                }
            }
            Event::Refused { place } | Event::Revoking { place, .. } => {
                clocks.moves(history, index, now, now, |at, _| at == *place);
            }
            Event::Assigned { owner, place, generation, start, .. } => {
                let partition = clocks.partitions.entry(*place).or_default();
                if partition.owner.is_none_or(|(latest, _)| latest <= *generation) {
                    *partition = Partition { owner: Some((*generation, *owner)), position: *start, since: now };
                }
            }
            Event::Gone { owner, place, .. } => {
                clocks.moves(history, index, now, now, |at, of| at == *place && of == *owner);
                let partition = clocks.partitions.entry(*place).or_default();
                partition.owner.take_if(|(_, present)| present == owner);
            }
            Event::Taken { place, generation } => {
                let partition = clocks.partitions.entry(*place).or_default();
                partition.owner.take_if(|(present, _)| present == generation);
            }
            Event::Crashed { process } => {
                for partition in clocks.partitions.values_mut() {
                    partition.owner.take_if(|(_, owner)| owner.process == *process);
                }
                clocks.pools.retain(|(of, _), _| of != process);
            }
            Event::Started { call } | Event::Finished { call, .. } => {
                let began = matches!(event, Event::Started { .. });
                let Some(job) = clocks.view.job(*call) else { continue };
                let (process, pool) = (job.owner.process, job.pool);
                let was = began
                    || matches!(event, Event::Finished { ending, .. } if *ending != crate::history::Ending::PutBack);
                let seats = clocks.pools.entry((process, pool)).or_default();
                let full = seats.busy >= seats.seats;
                if was {
                    seats.busy = if began { seats.busy + 1 } else { seats.busy.saturating_sub(1) };
                }
                let full = full || seats.busy >= seats.seats;
                clocks.moves(history, index, now, now, |at, of| {
                    let topics = (&history.topics[at.topic], &history.topics[job.place.topic]);
                    let limited = at.topic == job.place.topic && topics.0.max_concurrency > 0;
                    let unique = [topics.0, topics.1].iter().all(|topic| topic.unique_by != UniqueBy::Off);
                    let own = at == job.place && job.kind == JobKind::Handle;
                    let place = own || (full && history.pools[at.topic] == pool);
                    of.process == process && (place || limited || unique)
                });
            }
            Event::Asked { owner, place, id, position, .. } => {
                asked.insert((*owner, *place, *id), *position);
            }
            Event::Committed { owner, place, id } => {
                clocks.moves(history, index, now, now, |at, _| at == *place);
                let partition = clocks.partitions.entry(*place).or_default();
                partition.position = asked.get(&(*owner, *place, *id)).copied().unwrap_or_default();
            }
            Event::Transacted { place, position, .. } => {
                clocks.moves(history, index, now, now, |at, _| at == *place);
                clocks.partitions.entry(*place).or_default().position = *position;
            }
            Event::Seats { process, pool, seats } => {
                clocks.moves(history, index, now, now, |_, of| of.process == *process);
                clocks.pools.entry((*process, *pool)).or_default().seats = *seats;
            }
            Event::Hindered { process, until } => {
                clocks.moves(history, index, now, *until, |_, of| process.is_none_or(|process| process == of.process));
            }
            Event::Defect { process, problem } => {
                clocks.violations.push(Violation::new(index, format!("process {process}: {problem}")));
            }
            _ => {}
        }
        clocks.view.follow(event);
    }
    let end = history.events.len();
    clocks.moves(history, end, ends, ends, |_, _| true);
    let unfinished = history.unfinished.iter().map(|what| Violation::new(end, format!("not drained: {what}")));
    clocks.violations.into_iter().chain(unfinished).collect()
}

#[test]
fn a_partition_that_stands_still_a_defect_and_an_unfinished_run_are_red() {
    use super::example::{PLACE, falsified, history, honest, owner, readable, who_speaks};
    let idle = |seconds: u64, hindered: Option<u64>| {
        let mut found = falsified(|events| events.push(readable(7, 1)));
        let (appeared, _) = found.events[found.events.len() - 1];
        if let Some(hindered) = hindered {
            let until = appeared + Duration::from_secs(hindered);
            found.add(appeared, Event::Hindered { process: Some(2), until });
        }
        found.add(appeared + Duration::from_secs(seconds), Event::Removed { place: PLACE, offsets: Vec::new() });
        judge(&found).len()
    };
    assert_eq!(idle(29, None), 0);
    assert_eq!(idle(31, None), 1);
    assert_eq!(idle(31, Some(10)), 0, "{:?} was frozen", owner(2));
    let defect = falsified(|events| events.push(Event::Defect { process: 1, problem: "stall".to_owned() }));
    assert_eq!(who_speaks(&defect), ["C9 stall"]);
    let mut unfinished = history(honest());
    unfinished.unfinished.push("partition 0".to_owned());
    assert_eq!(who_speaks(&unfinished), ["C9 stall"]);
}
