//! Pauses, seeks, texts, sizes and single messages, against the embedded broker.

use karafka::{
    App, AppConfig, Batch, Context, EmbeddedBroker, ErrorKind, Failure, OffsetMetadataStrategy, Producer,
    ProducerConfig, Record, SeekTo, TopicConfig, handler_fn,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const BROKER: &str = "embedded://position";
const PATIENCE: Duration = Duration::from_secs(30);

fn topic(records: u32) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("position-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    EmbeddedBroker::named(BROKER).unwrap().create_topic(&name, 1).unwrap();
    let config = ProducerConfig { bootstrap_servers: BROKER.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let payload = vec![b'x'; 100];
    let record = || Record { topic: &name, payload: Some(&payload), ..Record::default() };
    producer.produce_many_sync(&(0..records).map(|_| record()).collect::<Vec<_>>()).unwrap();
    producer.close().unwrap();
    name
}

fn start<T: Send + 'static>(
    topic: &str,
    config: TopicConfig,
    handle: impl Fn(&Batch, &Context) -> Result<T, Failure> + Send + Sync + 'static,
) -> (App, Receiver<T>) {
    let app = App::new(AppConfig {
        bootstrap_servers: BROKER.to_owned(),
        group: topic.to_owned(),
        commit_interval: Duration::from_millis(20),
        ..AppConfig::default()
    })
    .unwrap();
    let (sender, receiver) = channel();
    let handler = move |batch: &Batch, context: &Context| {
        // The test may have seen enough.
        handle(batch, context).map(|seen| drop(sender.send(seen)))
    };
    app.topic(topic, config, handler_fn(handler)).unwrap();
    app.start().unwrap();
    (app, receiver)
}

fn stop(app: &App) {
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap());
}

fn one_by_one() -> TopicConfig {
    TopicConfig { max_messages: 1, retry_backoff: Duration::from_millis(5), ..TopicConfig::default() }
}

fn next<T>(receiver: &Receiver<T>, count: usize) -> Vec<T> {
    (0..count).map(|_| receiver.recv_timeout(PATIENCE).unwrap()).collect()
}

#[test]
fn a_seek_goes_forwards_backwards_and_to_both_ends() {
    let name = topic(10);
    let seeks = AtomicU32::new(0);
    let (app, seen) = start(&name, one_by_one(), move |batch, context| {
        let to = match (batch.first_offset(), seeks.load(Ordering::SeqCst)) {
            (1, 0) => Some(SeekTo::Offset(6)),
            (7, 1) => Some(SeekTo::Earliest),
            (2, 2) => Some(SeekTo::Latest),
            _ => None,
        };
        if let Some(to) = to {
            seeks.fetch_add(1, Ordering::SeqCst);
            assert!(context.seek(to, PATIENCE).unwrap());
            assert!(!context.is_revoked() && context.mark_as_consumed(&batch.get(0).unwrap()), "still owned");
        }
        Ok(batch.first_offset())
    });
    assert_eq!(next(&seen, 7), [0, 1, 6, 7, 0, 1, 2]);
    assert!(seen.recv_timeout(Duration::from_millis(300)).is_err(), "the end is where new records come");
    stop(&app);
    let (again, seen) = start(&name, one_by_one(), |batch, _| Ok(batch.first_offset()));
    assert!(seen.recv_timeout(Duration::from_millis(300)).is_err(), "the new position was committed");
    stop(&again);
}

#[test]
fn a_seek_that_fails_changes_nothing() {
    let name = topic(4);
    let (app, seen) = start(&name, one_by_one(), |batch, context| {
        let kind = |to| context.seek(to, PATIENCE).unwrap_err().kind();
        let kinds = (batch.first_offset() == 1).then(|| [kind(SeekTo::Offset(-3)), kind(SeekTo::Time(1_000))]);
        Ok((batch.first_offset(), kinds))
    });
    let refused = Some([ErrorKind::Config, ErrorKind::Unsupported]);
    assert_eq!(next(&seen, 4), [(0, None), (1, refused), (2, None), (3, None)]);
    stop(&app);
}

#[test]
fn a_pause_holds_for_its_time_and_what_was_not_marked_comes_again() {
    let name = topic(4);
    let began = Instant::now();
    let paused = AtomicU32::new(0);
    let config = TopicConfig { max_messages: 3, ..TopicConfig::default() };
    let (app, seen) = start(&name, config, move |batch, context| {
        let first = batch.first_offset();
        if paused.fetch_add(1, Ordering::SeqCst) == 0 && batch.len() > 1 {
            context.mark_as_consumed(&batch.get(0).unwrap());
            context.pause(Some(Duration::from_millis(400)));
        }
        Ok((first, batch.last_offset(), context.attempt(), began.elapsed()))
    });
    let calls = next(&seen, 2);
    assert_eq!((calls[0].0, calls[1].0, calls[1].2), (0, 1, 1), "{calls:?}");
    assert!(calls[1].3 >= calls[0].3 + Duration::from_millis(350), "{calls:?}");
    stop(&app);
}

