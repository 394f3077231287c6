//! Acceptance 63, 64, 65: a seek to a time after the newest record fails and loses nothing of what waits; one to a time, to
//! both ends and back lands on the record; the partition stays owned, and the new position is what the group has. A pause
//! marks nothing, and after the end a commit says that the partition is lost.

use crate::support::{PATIENCE, stop};
use karafka::{
    App, AppConfig, Context, ErrorKind, Failure, Producer, ProducerConfig, Record, SeekTo, TopicConfig,
    TransactionalProducer, handler_fn,
};
use libkarafka_tests::{broker, group, topics, wait};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;

#[test]
fn a_seek_that_fails_skips_nothing_and_one_that_succeeds_lands() {
    let bootstrap = broker::shared();
    let (topic, name) = (topics::create(bootstrap, 1), topics::unique("seeks"));
    let config = ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    // Recent ones: Kafka deletes what is older than a week, in the midst of the test as well.
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let first = i64::try_from(since_1970).unwrap() - HOUR;
    for number in 0..10 {
        let timestamp_ms = Some(first + number * SECOND);
        producer
            .produce_sync(&Record { topic: &topic, payload: Some(b"x"), timestamp_ms, ..Record::default() })
            .unwrap();
    }
    let app = App::new(AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: name.clone(),
        commit_interval: Duration::from_millis(50),
        ..AppConfig::default()
    })
    .unwrap();
    let (sender, seen) = channel();
    let held: Arc<Mutex<Option<Context>>> = Arc::default();
    let (calls, keep) = (Mutex::new(0), Arc::clone(&held));
    let handler = handler_fn(move |batch, context| {
        let mut calls = calls.lock().unwrap();
        *calls += 1;
        let move_to = |to| context.seek(to, PATIENCE);
        match *calls {
            // The rest of what was fetched must still come: 1 is next.
            1 => assert_eq!(move_to(SeekTo::Time(first + 60 * SECOND)).unwrap_err().kind(), ErrorKind::Config),
            2 => assert!(move_to(SeekTo::Time(first + 7 * SECOND - 1)).unwrap()),
            3 => assert!(move_to(SeekTo::Earliest).unwrap()),
            4 => assert!(context.pause(Some(Duration::from_millis(50))), "what it holds comes again"),
            6 => assert!(move_to(SeekTo::Latest).unwrap()),
            _ => {}
        }
        assert!(!context.is_revoked());
        *keep.lock().unwrap() = Some(context.clone());
        sender.send(batch.first_offset()).unwrap();
        Ok::<(), Failure>(())
    });
    app.topic(&topic, TopicConfig { max_messages: 1, ..TopicConfig::default() }, handler).unwrap();
    app.start().unwrap();
    let offsets: Vec<i64> = (0..6).map_while(|_| seen.recv_timeout(PATIENCE).ok()).collect();
    assert_eq!(offsets, [0, 1, 7, 0, 0, 1]);
    wait::until(PATIENCE, "the new position committed", || group::lag(bootstrap, &name, &topic) == 0);
    assert!(seen.try_recv().is_err(), "nothing comes at the end");
    producer.produce_sync(&Record { topic: &topic, payload: Some(b"x"), ..Record::default() }).unwrap();
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), 10);
    // What an open transaction has sent may be committed.
    let transactional = TransactionalProducer::new(ProducerConfig {
        bootstrap_servers: bootstrap.to_owned(),
        transactional_id: Some(topics::unique("seeks")),
        ..ProducerConfig::default()
    })
    .unwrap();
    let context = held.lock().unwrap().clone().unwrap();
    let sought = transactional.transaction(|transaction| {
        let timestamp_ms = Some(first + HOUR + HOUR / 2);
        transaction.produce_async(&Record { topic: &topic, timestamp_ms, ..Record::default() })?.wait(PATIENCE)?;
        context.seek(SeekTo::Time(first + HOUR + HOUR / 4), PATIENCE)
    });
    assert!(sought.unwrap());
    assert_eq!(seen.recv_timeout(PATIENCE).unwrap(), 11);
    stop(&app);
    assert_eq!(group::committed_offsets(bootstrap, &name, &topic)[&0], 12);
    let context = held.lock().unwrap().take().unwrap();
    assert!(context.is_revoked() && !context.commit(PATIENCE).unwrap() && !context.commit_offsets());
}
