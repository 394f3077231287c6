//! Order: an owner gets the records of one order one after the other from where it resumed, none twice unless it failed,
//! none that was done before.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::history::{Event, History, Logged, Owner, Place};

/// What one owner was given and is through with.
struct Owned<'a> {
    log: &'a [Logged],
    start: i64,
    done: &'a [Range<i64>],
    handled: BTreeSet<i64>,
    /// For each order, the records before this index of the log need no more looking at.
    settled: BTreeMap<u64, usize>,
}

impl Owned<'_> {
    fn is_through(&self, offset: i64) -> bool {
        offset < self.start || self.done.iter().any(|run| run.contains(&offset)) || self.handled.contains(&offset)
    }

    /// The first record of `order` that comes after `after` and is not through.
    fn next(&mut self, order: u64, after: Option<i64>) -> Option<i64> {
        let from = match after {
            Some(after) => self.log.partition_point(|record| record.offset <= after),
            None => self.settled.get(&order).copied().unwrap_or_default(),
        };
        let waits = |record: &Logged| record.order == Some(order) && !self.is_through(record.offset);
        let index = from + self.log.get(from..)?.iter().position(waits)?;
        if after.is_none() {
            self.settled.insert(order, index);
        }
        Some(self.log[index].offset)
    }
}

pub fn judge(history: &History) -> Vec<String> {
    let mut problems = Vec::new();
    let mut owned: BTreeMap<(Owner, Place), Owned<'_>> = BTreeMap::new();
    for (now, event) in &history.events {
        match event {
            Event::Assigned { owner, place, start, done } => {
                let log = history.logs.get(place).map_or(&[][..], Vec::as_slice);
                let (handled, settled) = (BTreeSet::new(), BTreeMap::new());
                owned.insert((*owner, *place), Owned { log, start: *start, done, handled, settled });
            }
            Event::Handled { owner, place, offset } => {
                if let Some(owned) = owned.get_mut(&(*owner, *place)) {
                    owned.handled.insert(*offset);
                }
            }
            Event::Started { call, owner, place, parts } => {
                let Some(owned) = owned.get_mut(&(*owner, *place)) else {
                    problems.push(format!("order: {now:?} call {call} in {place:?} without an owner"));
                    continue;
                };
                let mut latest: BTreeMap<u64, i64> = BTreeMap::new();
                for &offset in parts.iter().flat_map(|part| &part.offsets) {
                    let record = owned.log.binary_search_by_key(&offset, |record| record.offset);
                    let Some(record) = record.ok().map(|index| owned.log[index]) else {
                        problems.push(format!("order: {now:?} offset {offset} is not in the log of {place:?}"));
                        continue;
                    };
                    if owned.is_through(offset) {
                        problems.push(format!("order: {now:?} call {call} in {place:?} repeats offset {offset}"));
                    } else if let Some(order) = record.order {
                        let expected = owned.next(order, latest.get(&order).copied());
                        if expected != Some(offset) {
                            let what = format!("got offset {offset} before {expected:?}");
                            problems.push(format!("order: {now:?} call {call} in {place:?} of order {order} {what}"));
                        }
                        latest.insert(order, offset);
                    }
                }
            }
            _ => {}
        }
    }
    problems
}

#[test]
fn records_out_of_order_skipped_or_repeated_are_red() {
    use crate::oracles::example;
    let honest = example::honest();
    assert_eq!(judge(&example::history(honest.clone())), [""; 0]);
    let with = |index: usize, event: Event| {
        let mut events = honest.clone();
        events[index] = event;
        judge(&example::history(events)).len()
    };
    assert!(with(1, example::started(1, 1, 11, &[2, 0])) > 0, "out of order in a call");
    assert!(with(1, example::started(1, 1, 11, &[0, 5])) > 0, "one skipped");
    assert!(with(2, example::started(2, 1, 12, &[7])) > 0, "not in the log");
    assert!(with(0, example::assigned(1, 2)) > 0, "below the start");
    let last = honest.len() - 1;
    assert!(with(last, example::started(4, 1, 11, &[5])) > 0, "handled before");
    let known = std::iter::once(2..3).collect();
    let done = Event::Assigned { owner: example::owner(1), place: example::PLACE, start: 0, done: known };
    assert!(with(0, done) > 0, "done in an earlier life");
}
