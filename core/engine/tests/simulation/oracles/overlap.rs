//! C3, overlap: inside a process no two calls work on the same virtual partition, or on records of the same order, at the
//! same time; neither over two ownerships of the partition.

use std::collections::BTreeMap;

use super::Violation;
use super::view::View;
use crate::history::{Event, History, Place};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alone {
    VirtualPartition(u64),
    Order(u64),
}

pub fn judge(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut view = View::default();
    let mut running: BTreeMap<(u32, Place, Alone), u64> = BTreeMap::new();
    for (index, (_, event)) in history.events.iter().enumerate() {
        view.follow(event);
        match event {
            Event::Started { call } => {
                let Some(job) = view.job(*call) else { continue };
                // Of a log that was cut, the offsets mean other records by now.
                let owned = view.owned(job.owner, job.place).filter(|owned| owned.cut.is_none());
                let order = |offset: &i64| owned.and(view.record(job.place, *offset))?.order.map(Alone::Order);
                let virtual_partitions = job.parts.iter().map(|part| Alone::VirtualPartition(part.virtual_partition));
                let orders = job.parts.iter().flat_map(|part| part.offsets.iter().filter_map(order));
                for alone in virtual_partitions.chain(orders) {
                    let before = running.insert((job.owner.process, job.place, alone), *call);
                    if let Some(other) = before.filter(|other| other != call) {
                        let problem = format!("{:?}: calls {other} and {call} of {alone:?} at once", job.place);
                        violations.push(Violation::new(index, problem));
                    }
                }
            }
            Event::Finished { call, .. } => running.retain(|_, running| running != call),
            Event::Crashed { process } => running.retain(|(of, ..), _| of != process),
            _ => {}
        }
    }
    violations
}

#[test]
fn two_calls_of_a_virtual_partition_at_once_are_red() {
    use super::example::{at, falsified, handed_out, who_speaks};
    let ends = Event::Finished { call: 2, ending: crate::history::Ending::Done };
    let overlapping = |virtual_partition, offset| {
        let others = [handed_out(9, 1, virtual_partition, &[offset]), Event::Started { call: 9 }];
        falsified(|events| drop(events.splice(at(&ends)..at(&ends), others)))
    };
    assert!(who_speaks(&overlapping(12, 9)).contains(&"C3 overlap"), "same virtual partition");
    assert!(who_speaks(&overlapping(13, 3)).contains(&"C3 overlap"), "same order under another name");
    assert_eq!(judge(&overlapping(13, 9)), [], "neither");
}
