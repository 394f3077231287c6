//! Topics on a real Kafka: made, filled, read back and removed.
//!
//! Called by tests from any thread. Every topic has a name of its own, so that tests run side by side on one broker.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message as _, OwnedHeaders};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, message::BorrowedMessage};

use crate::wait;

const ANSWER: Duration = Duration::from_secs(30);
/// Longer than a broker that is down in a test stays down.
const PATIENCE: Duration = Duration::from_secs(240);

/// A record to be produced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// The key; records with the same key go to the same partition.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub payload: Vec<u8>,
    /// The partition; by default the producer's partitioner decides.
    pub partition: Option<i32>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// A record with a key.
    pub fn keyed(key: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self { key: Some(key.as_ref().to_vec()), payload: payload.as_ref().to_vec(), ..Self::default() }
    }

    /// A record without a key.
    pub fn plain(payload: impl AsRef<[u8]>) -> Self {
        Self { payload: payload.as_ref().to_vec(), ..Self::default() }
    }

    /// The same record for a given partition.
    #[must_use]
    pub fn to(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }
}

/// A record as it lies in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A name that no other test of any run uses, good for topics and groups.
pub fn unique(prefix: &str) -> String {
    static NAMED: AtomicU32 = AtomicU32::new(0);
    let number = NAMED.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    format!("{prefix}-{time:x}-{}-{number}", std::process::id())
}

/// Makes a topic with a unique name and returns the name once every partition has a leader.
pub fn create(bootstrap: &str, partitions: i32) -> String {
    create_with(bootstrap, partitions, &[])
}

/// Like [`create`], with settings of the topic (`cleanup.policy`, ...).
pub fn create_with(bootstrap: &str, partitions: i32, settings: &[(&str, &str)]) -> String {
    let name = unique("topic");
    create_named(bootstrap, &name, partitions, 1, settings);
    name
}

/// Like [`create_with`], with a name and a number of replicas.
pub fn create_named(bootstrap: &str, name: &str, partitions: i32, replicas: i32, settings: &[(&str, &str)]) {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let answer = wait::block_on(admin(bootstrap).create_topics([&topic], &options)).expect("cannot create a topic");
    assert!(answer.iter().all(Result::is_ok), "cannot create topic {name}: {answer:?}");
    wait_for_leaders(bootstrap, name, partitions);
}

