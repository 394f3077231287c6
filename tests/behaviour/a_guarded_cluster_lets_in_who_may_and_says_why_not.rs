//! Beside the acceptance scenarios: by SCRAM over TLS an app, a producer, a reader, an admin and the command work as far as access
//! rules let them; a wrong password and a certificate that is not trusted, is for another host or has expired are told each of them
//! within ten seconds, with the cause, and without a secret in any line.

use crate::support::{PATIENCE, libkarafka, member};
use karafka::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, Admin, ErrorKind, Event, Producer, ProducerConfig,
    ReadFrom, ReadUntil, Reader, ReaderConfig, Record, Selection,
};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::censor::Censor;
use libkarafka_tests::secured::{self, PASSWORD, SCRAM_USER, Shows};
use libkarafka_tests::{topics, wait};
use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);

/// How a client comes in: its address and its settings.
#[derive(Clone)]
struct Way {
    address: String,
    kafka: BTreeMap<String, String>,
}

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// By SCRAM over TLS, trusting the broker's certificate.
fn by_scram(password: &str) -> Way {
    let tls = secured::shared().tls(Shows::Good);
    let kafka = settings(&[
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", SCRAM_USER),
        ("sasl.password", password),
        ("ssl.ca.pem", &tls.authority),
    ]);
    Way { address: tls.address.clone(), kafka }
}

fn by_tls(shows: Shows, trusts: Shows) -> Way {
    let (tls, trusted) = (secured::shared().tls(shows), secured::shared().tls(trusts));
    Way {
        address: tls.address.clone(),
        kafka: settings(&[("security.protocol", "SSL"), ("ssl.ca.pem", &trusted.authority)]),
    }
}

impl Way {
    fn producer(&self) -> Producer {
        let config = ProducerConfig {
            bootstrap_servers: self.address.clone(),
            kafka: self.kafka.clone(),
            ..ProducerConfig::default()
        };
        Producer::new(config).unwrap()
    }

    fn reader(&self, topic: &str) -> karafka::Result<Reader> {
        let config = ReaderConfig {
            bootstrap_servers: self.address.clone(),
            kafka: self.kafka.clone(),
            until: ReadUntil::End,
            timeout: Duration::from_secs(5),
            ..ReaderConfig::default()
        };
        Reader::open(config, &[Selection::new(topic, ReadFrom::Earliest)])
    }

    fn admin(&self) -> karafka::Result<Admin> {
        Admin::connect(&self.address, self.kafka.clone(), Duration::from_secs(5))
    }

    /// The command, with all its log lines.
    fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(libkarafka());
        command.args(words).args(["--brokers", &self.address, "--kafka", "debug=all"]).env("LIBKARAFKA_LOG", "trace");
        for (name, value) in &self.kafka {
            command.arg("--kafka").arg(format!("{name}={value}"));
        }
        command.output().unwrap()
    }

    fn options(&self) -> Vec<String> {
        self.kafka.iter().map(|(name, value)| format!("kafka.{name}={value}")).collect()
    }
}

fn rule(resource: AclResource, name: &str, operation: AclOperation) -> Acl {
    Acl {
        resource,
        name: name.to_owned(),
        pattern: AclPattern::Literal,
        principal: format!("User:{SCRAM_USER}"),
        host: "*".to_owned(),
        operation,
        permission: AclPermission::Allow,
    }
}

