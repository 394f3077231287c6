//! Beside the acceptance scenarios: what an app has given up goes back as it was, in order, once over several goes of one group,
//! and not at all where the group has members or the source is gone.

use crate::support::{PATIENCE, stop};
use karafka::{App, AppConfig, Batch, Context, Failure, LetterFilter, Redrive, RedriveConfig, TopicConfig, handler_fn};
use libkarafka_tests::topics::{self, Message, Record};
use libkarafka_tests::{broker, group, wait};

/// A topic of three partitions whose every message was given up.
fn given_up(bootstrap: &str) -> (String, String, Vec<Message>) {
    let (topic, dead) = (topics::create(bootstrap, 3), topics::create(bootstrap, 2));
    let record = |number: i32| Record {
        headers: vec![("trace".to_owned(), number.to_string().into_bytes()), ("trace".to_owned(), b"again".to_vec())],
        ..Record::keyed(format!("key-{}", number % 7), number.to_string()).to(number % 3)
    };
    let produced = topics::produce(bootstrap, &topic, &(0..120).map(record).collect::<Vec<_>>());
    let group = topics::unique("gives-up");
    let app =
        App::new(AppConfig { bootstrap_servers: bootstrap.to_owned(), group: group.clone(), ..AppConfig::default() });
    let app = app.unwrap();
    let options = TopicConfig {
        dead_letter_queue_topic: Some(dead.clone()),
        dead_letter_queue_max_retries: 0,
        max_messages: 1,
        ..TopicConfig::default()
    };
    let fails = handler_fn(|_: &Batch, _: &Context| Err::<(), _>(Failure::new("Refused", "not today")));
    app.topic(&topic, options, fails).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything given up", || group::lag(bootstrap, &group, &topic) == 0);
    stop(&app);
    (topic, dead, produced)
}

fn config(bootstrap: &str, dead: &str, group: Option<&str>) -> RedriveConfig {
    RedriveConfig {
        bootstrap_servers: bootstrap.to_owned(),
        topic: dead.to_owned(),
        group: group.map(str::to_owned),
        ..RedriveConfig::default()
    }
}

/// What lies in a partition from an offset on.
fn behind(messages: &[Message], partition: i32, offset: i64) -> Vec<&Message> {
    let is_there = |message: &&Message| message.partition == partition && message.offset >= offset;
    messages.iter().filter(is_there).collect()
}

#[test]
fn over_several_goes_of_one_group() {
    let bootstrap = broker::shared();
    let (topic, dead, produced) = given_up(bootstrap);
    let ends = topics::log_end(bootstrap, &topic);
    let group = topics::unique("redrive");
    // Each go ends after one step, as if it were interrupted there.
    let mut sent = 0;
    let mut goes = 0;
    loop {
        let slow = RedriveConfig { rate: Some(400), ..config(bootstrap, &dead, Some(&group)) };
        let mut redrive = Redrive::open(slow).unwrap();
        let more = redrive.step().unwrap();
        sent += redrive.progress().redriven;
        goes += 1;
        if !more {
            break;
        }
    }
    assert!(goes > 2, "{goes} goes");
    assert_eq!(sent, 120);
    let all = topics::read(bootstrap, &topic);
    for partition in 0..3 {
        let back = behind(&all, partition, ends[&partition]);
        let mut before: Vec<_> = produced.iter().filter(|message| message.partition == partition).collect();
        before.sort_by_key(|message| message.offset);
        let told = |messages: &[&Message]| -> Vec<_> {
            messages.iter().map(|one| (one.key.clone(), one.payload.clone(), one.headers.clone())).collect()
        };
        assert_eq!(told(&back), told(&before), "partition {partition}: each once, as it was, in order");
    }
}

#[test]
fn but_not_with_a_group_that_has_members() {
    let bootstrap = broker::shared();
    let (topic, dead, _) = given_up(bootstrap);
    let ends = topics::log_end(bootstrap, &topic);
    let group = topics::unique("busy");
    let other = topics::create(bootstrap, 1);
    let app =
        App::new(AppConfig { bootstrap_servers: bootstrap.to_owned(), group: group.clone(), ..AppConfig::default() });
    let app = app.unwrap();
    topics::produce(bootstrap, &other, &[Record::plain("a member is there when this is handled")]);
    app.topic(&other, TopicConfig::default(), handler_fn(|_: &Batch, _: &Context| Ok::<(), Failure>(()))).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "a member", || group::lag(bootstrap, &group, &other) == 0);
    let error = Redrive::open(config(bootstrap, &dead, Some(&group))).unwrap_err();
    assert!(error.to_string().contains("the group has members"), "{error}");
    stop(&app);
    assert_eq!(topics::log_end(bootstrap, &topic), ends, "nothing was sent");
}

#[test]
fn and_not_to_a_topic_that_is_gone() {
    let bootstrap = broker::shared();
    let (topic, dead, _) = given_up(bootstrap);
    topics::delete(bootstrap, &topic);
    wait::until(PATIENCE, "the topic gone", || !topics::exists(bootstrap, &topic));
    let mut redrive = Redrive::open(config(bootstrap, &dead, None)).unwrap();
    let error = redrive.step().unwrap_err();
    assert!(error.to_string().contains(&topic) && error.to_string().contains("not there"), "{error}");
    assert!(!redrive.step().unwrap(), "a letter that failed is not passed over");
    assert_eq!(redrive.progress().redriven, 0);
    // What does not go there does no harm.
    let filter = LetterFilter { source_topic: Some("other".to_owned()), ..LetterFilter::default() };
    let mut redrive = Redrive::open(RedriveConfig { filter, ..config(bootstrap, &dead, None) }).unwrap();
    while redrive.step().unwrap() {}
    assert_eq!((redrive.progress().left_out, redrive.progress().done), (120, redrive.progress().total));
}
