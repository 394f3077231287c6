//! A broker inside the process, for trying things out and for tests: librdkafka's mock cluster.
//!
//! It keeps everything in memory, at most 5 MiB or 100,000 batches a partition (older records are dropped silently), and ends
//! with the process. It knows no transactions, no access rules, no administration and no offsets by time.

use crate::lock::Mutex;
use crate::native::MockCluster;
use crate::{Error, ErrorKind, Result};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};

const SCHEME: &str = "embedded://";

/// How librdkafka's mock cluster names itself.
pub(crate) const CLUSTER: &str = "mockCluster";

/// Addresses of those that run in this process.
static ADDRESSES: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

type Brokers = Mutex<HashMap<(u32, String), EmbeddedBroker>>;
static BROKERS: OnceLock<Brokers> = OnceLock::new();

/// An embedded broker, shared by everything in the process that names it; ends with its last handle.
#[derive(Clone)]
pub struct EmbeddedBroker(Arc<Inner>);

struct Inner {
    process: u32,
    // Taken out, never dropped, in a forked child: the cluster's thread does not exist there.
    cluster: Option<MockCluster>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            std::mem::forget(self.cluster.take());
        }
        if let Some(cluster) = &self.cluster {
            ADDRESSES.lock().remove(&cluster.bootstrap());
        }
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddedBroker({})", self.bootstrap_servers())
    }
}

impl EmbeddedBroker {
    /// Starts a broker that only this handle knows.
    ///
    /// # Errors
    /// `Internal` when librdkafka cannot start it.
    pub fn start() -> Result<Self> {
        let cluster = MockCluster::start(1)?;
        ADDRESSES.lock().insert(cluster.bootstrap());
        let inner = Inner { process: std::process::id(), cluster: Some(cluster) };
        Ok(Self(Arc::new(inner)))
    }

    /// The broker behind an address `embedded://` or `embedded://name` in this process; starts it if it is not there.
    ///
    /// # Errors
    /// `Config` for another kind of address, `Internal` when librdkafka cannot start it.
    pub fn named(address: &str) -> Result<Self> {
        let Some(name) = address.strip_prefix(SCHEME) else {
            let message = format!("{address:?} does not begin with {SCHEME}");
            return Err(Error::new(ErrorKind::Config, "find the embedded broker", message));
        };
        // A forked child has no broker of its parent's: names are kept by process.
        let key = (std::process::id(), name.to_owned());
        let mut brokers = BROKERS.get_or_init(Brokers::default).lock();
        if let Some(broker) = brokers.get(&key) {
            return Ok(broker.clone());
        }
        let broker = Self::start()?;
        brokers.insert(key, broker.clone());
        Ok(broker)
    }

    /// The address by which clients reach it, also those of other processes on this machine.
    pub fn bootstrap_servers(&self) -> String {
        self.0.cluster.as_ref().map_or_else(String::new, MockCluster::bootstrap)
    }

    /// Creates a topic. Topics that are only used come into being with four partitions.
    ///
    /// # Errors
    /// `Config` for a count below 1, `Broker` when the topic exists.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        crate::shared::same_process(self.0.process, "create a topic")?;
        crate::config::validate_topic_name(name)?;
        if partitions < 1 {
            let message = format!("a topic has at least 1 partition, not {partitions}");
            return Err(Error::new(ErrorKind::Config, "create a topic", message).with("topic", name));
        }
        match &self.0.cluster {
            Some(cluster) => cluster.create_topic(name, partitions),
            None => Err(Error::new(ErrorKind::Stopped, "create a topic", "the broker has ended")),
        }
    }
}

/// Whether an address stands for an embedded broker.
pub(crate) fn is_embedded(address: &str) -> bool {
    address.starts_with(SCHEME)
}

/// Whether brokers are embedded in this process, by their own name or by the address of one.
pub(crate) fn is_in_process(brokers: &str) -> bool {
    is_embedded(brokers) || ADDRESSES.lock().contains(brokers)
}

/// The address to connect to: an embedded broker is started if it is not there.
pub(crate) fn resolve(address: &str) -> Result<String> {
    if is_embedded(address) { Ok(EmbeddedBroker::named(address)?.bootstrap_servers()) } else { Ok(address.to_owned()) }
}
