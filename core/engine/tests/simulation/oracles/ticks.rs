//! Ticks: never earlier than an interval after the last activity of their consumer, by the process' clock; and never missing
//! where nothing stands in their way, which is looked at where it is known for sure: the process is not hindered, the pool
//! has a free seat, the topic has room for a call, nothing of the partition is out, nothing of it failed since its last tick, and
//! none of its messages may wait for a unique value of another call.

use std::collections::BTreeMap;
use std::time::Duration;

use karafka_engine::{Instant, JobKind, UniqueBy};

use super::Violation;
use super::hooks::{consumers, goes_on, is_farewell, ownership_of};
use crate::history::{Ending, Event, HandedOut, History, Owner, Place};

/// How late a simulated process may notice a timer, what ticks are put off by, and the longest linger.
const LATE: Duration = Duration::from_millis(800);

#[derive(Default)]
struct Ownership {
    since: Instant,
    /// By the process' clock.
    active: BTreeMap<u64, Instant>,
    /// Since when nothing stands in the way.
    clear: Option<Instant>,
}

#[derive(Default)]
struct Pool {
    seats: u32,
    busy: u32,
}

#[derive(Default)]
struct Clocks<'a> {
    owned: BTreeMap<(Owner, Place), Ownership>,
    out: BTreeMap<u64, &'a HandedOut>,
    pools: BTreeMap<(u32, usize), Pool>,
    ahead: BTreeMap<u32, Duration>,
    hindered: BTreeMap<Option<u32>, Instant>,
    violations: Vec<Violation>,
}

impl Clocks<'_> {
    fn clock(&self, process: u32, now: Instant) -> Instant {
        now + self.ahead.get(&process).copied().unwrap_or_default()
    }

    /// Something happened to ownerships that may keep them from ticking, or end what did.
    fn moves(
        &mut self,
        history: &History,
        event: usize,
        now: Instant,
        until: Instant,
        fits: impl Fn(Owner, Place) -> bool,
    ) {
        for (&(owner, place), ownership) in self.owned.iter_mut().filter(|((owner, place), _)| fits(*owner, *place)) {
            let Some(clear) = ownership.clear else { continue };
            ownership.clear = Some(clear.max(until));
            let Some(periodic) = history.topics[place.topic].periodic else { continue };
            let hindered = [None, Some(owner.process)].iter().filter_map(|process| self.hindered.get(process)).max();
            let clear = clear.max(hindered.copied().unwrap_or_default());
            let pool = self.pools.get(&(owner.process, history.pools[place.topic]));
            let free = pool.is_some_and(|pool| pool.busy < pool.seats);
            let waits = history.topics[place.topic].unique_by != UniqueBy::Off && !self.out.is_empty();
            let busy = waits || self.out.values().any(|job| job.owner.process == owner.process && job.place == place);
            // A tick takes one of the calls that a topic may have out.
            let most = history.topics[place.topic].max_concurrency as usize;
            let counts = |job: &&&HandedOut| {
                job.owner.process == owner.process && job.place.topic == place.topic && !is_farewell(job.kind)
            };
            let full = most > 0 && self.out.values().filter(counts).count() >= most;
            if free && !full && !busy && now > clear + periodic.interval + LATE {
                let problem = format!("{place:?} of {owner:?} has had no tick since {clear:?}");
                self.violations.push(Violation::new(event, problem));
            }
        }
    }
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut clocks = Clocks::default();
    if history.topics.iter().all(|options| options.periodic.is_none()) {
        return Vec::new();
    }
    for (index, (now, event)) in history.events.iter().enumerate() {
        let now = *now;
        match event {
            Event::Assigned { owner, place, .. } => {
                let since = clocks.clock(owner.process, now);
                clocks.moves(history, index, now, now, |of, at| of == ownership_of(*owner) && at == *place);
                // A seek goes on with the same ownership.
                let fresh = || Ownership { since, active: BTreeMap::new(), clear: Some(now) };
                clocks.owned.entry((ownership_of(*owner), *place)).or_insert_with(fresh);
            }
            Event::Gone { owner, place, .. } if goes_on(history, index, *owner, *place) => {}
            Event::Revoking { owner, place } | Event::Gone { owner, place, .. } => {
                clocks.moves(history, index, now, now, |of, at| of == ownership_of(*owner) && at == *place);
                clocks.owned.remove(&(ownership_of(*owner), *place));
            }
            Event::Crashed { process } | Event::Stopping { process } => {
                clocks.owned.retain(|(owner, _), _| owner.process != *process);
                if matches!(event, Event::Crashed { .. }) {
                    clocks.out.retain(|_, job| job.owner.process != *process);
                    clocks.pools.retain(|(of, _), _| of != process);
                }
            }
            Event::Leapt { process, by } => {
                *clocks.ahead.entry(*process).or_default() += *by;
                clocks.moves(history, index, now, now, |of, _| of.process == *process);
            }
            Event::Hindered { process, until } => {
                clocks.moves(history, index, now, *until, |of, _| process.is_none_or(|process| process == of.process));
                let hindered = clocks.hindered.entry(*process).or_default();
                *hindered = (*hindered).max(*until);
            }
            Event::Seats { process, pool, seats } => {
                clocks.moves(history, index, now, now, |of, _| of.process == *process);
                clocks.pools.entry((*process, *pool)).or_default().seats = *seats;
            }
            Event::HandedOut { call, job } => {
                clocks.moves(history, index, now, now, |of, at| of.process == job.owner.process && at == job.place);
                let clock = clocks.clock(job.owner.process, now);
                if let (JobKind::Tick, Some(ownership)) =
                    (job.kind, clocks.owned.get_mut(&(ownership_of(job.owner), job.place)))
                {
                    let interval = history.topics[job.place.topic].periodic.map(|periodic| periodic.interval);
                    for consumer in consumers(history, job) {
                        let active = ownership.active.insert(consumer, clock).unwrap_or(ownership.since);
                        if interval.is_none_or(|interval| clock < active + interval) {
                            let problem = format!("{:?}: tick {call} after {:?}", job.place, clock.since(active));
                            clocks.violations.push(Violation::new(index, problem));
                        }
                    }
                    ownership.clear = Some(now);
                }
                clocks.out.insert(*call, job);
            }
            Event::Started { call } => {
                let Some(job) = clocks.out.get(call) else { continue };
                clocks.pools.entry((job.owner.process, job.pool)).or_default().busy += 1;
            }
            Event::Finished { call, ending } => {
                let Some(job) = clocks.out.get(call).copied() else { continue };
                clocks.moves(history, index, now, now, |of, _| of.process == job.owner.process);
                clocks.out.remove(call);
                if *ending != Ending::PutBack {
                    let pool = clocks.pools.entry((job.owner.process, job.pool)).or_default();
                    pool.busy = pool.busy.saturating_sub(1);
                }
                let clock = clocks.clock(job.owner.process, now);
                let Some(ownership) = clocks.owned.get_mut(&(ownership_of(job.owner), job.place)) else { continue };
                if job.kind == JobKind::Handle {
                    ownership.active.extend(consumers(history, job).into_iter().map(|consumer| (consumer, clock)));
                    if *ending != Ending::Done {
                        ownership.clear = None;
                    }
                }
            }
            _ => {}
        }
    }
    clocks.violations
}

