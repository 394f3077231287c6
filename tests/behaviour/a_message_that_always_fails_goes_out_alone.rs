//! Acceptance scenarios 24, 25, 27, 29, 33, 34, 35 and 36, as far as they apply here: after exactly as many attempts as its
//! topic allows, the message that failed goes to the dead letters, alone, as it was, in the order of its partition; what is
//! good beside it is handled, and everything is committed. There is no refetch, no seek and no collapse to speak of: a
//! failure stays in its virtual partition. And scenario 3: attempts are counted anew in each ownership.

use crate::support::{PATIENCE, stop, wait_event};
use karafka::{App, AppConfig, Batch, Context, Event, Failure, TopicConfig, Verdict, VirtualPartitions, handler_fn};
use libkarafka_tests::gate::Gate;
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, secured, wait};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Offsets by partition, each with the attempts at it.
type Attempts = Arc<Mutex<BTreeMap<(i32, i64), Vec<u32>>>>;

fn failing(bootstrap: &str, group: &str, topic: &str, options: TopicConfig, attempts: &Attempts) -> App {
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: group.to_owned(),
        commit_interval: Duration::from_millis(100),
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let attempts = Arc::clone(attempts);
    let handler = handler_fn(move |batch: &Batch, _: &Context| {
        for message in batch.iter() {
            let place = (message.partition(), message.offset());
            attempts.lock().entry(place).or_default().push(message.attempt());
        }
        let payload = |message: karafka::Message<'_>| message.payload().map(<[u8]>::to_vec).unwrap_or_default();
        if batch.iter().any(|message| payload(message) == b"critical") {
            return Err(Failure::new("OutOfMemory", "the machine has no more").says(Verdict::Critical));
        }
        match batch.iter().find(|message| payload(*message).starts_with(b"poison")) {
            Some(_) => Err(Failure::new("Poisoned", "it never works")),
            None => Ok(()),
        }
    });
    app.topic(topic, options, handler).unwrap();
    app
}

fn quick(dead: &str) -> TopicConfig {
    TopicConfig {
        retry_backoff: Duration::from_millis(5),
        retry_backoff_max: Duration::from_millis(20),
        dead_letter_queue_topic: Some(dead.to_owned()),
        dead_letter_queue_max_retries: 2,
        ..TopicConfig::default()
    }
}

/// Of 300 records over three partitions, every 20th is poison.
fn mixed() -> Vec<Record> {
    let record = |number: i32| {
        let payload = if number % 20 == 7 { format!("poison-{number}") } else { format!("good-{number}") };
        Record::keyed(format!("key-{}", number % 10), payload).to(number % 3)
    };
    (0..300).map(record).collect()
}

fn judge(options: TopicConfig, sent: &str) {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 3), sent.to_owned());
    let group = topics::unique("poisoned");
    let produced = topics::produce(bootstrap, &topic, &mixed());
    let attempts = Attempts::default();
    let bisects = options.retry_bisect;
    let app = failing(bootstrap, &group, &topic, options, &attempts);
    app.start().unwrap();
    wait::until(PATIENCE, "everything committed", || group::lag(bootstrap, &group, &topic) == 0);
    stop(&app);
    let letters = topics::read(bootstrap, &dead);
    let is_poison = |payload: &Option<Vec<u8>>| payload.as_ref().is_some_and(|bytes| bytes.starts_with(b"poison"));
    let poison: Vec<_> = produced.iter().filter(|message| is_poison(&message.payload)).collect();
    assert_eq!(letters.len(), poison.len(), "each once, and nothing else");
    for partition in 0..3 {
        let of = |key: &Option<Vec<u8>>| key.clone();
        let mut sources: Vec<_> = poison.iter().filter(|message| message.partition == partition).collect();
        sources.sort_by_key(|message| message.offset);
        let copies: Vec<_> = letters.iter().filter(|letter| letter.partition == partition).collect();
        let told = |found: &[&topics::Message]| -> Vec<_> {
            found.iter().map(|message| (of(&message.key), message.payload.clone())).collect()
        };
        let sources: Vec<&topics::Message> = sources.into_iter().copied().collect();
        assert_eq!(told(&copies), told(&sources), "in order, as they were, partition {partition}");
    }
    for message in &produced {
        let seen = &attempts.lock()[&(message.partition, message.offset)];
        assert_eq!(*seen, (1..=seen.len() as u32).collect::<Vec<_>>(), "attempts are counted one by one");
        if is_poison(&message.payload) {
            assert!(seen.len() == 3 || (bisects && seen.len() > 3), "{message:?}: {seen:?}");
        }
    }
}

#[test]
fn without_virtual_partitions() {
    let dead = topics::create(broker::shared(), 3);
    judge(quick(&dead), &dead);
}

#[test]
fn found_by_halves() {
    let dead = topics::create(broker::shared(), 3);
    judge(TopicConfig { retry_bisect: true, ..quick(&dead) }, &dead);
}

