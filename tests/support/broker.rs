//! A real Apache Kafka of one node (broker and controller in one) on free loopback ports.
//!
//! Called by tests and by `with-broker`, from any thread. Its data lies in a temporary directory and is removed with it.
//! It ends with this process, however this process ends. The jars are those that `tests/setup/install.sh kafka` has fetched.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::process::{Watchdog, signal, wait_for_end};

/// The environment variable that names a Kafka to use in place of one of our own.
pub const BOOTSTRAP: &str = "KAFKA_BOOTSTRAP";

const START_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// 16 bytes in base64, as Kafka wants a cluster id.
const CLUSTER_ID: &str = "bGlia2FyYWZrYS10ZXN0cw";

/// What Kafka warns of when it starts or stops, is stopped while it still loads its offsets, or has a busy machine.
const EXPECTED_WARNINGS: &[&str] = &[
    "Performing controller activation",
    "Attempting to close NetworkClient that has already been closed",
    "Stopped loading records from __consumer_offsets",
    "controller event queue overloaded",
    "sent a heartbeat request but received error REQUEST_TIMED_OUT",
];

/// The address of the Kafka that this test run shares: the one of [`BOOTSTRAP`], else one started now for this process.
pub fn shared() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    static OWN: OnceLock<Broker> = OnceLock::new();
    ADDRESS.get_or_init(|| std::env::var(BOOTSTRAP).unwrap_or_else(|_| OWN.get_or_init(Broker::start).bootstrap()))
}

/// A broker of one's own: for tests that stop, kill or restart it.
#[derive(Debug)]
pub struct Broker {
    directory: PathBuf,
    port: u16,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    java: Child,
    watchdog: Watchdog,
}

impl Broker {
    /// Starts an empty broker and returns when it answers. Panics with the end of its log when it does not.
    pub fn start() -> Self {
        Self::start_with(&[], |_, _| String::new())
    }

    /// [`start`](Self::start) with more for the formatting of the storage, and with more settings, which win over ours: `more`
    /// gets the ports of the plain listener and of the controller's.
    pub fn start_with(format: &[&str], more: impl FnOnce(u16, u16) -> String) -> Self {
        let (port, controller) = free_ports();
        let voters = format!("1@127.0.0.1:{controller}");
        let mut broker = Self::prepare(1, (port, controller), &voters, &more(port, controller), format);
        broker.run();
        broker
    }

