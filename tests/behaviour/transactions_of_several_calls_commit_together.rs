//! With `transaction_max_messages` the transactions of several calls are one of Kafka's: far fewer commits, each input's result
//! seen exactly once and in order per key, over handlers that fail and processes that are killed; a call that fails leaves
//! nothing in the log, and a record that the brokers refuse fails its own call and no other; a process that is several members
//! of the group has one for each, since a member's generation fences its own partitions only.

use crate::support::{PATIENCE, fleet, produce_keyed, quick, stop};
use karafka::{Admin, App, AppConfig, Error, ErrorKind, Failure, Record, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::exactly_once::f;
use libkarafka_tests::topics::{self, Message, Record as Input};
use libkarafka_tests::{broker, group, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

fn by_key(messages: &[Message]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut keys: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for message in messages {
        keys.entry(message.key.clone().unwrap()).or_default().push(message.payload.clone().unwrap());
    }
    keys
}

fn together() -> TopicConfig {
    TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_millis(20),
        max_messages: 1,
        transaction_max_messages: 500,
        transaction_max_ms: Duration::from_secs(1),
        ..TopicConfig::default()
    }
}

#[test]
fn as_one_and_what_fails_is_never_sent() {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 2), topics::create(bootstrap, 1));
    let name = topics::unique("together");
    let produced = produce_keyed(bootstrap, &from, 20, 400);
    let app = App::new(AppConfig { concurrency: 16, ..quick(bootstrap, &name) }).unwrap();
    let (calls, target) = (Arc::new(AtomicU32::new(0)), to.clone());
    let handler = handler_fn(move |batch, context| {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        let outcome = context.transaction(|transaction| {
            let mut deliveries = Vec::new();
            for message in batch.iter() {
                let (key, payload) = (message.key(), message.payload());
                deliveries.push(transaction.produce_async(&Record {
                    topic: &target,
                    key,
                    payload,
                    ..Record::default()
                })?);
                transaction.mark_as_consumed(&message)?;
            }
            thread::sleep(Duration::from_millis(2));
            assert_eq!(deliveries[0].wait(PATIENCE).unwrap_err().kind(), ErrorKind::Transaction, "it is held back");
            if number % 11 == 10 {
                return Err(Error::new(ErrorKind::Handler, "handle", "on purpose"));
            }
            Ok(deliveries)
        });
        for delivery in outcome.map_err(|error| Failure::new("Refused", error.to_string()))? {
            delivery.outcome().expect("it ended with the commit").expect("and was committed");
        }
        Ok::<(), Failure>(())
    });
    app.topic(&from, together(), handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    let seen = topics::read_decided(bootstrap, &to);
    assert_eq!(seen.len(), produced.len(), "each exactly once");
    assert_eq!(by_key(&seen), by_key(&produced), "and in order");
    // Besides the results the log has the end of each transaction, and nothing of what failed.
    let transactions = topics::log_end(bootstrap, &to)[&0] - 400;
    assert!((1..200).contains(&transactions), "{transactions} transactions for 400 calls");
}

