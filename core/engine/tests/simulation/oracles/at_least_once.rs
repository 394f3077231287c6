//! At least once: every record was handled to success by somebody whose word counted.

use std::collections::BTreeSet;

use crate::history::{Event, History};

pub fn judge(history: &History) -> Vec<String> {
    let done: BTreeSet<_> = history
        .events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Done { place, offset, .. } => Some((*place, *offset)),
            _ => None,
        })
        .collect();
    let records = history.logs.iter().flat_map(|(place, log)| log.iter().map(|record| (*place, record.offset)));
    let lost = records.filter(|record| !done.contains(record));
    lost.map(|(place, offset)| format!("lost: {place:?}, offset {offset}, was never done")).collect()
}

#[test]
fn a_record_nobody_handled_is_red() {
    use crate::oracles::example;
    assert_eq!(judge(&example::history(example::honest())), [""; 0]);
    let owner = example::owner(1);
    let mut events = example::honest();
    events.retain(|event| *event != Event::Done { owner, place: example::PLACE, offset: 3 });
    assert_eq!(judge(&example::history(events)).len(), 1);
}
