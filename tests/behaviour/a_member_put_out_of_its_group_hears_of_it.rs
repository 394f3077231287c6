//! Acceptance 5: in a member that its group puts out, a handler that still runs sees that it has lost its partition, long before it
//! returns; the hook for the revocation comes after it, and the member works again. Ours is never put out because of a slow
//! handler (`a_handler_of_ten_poll_intervals_keeps_its_partition`): it takes a process that is halted, here by SIGSTOP.

use crate::support::{PATIENCE, fleet};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, oracle, wait};

fn put_out(name: &str, options: &[&str]) {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique(name));
    let mut produced = topics::produce(bootstrap, &topic, &[Record::keyed("held", "x").to(0)]);
    let mut options = options.to_vec();
    options.extend(["work_us=0", "topic.virtual_partitions=off", "app.commit_interval=50ms"]);
    let mut members = fleet(bootstrap, &name, &topic, &options);
    // It is held for longer than anything here waits: only the loss ends it.
    let first = members.join_with(&["tells=1", "hold_key=held", "hold_ms=600000"]);
    members.program(first).wait_for_line(PATIENCE, "the handler at work", |line| line.contains("\tbegan\t"));
    members.program(first).signal("STOP");
    let second = members.join();
    let heir = members.program(second).id();
    wait::until(PATIENCE, "the heir's commit", || {
        let has_handled = members.spans().iter().any(|span| span.process == heir && span.is_finished);
        has_handled && members.commits().last().is_some_and(|commit| commit.offset == 1)
    });
    members.program(first).signal("CONT");
    members.program(first).wait_for_line(PATIENCE, "what the hook sees", |line| line.contains("app hook.revoked"));
    let lines = members.program(first).lines();
    let place = |what: &str| lines.iter().position(|line| line.contains(what));
    let (lost, ended, hook) = (place("app handler.lost"), place("\tfinished\t"), place("app hook.revoked"));
    assert!(lost.is_some() && lost < ended && ended < hook, "{lines:?}");
    let told: Vec<_> = lines.iter().filter(|line| line.contains("app hook.revoked")).collect();
    assert!(told.len() == 1 && told.iter().all(|line| line.contains("revoked=true")), "{told:?}");
    // It takes over again when the other one leaves.
    members.leave(second, PATIENCE);
    produced.extend(topics::produce(bootstrap, &topic, &[Record::keyed("next", "x").to(0)]));
    members.wait_handled(produced.len(), PATIENCE);
    members.leave_all(PATIENCE);
    let (spans, commits) = (members.spans(), members.commits());
    oracle::nothing_lost(&produced, &spans);
    oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    oracle::commits_never_go_back(&commits);
}

#[test]
fn by_the_cooperative_protocol() {
    put_out("hears-cooperative", &["kafka.session.timeout.ms=3000", "kafka.heartbeat.interval.ms=500"]);
}

#[test]
fn by_the_protocol_of_kip_848() {
    put_out("hears-kip-848", &["app.group_protocol=consumer"]);
}
