//! A broker that is not there, a wrong password, a missing right: C, Ruby and Python programs are told of each within ten seconds,
//! with its cause and without a secret, and stop at once by a signal; a handler that hangs ends none of them later than its
//! deadline.

use crate::languages::{self, LANGUAGES, Work, program};
use crate::support::{PATIENCE, produce_keyed};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::secured::{self, PASSWORD, PLAIN_USER, SCRAM_USER};
use libkarafka_tests::{broker, topics};
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(10);
/// What an idle stop may take: two seconds of the app, and the end of an interpreter on a busy machine.
const IDLE_STOP: Duration = Duration::from_secs(5);

/// Every language is told of an error with these words, and then stops at once when asked.
fn told(topic: &str, options: &[String], wanted: &[&str]) {
    languages::build();
    let mut programs = LANGUAGES.map(|language| (language, program(language, Work::none(topic), options)));
    for (language, program) in &programs {
        let says = |line: &str| line.starts_with("error.occurred") && wanted.iter().all(|word| line.contains(word));
        program.wait_for_line(WITHIN, &format!("an error with {wanted:?} in {language}"), says);
    }
    for (language, program) in &mut programs {
        let asked = Instant::now();
        program.signal("TERM");
        let status = program.wait(PATIENCE);
        assert_eq!(status.code(), Some(0), "{language}: {}", program.last_words());
        assert!(asked.elapsed() < IDLE_STOP, "{language}: the stop took {:?}", asked.elapsed());
        for line in program.lines().into_iter().chain(program.error_lines()) {
            assert!(!line.contains(PASSWORD), "{language}: {line}");
        }
    }
}

fn options(servers: &str, group: &str) -> Vec<String> {
    [("bootstrap_servers", servers), ("group", group), ("shutdown_timeout", "1000")]
        .map(|(name, value)| format!("{name}={value}"))
        .into()
}

fn sasl(servers: &str, group: &str, mechanism: &str, user: &str, password: &str) -> Vec<String> {
    let kafka = [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", user),
        ("sasl.password", password),
    ];
    let mut options = options(servers, group);
    options.extend(kafka.map(|(name, value)| format!("kafka.{name}={value}")));
    options
}

#[test]
fn a_broker_that_is_not_there() {
    told("topic", &options("127.0.0.1:1", "group"), &["127.0.0.1:1", "Connection refused"]);
}

#[test]
fn a_wrong_password() {
    let (secured, wrong) = (secured::shared().with_password(), format!("{PASSWORD}-not"));
    told("topic", &sasl(&secured, "group", "PLAIN", PLAIN_USER, &wrong), &["Auth", "Authentication failed"]);
}

#[test]
fn a_topic_that_the_user_must_not_read() {
    languages::build();
    let secured = secured::shared();
    let (group, topic) = (topics::unique("group"), topics::create(&secured.bootstrap(), 1));
    produce_keyed(&secured.bootstrap(), &topic, 1, 10);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Topic(&topic), Operation::Describe);
    access::grant(&secured.bootstrap(), SCRAM_USER, Resource::Group(&group), Operation::Read);
    let options = sasl(&secured.with_password(), &group, "SCRAM-SHA-256", SCRAM_USER, PASSWORD);
    // One after the other: only a member that owns the partition is told that it must not read it.
    for language in LANGUAGES {
        let mut program = program(language, Work::none(&topic), &options);
        let says = |line: &str| line.starts_with("error.occurred") && line.contains("Topic authorization failed");
        program.wait_for_line(WITHIN, &format!("the missing right in {language}"), says);
        program.signal("TERM");
        assert_eq!(program.wait(PATIENCE).code(), Some(0), "{language}: {}", program.last_words());
    }
}

#[test]
fn a_hang_is_named_and_ends_at_the_deadline() {
    languages::build();
    let bootstrap = broker::shared();
    let mut programs = LANGUAGES.map(|language| {
        let (group, topic) = (topics::unique("group"), topics::create(bootstrap, 1));
        produce_keyed(bootstrap, &topic, 1, 1);
        let hangs = Work { milliseconds: 3_600_000, ..Work::none(&topic) };
        (language, program(language, hangs, &options(bootstrap, &group)), topic)
    });
    for (language, program, _) in &programs {
        program.wait_for_line(PATIENCE, &format!("the record in {language}"), |line| line.starts_with("began"));
    }
    for (language, program, topic) in &mut programs {
        let asked = Instant::now();
        program.signal("TERM");
        let status = program.wait(PATIENCE);
        let took = asked.elapsed();
        assert_eq!(status.code(), Some(2), "{language}: {}", program.last_words());
        assert!(took < Duration::from_secs(6), "{language}: the end took {took:?}");
        let named = format!("{topic}/0 from offset 0 (1 records, for ");
        assert!(program.error_lines().iter().any(|line| line.contains(&named)), "{language}: {}", program.last_words());
    }
}
