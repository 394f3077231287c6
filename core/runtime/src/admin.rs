//! Asking a cluster about itself, and changing what it keeps: topics, settings, consumer groups, access rules.
//!
//! Called from any thread, by several at once; each call waits for the cluster's answer, within the admin's timeout. Nothing here
//! touches an app. What is done to several items has an outcome for each of them. The embedded broker knows hardly any
//! administration and would let such a request time out: it is recognised, and answered for at once.

mod acls;
mod answer;
mod configs;
mod groups;
mod lag;
mod plan;
mod request;
mod topics;

use crate::config::AdminConfig;
use crate::embedded::{self, EmbeddedBroker};
use crate::native::{Client, code, describe, kind_of};
use crate::reader::client_settings;
use crate::{Error, ErrorKind, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use acls::{Acl, AclFilter, AclOperation, AclPattern, AclPermission, AclResource};
pub use answer::Answer;
pub use configs::{ConfigEntry, ConfigResource};
pub use groups::{GroupDescription, GroupListing, GroupMember, GroupOffset};
pub use lag::PartitionLag;
pub use plan::{DeclaredTopic, Step};
pub use topics::{NewTopic, PartitionDescription, TopicDescription, Watermarks};

const CONNECT: &str = "connect to a cluster";

/// What became of each item.
pub type Outcomes<T, V = ()> = Vec<(T, Result<V>)>;

/// Asks one cluster. Clones share its connection, which ends with the last of them.
#[derive(Clone)]
pub struct Admin {
    config: AdminConfig,
    timeout: Duration,
    target: Target,
    client: Arc<Client>,
    process: u32,
}

impl Drop for Admin {
    /// In a forked child the client is leaked: its threads do not exist there.
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(Arc::clone(&self.client));
        }
    }
}

#[derive(Clone)]
enum Target {
    /// A broker inside this process.
    Own(EmbeddedBroker),
    /// The embedded broker of another process.
    Embedded,
    Cluster,
}

/// A broker of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Broker {
    /// Its number.
    pub id: i32,
    /// The host that it tells clients to connect to.
    pub host: String,
    /// The port, as well.
    pub port: i32,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClusterDescription {
    /// How it names itself.
    pub id: String,
    /// Its brokers, by number.
    pub brokers: Vec<Broker>,
    /// How many topics the user may see.
    pub topics: usize,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("bootstrap_servers", &self.config.bootstrap_servers).finish_non_exhaustive()
    }
}

impl Admin {
    /// Connects to a cluster, and waits for its first answer. `kafka` holds librdkafka's own settings, such as those for
    /// security; `timeout` bounds this and every later call.
    ///
    /// # Errors
    /// `Config` for a bad address or setting, `Auth` when the cluster does not let us in, `Broker` when nobody answers within the
    /// timeout.
    pub fn connect(bootstrap_servers: &str, kafka: BTreeMap<String, String>, timeout: Duration) -> Result<Self> {
        let bootstrap_servers = bootstrap_servers.to_owned();
        Self::new(AdminConfig { bootstrap_servers, timeout, kafka, ..AdminConfig::default() })
    }

    /// Connects to a cluster, and waits for its first answer.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub fn new(config: AdminConfig) -> Result<Self> {
        let client = Client::new(&client_settings(&config.reader_config())?, None)?;
        let (bootstrap_servers, timeout) = (config.bootstrap_servers.as_str(), config.timeout);
        let target = if embedded::is_embedded(bootstrap_servers) {
            Target::Own(EmbeddedBroker::named(bootstrap_servers)?)
        } else if let Some(id) = client.cluster_id(timeout) {
            if id.starts_with(embedded::CLUSTER) { Target::Embedded } else { Target::Cluster }
        } else {
            let silence = client.silence(CONNECT, timeout);
            let kind = if silence.kind() == ErrorKind::Auth { ErrorKind::Auth } else { ErrorKind::Broker };
            let error = Error::new(kind, CONNECT, silence.message()).retriable();
            return Err(error.with("bootstrap_servers", bootstrap_servers));
        };
        Ok(Self { config, timeout, target, client: Arc::new(client), process: std::process::id() })
    }

    /// The same admin, with another bound for its calls.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let mut same = self.clone();
        same.timeout = timeout;
        same
    }

    /// The cluster and its brokers.
    ///
    /// # Errors
    /// `Timeout` when nobody answers.
    pub fn cluster(&self) -> Result<ClusterDescription> {
        const OPERATION: &str = "describe the cluster";
        let id = self.client.cluster_id(self.timeout);
        let id = id.ok_or_else(|| self.named(self.client.silence(OPERATION, self.timeout)))?;
        let cluster = self.client.cluster(None, OPERATION, self.timeout).map_err(|error| self.named(error))?;
        let mut brokers: Vec<_> =
            cluster.brokers.into_iter().map(|(id, host, port)| Broker { id, host, port }).collect();
        brokers.sort_by_key(|broker| broker.id);
        Ok(ClusterDescription { id, brokers, topics: cluster.topics.len() })
    }

    fn named(&self, error: Error) -> Error {
        error.with("bootstrap_servers", &self.config.bootstrap_servers)
    }

    /// Its client, which fetches nothing: brokers answer the requests of a connection one after the other, and what comes
    /// behind a fetch that waits for records waits with it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Refuses what an embedded broker cannot do.
    fn must_be_real(&self, operation: &'static str) -> Result<()> {
        match self.target {
            Target::Cluster => Ok(()),
            Target::Own(_) | Target::Embedded => Err(self.unsupported(operation, "use a real one for this")),
        }
    }

    fn unsupported(&self, operation: &'static str, hint: &str) -> Error {
        let message = format!("the embedded broker knows no administration: {hint}");
        self.named(Error::new(ErrorKind::Unsupported, operation, message))
    }
}

/// An item's code as an outcome.
fn judged(number: i32, text: &str, operation: &'static str) -> Result<()> {
    if number == code::NO_ERROR {
        return Ok(());
    }
    let text = if text.is_empty() { describe(number) } else { text.to_owned() };
    Err(Error::new(kind_of(number), operation, text).kafka_code(number))
}