#[test]
fn a_pause_lasts_until_it_is_taken_back_by_whoever_holds_the_context() {
    let name = topic(3);
    let (held, holds) = channel();
    let (app, seen) = start(&name, one_by_one(), move |batch, context| {
        if batch.first_offset() == 0 {
            assert!(context.mark_as_consumed(&batch.get(0).unwrap()) && context.pause(None));
            held.send(context.clone()).unwrap();
        }
        Ok(batch.first_offset())
    });
    assert_eq!(next(&seen, 1), [0]);
    assert!(seen.recv_timeout(Duration::from_millis(300)).is_err());
    let context = holds.recv_timeout(PATIENCE).unwrap();
    assert!(context.resume());
    assert_eq!(next(&seen, 2), [1, 2]);
    stop(&app);
    assert!(!context.resume() && !context.pause(None) && !context.seek(SeekTo::Offset(0), PATIENCE).unwrap());
    assert!(!context.commit_offsets() && context.offset_metadata().is_none());
}

#[test]
fn a_text_is_read_back_by_the_next_owner() {
    for strategy in [OffsetMetadataStrategy::Current, OffsetMetadataStrategy::Exact] {
        let name = topic(4);
        let config = || TopicConfig {
            manual_offset_management: true,
            offset_metadata_strategy: strategy,
            max_messages: 4,
            linger: Duration::from_millis(300),
            ..TopicConfig::default()
        };
        let (app, seen) = start(&name, config(), |batch, context| {
            assert_eq!(context.offset_metadata().as_deref(), Some(""));
            assert!(context.mark_as_consumed_with(&batch.get(0).unwrap(), "one"));
            if batch.len() > 2 {
                assert!(context.mark_as_consumed_with(&batch.get(2).unwrap(), "two"));
                assert_eq!(context.offset_metadata().as_deref(), Some("two"));
            }
            Ok(context.commit(PATIENCE).unwrap())
        });
        assert_eq!(next(&seen, 1), [true]);
        stop(&app);
        let (app, seen) =
            start(&name, config(), |batch, context| Ok((batch.first_offset(), context.offset_metadata())));
        assert_eq!(next(&seen, 1), [(3, Some("two".to_owned()))], "{strategy}");
        stop(&app);
    }
}

#[test]
fn a_call_has_its_bytes_and_its_metadata() {
    let name = topic(5);
    let config =
        TopicConfig { max_bytes: 250, linger: Duration::from_millis(200), max_messages: 5, ..TopicConfig::default() };
    let (app, seen) = start(&name, config, |batch, _| Ok(batch.metadata()));
    let calls = next(&seen, 3);
    for (call, (first, last)) in calls.iter().zip([(0, 1), (2, 3), (4, 4)]) {
        assert_eq!((call.first_offset, call.last_offset, call.messages), (first, last, (last - first + 1) as usize));
        assert_eq!(call.bytes, call.messages as u64 * 100);
        assert_eq!(call.offset_lag, Some(4 - last as u64));
        assert!(call.consumption_lag.unwrap() < PATIENCE && call.processing_lag < PATIENCE);
        assert!(call.created_at.unwrap() <= call.scheduled_at + 1_000);
    }
    stop(&app);
}

#[test]
fn one_message_at_a_time_marks_each_and_stops_at_the_first_failure() {
    let name = topic(6);
    let (sender, seen) = channel();
    let failed = AtomicU32::new(0);
    let config = TopicConfig { retry_backoff: Duration::from_millis(5), ..TopicConfig::default() };
    let (app, _) = start(&name, config, move |batch, context| {
        context.each(batch, |message| {
            sender.send((message.offset(), context.attempt())).unwrap();
            if message.offset() == 3 && failed.fetch_add(1, Ordering::SeqCst) < 2 {
                return Err(Failure::new("Unlucky", "not yet"));
            }
            Ok(())
        })
    });
    let calls = next(&seen, 8);
    let offsets: Vec<i64> = calls.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, [0, 1, 2, 3, 3, 3, 4, 5], "{calls:?}");
    assert_eq!((calls[4].1, calls[5].1), (2, 3));
    stop(&app);
}
