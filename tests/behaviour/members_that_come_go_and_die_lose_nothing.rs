//! Acceptance scenario 1: members join, leave and are killed ten times under load: every record is handled, in order per key, no
//! commit claims or takes back anything, and nothing is repeated that a commit had said to be done.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::{broker, topics};

const RECORDS: usize = 16_000;
const KEYS: usize = 50;
const ROUNDS: usize = 10;

fn storm(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let topic = topics::create(bootstrap, 6);
    let group = topics::unique(name);
    let mut options = options.to_vec();
    options.extend(["work_us=4000", "workers=4", "app.commit_interval=100ms"]);
    let mut members = fleet(bootstrap, &group, &topic, &options);
    let first = members.join();
    members.wait_assigned(first, PATIENCE);
    let produced = produce_keyed(bootstrap, &topic, KEYS, RECORDS);
    for round in 0..ROUNDS {
        let newest = members.join();
        members.wait_assigned(newest, PATIENCE);
        let before = members.handled();
        assert!(before < RECORDS, "the load was over in round {round}");
        members.wait_handled((before + 100).min(RECORDS), PATIENCE);
        let oldest = members.ids()[0];
        if round % 3 == 2 {
            members.kill(oldest);
        } else {
            members.leave(oldest, PATIENCE);
        }
    }
    members.wait_handled(RECORDS, PATIENCE * 2);
    members.leave_all(PATIENCE);
    members.judge(&produced);
}

#[test]
fn by_the_cooperative_protocol() {
    storm("storm-cooperative", &["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_eager_protocol() {
    let eager = "app.assignment_strategy=range";
    storm("storm-eager", &[eager, "kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    storm("storm-kip-848", &["app.group_protocol=consumer"]);
}