/// Makes many topics of one partition at once, and returns when each has a leader.
pub fn create_many(bootstrap: &str, names: &[String]) {
    let topics: Vec<_> = names.iter().map(|name| NewTopic::new(name, 1, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let answer = wait::block_on(admin(bootstrap).create_topics(&topics, &options)).expect("cannot create topics");
    assert!(answer.iter().all(Result::is_ok), "cannot create topics: {answer:?}");
    let client = reader(bootstrap);
    wait::until(ANSWER, "leaders of many topics", || {
        let Ok(metadata) = client.fetch_metadata(None, ANSWER) else { return false };
        let led = |topic: &&MetadataTopic| topic.partitions().first().is_some_and(|one| one.leader() >= 0);
        let ready: HashSet<&str> = metadata.topics().iter().filter(led).map(MetadataTopic::name).collect();
        names.iter().all(|name| ready.contains(name.as_str()))
    });
}

/// Adds partitions, so that the topic has this many.
pub fn grow(bootstrap: &str, topic: &str, partitions: i32) {
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let wanted = NewPartitions::new(topic, partitions as usize);
    let answer =
        wait::block_on(admin(bootstrap).create_partitions([&wanted], &options)).expect("cannot add partitions");
    assert!(answer.iter().all(Result::is_ok), "cannot add partitions to {topic}: {answer:?}");
    wait_for_leaders(bootstrap, topic, partitions);
}

fn wait_for_leaders(bootstrap: &str, topic: &str, partitions: i32) {
    let client = reader(bootstrap);
    wait::until(wait::LONG, &format!("leaders for topic {topic}"), || {
        let Ok(metadata) = client.fetch_metadata(Some(topic), ANSWER) else { return false };
        metadata.topics().iter().any(|topic| {
            topic.partitions().len() == partitions as usize && topic.partitions().iter().all(|one| one.leader() >= 0)
        })
    });
}

/// Removes all records below the offset from the log of a partition.
pub fn delete_records(bootstrap: &str, topic: &str, partition: i32, before: i64) {
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(before)).expect("an offset");
    let answer = wait::block_on(admin(bootstrap).delete_records(&list, &options)).expect("cannot delete records");
    assert!(answer.elements().iter().all(|one| one.error().is_ok()), "cannot delete records of {topic}: {answer:?}");
}

/// Produces the records in one transaction, and ends it one way or the other. A control record follows each partition's.
pub fn produce_in_transaction(bootstrap: &str, topic: &str, records: &[Record], is_committed: bool) -> Vec<Message> {
    let id = unique("transaction");
    let (producer, places) = producer(bootstrap, records.len(), &[("transactional.id", &id)]);
    producer.init_transactions(wait::LONG).expect("cannot begin with transactions");
    producer.begin_transaction().expect("cannot begin a transaction");
    let messages = produce_with(&producer, &places, topic, records);
    let ended =
        if is_committed { producer.commit_transaction(wait::LONG) } else { producer.abort_transaction(wait::LONG) };
    ended.expect("cannot end the transaction");
    messages
}

/// Removes a topic.
pub fn delete(bootstrap: &str, topic: &str) {
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    let answer = wait::block_on(admin(bootstrap).delete_topics(&[topic], &options)).expect("cannot delete a topic");
    assert!(answer.iter().all(Result::is_ok), "cannot delete topic {topic}: {answer:?}");
}

/// Produces the records and returns where each of them lies, in the order given, once all are acknowledged.
pub fn produce(bootstrap: &str, topic: &str, records: &[Record]) -> Vec<Message> {
    let (producer, places) = producer(bootstrap, records.len(), &[]);
    produce_with(&producer, &places, topic, records)
}

type AllPlaces = Arc<Mutex<Vec<Acknowledged>>>;

fn producer(bootstrap: &str, records: usize, settings: &[(&str, &str)]) -> (BaseProducer<Places>, AllPlaces) {
    let places = Arc::new(Mutex::new(vec![None; records]));
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("enable.idempotence", "true").set("linger.ms", "2");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer = config.create_with_context(Places(Arc::clone(&places))).expect("cannot make a producer");
    (producer, places)
}

fn produce_with(producer: &BaseProducer<Places>, places: &AllPlaces, topic: &str, records: &[Record]) -> Vec<Message> {
    for (number, record) in records.iter().enumerate() {
        let mut headers = OwnedHeaders::new();
        for (key, value) in &record.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut next = BaseRecord::with_opaque_to(topic, number).payload(&record.payload).headers(headers);
        next.key = record.key.as_ref();
        next.partition = record.partition;
        while let Err((error, back)) = producer.send(next) {
            assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "cannot produce to {topic}");
            producer.poll(Duration::from_millis(100));
            next = back;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(Timeout::After(PATIENCE)).expect("not everything was acknowledged");
    let places = places.lock();
    let at = |(record, place): (&Record, &Acknowledged)| {
        let (partition, offset) = place.unwrap_or_else(|| panic!("no acknowledgement for {record:?}"));
        let record = record.clone();
        let (key, payload, headers) = (record.key, Some(record.payload), record.headers);
        Message { topic: topic.to_owned(), partition, offset, key, payload, headers }
    };
    records.iter().zip(places.iter()).map(at).collect()
}

/// The offset after the last record, per partition.
pub fn log_end(bootstrap: &str, topic: &str) -> BTreeMap<i32, i64> {
    let client = reader(bootstrap);
    let end = |partition| client.fetch_watermarks(topic, partition, ANSWER).expect("cannot ask for the log end").1;
    partitions(&client, topic).into_iter().map(|partition| (partition, end(partition))).collect()
}

/// Every committed record of the topic, partition by partition in the order of the log.
pub fn read(bootstrap: &str, topic: &str) -> Vec<Message> {
    let client = reader(bootstrap);
    let mut open = partitions(&client, topic);
    let mut list = TopicPartitionList::new();
    for &partition in &open {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a partition of the list");
    }
    client.assign(&list).expect("cannot assign");
    let mut messages = Vec::new();
    while !open.is_empty() {
        match client.poll(wait::LONG) {
            Some(Ok(message)) => messages.push(owned(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => open.retain(|&other| other != partition),
            Some(Err(error)) => panic!("cannot read {topic}: {error}"),
            None => panic!("the end of {topic} was not reached; partitions left: {open:?}"),
        }
    }
    messages.sort_by_key(|message| (message.partition, message.offset));
    messages
}

/// Every committed record of the topic once no transaction is open in it. A process that was killed leaves one open that its
/// heirs need not wait for, and the end of one reaches partition by partition: readers wait there.
pub fn read_decided(bootstrap: &str, topic: &str) -> Vec<Message> {
    wait::until(wait::LONG, &format!("no transaction left open in {topic}"), || is_decided(bootstrap, topic));
    read(bootstrap, topic)
}

/// Whether no transaction is open in the topic: all that it will ever show is visible, or never will be.
fn is_decided(bootstrap: &str, topic: &str) -> bool {
    let uncommitted: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "libkarafka-tests-reader")
        .set("isolation.level", "read_uncommitted")
        .create()
        .expect("cannot make a consumer");
    let committed = reader(bootstrap);
    partitions(&committed, topic).into_iter().all(|partition| {
        let end = |client: &BaseConsumer| client.fetch_watermarks(topic, partition, ANSWER).ok();
        end(&committed).is_some_and(|stable| end(&uncommitted) == Some(stable))
    })
}

/// Whether the topic is there.
pub fn exists(bootstrap: &str, topic: &str) -> bool {
    let metadata = reader(bootstrap).fetch_metadata(Some(topic), ANSWER).expect("cannot ask for metadata");
    metadata.topics().iter().any(|one| one.name() == topic && one.error().is_none())
}

/// Whether every partition of every topic has a leader and this many replicas in sync.
pub fn are_replicas_in_sync(bootstrap: &str, replicas: i32) -> bool {
    let Ok(metadata) = reader(bootstrap).fetch_metadata(None, ANSWER) else { return false };
    let mut partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
    partitions.all(|one| one.leader() >= 0 && one.isr().len() == replicas as usize)
}

/// A plain consumer without a group that tells where a partition ends.
fn reader(bootstrap: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "libkarafka-tests-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("cannot make a consumer")
}

pub(crate) fn admin(bootstrap: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", bootstrap).create().expect("cannot make an administration client")
}

fn partitions(client: &BaseConsumer, topic: &str) -> Vec<i32> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER).expect("cannot ask for metadata");
    let topic = metadata.topics().iter().find(|one| one.name() == topic).expect("metadata for another topic");
    assert!(topic.error().is_none(), "topic {}: {:?}", topic.name(), topic.error());
    topic.partitions().iter().map(MetadataPartition::id).collect()
}

fn owned(message: &BorrowedMessage<'_>) -> Message {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Message {
        topic: message.topic().to_owned(),
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|one| (one.key.to_owned(), one.value.unwrap_or_default().to_vec())).collect(),
    }
}

/// Partition and offset, once acknowledged.
type Acknowledged = Option<(i32, i64)>;

/// Where each record of one call of [`produce`] was put, by its number.
struct Places(Arc<Mutex<Vec<Acknowledged>>>);

impl ClientContext for Places {}

impl ProducerContext for Places {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, number: usize) {
        if let Ok(message) = result {
            self.0.lock()[number] = Some((message.partition(), message.offset()));
        }
    }
}
