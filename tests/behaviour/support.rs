//! What behaviours share: records to produce, and members of a group in this process and in others.

use karafka::{App, AppConfig, Event, Events, Failure, GroupProtocol, TopicConfig, VirtualPartitions, handler_fn};
use libkarafka_tests::fleet::Fleet;
use libkarafka_tests::process::Program;
use libkarafka_tests::record::{Place, Record as Seen};
use libkarafka_tests::topics::{self, Message, Record};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long an effect may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Produces `count` records over this many keys, in order per key.
pub fn produce_keyed(bootstrap: &str, topic: &str, keys: usize, count: usize) -> Vec<Message> {
    let records: Vec<_> =
        (0..count).map(|number| Record::keyed(format!("key-{}", number % keys), number.to_string())).collect();
    topics::produce(bootstrap, topic, &records)
}

/// An app of this process for one topic by key, whose handler calls `work` between begin and end of each record.
pub fn app(
    bootstrap: &str,
    group: &str,
    topic: &str,
    seen: &Arc<Seen>,
    work: impl Fn(&Place, Option<&[u8]>) -> Result<(), Failure> + Send + Sync + 'static,
) -> App {
    let config = AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: group.to_owned(),
        concurrency: 10,
        ..AppConfig::default()
    };
    let app = App::new(config).unwrap();
    let seen = Arc::clone(seen);
    let handler = handler_fn(move |batch, _| {
        for message in batch.iter() {
            let place = place(&message);
            seen.began(place.clone(), message.key());
            match work(&place, message.key()) {
                Ok(()) => seen.finished(place),
                Err(failure) => {
                    seen.failed(place);
                    return Err(failure);
                }
            }
        }
        Ok(())
    });
    let config = TopicConfig { virtual_partitions: VirtualPartitions::ByKey, ..TopicConfig::default() };
    app.topic(topic, config, handler).unwrap();
    app
}

/// How the members of a group share partitions: cooperatively, eagerly, or as the broker says (KIP-848).
pub const COOPERATIVE: fn(&mut AppConfig) = |config| {
    let quick = [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "500")];
    config.kafka.extend(quick.map(|(name, value)| (name.to_owned(), value.to_owned())));
};
pub const EAGER: fn(&mut AppConfig) = |config| {
    COOPERATIVE(config);
    "range".clone_into(&mut config.assignment_strategy);
};
pub const BY_THE_BROKER: fn(&mut AppConfig) = |config| config.group_protocol = GroupProtocol::Consumer;

/// What an app of this process starts from: it commits ten times a second.
pub fn quick(bootstrap: &str, group: &str) -> AppConfig {
    AppConfig {
        bootstrap_servers: bootstrap.to_owned(),
        group: group.to_owned(),
        commit_interval: Duration::from_millis(100),
        ..AppConfig::default()
    }
}

/// Where a message lies.
pub fn place(message: &karafka::Message<'_>) -> Place {
    Place { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() }
}

/// The next event that fits.
pub fn wait_event(events: &Events, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        match events.next(PATIENCE) {
            Ok(event) if fits(&event) => return event,
            Ok(_) => {}
            Err(end) => panic!("no event that tells of {what}: {end:?}"),
        }
    }
    panic!("within {PATIENCE:?} no event told of {what}")
}

/// Stops an app and waits until it has ended as it should.
pub fn stop(app: &App) {
    app.stop();
    assert!(app.join(Some(PATIENCE)).unwrap(), "the app did not stop in {PATIENCE:?}");
}

/// A member of a group in a process of its own; `more` are its options.
pub fn member(bootstrap: &str, group: &str, topic: &str, more: &[&str]) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_member"));
    command.arg(format!("brokers={bootstrap}")).arg(format!("group={group}")).arg(format!("topic={topic}"));
    command.arg("topic.virtual_partitions=by_key").args(more);
    Program::start(&mut command)
}

/// A group whose members are processes of their own; `options` are for each of them.
pub fn fleet(bootstrap: &str, group: &str, topic: &str, options: &[&str]) -> Fleet {
    Fleet::new(env!("CARGO_BIN_EXE_member"), bootstrap, group, topic, options)
}

/// A group whose members send on to a topic what they read, in short transactions of which one in a hundred fails; a session ends
/// soon after its member.
pub fn senders(bootstrap: &str, group: &str, from: &str, to: &str) -> Fleet {
    let sends_to = format!("sends_to={to}");
    let options = [
        sends_to.as_str(),
        "fails=1",
        "workers=4",
        "app.transaction_timeout=3s",
        "topic.max_messages=5",
        "topic.retry_backoff=20ms",
        "kafka.session.timeout.ms=2000",
        "kafka.heartbeat.interval.ms=400",
    ];
    fleet(bootstrap, group, from, &options)
}

/// How many records the members have finished, as far as their lines tell.
pub fn finished(members: &[&Program]) -> usize {
    members.iter().flat_map(|member| member.lines()).filter(|line| line.contains("\tfinished\t")).count()
}

/// Waits until a member has partitions.
pub fn wait_assigned(member: &Program) {
    let assigned = |line: &str| line.contains("rebalance.partitions_assigned") && !line.contains("partitions=\"\"");
    member.wait_for_line(PATIENCE, "partitions of its own", assigned);
}

/// The command, built once.
pub fn libkarafka() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let flags =
            std::env::var("CARGO_FLAGS").unwrap_or_else(|_| "--no-default-features --features system-ssl".into());
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "-q", "--locked", "-p", "karafka-cli"]).args(flags.split_whitespace());
        assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
        PathBuf::from(env!("CARGO_BIN_EXE_member")).with_file_name("libkarafka")
    };
    BUILT.get_or_init(build).clone()
}
