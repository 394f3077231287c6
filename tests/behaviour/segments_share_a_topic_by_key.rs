//! Parallel segments: three groups read everything and handle one third of the keys each, in two processes; every record is handled
//! once, and each group commits up to the end.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::{broker, group, topics, wait};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_record_is_handled_by_one_segment() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 2);
    let name = topics::unique("segments");
    let options = ["work_us=0", "topic.parallel_segments_count=3", "app.commit_interval=100ms"];
    let mut members = fleet(bootstrap, &name, &topic, &options);
    let produced = produce_keyed(bootstrap, &topic, 60, 1_200);
    let processes = ["0-0", "1-2"].map(|only| members.join_with(&[&format!("topic.parallel_segments_only={only}")]));
    members.wait_handled(1_200, PATIENCE);
    for segment in 0..3 {
        let group = format!("{name}-parallel-{segment}");
        let what = format!("everything committed by {group}");
        wait::until(PATIENCE, &what, || group::lag(bootstrap, &group, &topic) == 0);
    }
    assert_eq!(processes.len(), 2);
    members.leave_all(PATIENCE);
    let spans = members.spans();
    assert_eq!(spans.len(), produced.len(), "each record once");
    let mut of_key: BTreeMap<Option<Vec<u8>>, BTreeSet<u32>> = BTreeMap::new();
    for span in &spans {
        of_key.entry(span.key.clone()).or_default().insert(span.process);
    }
    assert_eq!(of_key.len(), 60);
    assert!(of_key.values().all(|processes| processes.len() == 1), "a key stays in its segment");
}