#[test]
fn and_a_refused_record_fails_its_own_call_alone() {
    let bootstrap = broker::shared();
    let (from, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let to = topics::create_with(bootstrap, 1, &[("max.message.bytes", "2000")]);
    let name = topics::unique("together");
    produce_keyed(bootstrap, &from, 40, 80);
    let app = App::new(AppConfig { concurrency: 16, ..quick(bootstrap, &name) }).unwrap();
    let target = to.clone();
    let handler = handler_fn(move |batch, context| {
        let sent = context.transaction(|transaction| {
            for message in batch.iter() {
                let large = vec![b'x'; 5_000];
                let payload = if message.payload() == Some(b"33") { Some(&large[..]) } else { message.payload() };
                transaction.produce_async(&Record { topic: &target, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            thread::sleep(Duration::from_millis(2));
            Ok::<_, Error>(())
        });
        sent.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig {
        dead_letter_queue_topic: Some(dead.clone()),
        dead_letter_queue_max_retries: 0,
        dead_letter_queue_transactional: true,
        ..together()
    };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    let payloads = |topic: &str| topics::read_decided(bootstrap, topic).into_iter().map(|one| one.payload.unwrap());
    assert_eq!(payloads(&dead).collect::<Vec<_>>(), [b"33".to_vec()], "nobody was given up for another's record");
    let seen: Vec<_> = payloads(&to).collect();
    assert_eq!((seen.len(), seen.iter().collect::<BTreeSet<_>>().len()), (79, 79), "all others, once");
}

/// Two calls that certainly meet, of a process with so many connections to the group: how many transactions their results took.
fn transactions_of_two_calls(connections: u32) -> i64 {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 2), topics::create(bootstrap, 1));
    let name = topics::unique("together");
    let app = App::new(AppConfig { concurrency: 2, ..quick(bootstrap, &name) }).unwrap();
    let (both, target) = (Arc::new(Barrier::new(2)), to.clone());
    let handler = handler_fn(move |batch, context| {
        let ended = context.transaction(|transaction| {
            both.wait();
            for message in batch.iter() {
                let payload = message.payload();
                transaction.produce_async(&Record { topic: &target, payload, ..Record::default() })?;
                transaction.mark_as_consumed(&message)?;
            }
            Ok::<_, Error>(())
        });
        ended.map_err(|error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig { multiplexing_max: connections, transaction_max_ms: PATIENCE, ..together() };
    app.topic(&from, options, handler).unwrap();
    app.start().unwrap();
    let admin = Admin::connect(bootstrap, BTreeMap::new(), PATIENCE).unwrap();
    // No partition moves any more, so neither call comes alone.
    wait::until(PATIENCE, "each member has its partitions", || {
        let described = admin.describe_groups(&[&name]).unwrap().remove(0).1;
        let members = described.map(|group| group.members).unwrap_or_default();
        let each = 2 / connections as usize;
        members.len() == connections as usize && members.iter().all(|member| member.partitions.len() == each)
    });
    topics::produce(bootstrap, &from, &[Input::plain("0").to(0), Input::plain("1").to(1)]);
    wait::until(PATIENCE, "both of them", || group::lag(bootstrap, &name, &from) == 0);
    stop(&app);
    topics::log_end(bootstrap, &to)[&0] - 2
}

#[test]
fn and_each_member_of_the_group_for_itself() {
    assert_eq!(transactions_of_two_calls(1), 1, "of one member");
    assert_eq!(transactions_of_two_calls(2), 2, "whether one is put out of the group says nothing of the other");
}

#[test]
fn over_processes_that_are_killed() {
    let bootstrap = broker::shared();
    let (from, to) = (topics::create(bootstrap, 4), topics::create(bootstrap, 4));
    let name = topics::unique("together");
    let sends_to = format!("sends_to={to}");
    let options = [
        sends_to.as_str(),
        "fails=1",
        "workers=8",
        "app.transaction_timeout=3s",
        "topic.max_messages=5",
        "topic.transaction_max_messages=100",
        "topic.retry_backoff=20ms",
        "kafka.session.timeout.ms=2000",
        "kafka.heartbeat.interval.ms=400",
    ];
    let mut members = fleet(bootstrap, &name, &from, &options);
    let mut produced = Vec::new();
    members.join();
    for _ in 0..2 {
        let newest = members.join();
        members.wait_assigned(newest, PATIENCE);
        produced.extend(produce_keyed(bootstrap, &from, 20, 300));
        wait::until(PATIENCE, "a part of it", || group::lag(bootstrap, &name, &from) < 200);
        members.kill(members.ids()[0]);
    }
    wait::until(PATIENCE, "all of it", || group::lag(bootstrap, &name, &from) == 0);
    members.leave_all(PATIENCE);
    let seen = topics::read_decided(bootstrap, &to);
    assert_eq!(seen.len(), produced.len(), "each exactly once");
    let results: Vec<_> =
        produced.into_iter().map(|input| Message { payload: input.payload.as_deref().map(f), ..input }).collect();
    assert!(by_key(&seen) == by_key(&results), "and in order");
}
