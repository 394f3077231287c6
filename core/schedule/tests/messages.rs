//! The guarantees of scheduled messages, with a clock, a log and faults that are made up: nothing early, nothing lost, what was
//! cancelled in time is not sent, and no more repetitions than promised; through deaths at every point.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use karafka_schedule::{Due, LONGEST_BACKOFF_MS, Messages};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What becomes of a record that is produced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Acknowledged,
    /// It is appended, and its producer does not hear of it.
    Unheard,
    Refused,
    DiesBefore,
    /// It is appended, and its producer dies before it hears of it.
    DiesAfter,
}

#[derive(Clone, Debug)]
enum Step {
    Schedule {
        after: i64,
    },
    Cancel {
        which: prop::sample::Index,
    },
    Wait {
        milliseconds: i64,
    },
    /// The log grows by something that is no record: the end of a transaction.
    Marker,
    Compact,
    /// Some of what was read before comes again.
    Read {
        again: usize,
        records: usize,
    },
    Work {
        fates: Vec<Fate>,
    },
    Die,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Acknowledged),
        1 => Just(Fate::Unheard),
        1 => Just(Fate::Refused),
        1 => Just(Fate::DiesBefore),
        1 => Just(Fate::DiesAfter),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-50..400_i64).prop_map(|after| Step::Schedule { after }),
        2 => any::<prop::sample::Index>().prop_map(|which| Step::Cancel { which }),
        6 => (0..200_i64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => Just(Step::Marker),
        1 => Just(Step::Compact),
        6 => (0..9_usize, 1..15_usize).prop_map(|(again, records)| Step::Read { again, records }),
        8 => prop::collection::vec(fate(), 0..8).prop_map(|fates| Step::Work { fates }),
        1 => Just(Step::Die),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Record {
    Schedules { id: u32, at: i64 },
    Ends { id: u32 },
}

#[derive(Default)]
struct Fact {
    at: i64,
    cancelled: Option<i64>,
    arrived: Vec<i64>,
    /// How often somebody could not know that it had arrived.
    doubts: usize,
}

#[derive(Default)]
struct World {
    now: i64,
    /// `None`: compacted away, or no record.
    log: Vec<Option<Record>>,
    facts: BTreeMap<u32, Fact>,
    owner: Option<Messages<u32>>,
    fates: Vec<Fate>,
}

impl World {
    fn schedule(&mut self, after: i64) {
        let id = u32::try_from(self.facts.len()).unwrap();
        let at = self.now + after;
        self.facts.insert(id, Fact { at, ..Fact::default() });
        self.log.push(Some(Record::Schedules { id, at }));
    }

    fn cancel(&mut self, which: prop::sample::Index) {
        if self.facts.is_empty() {
            return;
        }
        let id = u32::try_from(which.index(self.facts.len())).unwrap();
        self.log.push(Some(Record::Ends { id }));
        self.facts.get_mut(&id).unwrap().cancelled.get_or_insert(self.now);
    }

    fn compact(&mut self) {
        let id_of = |record: &Record| match *record {
            Record::Schedules { id, .. } | Record::Ends { id } => id,
        };
        for at in 0..self.log.len() {
            let Some(record) = self.log[at] else { continue };
            if self.log[at + 1..].iter().flatten().any(|later| id_of(later) == id_of(&record)) {
                self.log[at] = None;
            }
        }
    }

    /// As an owner does: everything is read before anything is sent.
    fn owner(&mut self) -> Messages<u32> {
        if let Some(owner) = self.owner.take() {
            return owner;
        }
        let mut owner = Messages::default();
        read(&mut owner, &self.log, 0, usize::MAX);
        owner.goes_to(self.now, end(&self.log));
        owner
    }

    /// `None`: it died on the way.
    fn work(&mut self, mut owner: Messages<u32>) -> Option<Messages<u32>> {
        if owner.must_look(self.now) {
            owner.goes_to(self.now, end(&self.log));
        }
        for due in owner.due(self.now, 3) {
            let fate = self.fates.pop().unwrap_or(Fate::Acknowledged);
            if matches!(fate, Fate::Acknowledged | Fate::Unheard | Fate::DiesAfter) {
                self.arrive(&due);
            }
            match fate {
                Fate::Acknowledged => owner.sent(&due),
                Fate::Unheard => {
                    self.doubt(*due.message);
                    owner.failed(self.now, &due);
                }
                Fate::Refused => owner.failed(self.now, &due),
                Fate::DiesBefore => return self.die_knowing(&owner),
                Fate::DiesAfter => {
                    self.doubt(*due.message);
                    return self.die_knowing(&owner);
                }
            }
        }
        for (id, offset) in owner.to_forget(3) {
            let number = u32::from_be_bytes(id.as_ref().try_into().unwrap());
            let fate = self.fates.pop().unwrap_or(Fate::Acknowledged);
            if matches!(fate, Fate::Acknowledged | Fate::Unheard | Fate::DiesAfter) {
                self.log.push(Some(Record::Ends { id: number }));
            }
            match fate {
                Fate::Acknowledged => owner.forgotten(&id, offset),
                Fate::Unheard | Fate::Refused => {}
                Fate::DiesBefore | Fate::DiesAfter => return self.die_knowing(&owner),
            }
        }
        Some(owner)
    }

    /// Its heir cannot know of what arrived and has no tombstone.
    fn die_knowing(&mut self, owner: &Messages<u32>) -> Option<Messages<u32>> {
        for (id, _) in owner.to_forget(usize::MAX) {
            let id = u32::from_be_bytes(id.as_ref().try_into().unwrap());
            if !self.log.contains(&Some(Record::Ends { id })) {
                self.doubt(id);
            }
        }
        self.owner = None;
        None
    }

    fn doubt(&mut self, id: u32) {
        self.facts.get_mut(&id).unwrap().doubts += 1;
    }

    fn arrive(&mut self, due: &Due<u32>) {
        let fact = self.facts.get_mut(&due.message).unwrap();
        assert!(self.now >= fact.at, "message {} went at {} and not at {}", due.message, self.now, fact.at);
        let cancelled = fact.cancelled.unwrap_or(i64::MAX);
        assert!(cancelled >= fact.at, "message {} of {} went although cancelled at {cancelled}", due.message, fact.at);
        fact.arrived.push(self.now);
        assert!(fact.arrived.len() <= 1 + fact.doubts, "message {} went twice", due.message);
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Schedule { after } => self.schedule(after),
            Step::Cancel { which } => self.cancel(which),
            Step::Wait { milliseconds } => self.now += milliseconds,
            Step::Marker => self.log.push(None),
            Step::Compact => self.compact(),
            Step::Read { again, records } => {
                let mut owner = self.owner();
                read(&mut owner, &self.log, again, records);
                self.owner = Some(owner);
            }
            Step::Work { fates } => {
                self.fates = fates;
                let owner = self.owner();
                self.owner = self.work(owner);
            }
            Step::Die => {
                if let Some(owner) = self.owner.take() {
                    self.die_knowing(&owner);
                }
            }
        }
    }
}

