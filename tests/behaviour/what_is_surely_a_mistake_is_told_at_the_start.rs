//! Beside the acceptance scenarios: dead letters that have nowhere to go end the app at its start, with the same words in every
//! language, where it is certain that they have; where rights are missing to know it, that is told, and the app runs on. Whoever
//! uses transactions and reads what others abort is warned, once.

use crate::languages::{self, LANGUAGES, Work, program};
use crate::support::{PATIENCE, produce_keyed, quick, stop, wait_event};
use karafka::{
    Acl, AclOperation, AclPattern, AclPermission, AclResource, Admin, App, AppConfig, Error, ErrorKind, Event, Failure,
    TopicConfig, handler_fn,
};
use libkarafka_tests::access::{self, Operation, Resource};
use libkarafka_tests::secured::{self, PASSWORD, SCRAM_USER};
use libkarafka_tests::{broker, kfake, topics, wait};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

fn with_letters(target: &str) -> TopicConfig {
    TopicConfig { dead_letter_queue_topic: Some(target.to_owned()), ..TopicConfig::default() }
}

fn idle(config: AppConfig, topic: &str, options: TopicConfig) -> App {
    let app = App::new(config).unwrap();
    app.topic(topic, options, handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    app
}

/// The error with which an app ends by itself.
fn end(app: &App) -> Error {
    app.start().unwrap();
    app.join(Some(PATIENCE)).unwrap_err()
}

#[test]
fn dead_letters_without_a_topic() {
    let bootstrap = broker::shared();
    let (topic, group, missing) = (topics::create(bootstrap, 1), topics::unique("group"), topics::unique("missing"));
    produce_keyed(bootstrap, &topic, 1, 5);
    let app = idle(quick(bootstrap, &group), &topic, with_letters(&missing));
    let events = app.events_of(&["error.occurred", "consumer.consume"]).unwrap();
    let error = end(&app);
    assert_eq!((error.kind(), error.kafka(), error.is_fatal()), (ErrorKind::Config, Some(3), true), "{error}");
    for words in ["there is no such topic", "auto.create.topics.enable is false", &missing, &group, bootstrap] {
        assert!(error.to_string().contains(words), "{words} in {error}");
    }
    let told: Vec<_> = std::iter::from_fn(|| events.next(Duration::ZERO).ok()).collect();
    assert!(matches!(&told[..], [Event::Error { recoverable: false, .. }]), "nothing was handled: {told:?}");

    languages::build();
    let options = [
        format!("bootstrap_servers={bootstrap}"),
        format!("group={group}"),
        format!("topic.dead_letter_queue_topic={missing}"),
    ];
    let mut programs = LANGUAGES.map(|language| (language, program(language, Work::none(&topic), &options)));
    for (language, program) in &mut programs {
        let code = program.wait(PATIENCE).code();
        let said = program.error_lines().join("\n");
        assert!(said.contains(&error.to_string()), "{language}: {said}");
        assert_eq!(code, Some(error.exit_code().into()), "{language}: {said}");
        assert!(!program.lines().iter().any(|line| line.starts_with("began")), "{language}");
    }
}

#[test]
fn a_topic_for_dead_letters_that_was_made_a_moment_ago() {
    let bootstrap = broker::shared();
    let (topic, group, target) = (topics::create(bootstrap, 1), topics::unique("group"), topics::unique("letters"));
    let app = idle(quick(bootstrap, &group), &topic, with_letters(&target));
    let events = app.events();
    app.start().unwrap();
    topics::create_named(bootstrap, &target, 1, 1, &[]);
    wait_event(&events, "an assignment", |event| matches!(event, Event::PartitionsAssigned { .. }));
    stop(&app);
}

#[test]
fn dead_letters_whose_topic_the_brokers_make() {
    let Some(kfake) = kfake::that_makes_topics() else { return };
    let (topic, target) = (topics::create(kfake.bootstrap(), 1), topics::unique("letters"));
    produce_keyed(kfake.bootstrap(), &topic, 1, 1);
    let app = App::new(quick(kfake.bootstrap(), &topics::unique("group"))).unwrap();
    let options = TopicConfig { dead_letter_queue_max_retries: 0, ..with_letters(&target) };
    let handler = handler_fn(|_, _| Err::<(), _>(Failure::new("Refused", "on purpose")));
    app.topic(&topic, options, handler).unwrap();
    let events = app.events_of(&["error.occurred", "warning.occurred", "dead_letter_queue.dispatched"]).unwrap();
    app.start().unwrap();
    wait_event(&events, "the letter", |event| {
        assert!(!matches!(event, Event::Error { .. } | Event::Warning { .. }), "{event}");
        matches!(event, Event::DeadLetterDispatched { dead_letter_topic, .. } if **dead_letter_topic == *target)
    });
    stop(&app);
}

fn as_user() -> [(String, String); 4] {
    [
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "SCRAM-SHA-256"),
        ("sasl.username", SCRAM_USER),
        ("sasl.password", PASSWORD),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

#[test]
fn dead_letters_that_rights_are_missing_for() {
    let secured = secured::shared();
    let plain = secured.bootstrap();
    let (topic, group) = (topics::create(&plain, 1), topics::unique("group"));
    let [hidden, seen] = ["hidden", "seen"].map(topics::unique);
    topics::create_named(&plain, &hidden, 1, 1, &[]);
    access::grant(&plain, SCRAM_USER, Resource::Topic(&topic), Operation::Read);
    access::grant(&plain, SCRAM_USER, Resource::Topic(&seen), Operation::Describe);
    access::grant(&plain, SCRAM_USER, Resource::Group(&group), Operation::Read);
    let mut config = quick(&secured.with_password(), &group);
    config.kafka.extend(as_user());

    // One that may not even be seen.
    let app = idle(config.clone(), &topic, with_letters(&hidden));
    let events = app.events();
    app.start().unwrap();
    let event = wait_event(&events, "the right", |event| matches!(event, Event::Error { .. })).to_string();
    assert!(event.contains("rights to describe it and to write to it") && event.contains(&hidden), "{event}");
    wait_event(&events, "an assignment", |event| matches!(event, Event::PartitionsAssigned { .. }));
    stop(&app);

    // One that is not there, of brokers whose settings may not be read.
    let app = idle(config, &topic, with_letters(&seen));
    let events = app.events();
    app.start().unwrap();
    let event = wait_event(&events, "what is not known", |event| matches!(event, Event::Warning { .. })).to_string();
    assert!(event.contains("is not known") && event.contains(&seen) && !event.contains(PASSWORD), "{event}");
    wait_event(&events, "an assignment", |event| matches!(event, Event::PartitionsAssigned { .. }));
    stop(&app);
}

#[test]
fn dead_letters_that_may_not_be_written() {
    let secured = secured::shared();
    let plain = secured.bootstrap();
    let (topic, group, target) = (topics::create(&plain, 1), topics::unique("group"), topics::unique("letters"));
    topics::create_named(&plain, &target, 1, 1, &[]);
    produce_keyed(&plain, &topic, 1, 5);
    access::grant(&plain, SCRAM_USER, Resource::Topic(&topic), Operation::Read);
    access::grant(&plain, SCRAM_USER, Resource::Topic(&target), Operation::Describe);
    access::grant(&plain, SCRAM_USER, Resource::Group(&group), Operation::Read);
    let mut config = quick(&secured.with_password(), &group);
    config.kafka.extend(as_user());

    let began = Instant::now();
    let app = idle(config.clone(), &topic, with_letters(&target));
    let events = app.events_of(&["error.occurred", "consumer.consume"]).unwrap();
    let error = end(&app);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!((error.kind(), error.kafka(), error.is_fatal()), (ErrorKind::Auth, Some(29), true), "{error}");
    for words in ["may not write to it", "grant", &target, &group] {
        assert!(error.to_string().contains(words), "{words} in {error}");
    }
    assert!(!error.to_string().contains(PASSWORD), "{error}");
    let told: Vec<_> = std::iter::from_fn(|| events.next(Duration::ZERO).ok()).collect();
    assert!(matches!(&told[..], [Event::Error { recoverable: false, .. }]), "nothing was handled: {told:?}");

    // Granted while the next one looks: it goes on, without a word.
    let app = idle(config, &topic, with_letters(&target));
    let events = app.events();
    app.start().unwrap();
    access::grant(&plain, SCRAM_USER, Resource::Topic(&target), Operation::Write);
    wait_event(&events, "an assignment", |event| {
        assert!(!matches!(event, Event::Error { .. } | Event::Warning { .. }), "{event}");
        matches!(event, Event::PartitionsAssigned { .. })
    });
    stop(&app);
}

#[test]
fn dead_letters_that_wider_rights_let_be_written() {
    let secured = secured::shared();
    let plain = secured.bootstrap();
    let group = topics::unique("group");
    let [prefix, open] = ["prefix", "open"].map(topics::unique);
    let below = format!("{prefix}-letters");
    let by_prefix = Acl {
        resource: AclResource::Topic,
        name: prefix,
        pattern: AclPattern::Prefixed,
        principal: format!("User:{SCRAM_USER}"),
        host: "*".to_owned(),
        operation: AclOperation::Write,
        permission: AclPermission::Allow,
    };
    let by_everybody = Acl {
        name: open.clone(),
        pattern: AclPattern::Literal,
        principal: "User:*".to_owned(),
        operation: AclOperation::All,
        ..by_prefix.clone()
    };
    let admin = Admin::connect(&plain, BTreeMap::new(), PATIENCE).unwrap();
    admin.create_acls(&[by_prefix, by_everybody]).unwrap().into_iter().for_each(|(_, outcome)| outcome.unwrap());
    access::grant(&plain, SCRAM_USER, Resource::Group(&group), Operation::Read);
    let mut config = quick(&secured.with_password(), &group);
    config.kafka.extend(as_user());

    let app = App::new(config).unwrap();
    for target in [&below, &open] {
        topics::create_named(&plain, target, 1, 1, &[]);
        let topic = topics::create(&plain, 1);
        access::grant(&plain, SCRAM_USER, Resource::Topic(&topic), Operation::Read);
        app.topic(&topic, with_letters(target), handler_fn(|_, _| Ok::<(), Failure>(()))).unwrap();
    }
    let events = app.events();
    app.start().unwrap();
    wait_event(&events, "an assignment", |event| {
        assert!(!matches!(event, Event::Error { .. } | Event::Warning { .. }), "{event}");
        matches!(event, Event::PartitionsAssigned { .. })
    });
    stop(&app);
}

/// What an app is warned of while its handler sends all records on in transactions.
fn warnings(configure: impl FnOnce(&mut AppConfig)) -> BTreeSet<String> {
    let bootstrap = broker::shared();
    let (topic, group) = (topics::create(bootstrap, 2), topics::unique("group"));
    produce_keyed(bootstrap, &topic, 4, 20);
    let mut config = quick(bootstrap, &group);
    configure(&mut config);
    let app = App::new(config).unwrap();
    let handler = handler_fn(|batch, context| {
        let marked = context
            .transaction(|transaction| batch.iter().try_for_each(|message| transaction.mark_as_consumed(&message)));
        marked.map_err(|error: Error| Failure::new("Refused", error.to_string()))
    });
    let options = TopicConfig { max_messages: 5, ..TopicConfig::default() };
    app.topic(&topic, options, handler).unwrap();
    let events = app.events_of(&["warning.occurred"]).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "all of it", || libkarafka_tests::group::lag(bootstrap, &group, &topic) == 0);
    stop(&app);
    let told: Vec<_> = std::iter::from_fn(|| events.next(Duration::ZERO).ok()).map(|event| event.to_string()).collect();
    let different: BTreeSet<_> = told.iter().cloned().collect();
    assert_eq!(told.len(), different.len(), "each once: {told:?}");
    different
}

#[test]
fn transactions_of_who_reads_what_is_aborted() {
    let uncommitted = |config: &mut AppConfig| {
        config.kafka.insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
    };
    let told = warnings(uncommitted);
    let told: Vec<_> = told.iter().filter(|text| text.contains("read_uncommitted")).collect();
    assert!(told.len() == 1 && told[0].contains("leave the setting out"), "{told:?}");
    let told = warnings(|_| ());
    assert!(!told.iter().any(|text| text.contains("isolation")), "{told:?}");
}
