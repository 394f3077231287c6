//! The part without transactions: two groups, each of which handles everything at least once, and in order per key.

use std::time::{Duration, Instant};

use crate::faults::{Faults, Random, Survivors};
use crate::load::{Amount, Load};
use crate::{LONG, Run};
use libkarafka_tests::cluster::{Cluster, REPLICAS};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::oracle;
use libkarafka_tests::topics::{self, Message};

const PARTITIONS: i32 = 12;
const AMOUNT: Amount = Amount { keys: 200, portion: 300, total: None };

/// Runs the part, and gives the cluster back.
pub fn run(run: &Run, cluster: Cluster) -> Cluster {
    let bootstrap = cluster.bootstrap();
    let topic = topics::unique("chaos");
    topics::create_named(&bootstrap, &topic, PARTITIONS, REPLICAS, &[("min.insync.replicas", "2")]);

    // One record a call: a halted member that goes on must begin nothing, not even the next record of its call.
    let options = ["work_us=3000", "workers=4", "topic.max_messages=1", "app.commit_interval=200ms"];
    let classic = ["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=1000"];
    let kip_848 = ["app.group_protocol=consumer"];
    let fleet = |name: &str, more: &[&str]| {
        Fleet::new(&run.member, &bootstrap, &topics::unique(name), &topic, &[&options, more].concat())
    };
    let mut fleets = vec![fleet("cooperative", &classic), fleet("kip-848", &kip_848)];
    for fleet in &mut fleets {
        for id in [fleet.join(), fleet.join()] {
            fleet.wait_assigned(id, LONG);
        }
    }
    let load = Load::start(&bootstrap, &topic, AMOUNT);
    let mut faults = Faults::new(cluster, fleets, Random::new(run.seed));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(run.seconds) {
        faults.step();
        load.check();
    }
    let produced = load.stop();
    let Survivors { cluster, mut fleets, ever_halted, .. } = faults.end(&bootstrap);
    println!("chaos: {} records produced; waiting until both groups have handled them", produced.len());
    for fleet in &mut fleets {
        if fleet.ids().is_empty() {
            fleet.join();
        }
        fleet.wait_handled(produced.len(), LONG);
        fleet.leave_all(LONG);
    }
    for fleet in &mut fleets {
        judge(fleet, &produced, &ever_halted);
    }
    cluster
}

/// All judges but that of overlaps: a handler that was halted runs on beside its heir, which nobody can prevent.
fn judge(fleet: &mut Fleet, produced: &[Message], halted: &[u32]) {
    let (spans, commits) = (fleet.spans(), fleet.commits());
    let finished = spans.iter().filter(|span| span.is_finished).count();
    println!("chaos: {} commits; {} of {finished} repeated", commits.len(), finished - produced.len().min(finished));
    oracle::nothing_lost(produced, &spans);
    oracle::order_per_key(produced, &spans);
    let never_halted: Vec<_> = spans.iter().filter(|span| !halted.contains(&span.process)).cloned().collect();
    oracle::no_overlap_per_key(&never_halted);
    oracle::commits_claim_only_what_is_done(produced, &spans, &commits);
    oracle::marks_claim_only_what_is_done(produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
    oracle::nothing_repeated_that_was_committed(&never_halted, &commits, &fleet.ends());
}
