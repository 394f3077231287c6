//! What must be true of every history. Each oracle is one file, with a test that shows it red on a falsified record.

pub mod at_least_once;
pub mod commits;
pub mod order;
pub mod overlap;
pub mod stall;

use crate::history::History;

/// Everything wrong with a history, in words.
pub fn violations(history: &History) -> Vec<String> {
    let oracles = [at_least_once::judge, order::judge, overlap::judge, commits::judge, stall::judge];
    oracles.iter().flat_map(|judge| judge(history)).collect()
}

/// Small honest histories for the oracles to be tested with, before they are falsified.
#[cfg(test)]
pub mod example {
    use karafka_engine::{AssignmentId, Instant};

    use crate::history::{Event, History, Logged, Owner, Part, Place};

    pub const PLACE: Place = Place { topic: 0, partition: 0 };

    pub fn owner(process: u32) -> Owner {
        Owner { process, assignment: AssignmentId::default() }
    }

    pub fn assigned(process: u32, start: i64) -> Event {
        Event::Assigned { owner: owner(process), place: PLACE, start, done: Vec::new() }
    }

    pub fn started(call: u64, process: u32, virtual_partition: u64, offsets: &[i64]) -> Event {
        let parts = vec![Part { virtual_partition, offsets: offsets.to_vec() }];
        Event::Started { call, owner: owner(process), place: PLACE, parts }
    }

    pub fn done(process: u32, offset: i64) -> [Event; 2] {
        let owner = owner(process);
        [Event::Handled { owner, place: PLACE, offset }, Event::Done { owner, place: PLACE, offset }]
    }

    pub fn committed(position: i64) -> Event {
        Event::Committed { place: PLACE, position, done: Vec::new() }
    }

    /// Offsets 0, 2, 5 of order 1 and 3 of order 2.
    pub fn history(events: impl IntoIterator<Item = Event>) -> History {
        let log = [(0, 1), (2, 1), (3, 2), (5, 1)];
        let log = log.into_iter().map(|(offset, order)| Logged { offset, order: Some(order) }).collect();
        let mut history = History::default();
        history.logs.insert(PLACE, log);
        for (second, event) in events.into_iter().enumerate() {
            history.add(Instant::from_nanos(second as u64), event);
        }
        history
    }

    /// Two calls side by side, one after them, all done and committed.
    pub fn honest() -> Vec<Event> {
        let mut events = vec![assigned(1, 0), started(1, 1, 11, &[0, 2]), started(2, 1, 12, &[3])];
        events.extend([0, 2, 3].into_iter().flat_map(|offset| done(1, offset)));
        events.extend([Event::Finished { call: 1 }, Event::Finished { call: 2 }, committed(4)]);
        events.push(started(3, 1, 11, &[5]));
        events.extend(done(1, 5));
        events.extend([Event::Finished { call: 3 }, committed(6)]);
        events
    }
}
