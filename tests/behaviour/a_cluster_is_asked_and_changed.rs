//! Beside the acceptance scenarios: an admin says what a cluster holds and changes it, tells what became of each item, and refuses in
//! words what cannot be.

use crate::languages::{self, LANGUAGES};
use crate::support::{PATIENCE, stop};
use karafka::{
    Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource, Admin, App, AppConfig, Batch, ConfigResource,
    Context, DeclaredTopic, Error, ErrorKind, Failure, NewTopic, Producer, ProducerConfig, SeekTo, TopicConfig,
    TransactionalProducer, handler_fn,
};
use libkarafka_tests::secured::{self, PASSWORD, SCRAM_USER};
use libkarafka_tests::topics::{self, Record};
use libkarafka_tests::{broker, group, wait};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

fn admin() -> Admin {
    Admin::connect(broker::shared(), BTreeMap::new(), Duration::from_secs(30)).unwrap()
}

#[test]
fn topics_and_their_settings() {
    let admin = admin();
    let name = topics::unique("made");
    let topic = |name: &str, partitions| NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replicas: Some(1),
        configs: vec![("retention.ms".to_owned(), "123456789".to_owned())],
    };
    admin.create_topics(&[topic(&name, 2)]).unwrap().into_iter().for_each(|(_, outcome)| outcome.unwrap());
    // One of two fails, and only that one.
    let other = topics::unique("other");
    let outcomes: BTreeMap<_, _> =
        admin.create_topics(&[topic(&name, 2), topic(&other, 1)]).unwrap().into_iter().collect();
    assert!(outcomes[&name].as_ref().unwrap_err().to_string().contains("already exists"));
    assert!(outcomes[&other].is_ok());
    assert_eq!(admin.topic(&name).unwrap().partitions.len(), 2);
    assert!(admin.topics().unwrap().iter().any(|found| found.name == other));
    admin.add_partitions(&name, 4).unwrap();
    assert_eq!(admin.topic(&name).unwrap().partitions.len(), 4);
    assert!(admin.add_partitions(&name, 3).is_err(), "a topic does not shrink");

    let of = ConfigResource::Topic(name.clone());
    let value = |name: &str| {
        let found = admin.configs(&of).unwrap().into_iter().find(|entry| entry.name == name).unwrap();
        (found.value, found.is_default)
    };
    assert_eq!(value("retention.ms"), (Some("123456789".to_owned()), false));
    let changes = [("retention.ms".to_owned(), None), ("cleanup.policy".to_owned(), Some("compact".to_owned()))];
    admin.alter_configs(&of, &changes).unwrap();
    wait::until(PATIENCE, "the new settings", || value("cleanup.policy").0.as_deref() == Some("compact"));
    assert!(value("retention.ms").1, "its default");
    assert!(admin.alter_configs(&of, &[("cleanup.policy".to_owned(), Some("nonsense".to_owned()))]).is_err());
    let refused = admin.alter_configs(&of, &[("nonsense".to_owned(), None)]).unwrap_err();
    assert!(refused.to_string().contains("has no setting \"nonsense\""), "{refused}");
    assert!(admin.configs(&ConfigResource::Broker(admin.cluster().unwrap().brokers[0].id)).unwrap().len() > 50);

    topics::produce(
        broker::shared(),
        &other,
        &(0..10).map(|number| Record::plain(number.to_string())).collect::<Vec<_>>(),
    );
    let marks = admin.watermarks(&other).unwrap();
    assert_eq!((marks[0].first, marks[0].end), (0, 10));
    let outcomes = admin.truncate(&other, &[(0, Some(4)), (7, None)]).unwrap();
    let outcomes: BTreeMap<_, _> = outcomes.into_iter().collect();
    assert_eq!(*outcomes[&0].as_ref().unwrap(), 4);
    let alone: BTreeMap<_, _> = admin.truncate(&other, &[(7, None)]).unwrap().into_iter().collect();
    for refused in [&outcomes[&7], &alone[&7]] {
        let said = refused.as_ref().unwrap_err().to_string();
        assert!(
            said.contains("the topic has 1 partitions, and not this one") && said.contains("partition: 7"),
            "{said}"
        );
    }
    assert_eq!(admin.watermarks(&other).unwrap()[0].first, 4);

    let outcomes: BTreeMap<_, _> = admin.delete_topics(&[&name, "not-there"]).unwrap().into_iter().collect();
    assert!(outcomes[&name].is_ok() && outcomes["not-there"].is_err());
    wait::until(PATIENCE, "the topic gone", || admin.topic(&name).is_err());
}

