//! Asking a cluster to create or delete topics.
//!
//! Called from any thread; each call waits for the cluster's answer, within the admin's timeout. Nothing here touches an app.
//! The embedded broker knows no administration and would let such a request time out: it is recognised, and answered for at
//! once.

use crate::config::{ProducerConfig, validate_topic_name};
use crate::embedded::{self, EmbeddedBroker};
use crate::native::{Client, ClientKind, kind_of};
use crate::{Error, ErrorKind, Result};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const CONNECT: &str = "connect to a cluster";

/// Asks one cluster. Drop it to disconnect.
pub struct Admin {
    bootstrap_servers: String,
    timeout: Duration,
    target: Target,
}

enum Target {
    /// A broker inside this process.
    Own(EmbeddedBroker),
    /// The embedded broker of another process.
    Embedded,
    Cluster(AdminClient<Listener>),
}

/// Sends librdkafka's log on.
#[derive(Clone, Default)]
struct Listener;

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        tracing::debug!(?level, facility, text, "librdkafka");
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("bootstrap_servers", &self.bootstrap_servers).finish_non_exhaustive()
    }
}

impl Admin {
    /// Connects to a cluster, and waits for its first answer. `kafka` holds librdkafka's own settings, such as those for
    /// security; `timeout` bounds this and every later call.
    ///
    /// # Errors
    /// `Config` for a bad address or setting, `Broker` when nobody answers within the timeout.
    pub fn connect(bootstrap_servers: &str, kafka: BTreeMap<String, String>, timeout: Duration) -> Result<Self> {
        let config =
            ProducerConfig { bootstrap_servers: bootstrap_servers.to_owned(), kafka, ..ProducerConfig::default() };
        config.validate()?;
        let admin = |target| Self { bootstrap_servers: bootstrap_servers.to_owned(), timeout, target };
        if embedded::is_embedded(bootstrap_servers) {
            return Ok(admin(Target::Own(EmbeddedBroker::named(bootstrap_servers)?)));
        }
        let mut settings = ClientConfig::new();
        settings.extend(config.client_settings());
        settings.set("bootstrap.servers", bootstrap_servers);
        settings.set_log_level(RDKafkaLogLevel::Warning);
        if identify(&settings, timeout)?.starts_with(embedded::CLUSTER) {
            return Ok(admin(Target::Embedded));
        }
        let client = settings.create_with_context(Listener).map_err(refused)?;
        Ok(admin(Target::Cluster(client)))
    }

    /// Creates a topic with the cluster's default replication, and waits until it is there.
    ///
    /// # Errors
    /// `Config` for a bad name or a count below 1, `Broker` when the topic exists or the cluster refuses, `Auth` without the
    /// right to it, `Unsupported` on the embedded broker of another process.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        const OPERATION: &str = "create a topic";
        validate_topic_name(name)?;
        if partitions < 1 {
            let message = format!("a topic has at least 1 partition, not {partitions}");
            return Err(Error::new(ErrorKind::Config, OPERATION, message).with("topic", name));
        }
        match &self.target {
            Target::Own(broker) => broker.create_topic(name, partitions),
            Target::Embedded => {
                let hint = format!(
                    "start it with `libkarafka broker --topic {name}:{partitions}`; a topic that is only used comes into \
                     being with 4 partitions"
                );
                Err(self.unsupported(OPERATION, &hint).with("topic", name))
            }
            Target::Cluster(client) => {
                let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(-1));
                let created = self.wait(client.create_topics([&topic], &self.options()), OPERATION, name)?;
                self.judge(created, OPERATION, name)?;
                self.wait_for_partitions(client, name, partitions)
            }
        }
    }

    /// Deletes a topic and every record in it.
    ///
    /// # Errors
    /// As [`Self::create_topic`]; `Unsupported` on any embedded broker.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        const OPERATION: &str = "delete a topic";
        validate_topic_name(name)?;
        match &self.target {
            Target::Own(_) | Target::Embedded => {
                let hint = "its topics end with the process that it runs in";
                Err(self.unsupported(OPERATION, hint).with("topic", name))
            }
            Target::Cluster(client) => {
                let deleted = self.wait(client.delete_topics(&[name], &self.options()), OPERATION, name)?;
                self.judge(deleted, OPERATION, name)
            }
        }
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn wait<T>(
        &self,
        answer: impl Future<Output = Result<T, KafkaError>>,
        operation: &'static str,
        topic: &str,
    ) -> Result<T> {
        block_on(answer).map_err(|error| {
            let error = Error::new(ErrorKind::Broker, operation, error.to_string()).caused_by(error);
            error.with("topic", topic).with("bootstrap_servers", &self.bootstrap_servers)
        })
    }

    fn judge(&self, results: Vec<TopicResult>, operation: &'static str, topic: &str) -> Result<()> {
        for result in results {
            if let Err((_, refusal)) = result {
                let number = refusal as i32;
                let error = Error::new(kind_of(number), operation, refusal.to_string()).kafka_code(number);
                return Err(error.with("topic", topic).with("bootstrap_servers", &self.bootstrap_servers));
            }
        }
        Ok(())
    }

    /// A topic that was just created is not known to every broker at once.
    fn wait_for_partitions(&self, client: &AdminClient<Listener>, name: &str, partitions: i32) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        let wanted = usize::try_from(partitions).unwrap_or_default();
        while Instant::now() < deadline {
            let known = client.inner().fetch_metadata(Some(name), self.timeout);
            let there = |topic: &rdkafka::metadata::MetadataTopic| {
                topic.name() == name
                    && topic.partitions().iter().filter(|partition| partition.leader() >= 0).count() >= wanted
            };
            if known.is_ok_and(|known| known.topics().iter().any(there)) {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        let message = format!("it was created, but has no leaders after {:?}", self.timeout);
        Err(Error::new(ErrorKind::Timeout, "create a topic", message).with("topic", name).retriable())
    }

    fn unsupported(&self, operation: &'static str, hint: &str) -> Error {
        let message = format!("the embedded broker knows no administration: {hint}");
        Error::new(ErrorKind::Unsupported, operation, message).with("bootstrap_servers", &self.bootstrap_servers)
    }
}

/// The cluster's name for itself, or why it cannot be had. An admin client hears no reasons, so another one asks.
fn identify(settings: &ClientConfig, timeout: Duration) -> Result<String> {
    let settings: Vec<_> =
        settings.config_map().iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let client = Client::new(ClientKind::Admin, &settings, None)?;
    if let Some(id) = client.cluster_id(timeout) {
        return Ok(id);
    }
    let silence = client.silence(CONNECT, timeout);
    let error = Error::new(ErrorKind::Broker, CONNECT, silence.message()).retriable();
    let bootstrap = settings.iter().find(|(name, _)| name == "bootstrap.servers").map(|(_, value)| value.as_str());
    Err(error.with("bootstrap_servers", bootstrap.unwrap_or_default()))
}

fn refused(error: KafkaError) -> Error {
    Error::new(ErrorKind::Config, CONNECT, error.to_string()).caused_by(error)
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for an answer of the client's own thread. It always comes: every request carries a timeout.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