    /// A broker that is ready to start: node `number` of a quorum of `voters`, with more settings that win over ours, and more
    /// for the formatting of its storage.
    pub(crate) fn prepare(
        number: usize,
        (port, controller): (u16, u16),
        voters: &str,
        more: &str,
        format: &[&str],
    ) -> Self {
        static PREPARED: AtomicU32 = AtomicU32::new(0);
        let count = PREPARED.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("karafka-broker-{}-{count}", std::process::id()));
        fs::create_dir_all(directory.join("tmp")).expect("cannot make the broker's directory");
        let broker = Self { directory, port, running: None };
        let properties = properties(&broker.directory, (port, controller), voters);
        fs::write(broker.file("server.properties"), format!("{properties}\nnode.id={number}\n{more}"))
            .expect("cannot write server.properties");
        broker.format(format);
        broker
    }

    /// The address for `bootstrap.servers`. It stays the same over [`restart`](Self::restart).
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops the broker in an orderly way; clients see their connections closed.
    pub fn stop(&mut self) {
        let orderly = self.stop_or_kill();
        assert!(orderly, "the broker did not stop within {STOP_DEADLINE:?}; the end of its log:\n{}", self.log_tail());
    }

    /// Stops the broker, with -9 where an orderly stop takes too long: its controller may be away. Returns whether it was orderly.
    pub fn stop_or_kill(&mut self) -> bool {
        let Some(mut running) = self.running.take() else { return true };
        signal(running.java.id(), "TERM");
        let orderly = wait_for_end(&mut running.java, STOP_DEADLINE).is_some();
        if !orderly {
            running.end();
        }
        orderly
    }

    /// Kills the broker with -9.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.end();
        }
    }

    /// Starts the broker again with the same data on the same port, after stopping it if it still runs.
    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Halts the broker without ending it: connections stay open and nobody answers.
    pub fn pause(&self) {
        signal(self.id(), "STOP");
    }

    /// Lets a halted broker go on.
    pub fn resume(&self) {
        signal(self.id(), "CONT");
    }

    /// What the broker logged: warnings and worse only.
    pub fn log(&self) -> String {
        fs::read_to_string(self.file("server.log")).unwrap_or_default()
    }

    /// The warnings and errors of the broker's log, without those that every start and stop brings.
    pub fn log_warnings(&self) -> Vec<String> {
        let is_unexpected = |line: &&str| {
            (line.contains(" WARN ") || line.contains(" ERROR "))
                && !EXPECTED_WARNINGS.iter().any(|expected| line.contains(expected))
        };
        self.log().lines().filter(is_unexpected).map(str::to_owned).collect()
    }

    fn id(&self) -> u32 {
        self.running.as_ref().expect("the broker is stopped").java.id()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn format(&self, more: &[&str]) {
        let output = self
            .java("kafka.tools.StorageTool")
            .args(["format", "--cluster-id", CLUSTER_ID, "--config", "server.properties"])
            .args(more)
            .output()
            .unwrap_or_else(|error| panic!("cannot run java ({error}): a JDK or JRE of 17 or newer is needed"));
        let text = || [output.stdout.as_slice(), b"\n", &output.stderr].concat();
        assert!(output.status.success(), "cannot format the storage:\n{}", String::from_utf8_lossy(&text()));
    }

    fn run(&mut self) {
        self.spawn();
        self.wait_until_it_answers();
    }

    /// Starts the broker, which does not run, again, and returns at once.
    pub fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.file("server.log")).expect("cannot open the log");
        let java = self
            .java("kafka.Kafka")
            .arg("server.properties")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("cannot share the log"))
            .stderr(log)
            .spawn()
            .expect("cannot run java");
        let watchdog = Watchdog::over(java.id(), &self.directory.to_string_lossy());
        self.running = Some(Running { java, watchdog });
    }

    /// Whether the broker has been started, and was not stopped or killed since.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Returns once the broker answers. Panics with the end of its log when it does not.
    pub(crate) fn wait_until_it_answers(&mut self) {
        let client: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create().expect("cannot make a client");
        let began = Instant::now();
        loop {
            if client.fetch_metadata(None, Duration::from_secs(1)).is_ok_and(|answer| !answer.brokers().is_empty()) {
                return;
            }
            let ended = self.running.as_mut().and_then(|running| running.java.try_wait().ok().flatten());
            if let Some(status) = ended {
                panic!("the broker ended with {status}; the end of its log:\n{}", self.log_tail());
            }
            let waited = began.elapsed();
            assert!(waited < START_DEADLINE, "no answer within {waited:?}; the end of its log:\n{}", self.log_tail());
        }
    }

    /// A small Java: a test needs a start in seconds, not the last word in throughput.
    fn java(&self, main: &str) -> Command {
        let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
        let java = home.filter(|java| java.exists()).unwrap_or_else(|| "java".into());
        let mut command = Command::new(java);
        command
            .current_dir(&self.directory)
            .args(["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"])
            .args(["-Djava.io.tmpdir=tmp", "-Djava.awt.headless=true"])
            .args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"])
            .arg("-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS")
            .arg("-cp")
            .arg(jars().join("*"))
            .arg(main);
        command
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Running {
    fn end(mut self) {
        let _ = self.java.kill();
        let _ = self.java.wait();
        drop(self.watchdog);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn jars() -> PathBuf {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/kafka/lib");
    jars.canonicalize().unwrap_or_else(|_| {
        panic!("no Kafka in {}: `tests/setup/install.sh kafka` fetches it, as `make test` does", jars.display())
    })
}

/// Two ports that nobody listens on.
pub(crate) fn free_ports() -> (u16, u16) {
    (free_port(), free_port())
}

/// A port that nobody listens on, below those that the system gives to outgoing connections: it stays free until it is used.
/// No call of this process gives the same one twice; other processes begin elsewhere.
pub(crate) fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const PORTS: u32 = 20_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(127);
    let free = || {
        let number = begin.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        u16::try_from(FIRST + number).ok().filter(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
    };
    (0..PORTS).find_map(|_| free()).expect("no free port")
}

/// A broker that reacts in milliseconds, keeps its files small and lets groups ask for short sessions.
fn properties(directory: &Path, (port, controller): (u16, u16), voters: &str) -> String {
    let data = directory.join("data");
    let addresses = format!(
        "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         controller.quorum.voters={voters}\n\
         log.dirs={}\n",
        data.display()
    );
    addresses + include_str!("server.properties")
}
