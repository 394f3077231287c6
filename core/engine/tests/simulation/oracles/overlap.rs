//! No overlap: inside a process no two calls work on the same virtual partition, or on records of the same order, at the
//! same time; neither over two ownerships of the partition.

use std::collections::BTreeMap;

use crate::history::{Event, History, Place};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Alone {
    VirtualPartition(u64),
    Order(u64),
}

pub fn judge(history: &History) -> Vec<String> {
    let mut problems = Vec::new();
    let mut running: BTreeMap<(u32, Place, Alone), u64> = BTreeMap::new();
    for (now, event) in &history.events {
        match event {
            Event::Started { call, owner, place, parts } => {
                let log = history.logs.get(place).map_or(&[][..], Vec::as_slice);
                let order = |offset: &i64| {
                    let index = log.binary_search_by_key(offset, |record| record.offset).ok()?;
                    log[index].order.map(Alone::Order)
                };
                let virtual_partitions = parts.iter().map(|part| Alone::VirtualPartition(part.virtual_partition));
                let orders = parts.iter().flat_map(|part| part.offsets.iter().filter_map(order));
                for alone in virtual_partitions.chain(orders) {
                    if let Some(other) = running.insert((owner.process, *place, alone), *call)
                        && other != *call
                    {
                        problems.push(format!("overlap: {now:?} calls {other} and {call} in {place:?} of {alone:?}"));
                    }
                }
            }
            Event::Finished { call } => running.retain(|_, running| running != call),
            _ => {}
        }
    }
    problems
}

#[test]
fn two_calls_of_a_virtual_partition_at_once_are_red() {
    use crate::oracles::example;
    let honest = example::honest();
    assert_eq!(judge(&example::history(honest.clone())), [""; 0]);
    let overlapping = |call, virtual_partition, offset| {
        let mut events = honest.clone();
        events.insert(3, example::started(call, 1, virtual_partition, &[offset]));
        judge(&example::history(events)).len()
    };
    assert!(overlapping(9, 12, 7) > 0, "same virtual partition");
    assert!(overlapping(9, 13, 5) > 0, "same order under another name");
    assert_eq!(overlapping(9, 13, 7), 0, "neither");
}
