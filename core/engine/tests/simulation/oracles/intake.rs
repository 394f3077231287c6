//! Intake: no message is handled before it is old enough, none that has expired or was skipped by the filter, and no more in
//! any window than the throttle says, each by the clocks of the process that handles it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use karafka_engine::{Instant, TopicOptions};

use super::Violation;
use super::view::View;
use crate::history::{Clock, Event, History, Owner, Place};

const HOUR: Duration = Duration::from_secs(3_600);

/// What one ownership knows.
#[derive(Default)]
struct Known {
    /// When each message was read, and its timestamp.
    read: BTreeMap<i64, (Clock, Option<i64>)>,
    skipped: BTreeSet<i64>,
    begun: VecDeque<(Instant, usize)>,
}

impl Known {
    /// What is wrong with handling a message now.
    fn wrong(&self, options: &TopicOptions, offset: i64, now: Clock) -> Option<String> {
        if self.skipped.contains(&offset) {
            return Some(format!("gets {offset}, which was skipped"));
        }
        let (read, timestamp) = self.read.get(&offset)?;
        if let Some((timestamp, expire_in)) = timestamp.zip(options.expire_in)
            && timestamp < now.wall - expire_in.as_millis() as i64
        {
            return Some(format!("gets {offset}, which expired"));
        }
        let waited = now.at.since(read.at);
        let delay = options.delay_by;
        if delay.is_zero() || waited >= delay + HOUR {
            return None;
        }
        // How long the delay is from when the clock said `wall`; the whole of it where it is too far off.
        let left = |wall: i64| {
            let timestamp = timestamp.filter(|timestamp| timestamp.saturating_sub(wall) <= HOUR.as_millis() as i64)?;
            let age = wall.saturating_sub(timestamp);
            let size = Duration::from_millis(age.unsigned_abs());
            Some(if age < 0 { delay + size } else { delay.saturating_sub(size) })
        };
        let early = waited < left(read.wall).unwrap_or(delay);
        early.then(|| format!("gets {offset} of {timestamp:?} after {waited:?}, read at {read:?}, now {now:?}"))
    }

    /// Counts a call that begins; how many messages began in the interval that ends with it.
    fn begin(&mut self, at: Instant, interval: Duration, messages: usize) -> usize {
        while self.begun.front().is_some_and(|(begun, _)| *begun + interval <= at) {
            self.begun.pop_front();
        }
        self.begun.push_back((at, messages));
        self.begun.iter().map(|(_, messages)| messages).sum()
    }
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut owners: BTreeMap<(Owner, Place), Known> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Read { owner, place, clock, records } => {
                let known = owners.entry((*owner, *place)).or_default();
                for (offset, timestamp) in records {
                    known.read.entry(*offset).or_insert((*clock, *timestamp));
                }
            }
            Event::Skipped { owner, place, offsets } => {
                owners.entry((*owner, *place)).or_default().skipped.extend(offsets);
            }
            Event::Clocked { call, begins, clock } => {
                let Some(job) = view.job(*call) else { continue };
                let options = &history.topics[job.place.topic];
                let known = owners.entry((job.owner, job.place)).or_default();
                let mut violate = |what: String| {
                    violations.push(Violation::new(index, format!("{:?}: call {call} {what}", job.place)));
                };
                let offsets = job.parts.iter().flat_map(|part| part.offsets.iter().copied());
                if !begins {
                    offsets.filter_map(|offset| known.wrong(options, offset, *clock)).for_each(violate);
                } else if let Some(throttle) = options.throttle {
                    let count = known.begin(clock.at, throttle.interval, offsets.count());
                    if count > throttle.limit as usize {
                        violate(format!("is one of {count} messages in {:?}", throttle.interval));
                    }
                }
            }
            _ => {}
        }
    }
    violations
}

#[test]
fn messages_early_expired_skipped_or_too_many_are_red() {
    use super::example::{PLACE, assigned, at, handed_out, history, honest, owner, who_speaks};
    use karafka_engine::Throttle;
    let clock = |second: u64| Clock { at: Instant::START + Duration::from_secs(second), wall: second as i64 * 1_000 };
    // The first call, of offsets 0 and 2, read at 100 s with timestamps of 98 s, and begun at 110 s.
    let changed = |configure: &dyn Fn(&mut TopicOptions), more: &[Event]| {
        let mut events = honest();
        let given = at(&handed_out(1, 1, 11, &[0, 2]));
        let clocked = |begins| Event::Clocked { call: 1, begins, clock: clock(110) };
        events.splice(given + 2..given + 2, [clocked(false), clocked(true)]);
        let records = vec![(0, Some(98_000)), (2, Some(98_000))];
        let read = Event::Read { owner: owner(1), place: PLACE, clock: clock(100), records };
        let assigned = at(&assigned(1, 1, 0));
        events.splice(assigned + 1..=assigned, std::iter::once(read).chain(more.iter().cloned()));
        events.insert(assigned, honest()[assigned].clone());
        let mut found = history(events);
        configure(&mut found.topics[0]);
        found
    };
    let seconds = Duration::from_secs;
    assert_eq!(who_speaks(&changed(&|_| (), &[])), [""; 0]);
    assert_eq!(who_speaks(&changed(&|options| options.delay_by = seconds(12), &[])), [""; 0]);
    assert_eq!(who_speaks(&changed(&|options| options.delay_by = seconds(13), &[])), ["intake"]);
    assert_eq!(who_speaks(&changed(&|options| options.expire_in = Some(seconds(12)), &[])), [""; 0]);
    assert_eq!(who_speaks(&changed(&|options| options.expire_in = Some(seconds(11)), &[])), ["intake"]);
    let throttle = |limit| {
        move |options: &mut TopicOptions| {
            options.throttle = Some(Throttle { limit, interval: Duration::from_secs(1) });
        }
    };
    assert_eq!(who_speaks(&changed(&throttle(2), &[])), [""; 0]);
    assert_eq!(who_speaks(&changed(&throttle(1), &[])), ["intake"]);
    let skipped = Event::Skipped { owner: owner(1), place: PLACE, offsets: vec![2] };
    assert_eq!(who_speaks(&changed(&|_| (), &[skipped])), ["intake"]);
}
