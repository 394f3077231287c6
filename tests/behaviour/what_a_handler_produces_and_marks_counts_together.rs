//! Acceptance scenario 54: what a handler produces in a transaction and what it marks there become visible together: a reader of committed records
//! sees the result of every input exactly once, in order per key, over handlers that fail, members that come and go, and
//! commits whose answers get lost. Over processes that are killed and halted: `every_input_has_its_effect_exactly_once`.

use crate::languages::{self, LANGUAGES};
use crate::support::{PATIENCE, produce_keyed, stop};
use karafka::{App, AppConfig, Error, ErrorKind, Failure, Record, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::censor::{Censor, END_TRANSACTION};
use libkarafka_tests::topics::Message;
use libkarafka_tests::{broker, group, secured, topics, wait};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A member whose handler sends each record on in a transaction; every so many-th call fails after it has sent.
fn member(bootstrap: &str, name: &str, (from, to): (&str, &str), fails: u32) -> App {
    let app = App::new(AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.to_owned(),
        concurrency: 8,
        ..AppConfig::default()
    })
    .unwrap();
    let (calls, to) = (Arc::new(AtomicU32::new(0)), to.to_owned());
    let handler = handler_fn(move |batch, context| {
        let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
        let outcome = context.transaction(|transaction| {
            for message in batch.iter() {
                let (key, payload) = (message.key(), message.payload());
                transaction.produce_async(&Record { topic: &to, key, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            if number % fails == 0 {
                return Err(Error::new(ErrorKind::Handler, "handle", "on purpose"));
            }
            Ok(())
        });
        outcome.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(20),
        max_messages: 5,
        ..TopicConfig::default()
    };
    app.topic(from, options, handler).unwrap();
    app.start().unwrap();
    app
}

/// Payloads of each key, in the order of the log.
fn by_key(messages: &[Message]) -> BTreeMap<Vec<u8>, Vec<String>> {
    let mut keys: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
    for message in messages {
        let payload = String::from_utf8(message.payload.clone().unwrap()).unwrap();
        keys.entry(message.key.clone().unwrap()).or_default().push(payload);
    }
    keys.into_iter().collect()
}

fn judge(bootstrap: &str, produced: &[Message], to: &str) {
    // A reader waits behind what a killed process left open, until the brokers abort it.
    let all = || topics::read(bootstrap, to).len() >= produced.len();
    wait::until(PATIENCE, "the results of all", all);
    let seen = topics::read(bootstrap, to);
    assert_eq!(seen.len(), produced.len(), "each exactly once");
    assert_eq!(by_key(&seen), by_key(produced), "and in order");
}

#[test]
fn over_failures_and_members_that_come_and_go() {
    failures_and_members_that_come_and_go(broker::shared());
}

pub fn failures_and_members_that_come_and_go(bootstrap: &str) {
    let (from, to) = (topics::create(bootstrap, 3), topics::create(bootstrap, 3));
    let name = topics::unique("transactions");
    let mut produced = produce_keyed(bootstrap, &from, 20, 200);
    let first = member(bootstrap, &name, (&from, &to), 7);
    wait::until(PATIENCE, "the first results", || !topics::read(bootstrap, &to).is_empty());
    let second = member(bootstrap, &name, (&from, &to), 5);
    produced.extend(produce_keyed(bootstrap, &from, 20, 200));
    wait::until(PATIENCE, "a good part", || topics::read(bootstrap, &to).len() > 250);
    stop(&first);
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    stop(&second);
    judge(bootstrap, &produced, &to);
}

/// A handler that went on although its transaction had not ended, as after a `Timeout` in Ruby, has not done what that marks.
#[test]
fn over_a_call_that_returns_before_its_transaction_has_ended() {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let name = topics::unique("transactions");
    let produced = produce_keyed(bootstrap, &from, 1, 1);
    let app =
        App::new(AppConfig { bootstrap_servers: bootstrap.to_owned(), group: name.clone(), ..AppConfig::default() })
            .unwrap();
    let (left, target) = (Arc::new(Mutex::new(Vec::new())), to.clone());
    let behind = Arc::clone(&left);
    let handler = handler_fn(move |batch, context| {
        let message = batch.get(0).unwrap();
        let transaction = context.begin_transaction().map_err(|error| Failure::new("Refused", error.to_string()))?;
        let record = Record { topic: &target, key: message.key(), payload: message.payload(), ..Record::default() };
        transaction.produce_async(&record).unwrap();
        transaction.mark_as_consumed(&message).unwrap();
        if context.attempt() == 1 {
            behind.lock().push(transaction);
            return Ok(());
        }
        transaction.commit().map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig { retry_backoff: Duration::from_millis(20), ..TopicConfig::default() };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "the offset", || group::lag(bootstrap, &name, &from) == 0);
    let late = left.lock().pop().unwrap();
    assert_eq!(late.commit().unwrap_err().kind(), ErrorKind::NotOwned, "its call has ended");
    stop(&app);
    judge(bootstrap, &produced, &to);
}

#[test]
fn over_commits_whose_answers_get_lost() {
    let secured = secured::shared();
    let lane = secured.lane();
    let censor = Censor::open(lane);
    let bootstrap = secured.bootstrap();
    let (from, to) = (topics::create(&bootstrap, 1), topics::create(&bootstrap, 1));
    let name = topics::unique("transactions");
    let produced = produce_keyed(&bootstrap, &from, 5, 60);
    censor.lose_answers(END_TRANSACTION, 3);
    let app = member(&lane.bootstrap(), &name, (&from, &to), 1_000);
    wait::until(PATIENCE, "all of it", || group::lag(&bootstrap, &name, &from) == 0);
    assert_eq!(censor.left(), 0);
    stop(&app);
    judge(&bootstrap, &produced, &to);
}

#[test]
fn in_every_language() {
    languages::build();
    let bootstrap = broker::shared();
    for language in LANGUAGES {
        let [orders, invoices] = ["orders", "invoices"].map(|side| format!("{side}-{language}"));
        for topic in [&orders, &invoices] {
            topics::create_named(bootstrap, topic, 1, 1, &[]);
        }
        let mut program = languages::example(language, "exactly-once", bootstrap);
        assert_eq!(program.wait(PATIENCE).code(), Some(0), "{language}: {}", program.last_words());
        let seen = topics::read(bootstrap, &invoices);
        let payloads: Vec<_> = seen.into_iter().map(|one| one.payload.unwrap()).collect();
        assert_eq!(payloads, [b"5"], "{language}: once, though the first attempt had sent it, too");
        assert_eq!(group::lag(bootstrap, &format!("invoices-{language}"), &orders), 0, "{language}");
    }
}

#[test]
fn in_blocks_of_coroutines_that_commit_together() {
    languages::build();
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 2), topics::create(bootstrap, 1));
    let name = topics::unique("coroutines");
    let produced = produce_keyed(bootstrap, &from, 10, 40);
    let mut program = languages::transact(bootstrap, &name, (&from, &to), produced.len());
    assert_eq!(program.wait(PATIENCE).code(), Some(0), "{}", program.last_words());
    assert_eq!(group::lag(bootstrap, &name, &from), 0);
    judge(bootstrap, &produced, &to);
}
