//! After a clean stop the group's offsets equal the log's end where all was handled, and a restart handles the rest only.

use crate::support::{PATIENCE, app, produce_keyed, stop};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, commits, group, oracle, topics, wait};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn the_group_offset_equals_the_log_end() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let produced = produce_keyed(bootstrap, &topic, 11, 1_000);
    let (seen, group) = (Arc::new(Seen::new()), topics::unique("group"));
    let app = app(bootstrap, &group, &topic, &seen, |_, _| Ok(()));
    app.start().unwrap();
    wait::until(PATIENCE, "1,000 records handled", || seen.finished_count() >= 1_000);
    stop(&app);
    let expected: std::collections::BTreeMap<_, _> =
        topics::log_end(bootstrap, &topic).into_iter().filter(|(_, end)| *end > 0).collect();
    assert_eq!(group::committed_offsets(bootstrap, &group, &topic), expected);
    oracle::all(&produced, &seen.spans(), &commits::all(bootstrap, &group));
}

#[test]
fn a_stop_in_the_middle_repeats_nothing() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 2);
    let produced = produce_keyed(bootstrap, &topic, 50, 4_000);
    let (seen, group) = (Arc::new(Seen::new()), topics::unique("group"));
    let work = |_: &_, _: Option<&[u8]>| {
        std::thread::sleep(Duration::from_millis(1));
        Ok(())
    };
    let first = app(bootstrap, &group, &topic, &seen, work);
    first.start().unwrap();
    wait::until(PATIENCE, "1,500 records handled", || seen.finished_count() >= 1_500);
    stop(&first);
    let before = seen.finished_count();
    assert!(before < 4_000, "the stop came in the middle");
    let second = app(bootstrap, &group, &topic, &seen, work);
    second.start().unwrap();
    wait::until(PATIENCE, "all 4,000 records handled", || seen.finished_count() >= 4_000);
    stop(&second);
    let spans = seen.spans();
    // What was finished beyond the committed offsets is known to the second app by the commits' metadata.
    oracle::nothing_twice(&spans);
    oracle::all(&produced, &spans, &commits::all(bootstrap, &group));
}
