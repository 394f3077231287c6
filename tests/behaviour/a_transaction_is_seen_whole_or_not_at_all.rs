//! What a transaction's block returned from is visible together; what it left by an error, a panic or its own word never is.
//! Another producer of the same name fences; an outage inside of a transaction is waited out; and where the answer to an
//! end gets lost, nothing of it strikes a later transaction.

use crate::languages::{self, LANGUAGES};
use crate::support::PATIENCE;
use karafka::{Error, ErrorKind, ProducerConfig, Record, Transaction, TransactionalProducer};
use libkarafka_tests::censor::{Censor, END_TRANSACTION, REGISTER_PRODUCER};
use libkarafka_tests::gate::Gate;
use libkarafka_tests::{broker, secured, topics};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Kafka's number of this error.
const MESSAGE_TOO_LARGE: i32 = 10;

fn producer(bootstrap: &str, id: &str) -> TransactionalProducer {
    producer_within(bootstrap, id, Duration::from_secs(60))
}

fn producer_within(bootstrap: &str, id: &str, transaction_timeout: Duration) -> TransactionalProducer {
    TransactionalProducer::new(ProducerConfig {
        bootstrap_servers: bootstrap.to_owned(),
        transactional_id: Some(id.to_owned()),
        transaction_timeout,
        ..ProducerConfig::default()
    })
    .unwrap()
}

fn record<'a>(topic: &'a str, payload: &'a str) -> Record<'a> {
    Record { topic, payload: Some(payload.as_bytes()), ..Record::default() }
}

/// Sends, and waits until a broker has it: an abort after that has something to take back.
fn send(transaction: &Transaction, topic: &str, payload: &str) -> Result<(), Error> {
    transaction.produce_async(&record(topic, payload))?.wait(PATIENCE).map(drop)
}

fn visible(bootstrap: &str, topic: &str) -> Vec<String> {
    let records = topics::read(bootstrap, topic);
    records.into_iter().map(|one| String::from_utf8(one.payload.unwrap()).unwrap()).collect()
}

#[test]
fn by_how_its_block_ends() {
    how_its_block_ends(broker::shared());
}

pub fn how_its_block_ends(bootstrap: &str) {
    let (topic, id) = (topics::create(bootstrap, 1), topics::unique("transactions"));
    let producer = producer(bootstrap, &id);
    let value = producer.transaction(|transaction| {
        send(transaction, &topic, "one")?;
        // A block inside joins: its end commits nothing.
        producer.transaction(|inner| send(inner, &topic, "two"))?;
        assert!(transaction.is_open());
        Ok::<_, Error>(7)
    });
    assert_eq!(value.unwrap(), 7);
    let failed = producer.transaction(|transaction| {
        send(transaction, &topic, "never: an error")?;
        Err::<(), _>(Error::new(ErrorKind::Handler, "handle", "on purpose"))
    });
    assert_eq!(failed.unwrap_err().kind(), ErrorKind::Handler);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        producer.transaction(|transaction| {
            send(transaction, &topic, "never: a panic").unwrap();
            panic!("on purpose");
            #[allow(unreachable_code)]
            Ok::<(), Error>(())
        })
    }));
    assert!(panicked.is_err());
    producer
        .transaction(|transaction| {
            send(transaction, &topic, "never: its own word")?;
            producer.transaction(|inner| {
                inner.give_up();
                Ok::<_, Error>(())
            })
        })
        .unwrap();
    let transaction = producer.begin().unwrap();
    send(&transaction, &topic, "never: dropped").unwrap();
    assert_eq!(producer.begin().unwrap_err().kind(), ErrorKind::Transaction, "one a thread");
    drop(transaction);
    producer.transaction(|_| Ok::<_, Error>(())).unwrap();
    let reports = producer.produce_many_sync(&[record(&topic, "three"), record(&topic, "four")]).unwrap();
    assert!(reports[0].offset < reports[1].offset);
    assert_eq!(visible(bootstrap, &topic), ["one", "two", "three", "four"]);
    producer.close().unwrap();
    assert_eq!(producer.begin().unwrap_err().kind(), ErrorKind::Stopped);
}

#[test]
fn by_what_brokers_refuse() {
    what_brokers_refuse(broker::shared());
}

pub fn what_brokers_refuse(bootstrap: &str) {
    let topic = topics::create_with(bootstrap, 1, &[("max.message.bytes", "2000")]);
    let producer = producer(bootstrap, &topics::unique("transactions"));
    let large = "a".repeat(5_000);
    for turn in ["one", "two", "three"] {
        let seen_by_the_block = producer.transaction(|transaction| {
            send(transaction, &topic, "never: beside it")?;
            send(transaction, &topic, &large)
        });
        assert_eq!(seen_by_the_block.unwrap_err().kafka(), Some(MESSAGE_TOO_LARGE));
        let seen_by_the_commit = producer.transaction(|transaction| {
            transaction.produce_async(&record(&topic, &large))?;
            transaction.produce_async(&record(&topic, "never: behind it")).map(drop)
        });
        assert!(seen_by_the_commit.is_err());
        producer.transaction(|transaction| send(transaction, &topic, turn)).unwrap();
    }
    assert_eq!(visible(bootstrap, &topic), ["one", "two", "three"]);
}

