//! A member that is halted (SIGSTOP) in the midst of a handler's transaction for longer than its session: another one takes its
//! partition and does the same work; what the halted one goes on with (SIGCONT) is refused, nothing of it becomes visible, and
//! nothing is committed for what it has lost (KIP-447). Then it works again.

use crate::support::PATIENCE;
use karafka::Admin;
use libkarafka_tests::censor::{Censor, END_TRANSACTION};
use libkarafka_tests::exactly_once::exactly_once;
use libkarafka_tests::fleet::{Fleet, MemberId};
use libkarafka_tests::record::now;
use libkarafka_tests::secured::{self, Lane};
use libkarafka_tests::topics::{self, Message, Record};
use libkarafka_tests::{broker, group, wait};
use std::collections::BTreeMap;

const CLASSIC: [&str; 2] = ["kafka.session.timeout.ms=2000", "kafka.heartbeat.interval.ms=400"];
const KIP_848: [&str; 1] = ["app.group_protocol=consumer"];

/// A group whose first member holds a record of a given key after it has sent its output.
struct Scene {
    bootstrap: &'static str,
    group: String,
    from: String,
    to: String,
    members: Fleet,
    halted: MemberId,
    produced: Vec<Message>,
}

impl Scene {
    /// Some records are done, and one is held.
    fn set(through: Option<Lane>, hold: &str, options: &[&str]) -> Self {
        let bootstrap = if through.is_some() {
            Box::leak(secured::shared().bootstrap().into_boxed_str())
        } else {
            broker::shared()
        };
        let [from, to] = [topics::create(bootstrap, 1), topics::create(bootstrap, 1)];
        let group = topics::unique("halted");
        let sends_to = format!("sends_to={to}");
        let mut all = vec![sends_to.as_str(), "workers=2", "topic.retry_backoff=50ms"];
        all.extend(options);
        let address = through.map_or_else(|| bootstrap.to_owned(), Lane::bootstrap);
        let mut members = Fleet::new(env!("CARGO_BIN_EXE_member"), &address, &group, &from, &all);
        let halted = members.join_with(&["hold_key=held", hold]);
        members.wait_assigned(halted, PATIENCE);
        Self { bootstrap, group, from, to, members, halted, produced: Vec::new() }
    }

    fn produce(&mut self, keys: &[&str]) {
        let first = self.produced.len();
        let records = keys.iter().zip(first..).map(|(key, number)| Record::keyed(key, number.to_string()));
        self.produced.extend(topics::produce(self.bootstrap, &self.from, &records.collect::<Vec<_>>()));
    }

    /// A record is held, and what comes behind it is done: no other transaction is open.
    fn hold(&mut self) {
        self.produce(&["held", "held"]);
        self.line(true, 0);
        for key in ["a", "b", "a"] {
            let before = now();
            self.produce(&[key]);
            let end = self.line(false, before);
            assert!(end.contains("committed"), "{end}");
        }
    }

    /// What the first member tells of a transaction after a time: that it is held, or how it ended.
    fn line(&self, is_held: bool, from: u64) -> String {
        let is_it = |line: &str| {
            line.starts_with("app transaction.") && line.contains("transaction.held") == is_held && at(line) > from
        };
        self.members.program(self.halted).wait_for_line(PATIENCE, "a word on a transaction", is_it)
    }

    /// An admin hears what is committed, and not what may be; who would take it over is refused.
    fn is_told_apart(&self) {
        let admin = Admin::connect(self.bootstrap, BTreeMap::new(), PATIENCE).expect("an admin");
        let offsets = admin.group_offsets(&self.group).expect("what is committed");
        assert!(offsets.iter().all(|one| one.offset == 0), "{offsets:?}");
        admin.lag(&self.group).expect("how far behind");
        admin.copy_group(&self.group, &topics::unique("copy")).expect_err("an offset that is not decided");
    }

    /// The halted member's work is done by another one.
    fn inherit(&mut self) {
        self.members.program(self.halted).signal("STOP");
        self.members.join();
        wait::until(PATIENCE, "the heir has done it all", || group::lag(self.bootstrap, &self.group, &self.from) == 0);
    }

    /// The halted member goes on, and hears that it is too late.
    fn goes_on(&mut self) {
        let committed = group::committed(self.bootstrap, &self.group, &self.from);
        let resumed = now();
        self.members.program(self.halted).signal("CONT");
        let end = self.line(false, resumed);
        assert!(!end.contains("committed"), "{end}");
        assert_eq!(group::committed(self.bootstrap, &self.group, &self.from), committed, "after {end}");
    }

    /// What is produced now is done; all of it once.
    fn ends_well(&mut self) {
        self.produce(&["a", "held", "b", "c"]);
        wait::until(PATIENCE, "all of it", || group::lag(self.bootstrap, &self.group, &self.from) == 0);
        self.members.leave_all(PATIENCE);
        exactly_once(&self.produced, &topics::read_decided(self.bootstrap, &self.to));
    }
}

fn at(line: &str) -> u64 {
    line.rsplit_once(" at=").and_then(|(_, time)| time.parse().ok()).expect("a line with its time")
}

/// The brokers know of the open transaction all the time.
fn before_its_commit(options: &[&str]) {
    let options = [options, &["app.transaction_timeout=60s"]].concat();
    let mut scene = Scene::set(None, "hold_ms=4000", &options);
    scene.hold();
    scene.inherit();
    scene.goes_on();
    scene.ends_well();
}

#[test]
fn before_its_commit_by_the_cooperative_protocol() {
    before_its_commit(&CLASSIC);
}

#[test]
fn before_its_commit_by_the_protocol_of_kip_848() {
    before_its_commit(&KIP_848);
}

#[test]
fn for_longer_than_its_transaction_may_take() {
    let options = [CLASSIC.as_slice(), &["app.transaction_timeout=2s"]].concat();
    let mut scene = Scene::set(None, "hold_ms=4000", &options);
    scene.hold();
    scene.inherit();
    exactly_once(&scene.produced, &topics::read_decided(scene.bootstrap, &scene.to));
    scene.goes_on();
    scene.ends_well();
}

/// Offsets and generation are said, the end is on its way: the heir waits until the brokers have decided.
#[test]
fn in_the_midst_of_its_commit() {
    let lane = secured::shared().lane();
    let censor = Censor::open(lane);
    let options = [CLASSIC.as_slice(), &["app.transaction_timeout=3s"]].concat();
    let mut scene = Scene::set(Some(lane), "hold_ms=0", &options);
    censor.hold_requests(END_TRANSACTION, usize::MAX);
    scene.produce(&["a"]);
    wait::until(PATIENCE, "the end of a transaction on its way", || censor.seen(END_TRANSACTION) > 0);
    scene.members.program(scene.halted).signal("STOP");
    scene.is_told_apart();
    censor.hold_requests(END_TRANSACTION, 0);
    scene.inherit();
    assert!(censor.let_go() > 0, "now it arrives");
    scene.goes_on();
    scene.ends_well();
}