#[test]
fn a_tick_that_is_early_or_missing_is_red() {
    use super::example::{at, falsified, handed_out, who_speaks};
    use karafka_engine::Periodic;
    let tick = |call: u64| {
        let Event::HandedOut { mut job, .. } = handed_out(call, 2, 0, &[]) else { unreachable!() };
        (job.kind, job.parts) = (JobKind::Tick, Vec::new());
        let finished = Event::Finished { call, ending: Ending::Done };
        [Event::HandedOut { call, job }, Event::Started { call }, finished]
    };
    let with = |milliseconds: u64, ticks: &[u64]| {
        let mut found = falsified(|events| events.extend(ticks.iter().flat_map(|call| tick(*call))));
        let interval = Duration::from_millis(milliseconds);
        found.topics[0].periodic = Some(Periodic { interval, during_pause: true, during_retry: false });
        found
    };
    assert_ne!(at(&Event::Started { call: 4 }), 0);
    assert_eq!(who_speaks(&with(3_000, &[8])), [""; 0]);
    assert!(who_speaks(&with(4_000, &[8])).contains(&"ticks"), "early");
    assert!(who_speaks(&with(3_000, &[8, 9])).is_empty());
    assert!(who_speaks(&with(3_500, &[8, 9])).contains(&"ticks"), "too often");
    let mut missing = with(3_000, &[]);
    let (last, _) = missing.events[missing.events.len() - 1];
    missing.add(last + Duration::from_secs(20), Event::Leapt { process: 2, by: Duration::ZERO });
    assert!(who_speaks(&missing).contains(&"ticks"), "missing");
}
