//! A process that is killed with SIGKILL in the middle and started again handles every record, in order per key, and repeats
//! only what was in flight or finished since the last commit.

use crate::support::{PATIENCE, finished, member, produce_keyed};
use libkarafka_tests::record::Record as Seen;
use libkarafka_tests::{broker, commits, oracle, topics, wait};

const RECORDS: usize = 6_000;

#[test]
fn a_process_killed_and_started_again_loses_nothing() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 3);
    let produced = produce_keyed(bootstrap, &topic, 40, RECORDS);
    let (seen, group) = (Seen::new(), topics::unique("group"));
    // A short session, so that the broker notices the death soon.
    let options = ["work_us=1000", "workers=8", "app.commit_interval=200ms", "kafka.session.timeout.ms=6000"];
    let mut first = member(bootstrap, &group, &topic, &options);
    wait::until(PATIENCE, "2,000 records handled", || finished(&[&first]) >= 2_000);
    first.kill();
    seen.read(&first.lines());
    seen.ended(first.id());
    let before = seen.finished_count();

    let mut second = member(bootstrap, &group, &topic, &options);
    let done = |second: &_| {
        let seen = Seen::new();
        seen.read(&first.lines());
        seen.read(&libkarafka_tests::process::Program::lines(second));
        let places: std::collections::HashSet<_> =
            seen.spans().into_iter().filter(|span| span.is_finished).map(|span| span.place).collect();
        places.len()
    };
    wait::until(PATIENCE, "all records handled by one or the other", || done(&second) >= RECORDS);
    second.send("stop");
    assert!(second.wait(PATIENCE).success(), "{}", second.last_words());
    seen.read(&second.lines());

    let spans = seen.spans();
    oracle::all(&produced, &spans, &commits::all(bootstrap, &group));
    // 8 workers at 1 ms, committed every 200 ms and once more on the way: well under a second's work is repeated.
    let repeated = seen.finished_count() - RECORDS;
    assert!(repeated < 8_000.min(before), "{repeated} of {before} records were repeated");
}
