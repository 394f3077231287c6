//! Killed with SIGKILL twenty times under load, a group loses nothing, and repeats only what was in flight or finished since
//! the last commit.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::{broker, topics};
use std::collections::HashMap;

const KILLS: usize = 20;
const RECORDS_A_KILL: usize = 1_200;
/// How long before a death a record may have been finished and yet not be committed: the commit interval of 200 ms, and as
/// much as a busy machine may hold a commit up.
const UNCOMMITTED_NS: u64 = 3_000_000_000;

#[test]
fn killed_twenty_times_it_repeats_only_what_no_commit_said() {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 4);
    let group = topics::unique("killed");
    let options = [
        "work_us=5000",
        "workers=4",
        "app.commit_interval=200ms",
        "kafka.session.timeout.ms=2000",
        "kafka.heartbeat.interval.ms=400",
    ];
    let mut members = fleet(bootstrap, &group, &topic, &options);
    let first = members.join();
    members.wait_assigned(first, PATIENCE);
    let mut produced = Vec::new();
    for kill in 0..KILLS {
        produced.extend(produce_keyed(bootstrap, &topic, 40, RECORDS_A_KILL));
        let newest = members.join();
        members.wait_assigned(newest, PATIENCE);
        let before = members.handled();
        let enough = (before + 200).min(produced.len() - 100);
        members.wait_handled(enough, PATIENCE);
        assert!(members.handled() < produced.len(), "there was no load at kill {kill}");
        let oldest = members.ids()[0];
        members.kill(oldest);
    }
    members.wait_handled(produced.len(), PATIENCE * 2);
    members.leave_all(PATIENCE);
    let spans = members.judge(&produced);

    let ends = members.ends();
    let mut finished: HashMap<_, (u64, u32)> = HashMap::new();
    let mut repeated = 0;
    for span in &spans {
        if let Some((when, process)) = finished.get(&span.place) {
            let death = ends.get(process).copied().unwrap_or(0);
            let waited = death.saturating_sub(*when);
            assert!(waited < UNCOMMITTED_NS, "{} came again, finished {waited} ns before the kill", span.place);
            repeated += 1;
        }
        if span.is_finished {
            finished.insert(span.place.clone(), (span.ended.unwrap_or(0), span.process));
        }
    }
    assert!(repeated < produced.len() / 4, "{repeated} of {} records were repeated", produced.len());
}
