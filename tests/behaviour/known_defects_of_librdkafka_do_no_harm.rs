//! What is broken in the linked librdkafka and repaired in later ones (docs/librdkafka.md) does no harm here, or the harm that
//! the page admits.

use crate::support::{PATIENCE, member, produce_keyed, wait_assigned};
use karafka::{Admin, AdminConfig, App, AppConfig, Failure, ProducerConfig, TopicConfig, handler_fn};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::gate::Gate;
use libkarafka_tests::process::Program;
use libkarafka_tests::{broker, group, secured, topics, wait};
use std::time::{Duration, Instant};

/// librdkafka 5347: closing while the coordinator is away followed a null pointer.
#[test]
fn twenty_members_close_in_the_moment_in_which_the_coordinator_goes() {
    let secured = secured::shared();
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let topic = topics::create(&secured.bootstrap(), 1);
    for round in 0..4 {
        let protocol = if round % 2 == 0 { "app.group_protocol=classic" } else { "app.group_protocol=consumer" };
        let start = |_| member(&lane.bootstrap(), &topics::unique("group"), &topic, &[protocol, "workers=1"]);
        let mut members: Vec<Program> = (0..5).map(start).collect();
        members.iter().for_each(wait_assigned);
        // Some are asked before it goes, some after.
        for member in members.iter_mut().take(round + 1) {
            member.send("stop");
        }
        gate.shut();
        for member in members.iter_mut().skip(round + 1) {
            member.send("stop");
        }
        let asked = Instant::now();
        for member in &mut members {
            let status = member.wait(PATIENCE);
            assert!(status.success(), "{status}{}", member.last_words());
        }
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(4), "the last of five stopped after {took:?}");
        gate.reopen();
    }
}

/// librdkafka 5488: a member of a KIP-848 group that was frozen for longer than `max.poll.interval.ms` may end with a fatal
/// error. It either goes on or ends with that error; nothing is lost, and no commit is wrong.
#[test]
fn a_member_of_kip_848_frozen_beyond_its_poll_interval_goes_on_or_says_why_not() {
    frozen(&["app.group_protocol=consumer"]);
}

/// librdkafka 5604: the loss of partitions is forgotten when the poll interval ends in the midst of a rebalance.
#[test]
fn a_member_frozen_beyond_its_poll_interval_in_a_rebalance_commits_nothing_wrong() {
    frozen(&["kafka.session.timeout.ms=6000", "kafka.heartbeat.interval.ms=500"]);
}

fn frozen(protocol: &[&str]) {
    let bootstrap = broker::shared();
    let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 4));
    let mut options = protocol.to_vec();
    options.extend(["kafka.max.poll.interval.ms=6000", "app.revoke_timeout=2s", "app.commit_interval=100ms"]);
    options.extend(["app.shutdown_timeout=5s", "work_us=1000"]);
    let mut fleet = Fleet::new(env!("CARGO_BIN_EXE_member"), bootstrap, &group, &topic, &options);
    let first = fleet.join();
    fleet.wait_assigned(first, PATIENCE);
    let mut produced = produce_keyed(bootstrap, &topic, 20, 2_000);
    fleet.wait_handled(300, PATIENCE);
    // The other one joins, and while the group rebalances, the first one freezes.
    let second = fleet.join();
    fleet.program(first).signal("STOP");
    let frozen = Instant::now();
    fleet.wait_assigned(second, PATIENCE);
    std::thread::sleep(Duration::from_secs(9).saturating_sub(frozen.elapsed()));
    fleet.program(first).signal("CONT");
    produced.extend(produce_keyed(bootstrap, &topic, 20, 2_000));
    fleet.wait_handled(4_000, PATIENCE);
    // It may have ended by itself; then it has said why.
    fleet.program(first).wait_for_line(PATIENCE, "that it goes on, or why it does not", |line| {
        line.contains("kind=\"") && line.contains("recoverable=\"false\"")
            || line.contains("rebalance.partitions_revoked")
    });
    let words = fleet.program(first).last_words();
    let ended = fleet.program(first).lines().iter().any(|line| line.contains("recoverable=\"false\""));
    println!("ended by itself: {ended}{words}");
    if ended {
        assert_eq!(fleet.ends_by_itself(first, PATIENCE), Some(2), "{words}");
    }
    fleet.leave_all(PATIENCE);
    let spans = fleet.spans();
    let commits = fleet.commits();
    libkarafka_tests::oracle::nothing_lost(&produced, &spans);
    libkarafka_tests::oracle::commits_claim_only_what_is_done(&produced, &spans, &commits);
    libkarafka_tests::oracle::commits_never_go_back(&commits);
}

