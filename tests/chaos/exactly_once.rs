//! The part with transactions: what one group's handlers make of each record is seen exactly once by readers of committed records.
//!
//! Three members in processes of their own, with virtual partitions, reach the brokers through proxies that swallow answers and hold
//! ends of transactions back; one call in a hundred fails after it has sent.

use std::time::{Duration, Instant};

use crate::faults::{Faults, Random, Survivors};
use crate::load::{Amount, Load};
use crate::{LONG, Run};
use libkarafka_tests::censor::{Censor, END_TRANSACTION, REGISTER_PRODUCER};
use libkarafka_tests::cluster::{Cluster, REPLICAS};
use libkarafka_tests::exactly_once::exactly_once;
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{group, wait};

const RECORDS: usize = 50_000;
const KEYS: usize = 400;
const PARTITIONS: i32 = 8;
const MEMBERS: usize = 3;
/// How many come while a broker is away.
const MORE: usize = 2_000;
/// How long the rest may take when all is well again.
const REST: Duration = Duration::from_secs(600);

/// Runs the part.
pub fn run(run: &Run, cluster: Cluster) {
    let bootstrap = cluster.bootstrap();
    let [from, to] = ["orders", "invoices"].map(topics::unique);
    for topic in [&from, &to] {
        topics::create_named(&bootstrap, topic, PARTITIONS, REPLICAS, &[("min.insync.replicas", "2")]);
    }
    let lanes = cluster.lanes().to_vec();
    let through: Vec<_> = lanes.iter().map(|lane| lane.bootstrap()).collect();
    let censors: Vec<_> = lanes.into_iter().map(Censor::open).collect();
    let sends_to = format!("sends_to={to}");
    let mut options = vec![
        sends_to.as_str(),
        "fails=1",
        "work_us=500",
        "workers=6",
        "topic.max_messages=20",
        "topic.virtual_partitions_per_job=4",
        "topic.retry_backoff=50ms",
        "app.transaction_timeout=8s",
    ];
    let is_kip_848 = run.seed % 2 == 1;
    options.extend(if is_kip_848 {
        ["app.group_protocol=consumer"].as_slice()
    } else {
        ["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=1000"].as_slice()
    });
    let name = topics::unique("exactly-once");
    let mut fleet = Fleet::new(&run.member, &through.join(","), &name, &from, &options);
    println!("chaos: exactly once, {RECORDS} records, KIP-848: {is_kip_848}");
    for _ in 0..MEMBERS {
        fleet.join();
    }
    for id in fleet.ids() {
        fleet.wait_assigned(id, LONG);
    }
    let began = Instant::now();
    let portion = RECORDS.div_ceil(run.seconds.max(1) as usize);
    let load = Load::start(&bootstrap, &from, Amount { keys: KEYS, portion, total: Some(RECORDS) });
    let mut faults = Faults::new(cluster, vec![fleet], Random::new(run.seed)).between(censors, MEMBERS);
    while began.elapsed() < Duration::from_secs(run.seconds) {
        faults.step();
        load.check();
    }
    let Survivors { mut cluster, mut fleets, censors, done, .. } = faults.end(&bootstrap);
    let mut produced = load.stop();
    println!("chaos: {:4} s: {} records produced; waiting for the rest", began.elapsed().as_secs(), produced.len());
    let fleet = &mut fleets[0];
    let lag = || group::lag(&bootstrap, &name, &from);
    wait::until(REST, "everything committed", || {
        fleet.check();
        std::thread::sleep(Duration::from_millis(500));
        lag() == 0
    });
    // A coordinator that is away for as long as it takes, and nothing else happens that would have anybody look for another one.
    for broker in 0..REPLICAS as usize {
        let next = produced.len();
        let keyed = |number: usize| Record::keyed(format!("key-{}", number % KEYS), number.to_string());
        produced.extend(topics::produce(&bootstrap, &from, &(next..next + MORE).map(keyed).collect::<Vec<_>>()));
        cluster.brokers()[broker].stop_or_kill();
        let stopped = Instant::now();
        wait::until(LONG, "everything committed without one broker", || lag() == 0);
        println!("chaos: {:4} s: {:?} without broker {broker}", began.elapsed().as_secs(), stopped.elapsed());
        cluster.brokers()[broker].restart();
        wait::until(LONG, "all replicas in sync", || topics::are_replicas_in_sync(&bootstrap, REPLICAS));
    }
    fleet.leave_all(LONG);
    let seen = topics::read_decided(&bootstrap, &to);
    let log: i64 = topics::log_end(&bootstrap, &to).into_values().sum();
    let swallowed: usize = censors.iter().map(Censor::applied).sum();
    let [ends, registrations] =
        [END_TRANSACTION, REGISTER_PRODUCER].map(|api| censors.iter().map(|censor| censor.seen(api)).sum::<usize>());
    println!(
        "chaos: {} inputs, {} outputs, {log} entries in the log with those never seen; {done} faults, {swallowed} answers or \
         ends swallowed or held, of {ends} ends \
         and {registrations} registrations of producers; {} s",
        produced.len(),
        seen.len(),
        began.elapsed().as_secs(),
    );
    for (what, times) in fleet.told().iter().filter(|(what, _)| what.starts_with("transaction.")) {
        println!("chaos: {what}: {times}");
    }
    exactly_once(&produced, &seen);
}