fn end(log: &[Option<Record>]) -> i64 {
    i64::try_from(log.len()).unwrap()
}

fn read(owner: &mut Messages<u32>, log: &[Option<Record>], again: usize, most: usize) {
    let from = usize::try_from(owner.next()).unwrap().saturating_sub(again);
    for (offset, record) in log.iter().enumerate().skip(from).take(most) {
        let offset = i64::try_from(offset).unwrap();
        match record {
            Some(Record::Schedules { id, at }) => owner.scheduled(offset, &id.to_be_bytes(), *at, *id),
            Some(Record::Ends { id }) => owner.ended(offset, &id.to_be_bytes()),
            None => owner.read_to(offset + 1),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_early_or_is_lost(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::default();
        for step in steps {
            world.play(step);
        }
        // All is well from now on.
        for _ in 0..200 {
            world.play(Step::Read { again: 0, records: usize::MAX });
            if world.owner.as_ref().is_some_and(Messages::is_empty) {
                break;
            }
            world.now += LONGEST_BACKOFF_MS;
            world.play(Step::Work { fates: Vec::new() });
        }
        for (id, fact) in &world.facts {
            prop_assert!(!fact.arrived.is_empty() || fact.cancelled.is_some(), "message {id} was lost");
        }
        prop_assert!(world.owner().is_empty(), "something was not forgotten");
    }
}

#[test]
fn a_message_goes_at_its_time_in_order_and_once() {
    let mut messages = Messages::default();
    messages.scheduled(0, b"b", 20, "second");
    messages.scheduled(1, b"a", 10, "first");
    messages.scheduled(2, b"c", 20, "third");
    assert!(!messages.must_look(9));
    assert!(messages.must_look(10), "what was said before its time is to be read first");
    assert!(messages.due(30, 9).is_empty());
    messages.goes_to(30, 4);
    assert_eq!(messages.must_read_to(), Some(4));
    assert!(messages.due(30, 9).is_empty());
    messages.ended(3, b"c");
    let due = messages.due(30, 9);
    assert_eq!(due.iter().map(|due| *due.message).collect::<Vec<_>>(), ["first", "second"]);
    assert!(messages.due(30, 9).is_empty());
    messages.sent(&due[0]);
    messages.kept(&due[1]);
    assert_eq!(messages.due(30, 9), due[1..]);
    assert_eq!(messages.to_forget(9).len(), 1);
    messages.forgotten(b"a", 1);
    assert_eq!(messages.len(), 1);
}

#[test]
fn what_could_not_be_sent_goes_later_and_holds_up_nothing() {
    let mut messages = Messages::default();
    messages.scheduled(0, b"bad", 0, "bad");
    let mut now = 0;
    for backoff in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
        messages.goes_to(now, messages.next());
        let due = messages.due(now, 9);
        assert_eq!(due.len(), 1);
        messages.failed(now, &due[0]);
        messages.goes_to(now + backoff - 1, messages.next());
        assert!(messages.due(now + backoff - 1, 9).is_empty());
        now += backoff;
    }
    messages.scheduled(1, b"good", now - 1_000, "good");
    messages.goes_to(now, 2);
    assert_eq!(messages.due(now, 1)[0].message.as_ref(), &"good");
}

#[test]
fn a_later_record_of_the_same_key_takes_the_place_of_the_first() {
    let mut messages = Messages::default();
    messages.scheduled(0, b"id", 10, "first");
    messages.goes_to(10, 1);
    let due = messages.due(10, 9);
    messages.scheduled(1, b"id", 30, "second");
    messages.sent(&due[0]);
    assert!(messages.to_forget(9).is_empty(), "its tombstone would end the second");
    messages.goes_to(30, 2);
    assert_eq!(messages.due(30, 9)[0].message.as_ref(), &"second");
}