#[test]
fn groups_where_they_are_and_how_far_behind() {
    let bootstrap = broker::shared();
    let admin = admin();
    let (topic, group) = (topics::create(bootstrap, 2), topics::unique("asked"));
    let record = |number: i32| Record::plain(number.to_string()).to(number % 2);
    topics::produce(bootstrap, &topic, &(0..20).map(record).collect::<Vec<_>>());
    let config = AppConfig { bootstrap_servers: bootstrap.to_owned(), group: group.clone(), ..AppConfig::default() };
    let app = App::new(config).unwrap();
    app.topic(&topic, TopicConfig::default(), handler_fn(|_: &Batch, _: &Context| Ok::<(), Failure>(()))).unwrap();
    app.start().unwrap();
    wait::until(PATIENCE, "everything handled", || group::lag(bootstrap, &group, &topic) == 0);

    assert!(admin.groups().unwrap().iter().any(|found| found.group == group));
    let (_, described) = admin.describe_groups(&[&group]).unwrap().remove(0);
    let described = described.unwrap();
    assert_eq!((described.state.as_str(), described.members.len()), ("Stable", 1), "{described:?}");
    assert_eq!(described.members[0].partitions.len(), 2);
    let refused = admin.seek_group(&group, &topic, &[], SeekTo::Earliest);
    let refused = refused.and_then(|outcomes| outcomes.into_iter().try_for_each(|(_, outcome)| outcome.map(drop)));
    assert!(refused.unwrap_err().to_string().contains("the group has members"));
    let early = topics::unique("early");
    let refused = admin.rename_group(&group, &early).unwrap_err();
    assert!(refused.to_string().contains("the group has members"), "{refused}");
    assert!(admin.group_offsets(&early).unwrap().is_empty(), "what was refused leaves no copy");
    stop(&app);

    let moved: BTreeMap<_, _> =
        admin.seek_group(&group, &topic, &[0, 1, 5], SeekTo::Offset(3)).unwrap().into_iter().collect();
    assert_eq!((*moved[&0].as_ref().unwrap(), *moved[&1].as_ref().unwrap()), (3, 3));
    assert!(moved[&5].as_ref().unwrap_err().to_string().contains("no partition 5"));
    let lag = admin.lag(&group).unwrap();
    assert_eq!(lag.iter().map(|one| (one.partition, one.messages)).collect::<Vec<_>>(), [(0, 7), (1, 7)]);
    assert!(lag.iter().all(|one| one.age.is_some_and(|age| age < Duration::from_secs(600))), "{lag:?}");
    let outside = admin.seek_group(&group, &topic, &[0], SeekTo::Offset(11)).unwrap().remove(0).1;
    assert!(outside.unwrap_err().to_string().contains("outside of the log, 0 to 10"));
    let at = |to| admin.seek_group(&group, &topic, &[0], to).unwrap().remove(0).1.unwrap();
    assert_eq!((at(SeekTo::Time(0)), at(SeekTo::Latest), at(SeekTo::Earliest)), (0, 10, 0));

    let copy = topics::unique("copy");
    admin.copy_group(&group, &copy).unwrap().into_iter().for_each(|(_, outcome)| outcome.unwrap());
    assert_eq!(admin.group_offsets(&copy).unwrap(), admin.group_offsets(&group).unwrap());
    // A copy onto itself, deleted behind that, would be gone.
    assert_eq!(admin.rename_group(&copy, &copy).unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(admin.group_offsets(&copy).unwrap().len(), 2);
    let renamed = topics::unique("renamed");
    admin.rename_group(&copy, &renamed).unwrap();
    assert!(admin.group_offsets(&copy).unwrap().is_empty());
    assert_eq!(admin.group_offsets(&renamed).unwrap().len(), 2);
    admin.delete_group_offsets(&renamed, &topic, &[1]).unwrap().into_iter().for_each(|(_, outcome)| outcome.unwrap());
    assert_eq!(admin.group_offsets(&renamed).unwrap().len(), 1);
    let outcomes: BTreeMap<_, _> = admin.delete_groups(&[&renamed, "not-there"]).unwrap().into_iter().collect();
    assert!(outcomes[&renamed].is_ok() && outcomes["not-there"].is_err());
}

/// What is not committed yet may be, and is then to be handled.
#[test]
fn a_move_to_a_time_leaves_no_open_transaction_behind() {
    let (bootstrap, admin) = (broker::shared(), admin());
    let (topic, group) = (topics::create(bootstrap, 1), topics::unique("to-a-time"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let ago = |hours: i64| i64::try_from(now.as_millis()).unwrap() - 3_600_000 * hours;
    let old = karafka::Record { topic: &topic, timestamp_ms: Some(ago(2)), ..karafka::Record::default() };
    let config = ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() };
    Producer::new(config).unwrap().produce_many_sync(&[old; 3]).unwrap();
    let producer = TransactionalProducer::new(ProducerConfig {
        bootstrap_servers: bootstrap.to_owned(),
        transactional_id: Some(topics::unique("to-a-time")),
        ..ProducerConfig::default()
    })
    .unwrap();
    let moved = producer.transaction(|transaction| {
        let record = karafka::Record { topic: &topic, payload: Some(b"open"), ..karafka::Record::default() };
        transaction.produce_async(&record)?.wait(PATIENCE)?;
        admin.seek_group(&group, &topic, &[], SeekTo::Time(ago(1)))?.remove(0).1
    });
    assert_eq!(moved.map_err(|error: Error| error.to_string()), Ok(3), "the first record of that time");
}

fn rule(resource: AclResource, name: &str, pattern: AclPattern, operation: AclOperation) -> Acl {
    Acl {
        resource,
        name: name.to_owned(),
        pattern,
        principal: format!("User:{}", topics::unique("nobody")),
        host: "*".to_owned(),
        operation,
        permission: AclPermission::Allow,
    }
}

#[test]
fn access_rules_of_every_resource_and_pattern() {
    let bootstrap = secured::shared().bootstrap();
    let admin = Admin::connect(&bootstrap, BTreeMap::new(), Duration::from_secs(30)).unwrap();
    let deny = Acl {
        permission: AclPermission::Deny,
        host: "10.0.0.1".to_owned(),
        ..rule(AclResource::Group, "billing", AclPattern::Literal, AclOperation::Read)
    };
    let acls = [
        rule(AclResource::Topic, "orders-", AclPattern::Prefixed, AclOperation::Write),
        deny,
        rule(AclResource::Cluster, "kafka-cluster", AclPattern::Literal, AclOperation::AlterConfigs),
        rule(AclResource::TransactionalId, "*", AclPattern::Literal, AclOperation::All),
    ];
    admin.create_acls(&acls).unwrap().into_iter().for_each(|(_, outcome)| outcome.unwrap());
    for acl in &acls {
        let filter = AclFilter { principal: Some(acl.principal.clone()), ..AclFilter::default() };
        wait::until(PATIENCE, "the rule", || admin.acls(&filter).unwrap() == std::slice::from_ref(acl));
        let deleted = admin.delete_acls(&filter).unwrap();
        assert!(deleted.iter().all(|(_, outcome)| outcome.is_ok()));
        assert_eq!(deleted.iter().map(|(deleted, _)| deleted).collect::<Vec<_>>(), [acl]);
        wait::until(PATIENCE, "the rule gone", || admin.acls(&filter).unwrap().is_empty());
    }
    let vague = Acl { operation: AclOperation::Any, ..acls[0].clone() };
    assert_eq!(admin.create_acls(&[vague]).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn access_rules_in_every_language() {
    languages::build();
    let secured = secured::shared();
    let (open, guarded) = (secured.bootstrap(), secured.with_password());
    let mut programs = LANGUAGES.map(|language| {
        let words = [&*open, &topics::unique(language), &*guarded, SCRAM_USER, PASSWORD];
        (language, languages::script("rules", language, &words))
    });
    let ended =
        programs.each_mut().map(|(language, program)| (*language, program.wait(PATIENCE).code(), program.last_words()));
    assert!(ended.iter().all(|(_, code, _)| *code == Some(0)), "{ended:#?}");
    assert!(!ended.iter().any(|(_, _, words)| words.contains(PASSWORD)), "{ended:#?}");
}

#[test]
fn a_cluster_without_an_authorizer_has_no_rules_and_says_so() {
    let error = admin().acls(&AclFilter::default()).unwrap_err();
    assert_eq!((error.kind(), error.kafka()), (ErrorKind::Unsupported, Some(54)), "{error}");
}

#[test]
fn in_every_language() {
    languages::build();
    for language in LANGUAGES {
        let mut program = languages::administer(language, broker::shared(), &topics::unique(language));
        assert_eq!(program.wait(PATIENCE).code(), Some(0), "{language}: {}", program.last_words());
    }
}

#[test]
fn topics_as_they_are_declared() {
    let admin = admin();
    let (orders, old) = (topics::unique("declared"), topics::create(broker::shared(), 1));
    let declared = |partitions, retention: &str| {
        let configs = [("retention.ms".to_owned(), Some(retention.to_owned()))].into();
        let orders =
            DeclaredTopic { name: orders.clone(), partitions: Some(partitions), configs, ..DeclaredTopic::default() };
        [orders, DeclaredTopic { name: old.clone(), is_absent: true, ..DeclaredTopic::default() }]
    };
    let done = |partitions, retention: &str, is_allowed| {
        let steps = admin.plan(&declared(partitions, retention)).unwrap();
        let outcomes = admin.apply(&steps, is_allowed);
        outcomes.iter().map(|(_, outcome)| outcome.is_ok()).collect::<Vec<_>>()
    };
    assert_eq!(done(2, "1000000", false), [true, false], "made, and not deleted");
    assert!(admin.topic(&old).is_ok());
    wait::until(PATIENCE, "the topic as declared", || admin.plan(&declared(2, "1000000")).unwrap().len() == 1);
    assert_eq!(done(3, "900000", false), [true, false, false], "grown, but kept for no less time, and not deleted");
    wait::until(PATIENCE, "the partitions", || admin.plan(&declared(3, "900000")).unwrap().len() == 2);
    assert_eq!(done(3, "900000", true), [true, true]);
    wait::until(PATIENCE, "everything as declared", || admin.plan(&declared(3, "900000")).unwrap().is_empty());
    assert!(admin.topic(&old).is_err());

    // The test's brokers have set this one, so that it is no default of Kafka's, and is the cluster's.
    let default = |name: &str| {
        let configs = [(name.to_owned(), None)].into();
        admin.plan(&[DeclaredTopic { name: orders.clone(), configs, ..DeclaredTopic::default() }]).unwrap()
    };
    assert_eq!(default("retention.bytes"), [], "nobody has set it for the topic");
    assert_eq!(default("retention.ms").len(), 1);
    let mistyped = default("retention.milliseconds");
    assert!(mistyped[0].to_string().contains("there is no setting retention.milliseconds"), "{mistyped:?}");
}
