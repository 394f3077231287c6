//! C3, order: an owner gets the records of one order one after the other from where it resumed, none twice unless it
//! failed, none that was done before.

use std::collections::{BTreeMap, BTreeSet};

use super::Violation;
use super::view::{Known, View};
use crate::history::{Event, History, Owner, Place};

/// What one owner is through with.
#[derive(Default)]
struct Through {
    handled: BTreeSet<i64>,
    /// For each order, the records before this offset need no more looking at.
    settled: BTreeMap<u64, i64>,
}

impl Through {
    fn has(&self, view: &View<'_>, owner: Owner, place: Place, offset: i64) -> bool {
        self.handled.contains(&offset) || view.owned(owner, place).is_some_and(|owned| owned.knew(offset))
    }

    /// The next record of `order` after `after` that the owner is not through with. One that was removed may be missed: the
    /// offset that came decides.
    fn next(
        &mut self,
        view: &View<'_>,
        owner: Owner,
        place: Place,
        order: u64,
        after: Option<i64>,
        came: i64,
    ) -> Option<i64> {
        let from = match after {
            Some(after) => after + 1,
            None => self.settled.get(&order).copied().unwrap_or(i64::MIN),
        };
        let waits = |known: &Known| {
            known.order == Some(order)
                && (!known.removed || known.offset == came)
                && !self.has(view, owner, place, known.offset)
        };
        let next = view.records(place, from..i64::MAX).find(waits)?.offset;
        if after.is_none() && !view.records(place, from..next).any(|known| known.removed) {
            self.settled.insert(order, next);
        }
        Some(next)
    }
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut through: BTreeMap<(Owner, Place), Through> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Handled { owner, place, offset } | Event::Passed { owner, place, offset } => {
                through.entry((*owner, *place)).or_default().handled.insert(*offset);
            }
            Event::HandedOut { call, job } => {
                let (owner, place) = (job.owner, job.place);
                let mut violate = |what: String| {
                    violations.push(Violation::new(index, format!("{place:?}: call {call} {what}")));
                };
                match view.owned(owner, place).map(|found| found.cut) {
                    None => {
                        violate("has no owner".to_owned());
                        continue;
                    }
                    Some(Some(_)) => continue,
                    Some(None) => {}
                }
                let through = through.entry((owner, place)).or_default();
                let mut latest: BTreeMap<u64, i64> = BTreeMap::new();
                for &offset in job.parts.iter().flat_map(|part| &part.offsets) {
                    let Some(record) = view.record(place, offset) else {
                        violate(format!("gets offset {offset}, which is not in the log"));
                        continue;
                    };
                    if through.has(&view, owner, place, offset) {
                        violate(format!("repeats offset {offset}"));
                    } else if let Some(order) = record.order {
                        let after = latest.insert(order, offset);
                        let expected = through.next(&view, owner, place, order, after, offset);
                        if expected != Some(offset) {
                            violate(format!("of order {order} gets offset {offset} before {expected:?}"));
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
fn records_out_of_order_skipped_or_repeated_are_red() {
    use super::example::{assigned, at, falsified, handed_out, who_speaks};
    let job = handed_out(1, 1, 11, &[0, 2]);
    let instead = |offsets: &[i64]| falsified(|events| events[at(&job)] = handed_out(1, 1, 11, offsets));
    for (offsets, what) in [(&[2, 0][..], "out of order"), (&[0, 5], "one skipped"), (&[0, 7], "not in the log")] {
        assert!(who_speaks(&instead(offsets)).contains(&"C3 order"), "{what}");
    }
    assert_eq!(who_speaks(&instead(&[2, 0])), ["C3 order"]);
    let resumed = |event: Event| falsified(|events| events[at(&assigned(1, 1, 0))] = event);
    assert!(!judge(&resumed(assigned(1, 1, 2))).is_empty(), "below the start");
    let known = vec![std::ops::Range { start: 2, end: 3 }];
    let Event::Assigned { owner, place, generation, origin, start, .. } = assigned(1, 1, 0) else { return };
    let done = Event::Assigned { owner, place, generation, origin, start, done: known };
    assert!(!judge(&resumed(done)).is_empty(), "done in an earlier life");
}
