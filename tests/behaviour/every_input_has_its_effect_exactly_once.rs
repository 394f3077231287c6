//! Three processes with virtual partitions send what they read on in transactions, while they are killed with -9, halted for longer
//! than their session, fail one call in a hundred, and get no answer to what they say of their transactions: a reader of
//! committed records sees the result of every input exactly once, in order per key. The long run of it, on three brokers that are
//! killed, too, is `make chaos`.

use crate::support::{PATIENCE, senders};
use libkarafka_tests::censor::{ADD_OFFSETS, ADD_PARTITIONS, COMMIT_OFFSETS, Censor, END_TRANSACTION, PRODUCE};
use libkarafka_tests::exactly_once::exactly_once;
use libkarafka_tests::{group, secured, topics, wait};

const KEYS: usize = 40;

#[test]
fn whatever_becomes_of_processes_and_answers() {
    let secured = secured::shared();
    let lane = secured.lane();
    let censor = Censor::open(lane);
    let bootstrap = secured.bootstrap();
    let [from, to] = [topics::create(&bootstrap, 4), topics::create(&bootstrap, 4)];
    let name = topics::unique("exactly-once");
    let mut members = senders(&lane.bootstrap(), &name, &from, &to);
    let ids = [members.join(), members.join(), members.join()];
    for id in ids {
        members.wait_assigned(id, PATIENCE);
    }
    let mut produced = Vec::new();
    // Payloads are numbers that go on, so that no two are the same.
    let mut produce = |count: usize| {
        let first = produced.len();
        let records: Vec<_> = (first..first + count)
            .map(|number| topics::Record::keyed(format!("key-{}", number % KEYS), number.to_string()))
            .collect();
        produced.extend(topics::produce(&bootstrap, &from, &records));
    };
    let lag = || group::lag(&bootstrap, &name, &from);

    for api in [END_TRANSACTION, ADD_PARTITIONS, ADD_OFFSETS, COMMIT_OFFSETS, PRODUCE, END_TRANSACTION] {
        produce(150);
        censor.lose_answers(api, 2);
        wait::until(PATIENCE, "two answers lost", || censor.left() == 0);
    }
    members.program(ids[0]).signal("STOP");
    produce(600);
    wait::until(PATIENCE, "the others have taken over", || lag() < 300);
    members.kill(ids[1]);
    members.join();
    members.program(ids[0]).signal("CONT");
    censor.hold_requests(END_TRANSACTION, 2);
    produce(300);
    wait::until(PATIENCE, "two ends on their way", || censor.left() == 0);
    members.kill(ids[2]);
    censor.let_go();
    wait::until(PATIENCE, "all of it", || lag() == 0);
    members.leave_all(PATIENCE);
    exactly_once(&produced, &topics::read_decided(&bootstrap, &to));
}
