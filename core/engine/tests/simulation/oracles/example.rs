//! A small honest history, for the oracles to be tested with before it is falsified.

use karafka_engine::{AssignmentId, CommitId, Instant, JobKind, PoolId, TopicOptions, VirtualPartitions};

use crate::history::{End, Ending, Event, HandedOut, History, Logged, Origin, Owner, Part, Place, Text};
use crate::oracles::{ORACLES, violations};

pub const PLACE: Place = Place { topic: 0, partition: 0 };

pub fn owner(process: u32) -> Owner {
    Owner { process, assignment: AssignmentId::default(), era: 0 }
}

pub fn readable(offset: i64, order: u64) -> Event {
    Event::Readable { place: PLACE, records: vec![Logged { offset, order: Some(order) }] }
}

pub fn assigned(process: u32, generation: u32, start: i64) -> Event {
    let (origin, done) = (Origin::Group, Vec::new());
    Event::Assigned { owner: owner(process), place: PLACE, generation, origin, start, done }
}

pub fn handed_out(call: u64, process: u32, virtual_partition: u64, offsets: &[i64]) -> Event {
    let parts = vec![Part { virtual_partition, offsets: offsets.to_vec() }];
    let (kind, attempts, values) = (JobKind::Handle, vec![1; offsets.len()], Vec::new());
    let job = HandedOut { kind, owner: owner(process), place: PLACE, pool: 0, attempts, consumer: None, parts, values };
    Event::HandedOut { call, job }
}

/// A call from the seat to its end, all done.
pub fn call(call: u64, process: u32, virtual_partition: u64, offsets: &[i64]) -> Vec<Event> {
    let mut events = vec![handed_out(call, process, virtual_partition, offsets), Event::Started { call }];
    events.extend(offsets.iter().flat_map(|&offset| done(process, offset)));
    events.push(Event::Finished { call, ending: Ending::Done });
    events
}

pub fn done(process: u32, offset: i64) -> [Event; 2] {
    let owner = owner(process);
    [Event::Handled { owner, place: PLACE, offset }, Event::Done { owner, place: PLACE, offset }]
}

pub fn asked(process: u32, position: i64) -> Event {
    let (done, text) = (Vec::new(), Text::default());
    Event::Asked { owner: owner(process), place: PLACE, id: CommitId::default(), position, done, text }
}

pub fn committed(process: u32) -> Event {
    Event::Committed { owner: owner(process), place: PLACE, id: CommitId::default() }
}

/// Offsets 0, 2, 5 and 6 of order 1 and 3 of order 2; 4 was aborted. The first process handles all but the last, gives the
/// partition up, and the second goes on.
pub fn honest() -> Vec<Event> {
    let mut events =
        vec![Event::Seats { process: 1, pool: 0, seats: 2 }, Event::Seats { process: 2, pool: 0, seats: 2 }];
    events.extend([readable(0, 1), readable(2, 1), readable(3, 2)]);
    events.extend([Event::Aborted { place: PLACE, offsets: vec![4] }, readable(5, 1), readable(6, 1)]);
    events.push(assigned(1, 1, 0));
    events.extend(call(1, 1, 11, &[0, 2]));
    events.extend([asked(1, 3), committed(1)]);
    events.extend(call(2, 1, 12, &[3]));
    events.extend(call(3, 1, 11, &[5]));
    events.push(Event::Revoking { owner: owner(1), place: PLACE });
    events.extend([asked(1, 6), committed(1)]);
    events.push(Event::Gone { owner: owner(1), place: PLACE, end: End::Released { overdue: false } });
    events.push(assigned(2, 2, 6));
    events.extend(call(4, 2, 11, &[6]));
    events.extend([asked(2, 7), committed(2)]);
    events
}

pub fn history(events: impl IntoIterator<Item = Event>) -> History {
    let mut options = TopicOptions::new(PoolId::default());
    options.virtual_partitions = VirtualPartitions::ByKey;
    let mut history = History {
        topics: vec![options],
        pools: vec![0],
        metadata_limit: 4096,
        broker_limit: 4096,
        ..History::default()
    };
    for (second, event) in events.into_iter().enumerate() {
        history.add(Instant::from_nanos(second as u64 * 1_000_000_000), event);
    }
    history.ends = vec![(PLACE, Some(7), Some(6))];
    history
}

/// The honest history with its events changed.
pub fn falsified(change: impl FnOnce(&mut Vec<Event>)) -> History {
    let mut events = honest();
    change(&mut events);
    history(events)
}

/// The place of an event in the honest history.
pub fn at(event: &Event) -> usize {
    honest().iter().position(|other| other == event).expect("the honest history has it")
}

/// Which oracles speak, in the order of their table.
pub fn who_speaks(history: &History) -> Vec<&'static str> {
    let found = violations(history);
    let speaks = |name: &&'static str| found.iter().any(|(speaker, _)| speaker == name);
    ORACLES.iter().map(|(name, _)| *name).filter(speaks).collect()
}

#[test]
fn every_oracle_is_silent_about_an_honest_history() {
    assert_eq!(violations(&history(honest())), []);
}
