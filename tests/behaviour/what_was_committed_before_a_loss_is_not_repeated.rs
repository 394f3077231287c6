//! Acceptance scenario 6: a member that its group puts out repeats nothing that it had committed before, whoever goes on, and all that it
//! had finished since. Ours is never put out because of a slow handler (`a_handler_of_ten_poll_intervals_keeps_its_partition`):
//! it takes a process that is halted, here by SIGSTOP. Awake again, it commits none of what another member has by then.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, oracle, wait};

const BEFORE: usize = 100;
const AFTER: usize = 50;

fn put_out(name: &str, options: &[&str], is_committed: bool) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique(name));
    let mut records = vec![Record::keyed("all", "x"); BEFORE];
    records.push(Record::keyed("held", "x"));
    records.resize(BEFORE + 1 + AFTER, Record::keyed("all", "x"));
    let produced = topics::produce(bootstrap, &topic, &records);
    let mut options = options.to_vec();
    options.extend(["work_us=500", "topic.virtual_partitions=off", "topic.max_messages=1"]);
    let mut members = fleet(bootstrap, &name, &topic, &options);
    let interval = format!("app.commit_interval={}", if is_committed { "50ms" } else { "1h" });
    let first = members.join_with(&[&interval, "hold_key=held", "hold_ms=600000", "app.shutdown_timeout=1s"]);
    let held = format!("\tbegan\t{topic}\t0\t{BEFORE}\t");
    members.program(first).wait_for_line(PATIENCE, "the held record", |line| line.contains(&held));
    if is_committed {
        wait::until(PATIENCE, "the commit of what was finished", || {
            members.commits().last().is_some_and(|commit| commit.offset == BEFORE as i64)
        });
    }
    let process = members.program(first).id();
    members.program(first).signal("STOP");
    let second = members.join_with(&["app.commit_interval=50ms"]);
    let heir = members.program(second).id();
    wait::until(PATIENCE, "the heir at its end", || {
        members
            .spans()
            .iter()
            .filter(|span| span.process == heir && span.is_finished)
            .any(|span| span.place.offset + 1 == (BEFORE + 1 + AFTER) as i64)
    });
    wait::until(PATIENCE, "the heir's last commit", || {
        members.commits().last().is_some_and(|commit| commit.offset == produced.len() as i64)
    });
    members.program(first).signal("CONT");
    // It knows by then what it has lost, and what it tells the broker from here on is judged below.
    members.program(first).wait_for_line(PATIENCE, "the loss", |line| {
        line.contains("partitions_revoked") && line.contains("lost=\"true\"")
    });
    members.leave(second, PATIENCE);
    members.kill(first);

    let (spans, commits) = (members.spans(), members.commits());
    let of = |process: u32| {
        let mut offsets: Vec<_> =
            spans.iter().filter(|span| span.process == process).map(|span| span.place.offset).collect();
        offsets.dedup();
        offsets
    };
    assert_eq!(of(process), (0..=BEFORE as i64).collect::<Vec<_>>());
    let from = if is_committed { BEFORE as i64 } else { 0 };
    assert_eq!(
        of(heir),
        (from..produced.len() as i64).collect::<Vec<_>>(),
        "from the last commit on, and nothing before"
    );
    oracle::nothing_lost(&produced, &spans);
    oracle::order_per_key(&produced, &spans);
    oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
}

const CLASSIC: [&str; 2] = ["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"];
const KIP_848: [&str; 1] = ["app.group_protocol=consumer"];

#[test]
fn by_the_classic_protocol() {
    put_out("out-committed", &CLASSIC, true);
}

#[test]
fn by_the_protocol_of_kip_848() {
    put_out("out-committed-kip-848", &KIP_848, true);
}

#[test]
fn but_what_was_not_is_repeated_by_the_classic_protocol() {
    put_out("out", &CLASSIC, false);
}

#[test]
fn but_what_was_not_is_repeated_by_the_protocol_of_kip_848() {
    put_out("out-kip-848", &KIP_848, false);
}
