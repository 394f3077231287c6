//! A real Kafka with users, passwords, access rules, and listeners that clients reach through a proxy only.
//!
//! One for all tests of a process, started when the first one asks. Called by tests from any thread. Its plain listener is for
//! whoever sets a test up: everything is allowed there. On the listener of [`Secured::with_password`] users need a password, and
//! rules of [`crate::access`] for all that they do. The three of [`Secured::tls`] speak TLS. A [`Lane`] is a listener of its own whose address, as the broker tells it
//! to clients, is that of a proxy which the test starts (a [`crate::gate::Gate`], or [`crate::toxiproxy`]): what the
//! proxy does happens to no other test.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::broker::{Broker, free_port};
use crate::certificate::{Certificate, PASSWORD as KEY_STORE};

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
    /// By [`Shows`].
    tls: Vec<Tls>,
    lanes: Vec<Lane>,
    taken: AtomicUsize,
}

/// A listener that speaks TLS.
#[derive(Debug)]
pub struct Tls {
    /// Its address.
    pub address: String,
    /// Its certificate as PEM, which is its own authority.
    pub authority: String,
}

/// What certificate a listener of [`Secured::tls`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// One for its address. Users need a password, and rules, as on [`Secured::with_password`].
    Good,
    /// One for another host.
    AnotherHost,
    /// One that is out of date.
    Expired,
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
        let directory = std::env::temp_dir().join(format!("karafka-certificates-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory for certificates");
        let kinds = [("ip:127.0.0.1", 1, 30), ("dns:elsewhere", 1, 30), ("ip:127.0.0.1", 30, 20)];
        let certificates: Vec<_> = thread::scope(|scope| {
            let make = |(host, days_ago, days)| {
                scope.spawn({
                    let directory = &directory;
                    move || Certificate::make(directory, host, days_ago, days)
                })
            };
            let makers: Vec<_> = kinds.into_iter().map(make).collect();
            makers.into_iter().map(|maker| maker.join().expect("a certificate")).collect()
        });
        let ports: Vec<_> = certificates.iter().map(|_| free_port()).collect();
        let stores: Vec<_> = ports.iter().copied().zip(certificates.iter().map(|one| one.store.as_path())).collect();
        let scram = format!("SCRAM-SHA-256=[name={SCRAM_USER},password={PASSWORD}]");
        let broker = Broker::start_with(&["--add-scram", &scram], |plain, controller| {
            properties(plain, controller, with_password, &stores, &lanes)
        });
        std::fs::remove_dir_all(&directory).expect("what the broker has read");
        let listener =
            |(port, one): (u16, Certificate)| Tls { address: format!("127.0.0.1:{port}"), authority: one.pem };
        let tls = ports.into_iter().zip(certificates).map(listener).collect();
        Self { broker, with_password, tls, lanes, taken: AtomicUsize::new(0) }
    }

    /// The address where everything is allowed.
    pub fn bootstrap(&self) -> String {
        self.broker.bootstrap()
    }

    /// The address where users need a password and rules.
    pub fn with_password(&self) -> String {
        format!("127.0.0.1:{}", self.with_password)
    }

    /// A listener that speaks TLS.
    pub fn tls(&self, shows: Shows) -> &Tls {
        &self.tls[shows as usize]
    }

    /// A lane that no other test has.
    pub fn lane(&self) -> Lane {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        *self.lanes.get(number).expect("more lanes are needed: raise LANES")
    }
}

fn properties(plain: u16, controller: u16, with_password: u16, stores: &[(u16, &Path)], lanes: &[Lane]) -> String {
    let plain = format!("PLAINTEXT://127.0.0.1:{plain}");
    let guarded = format!("GUARDED://127.0.0.1:{with_password}");
    let mut listeners = vec![plain.clone(), format!("CONTROLLER://127.0.0.1:{controller}"), guarded.clone()];
    let mut advertised = vec![plain, guarded];
    let mut protocols = vec!["PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_PLAINTEXT".to_owned()];
    let mut more = Vec::new();
    for (number, (port, store)) in stores.iter().enumerate() {
        listeners.push(format!("TLS{number}://127.0.0.1:{port}"));
        advertised.push(format!("TLS{number}://127.0.0.1:{port}"));
        protocols.push(format!("TLS{number}:{}", if number == Shows::Good as usize { "SASL_SSL" } else { "SSL" }));
        let setting = format!("listener.name.tls{number}.ssl.keystore");
        more.push(format!(
            "{setting}.type=PKCS12\n{setting}.password={KEY_STORE}\n{setting}.location={}\n",
            store.display()
        ));
    }
    for (number, lane) in lanes.iter().enumerate() {
        listeners.push(format!("LANE{number}://127.0.0.1:{}", lane.broker));
        advertised.push(format!("LANE{number}://127.0.0.1:{}", lane.proxy));
        protocols.push(format!("LANE{number}:PLAINTEXT"));
    }
    let modules = "org.apache.kafka.common.security";
    for listener in ["guarded", "tls0"] {
        more.push(format!(
            "listener.name.{listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
             listener.name.{listener}.plain.sasl.jaas.config={modules}.plain.PlainLoginModule required \
             user_{PLAIN_USER}=\"{PASSWORD}\";\n\
             listener.name.{listener}.scram-sha-256.sasl.jaas.config={modules}.scram.ScramLoginModule required;\n"
        ));
    }
    format!(
        "listeners={}\n\
         advertised.listeners={}\n\
         listener.security.protocol.map={}\n\
         num.network.threads=1\n\
         authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:ANONYMOUS\n\
         {}",
        listeners.join(","),
        advertised.join(","),
        protocols.join(","),
        more.concat(),
    )
}