/// A member without partitions ends without leaving its group: the next rebalance then waits until its session is over, with
/// every commit of the others. A static member without any stays, as static members do.
#[test]
fn a_member_without_partitions_leaves_its_group() {
    let bootstrap = broker::shared();
    let admin = Admin::new(AdminConfig { bootstrap_servers: bootstrap.to_owned(), ..AdminConfig::default() }).unwrap();
    let options: [(&[&str], usize); 4] = [
        (&["app.assignment_strategy=cooperative-sticky"], 1),
        (&["app.assignment_strategy=cooperative-sticky", "kafka.group.instance.id=spare"], 2),
        (&["app.assignment_strategy=range"], 1),
        (&["app.group_protocol=consumer"], 1),
    ];
    for (options, stay) in options {
        let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
        let members = || {
            let described = admin.describe_groups(&[&group]).unwrap().remove(0).1.unwrap();
            (described.state, described.members.len())
        };
        let plain: Vec<&str> = options.iter().copied().filter(|option| !option.contains("instance")).collect();
        let mut owner = member(bootstrap, &group, &topic, &plain);
        wait_assigned(&owner);
        let mut spare = member(bootstrap, &group, &topic, options);
        wait::until(PATIENCE, "two members at rest", || members() == ("Stable".to_owned(), 2));
        spare.send("stop");
        assert!(spare.wait(PATIENCE).success(), "{}", spare.last_words());
        assert_eq!(members().1, stay, "{options:?}: members in the group after the one without partitions has stopped");
        owner.send("stop");
        assert!(owner.wait(PATIENCE).success(), "{}", owner.last_words());
    }
}

/// librdkafka 5546: while all brokers are down, it begins anew twenty times a second.
#[test]
fn while_all_brokers_are_down_little_is_done_and_said() {
    let secured = secured::shared();
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    let mut member = member(&lane.bootstrap(), &group, &topic, &["log=1"]);
    wait_assigned(&member);
    gate.shut();
    member.wait_for_line(PATIENCE, "that the brokers are down", |line| line.contains("brokers are down"));
    let (used, lines, told) = (member.cpu_time(), member.error_lines().len(), member.lines().len());
    std::thread::sleep(Duration::from_secs(12));
    let used = member.cpu_time().saturating_sub(used);
    assert!(used < Duration::from_secs(1), "{used:?} of the processor in 12 s");
    let lines = member.error_lines().len() - lines;
    assert!(lines <= 20, "{lines} lines of log in 12 s{}", member.last_words());
    let told = member.lines().len() - told;
    assert!(told <= 20, "{told} events in 12 s{}", member.last_words());
    gate.reopen();
    let produced = produce_keyed(&secured.bootstrap(), &topic, 5, 50);
    let finished = || member.lines().iter().filter(|line| line.contains("\tfinished\t")).count();
    wait::until(Duration::from_secs(30), "all handled once the brokers are back", || finished() == produced.len());
    member.send("stop");
    assert!(member.wait(PATIENCE).success(), "{}", member.last_words());
    assert_eq!(group::committed_offsets(&secured.bootstrap(), &group, &topic).get(&0), Some(&50));
}

/// librdkafka 5240: a client that could not be made freed its interceptors twice. There are none, and nobody can bring any.
#[test]
fn a_client_that_cannot_be_made_is_an_error_each_time() {
    for _ in 0..20 {
        let config = AppConfig {
            kafka: [("security.protocol", "SSL"), ("ssl.ca.location", "/no/such/file")].map(owned).into(),
            ..AppConfig::default()
        };
        let app = App::new(config).unwrap();
        app.topic("topic", TopicConfig::default(), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
        let error = app.start().unwrap_err();
        assert!(error.to_string().contains("ssl.ca.location"), "{error}");
    }
    let config = AppConfig { kafka: [("plugin.library.paths", "some.so")].map(owned).into(), ..AppConfig::default() };
    assert!(App::new(config).unwrap_err().to_string().contains("refused"));
}

/// rust-rdkafka 763: what shows a configuration shows the password.
#[test]
fn no_password_is_shown() {
    let secret = || [("sasl.password", secured::PASSWORD), ("ssl.key.password", secured::PASSWORD)].map(owned).into();
    let app = AppConfig { kafka: secret(), ..AppConfig::default() };
    let topic = TopicConfig { kafka: secret(), ..TopicConfig::default() };
    let producer = ProducerConfig { kafka: secret(), ..ProducerConfig::default() };
    let shown = format!("{app:?} {topic:?} {producer:?}");
    assert!(shown.contains("sasl.password") && !shown.contains(secured::PASSWORD), "{shown}");
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