#[test]
fn with_its_key_waiting_and_no_other() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::create(bootstrap, 1));
    let group = topics::unique("by-key");
    let mut records = vec![Record::keyed("bad", "poison-0")];
    records.extend((0..50).map(|number| Record::keyed(format!("key-{number}"), "good")));
    topics::produce(bootstrap, &topic, &records);
    let attempts = Attempts::default();
    // Its key waits for minutes: longer than this test.
    let options = TopicConfig {
        virtual_partitions: VirtualPartitions::ByKey,
        retry_backoff: Duration::from_secs(300),
        retry_backoff_max: Duration::from_secs(300),
        ..quick(&dead)
    };
    let app = failing(bootstrap, &group, &topic, options, &attempts);
    app.start().unwrap();
    wait::until(PATIENCE, "all other keys", || attempts.lock().len() == 51);
    stop(&app);
    assert_eq!(topics::read(bootstrap, &dead).len(), 0, "not before its attempts are used up");
    let again = Attempts::default();
    let app = failing(bootstrap, &group, &topic, quick(&dead), &again);
    app.start().unwrap();
    wait::until(PATIENCE, "the copy and the commit", || group::lag(bootstrap, &group, &topic) == 0);
    stop(&app);
    assert_eq!(*again.lock(), BTreeMap::from([((0, 0), vec![1, 2, 3])]), "counted anew, and no good one came again");
    assert_eq!(topics::read(bootstrap, &dead).len(), 1);
}

#[test]
fn but_not_while_its_topic_takes_no_letters() {
    let bootstrap = broker::shared();
    let (topic, dead) = (topics::create(bootstrap, 1), topics::unique("gone-again"));
    let group = topics::unique("waits");
    topics::create_named(bootstrap, &dead, 1, 1, &[]);
    let attempts = Attempts::default();
    let app = failing(bootstrap, &group, &topic, TopicConfig { max_messages: 1, ..quick(&dead) }, &attempts);
    let events = app.events();
    app.start().unwrap();
    wait_event(&events, "an assignment", |event| matches!(event, Event::PartitionsAssigned { .. }));
    topics::delete(bootstrap, &dead);
    wait::until(PATIENCE, "the topic gone", || !topics::exists(bootstrap, &dead));
    topics::produce(bootstrap, &topic, &[Record::plain("poison"), Record::plain("good")]);
    let is_told = |event: &Event| matches!(event, Event::Error { error, .. } if error.to_string().contains("dead"));
    wait_event(&events, "the letter that has nowhere to go", is_told);
    assert_eq!(group::lag(bootstrap, &group, &topic), 2, "the source's offset waits");
    topics::create_named(bootstrap, &dead, 1, 1, &[]);
    wait::until(PATIENCE, "the copy and the commit", || group::lag(bootstrap, &group, &topic) == 0);
    stop(&app);
    assert_eq!(topics::read(bootstrap, &dead).len(), 1, "exactly one");
}

#[test]
fn while_the_broker_of_another_answers_nothing() {
    let (here, secured) = (broker::shared(), secured::shared());
    let lane = secured.lane();
    let gate = Gate::open(lane.proxy, lane.broker);
    let (fast, slow) = (topics::create(here, 1), topics::create(&secured.bootstrap(), 1));
    let dead = topics::create(here, 1);
    topics::create_named(&secured.bootstrap(), &dead, 1, 1, &[]);
    let options = TopicConfig { dead_letter_queue_max_retries: 0, ..quick(&dead) };
    let app = failing(here, &topics::unique("clusters"), &fast, options.clone(), &Attempts::default());
    let events = app.events();
    let (began, begins) = std::sync::mpsc::channel();
    let (goes_on, gone_on) = std::sync::mpsc::channel::<()>();
    let waiting = Mutex::new((began, gone_on));
    let handler = handler_fn(move |_: &Batch, _: &Context| {
        let (began, gone_on) = &*waiting.lock();
        let _ = began.send(());
        let _ = gone_on.recv();
        Err(Failure::new("Poisoned", "it never works"))
    });
    let elsewhere = TopicConfig { bootstrap_servers: Some(lane.bootstrap()), ..options };
    app.topic(&slow, elsewhere, handler).unwrap();
    app.start().unwrap();
    topics::produce(&secured.bootstrap(), &slow, &[Record::keyed("key", "poison")]);
    begins.recv_timeout(PATIENCE).unwrap();
    // From here on, whoever asks how many partitions the target has waits ten seconds.
    gate.swallow();
    drop(goes_on);
    let next = |what: &str, wanted: &dyn Fn(&Event) -> bool| {
        wait::until_some(PATIENCE, what, || events.next(Duration::from_millis(100)).ok().filter(|event| wanted(event)))
    };
    let is_letter_of =
        |event: &Event, of: &str| matches!(event, Event::DeadLetterDispatched { topic, .. } if &**topic == of);
    let is_refusal = |event: &Event| matches!(event, Event::Error { error, .. } if error.to_string().contains(&*dead));
    next("the failure", &|event| matches!(event, Event::HandlerFailed { topic, .. } if **topic == *slow));
    topics::produce(here, &fast, &[Record::keyed("key", "poison")]);
    let first = next("a letter, or none", &|event| is_letter_of(event, &fast) || is_refusal(event));
    assert!(is_letter_of(&first, &fast), "{first:?}");
    gate.reopen();
    next("the other letter", &|event| is_letter_of(event, &slow));
    stop(&app);
}
