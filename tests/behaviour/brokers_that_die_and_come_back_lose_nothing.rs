//! A broker that is killed with -9 and restarted under load costs no record. While the only broker is down for a minute the
//! process lives, stays quiet and idle, goes on within 30 s of its return, and can be stopped within 2 s at any time.

use crate::support::{PATIENCE, fleet, produce_keyed};
use libkarafka_tests::broker::Broker;
use libkarafka_tests::process::Program;
use libkarafka_tests::{oracle, topics};
use std::time::{Duration, Instant};

const OPTIONS: [&str; 4] = ["work_us=2000", "workers=4", "app.commit_interval=200ms", "log=1"];
const CLASSIC: [&str; 2] = ["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"];
/// Longer than a restart takes on a crowded machine: a member whose session is over is told so, but a call that it runs goes on beside the
/// next owner's.
const PATIENT: [&str; 2] = ["kafka.session.timeout.ms=20000", "kafka.heartbeat.interval.ms=500"];
const OUTAGE: Duration = Duration::from_secs(60);

fn killed(name: &str, options: &[&str]) {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = topics::create(&bootstrap, 4);
    let mut members = fleet(&bootstrap, &topics::unique(name), &topic, &[&OPTIONS[..], options].concat());
    let mut produced = produce_keyed(&bootstrap, &topic, 40, 4_000);
    members.join();
    members.join();
    for _ in 0..2 {
        let before = members.handled();
        members.wait_handled((before + 300).min(produced.len()), PATIENCE * 2);
        broker.kill();
        broker.restart();
        produced.extend(produce_keyed(&bootstrap, &topic, 40, 1_000));
    }
    members.wait_handled(produced.len(), PATIENCE * 2);
    members.leave_all(PATIENCE);
    let (spans, commits) = (members.spans(), members.commits());
    oracle::all(&produced, &spans, &commits);
}

#[test]
fn killed_and_restarted_by_the_classic_protocol() {
    killed("broker-killed-classic", &PATIENT);
}

#[test]
fn killed_and_restarted_by_the_protocol_of_kip_848() {
    killed("broker-killed-kip-848", &["app.group_protocol=consumer"]);
}

/// How many lines a member has said of itself, events and log together.
fn words(program: &Program) -> usize {
    program.lines().iter().filter(|line| line.starts_with("app ")).count() + program.error_lines().len()
}

#[test]
fn down_for_a_minute() {
    let mut broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let topic = topics::create(&bootstrap, 4);
    let mut produced = produce_keyed(&bootstrap, &topic, 40, 6_000);
    let protocols = [("outage-classic", &CLASSIC[..]), ("outage-kip-848", &["app.group_protocol=consumer"])];
    let mut groups = protocols.map(|(name, options)| {
        let mut members = fleet(&bootstrap, &topics::unique(name), &topic, &[&OPTIONS[..], options].concat());
        let member = members.join();
        members.wait_handled(500, PATIENCE);
        (members, member)
    });
    broker.kill();
    let down = Instant::now();
    // What was fetched is handled on; the outage is measured from when that is over.
    std::thread::sleep(Duration::from_secs(10));
    let before = groups.each_ref().map(|(members, member)| {
        let program = members.program(*member);
        (words(program), program.cpu_time(), Instant::now())
    });
    std::thread::sleep(OUTAGE.saturating_sub(down.elapsed()));
    for ((members, member), (said, used, began)) in groups.iter().zip(before) {
        let program = members.program(*member);
        let (seconds, used) = (began.elapsed().as_secs_f64(), program.cpu_time().saturating_sub(used).as_secs_f64());
        let lines = (words(program) - said) as f64;
        assert!(lines / seconds <= 2.0, "{lines} lines in {seconds} s: {}", program.last_words());
        assert!(used / seconds < 0.1, "{used} s of processor time in {seconds} s");
    }

    broker.restart();
    let back = Instant::now();
    let handled = groups.each_mut().map(|(members, _)| members.handled());
    produced.extend(produce_keyed(&bootstrap, &topic, 40, 500));
    for ((members, _), handled) in groups.iter_mut().zip(handled) {
        members.wait_handled(handled + 1, PATIENCE);
        assert!(back.elapsed() <= Duration::from_secs(30), "went on {:?} after the return only", back.elapsed());
    }
    for (members, _) in &mut groups {
        members.wait_handled(produced.len(), PATIENCE);
        // A stop waits longer for offsets that are not committed yet.
        members.wait_committed(&topic, PATIENCE);
        oracle::all(&produced, &members.spans(), &members.commits());
    }

    broker.kill();
    std::thread::sleep(Duration::from_secs(1));
    for (members, _) in &mut groups {
        let began = Instant::now();
        members.leave_all(PATIENCE);
        assert!(began.elapsed() <= Duration::from_secs(2), "the stop took {:?} during the outage", began.elapsed());
    }
}