#[test]
fn by_threads_that_take_turns() {
    threads_that_take_turns(broker::shared());
}

pub fn threads_that_take_turns(bootstrap: &str) {
    let (topic, id) = (topics::create(bootstrap, 1), topics::unique("transactions"));
    let producer = producer(bootstrap, &id);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (producer, topic) = (&producer, &topic);
            scope.spawn(move || {
                for number in 0..5 {
                    let payload = format!("{thread}-{number}");
                    let block = |transaction: &Transaction| {
                        send(transaction, topic, &payload)?;
                        send(transaction, topic, &payload)
                    };
                    producer.transaction(block).unwrap();
                }
            });
        }
    });
    let visible = visible(bootstrap, &topic);
    assert_eq!(visible.len(), 40);
    assert!(visible.chunks(2).all(|pair| pair[0] == pair[1]), "transactions do not mix: {visible:?}");
}

#[test]
fn and_a_close_waits_for_it_and_lets_nobody_wait_behind_it() {
    let bootstrap = broker::shared();
    let (topic, id) = (topics::create(bootstrap, 1), topics::unique("transactions"));
    let producer = producer(bootstrap, &id);
    let open = producer.begin().unwrap();
    send(&open, &topic, "before the close").unwrap();
    std::thread::scope(|scope| {
        // Their turn never comes: far sooner than after the minute that a transaction may take, they hear why.
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| (producer.begin().map(drop), Instant::now()))).collect();
        let closing = scope.spawn(|| (producer.close(), Instant::now()));
        let began = Instant::now();
        for thread in waiting {
            let (turn, heard) = thread.join().unwrap();
            assert_eq!(turn.unwrap_err().kind(), ErrorKind::Stopped);
            assert!(heard.duration_since(began) < PATIENCE, "{:?}", heard.duration_since(began));
        }
        let committing = Instant::now();
        open.commit().unwrap();
        let (closed, heard) = closing.join().unwrap();
        closed.unwrap();
        assert!(heard.duration_since(committing) < PATIENCE, "{:?}", heard.duration_since(committing));
    });
    assert_eq!(visible(bootstrap, &topic), ["before the close"]);
}

#[test]
fn by_who_has_its_name() {
    who_has_its_name(broker::shared());
}

pub fn who_has_its_name(bootstrap: &str) {
    let (topic, id) = (topics::create(bootstrap, 1), topics::unique("transactions"));
    let (older, newer) = (producer(bootstrap, &id), producer(bootstrap, &id));
    let zombie = older.begin().unwrap();
    send(&zombie, &topic, "never: of a zombie").unwrap();
    newer.transaction(|transaction| send(transaction, &topic, "of the newer one")).unwrap();
    let fenced = zombie.commit().unwrap_err();
    assert_eq!((fenced.kind(), fenced.is_fatal()), (ErrorKind::Fenced, true), "{fenced}");
    assert_eq!(older.begin().unwrap_err().kind(), ErrorKind::Fenced, "it does not fence back");
    newer.transaction(|transaction| send(transaction, &topic, "and once more")).unwrap();
    assert_eq!(visible(bootstrap, &topic), ["of the newer one", "and once more"]);
}

#[test]
fn by_an_outage_in_its_midst() {
    let secured = secured::shared();
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let (topic, id) = (topics::create(&secured.bootstrap(), 1), topics::unique("transactions"));
    let producer = producer(&lane.bootstrap(), &id);
    producer.transaction(|transaction| send(transaction, &topic, "before")).unwrap();
    let outage = |end: &str| {
        let transaction = producer.begin().unwrap();
        send(&transaction, &topic, &format!("{end}: 1")).unwrap();
        gate.shut();
        transaction.produce_async(&record(&topic, &format!("{end}: 2"))).unwrap();
        let ending = std::thread::spawn({
            let is_commit = end == "kept";
            move || if is_commit { transaction.commit() } else { transaction.abort() }
        });
        std::thread::sleep(Duration::from_secs(1));
        assert!(!ending.is_finished(), "it is waited out");
        gate.reopen();
        ending.join().unwrap().unwrap();
    };
    outage("kept");
    outage("never");
    producer.transaction(|transaction| send(transaction, &topic, "after")).unwrap();
    assert_eq!(visible(&secured.bootstrap(), &topic), ["before", "kept: 1", "kept: 2", "after"]);
}

