//! A scheduled message whose topic is not there waits by itself: others of its partition go in their time meanwhile, and it goes
//! once the topic is there (karafka.md section 3: scheduled messages).

use crate::support::{self, PATIENCE};
use karafka::{Admin, App, NewTopic, Producer, ProducerConfig, Record, ScheduledMessagesConfig};
use libkarafka_tests::{broker, topics, wait};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn a_scheduled_message_without_its_topic_holds_up_no_other() {
    let bootstrap = broker::shared();
    let target = topics::create(bootstrap, 1);
    let (missing, later) =
        (topics::unique("missing"), topics::create_with(bootstrap, 1, &[("cleanup.policy", "compact")]));
    let app = App::new(support::quick(bootstrap, &topics::unique("group"))).unwrap();
    let interval = Duration::from_millis(100);
    app.scheduled_messages(&later, ScheduledMessagesConfig { interval, ..ScheduledMessagesConfig::default() }).unwrap();
    app.start().unwrap();
    let config = ProducerConfig { bootstrap_servers: bootstrap.to_owned(), ..ProducerConfig::default() };
    let producer = Producer::new(config).unwrap();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let record = |topic| Record { topic, payload: Some(b"x"), ..Record::default() };
    producer.schedule(&later, &record(&missing), now).unwrap();
    let arrived = |topic: &str| topics::read(bootstrap, topic).len();
    producer.schedule(&later, &record(&target), now).unwrap();
    wait::until(PATIENCE, "the first", || arrived(&target) == 1);

    // The other one is on its way by now, and librdkafka waits half a minute for its topic.
    let began = Instant::now();
    for count in 2..6 {
        producer.schedule(&later, &record(&target), now).unwrap();
        wait::until(PATIENCE, "another", || arrived(&target) == count);
    }
    assert!(began.elapsed() < Duration::from_secs(15), "they were held up for {:?}", began.elapsed());
    let admin = Admin::connect(bootstrap, std::collections::BTreeMap::new(), PATIENCE).unwrap();
    let created = NewTopic { name: missing.clone(), partitions: Some(1), replicas: None, configs: Vec::new() };
    admin.create_topics(&[created]).unwrap();
    wait::until(PATIENCE, "the one whose topic was not there", || arrived(&missing) > 0);
    support::stop(&app);
    assert_eq!((arrived(&target), arrived(&missing)), (5, 1), "none twice");
}