#[test]
fn who_may_is_let_in_and_does_what_rules_allow() {
    let secured = secured::shared();
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    let way = by_scram(PASSWORD);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Topic(&topic), Operation::Read);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Group(&group), Operation::Read);
    wait::until(PATIENCE, "the rule", || way.admin().unwrap().topic(&topic).is_ok());
    let record = Record { topic: &topic, payload: Some(b"x"), ..Record::default() };

    let refused = way.producer().produce_sync(&record).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Auth, "{refused}");
    let refused = way.command(&["send", &topic, "x"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("authorization failed"), "{:?}", refused.status);
    let master = Admin::connect(&secured.bootstrap(), BTreeMap::new(), PATIENCE).unwrap();
    let made = master.create_acls(&[rule(AclResource::Topic, &topic, AclOperation::Write)]).unwrap();
    for (_, outcome) in made {
        outcome.unwrap();
    }
    wait::until(PATIENCE, "the right to write", || way.producer().produce_sync(&record).is_ok());
    assert!(way.command(&["send", &topic, "y"]).status.success());

    assert_eq!(way.reader(&topic).unwrap().next(PATIENCE).unwrap().map(|batch| batch.len()), Some(2));
    let shown = way.command(&["tail", &topic, "--json"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap().lines().count(), 2);
    let options = way.options();
    let member = member(&way.address, &group, &topic, &options.iter().map(String::as_str).collect::<Vec<_>>());
    member.wait_for_line(PATIENCE, "a record", |line| line.contains("\tfinished\t"));

    // Rules are for who may change the cluster.
    let made = way.admin().unwrap().create_acls(&[rule(AclResource::Topic, &topic, AclOperation::All)]).unwrap();
    assert_eq!(made.into_iter().next().unwrap().1.unwrap_err().kind(), ErrorKind::Auth);
    // librdkafka loses the refusal to show rules; the command says that nothing may mean that.
    let listed = way.command(&["acls", "list"]);
    assert!(String::from_utf8_lossy(&listed.stderr).contains("or this user may not see them"), "{:?}", listed.status);
}

/// Producer, reader, admin and command are each told with these words, in time, and no line holds a secret.
fn refused(way: &Way, words: &str, advice: &str) {
    libkarafka();
    let in_time = |what: &str, begin: &dyn Fn() -> String| {
        let began = Instant::now();
        let told = begin();
        assert!(began.elapsed() < WITHIN, "{what}: {:?}", began.elapsed());
        assert!(told.contains(words), "{what}: {words} in {told}");
        assert!(!told.contains(PASSWORD), "{what}: {told}");
    };
    in_time("admin", &|| {
        let error = way.admin().unwrap_err();
        assert!(error.kind() == ErrorKind::Auth, "{error:?}");
        format!("{error} {error:?}")
    });
    in_time("reader", &|| {
        let error =
            way.reader("orders").and_then(|mut reader| reader.next(Duration::from_secs(5)).map(drop)).unwrap_err();
        format!("{error} {error:?}")
    });
    in_time("producer", &|| {
        let producer = way.producer();
        let events = producer.subscribe_to(&["error.occurred"]).unwrap();
        // It connects before it is given a record, and has none to wait for when it is closed.
        let told = loop {
            match events.next(WITHIN) {
                Ok(event @ Event::Error { .. }) if event.to_string().contains(words) => break event.to_string(),
                Ok(_) => {}
                Err(none) => panic!("no event tells the producer {words}: {none:?}"),
            }
        };
        format!("{told} {producer:?}")
    });
    in_time("command", &|| {
        let output = way.command(&["topics", "list"]);
        assert_eq!(output.status.code(), Some(1));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    });
    let doctor = way.command(&["doctor", "--json"]);
    let (told, log) = (String::from_utf8_lossy(&doctor.stdout), String::from_utf8_lossy(&doctor.stderr));
    assert_eq!(doctor.status.code(), Some(1), "{told}");
    assert!(told.contains(words) && told.contains(advice), "{advice} in {told}");
    assert!(!told.contains(PASSWORD) && !log.contains(PASSWORD), "a secret of the doctor");
}

#[test]
fn a_wrong_password_over_tls() {
    let way = by_scram(&format!("{PASSWORD}-not"));
    refused(&way, "invalid credentials", "user, password or mechanism is wrong");
}

#[test]
fn a_certificate_that_is_not_trusted() {
    let way = by_tls(Shows::AnotherHost, Shows::Good);
    refused(&way, "certificate verify failed", "the broker's certificate is not trusted");
}

#[test]
fn a_certificate_for_another_host() {
    let way = by_tls(Shows::AnotherHost, Shows::AnotherHost);
    refused(&way, "certificate verify failed", "is for another host");
}

#[test]
fn a_certificate_that_has_expired() {
    let way = by_tls(Shows::Expired, Shows::Expired);
    refused(&way, "certificate verify failed", "out of date");
}

/// What the doctor says about one thing, and its code.
fn said(address: &str, more: &[&str], about: &str) -> (String, Option<i32>) {
    let output =
        Command::new(libkarafka()).args(["doctor", "--json", "--brokers", address]).args(more).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    let about = format!("\"about\":\"{about}\"");
    (text.lines().filter(|line| line.contains(&about)).collect(), output.status.code())
}

#[test]
fn clocks_and_versions_are_told() {
    let lane = secured::shared().lane();
    let censor = Censor::open(lane);
    let (clocks, code) = said(&lane.bootstrap(), &["--clocks"], "clocks");
    assert!(clocks.contains("goes with this machine's") && code == Some(0), "{clocks}");
    censor.shift_clock(Duration::from_secs(3600));
    let (clocks, code) = said(&lane.bootstrap(), &["--clocks"], "clocks");
    assert!(clocks.contains("s ahead of this machine's") && clocks.contains("\"wrong\""), "{clocks}");
    assert_eq!(code, Some(1));
    let admin = Admin::connect(&secured::shared().bootstrap(), BTreeMap::new(), PATIENCE).unwrap();
    let is_left = || admin.topics().unwrap().iter().any(|topic| topic.name.starts_with("libkarafka-doctor"));
    wait::until(PATIENCE, "the topics gone", || !is_left());
    let (versions, _) = said(&secured::shared().bootstrap(), &[], "versions");
    assert!(versions.contains("knows the requests of Kafka 4.0"), "{versions}");
}

#[test]
fn an_address_that_brokers_tell_and_nobody_reaches() {
    let lane = secured::shared().lane();
    // Straight to the broker, which sends clients to a proxy that is not there.
    let (listeners, code) = said(&format!("127.0.0.1:{}", lane.broker), &["--timeout", "2s"], "advertised listeners");
    assert!(listeners.contains(&lane.bootstrap()) && listeners.contains("set its advertised.listeners"), "{listeners}");
    assert_eq!(code, Some(1));
}

#[test]
fn tls_on_one_side_only() {
    let secured = secured::shared();
    let (told, code) = said(&secured.bootstrap(), &["--kafka", "security.protocol=SSL"], "connection");
    assert!(told.contains("one side speaks TLS and the other does not") && code == Some(1), "{told}");
    let (told, code) = said(&secured.tls(Shows::AnotherHost).address, &[], "connection");
    assert!(told.contains("check security.protocol and the port") && code == Some(1), "{told}");
}
