//! A real Kafka with users, passwords, access rules, and listeners that clients reach through a proxy only.
//!
//! One for all tests of a process, started when the first one asks. Called by tests from any thread. Its plain listener is for
//! whoever sets a test up: everything is allowed there. On the listener of [`Secured::with_password`] users need a password, and
//! rules of [`crate::access`] for all that they do. A [`Lane`] is a listener of its own whose address, as the broker tells it
//! to clients, is that of a proxy which the test starts (a [`crate::gate::Gate`], or [`crate::toxiproxy`]): what the
//! proxy does happens to no other test.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::broker::{Broker, free_port};

/// A user by PLAIN.
pub const PLAIN_USER: &str = "ada";
/// A user by SCRAM-SHA-256.
pub const SCRAM_USER: &str = "grace";
/// The password of both. Nothing else contains these letters, so that it is found wherever it leaks.
pub const PASSWORD: &str = "Xq7-very-secret-Zr4";

const LANES: usize = 32;

/// The broker and its addresses.
#[derive(Debug)]
pub struct Secured {
    broker: Broker,
    with_password: u16,
    lanes: Vec<Lane>,
    taken: AtomicUsize,
}

/// A listener that clients reach through a proxy only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Where the proxy must listen.
    pub proxy: u16,
    /// Where the broker does.
    pub broker: u16,
}

impl Lane {
    /// The address for clients, once a proxy is there.
    pub fn bootstrap(self) -> String {
        format!("127.0.0.1:{}", self.proxy)
    }
}

/// The broker that all tests of this process share.
pub fn shared() -> &'static Secured {
    static SHARED: OnceLock<Secured> = OnceLock::new();
    SHARED.get_or_init(Secured::start)
}

impl Secured {
    fn start() -> Self {
        let with_password = free_port();
        let lanes: Vec<_> = (0..LANES).map(|_| Lane { proxy: free_port(), broker: free_port() }).collect();
        let scram = format!("SCRAM-SHA-256=[name={SCRAM_USER},password={PASSWORD}]");
        let broker = Broker::start_with(&["--add-scram", &scram], |plain, controller| {
            properties(plain, controller, with_password, &lanes)
        });
        Self { broker, with_password, lanes, taken: AtomicUsize::new(0) }
    }

    /// The address where everything is allowed.
    pub fn bootstrap(&self) -> String {
        self.broker.bootstrap()
    }

    /// The address where users need a password and rules.
    pub fn with_password(&self) -> String {
        format!("127.0.0.1:{}", self.with_password)
    }

    /// A lane that no other test has.
    pub fn lane(&self) -> Lane {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        *self.lanes.get(number).expect("more lanes are needed: raise LANES")
    }
}

fn properties(plain: u16, controller: u16, with_password: u16, lanes: &[Lane]) -> String {
    let plain = format!("PLAINTEXT://127.0.0.1:{plain}");
    let guarded = format!("GUARDED://127.0.0.1:{with_password}");
    let mut listeners = vec![plain.clone(), format!("CONTROLLER://127.0.0.1:{controller}"), guarded.clone()];
    let mut advertised = vec![plain, guarded];
    let mut protocols = vec!["PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT".to_owned()];
    for (number, lane) in lanes.iter().enumerate() {
        listeners.push(format!("LANE{number}://127.0.0.1:{}", lane.broker));
        advertised.push(format!("LANE{number}://127.0.0.1:{}", lane.proxy));
        protocols.push(format!("LANE{number}:PLAINTEXT"));
    }
    let modules = "org.apache.kafka.common.security";
    format!(
        "listeners={}\n\
         advertised.listeners={}\n\
         listener.security.protocol.map={}\n\
         num.network.threads=1\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         listener.name.guarded.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
         listener.name.guarded.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required \
         user_{PLAIN_USER}=\"{PASSWORD}\";\n\
         listener.name.guarded.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n",
        listeners.join(","),
        advertised.join(","),
        protocols.join(","),
    )
}