#[test]
fn by_an_outage_that_outlives_it() {
    let secured = secured::shared();
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let (topic, id) = (topics::create(&secured.bootstrap(), 1), topics::unique("transactions"));
    let producer = producer_within(&lane.bootstrap(), &id, Duration::from_secs(3));
    let transaction = producer.begin().unwrap();
    send(&transaction, &topic, "never").unwrap();
    gate.shut();
    let error = transaction.commit().unwrap_err();
    assert!(error.is_retriable(), "nothing of it will be visible: {error}");
    let error = producer.begin().unwrap_err();
    assert!(error.is_retriable(), "{error}");
    gate.reopen();
    producer.transaction(|transaction| send(transaction, &topic, "after")).unwrap();
    assert_eq!(visible(&secured.bootstrap(), &topic), ["after"]);
}

#[test]
fn by_an_end_whose_answer_gets_lost() {
    let secured = secured::shared();
    let lane = secured.lane();
    let censor = Censor::open(lane);
    let (topic, id) = (topics::create(&secured.bootstrap(), 1), topics::unique("transactions"));
    let producer = producer(&lane.bootstrap(), &id);
    producer.transaction(|transaction| send(transaction, &topic, "one")).unwrap();
    let registered = censor.seen(REGISTER_PRODUCER);
    producer.transaction(|transaction| send(transaction, &topic, "two")).unwrap();
    assert_eq!(censor.seen(REGISTER_PRODUCER), registered, "an answered end needs no new epoch");
    censor.lose_answers(END_TRANSACTION, 1);
    producer.transaction(|transaction| send(transaction, &topic, "three")).unwrap();
    assert_eq!(censor.left(), 0);
    producer.transaction(|transaction| send(transaction, &topic, "four")).unwrap();
    assert!(censor.seen(REGISTER_PRODUCER) > registered, "an end without an answer does");
    assert_eq!(visible(&secured.bootstrap(), &topic), ["one", "two", "three", "four"]);
}

#[test]
fn by_an_end_that_is_never_answered() {
    let secured = secured::shared();
    let lane = secured.lane();
    let censor = Censor::open(lane);
    let (topic, id) = (topics::create(&secured.bootstrap(), 1), topics::unique("transactions"));
    let producer = producer_within(&lane.bootstrap(), &id, Duration::from_secs(3));
    producer.transaction(|transaction| send(transaction, &topic, "one")).unwrap();
    censor.lose_answers(END_TRANSACTION, usize::MAX);
    let error = producer.transaction(|transaction| send(transaction, &topic, "committed, but who knows")).unwrap_err();
    censor.lose_answers(END_TRANSACTION, 0);
    assert_eq!((error.kind(), error.is_retriable(), error.is_fatal()), (ErrorKind::Transaction, false, false));
    assert!(error.message().contains("unknown"), "{error}");
    producer.transaction(|transaction| send(transaction, &topic, "two")).unwrap();
    assert_eq!(visible(&secured.bootstrap(), &topic), ["one", "committed, but who knows", "two"]);
}

#[test]
fn by_an_end_that_comes_late() {
    let secured = secured::shared();
    let lane = secured.lane();
    let censor = Censor::open(lane);
    let (topic, id) = (topics::create(&secured.bootstrap(), 1), topics::unique("transactions"));
    let producer = producer(&lane.bootstrap(), &id);
    censor.hold_requests(END_TRANSACTION, 1);
    producer.transaction(|transaction| send(transaction, &topic, "one")).unwrap();
    assert_eq!(censor.left(), 0, "the first end is still on its way");
    let transaction = producer.begin().unwrap();
    send(&transaction, &topic, "never").unwrap();
    assert_eq!(censor.release(), 1, "now it arrives, and would commit this one");
    transaction.abort().unwrap();
    producer.transaction(|transaction| send(transaction, &topic, "two")).unwrap();
    assert_eq!(visible(&secured.bootstrap(), &topic), ["one", "two"]);
}

#[test]
fn in_every_language() {
    languages::build();
    let bootstrap = broker::shared();
    for language in LANGUAGES {
        for side in ["debits", "credits"] {
            topics::create_named(bootstrap, &format!("{side}-{language}"), 1, 1, &[]);
        }
        let mut program = languages::example(language, "transactions", bootstrap);
        assert_eq!(program.wait(PATIENCE).code(), Some(0), "{language}: {}", program.last_words());
        assert_eq!(visible(bootstrap, &format!("debits-{language}")), ["5 from Anna"]);
        assert_eq!(visible(bootstrap, &format!("credits-{language}")), ["5 to Ben"]);
    }
}

#[test]
fn but_never_of_the_embedded_broker() {
    let refused = |bootstrap: &str| {
        let config = ProducerConfig {
            bootstrap_servers: bootstrap.to_owned(),
            transactional_id: Some("any".to_owned()),
            ..ProducerConfig::default()
        };
        TransactionalProducer::new(config).and_then(|producer| producer.begin().map(drop)).unwrap_err()
    };
    assert_eq!(refused("embedded://").kind(), ErrorKind::Unsupported);
    let other = karafka::EmbeddedBroker::start().unwrap();
    assert_eq!(refused(&other.bootstrap_servers()).kind(), ErrorKind::Unsupported, "also by its address");
    assert!(refused("embedded://").message().contains("keeps no transactions"));
}
