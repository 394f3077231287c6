//! `libkarafka doctor`: what is wrong between this machine and a cluster, in words.
//!
//! Runs on the main thread; opens connections and asks, and changes nothing but where it is told to look at clocks. Each finding is one line; the first that is wrong explains
//! most of what follows it.

mod clocks;
mod versions;

use crate::Cluster;
use crate::names::{self, Name};
use crate::output::{Output, Stop, clean, heard};
use clap::Args;
use karafka::{Admin, Broker, ConfigResource, Error, ErrorKind, ReadFrom, Reader, ReaderConfig, Selection};
use serde_json::json;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

/// Connect, and say what is wrong: address, TLS, authentication, advertised listeners, versions, clocks, rights, settings of a topic
///
/// Ends with 1 when something is wrong. Changes nothing, but for --clocks.
#[derive(Args)]
pub(crate) struct Doctor {
    /// Look at this topic too
    #[arg(long)]
    topic: Option<String>,
    /// Look at the rights of this consumer group too
    #[arg(long)]
    group: Option<String>,
    /// Look at the brokers' clocks too: makes a topic, writes a record to each broker, and deletes it
    #[arg(long)]
    clocks: bool,
    #[command(flatten)]
    cluster: Cluster,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Doubtful,
    Wrong,
}

struct Findings {
    output: Output,
    is_wrong: bool,
}

impl Findings {
    fn tell(&mut self, about: &str, verdict: Verdict, text: &str) -> Result<(), Stop> {
        self.is_wrong |= verdict == Verdict::Wrong;
        let word = match verdict {
            Verdict::Good => "good",
            Verdict::Doubtful => "doubtful",
            Verdict::Wrong => "wrong",
        };
        let told = self.output.item(
            || format!("{word:<9} {about}: {}", clean(text)),
            || json!({ "about": about, "verdict": word, "text": text }),
        );
        // The code says what is wrong, also to who has read enough.
        heard(told.and_then(|()| self.output.flush()))
    }
}

impl Doctor {
    pub(crate) fn run(&self, output: Output) -> Result<ExitCode, Stop> {
        names::validate(
            self.topic.as_deref().map(Name::Topic).into_iter().chain(self.group.as_deref().map(Name::Group)),
        )?;
        let admin = match self.cluster.admin() {
            // Nobody was asked.
            Err(error) if error.kind() == ErrorKind::Config => return Err(error.into()),
            admin => admin,
        };
        let mut findings = Findings { output, is_wrong: false };
        findings.tell(
            "versions",
            Verdict::Good,
            &format!("libkarafka {}, librdkafka {}", karafka::VERSION, karafka::librdkafka_version()),
        )?;
        for address in self.cluster.brokers.split(',').map(str::trim) {
            let address = &full(address);
            match reach(address, self.cluster.timeout) {
                Ok(()) => findings.tell("address", Verdict::Good, &format!("{address} accepts connections"))?,
                Err(text) => findings.tell("address", Verdict::Wrong, &format!("{address} {text}"))?,
            }
        }
        match admin {
            Ok(admin) => {
                if let Some(code) = self.examine(&admin, &mut findings)? {
                    return Ok(code);
                }
            }
            Err(error) => findings.tell("connection", Verdict::Wrong, &advice(&error))?,
        }
        Ok(if findings.is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    /// The code of a signal, where one came.
    fn examine(&self, admin: &Admin, findings: &mut Findings) -> Result<Option<ExitCode>, Stop> {
        let cluster = match admin.cluster() {
            Ok(cluster) => cluster,
            Err(error) if error.message().contains("Connect to ") => {
                let text = format!(
                    "{error}. A broker was reached, and told an address that is not reached from here: set its \
                     advertised.listeners to one that is"
                );
                return findings.tell("advertised listeners", Verdict::Wrong, &text).map(|()| None);
            }
            Err(error) => return findings.tell("cluster", Verdict::Wrong, &advice(&error)).map(|()| None),
        };
        let text = format!(
            "{} has {} brokers, and {} topics that you may see",
            cluster.id,
            cluster.brokers.len(),
            cluster.topics
        );
        findings.tell("cluster", Verdict::Good, &text)?;
        for broker in &cluster.brokers {
            let address = format!("{}:{}", broker.host, broker.port);
            match reach(&address, self.cluster.timeout) {
                Ok(()) => {
                    let text = format!("broker {} is reached at {address}, as it says", broker.id);
                    findings.tell("advertised listeners", Verdict::Good, &text)?;
                }
                Err(reason) => {
                    let text = format!(
                        "broker {} tells clients to connect to {address}, which {reason}: set its advertised.listeners to an \
                         address that is reached from here",
                        broker.id
                    );
                    findings.tell("advertised listeners", Verdict::Wrong, &text)?;
                }
            }
        }
        self.examine_versions(&cluster.brokers, findings)?;
        if self.clocks {
            let stopped = clocks::examine(&self.cluster, admin, cluster.brokers.len(), findings)?;
            if stopped.is_some() {
                return Ok(stopped);
            }
        }
        if let Some(topic) = &self.topic {
            self.examine_topic(admin, topic, findings)?;
        }
        if let Some(group) = &self.group {
            match admin.group_offsets(group) {
                Ok(offsets) => {
                    let text = format!("{group} may be read; it has committed {} offsets", offsets.len());
                    findings.tell("group", Verdict::Good, &text)?;
                }
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    findings.tell("group", Verdict::Doubtful, error.message())?;
                }
                Err(error) => findings.tell("group", Verdict::Wrong, &advice(&error))?,
            }
        }
        Ok(None)
    }

    fn examine_versions(&self, brokers: &[Broker], findings: &mut Findings) -> Result<(), Stop> {
        let is_plain =
            |(name, value): &(String, String)| name != "security.protocol" || !value.to_lowercase().ends_with("ssl");
        if !self.cluster.settings.iter().all(is_plain) {
            let text = "those of brokers are looked at on plain listeners only, since librdkafka keeps them for itself";
            return findings.tell("versions", Verdict::Doubtful, text);
        }
        for broker in brokers {
            let Some((major, minor)) = versions::ask(&format!("{}:{}", broker.host, broker.port), self.cluster.timeout)
            else {
                findings.tell(
                    "versions",
                    Verdict::Doubtful,
                    &format!("broker {} does not say which Kafka it is", broker.id),
                )?;
                continue;
            };
            let known = format!("broker {} knows the requests of Kafka {major}.{minor}", broker.id);
            let (verdict, advice) = match (major, minor) {
                (4.., _) => (Verdict::Good, ""),
                (3, _) | (2, 5..) => (Verdict::Good, "; group_protocol: consumer needs 4.0"),
                _ => (Verdict::Doubtful, "; handlers with transactions need 2.5, group_protocol: consumer needs 4.0"),
            };
            findings.tell("versions", verdict, &format!("{known}{advice}"))?;
        }
        Ok(())
    }

    fn examine_topic(&self, admin: &Admin, name: &str, findings: &mut Findings) -> Result<(), Stop> {
        let topic = match admin.topic(name) {
            Ok(topic) => topic,
            Err(error) => return findings.tell("topic", Verdict::Wrong, &advice(&error)),
        };
        let leaderless: Vec<_> =
            topic.partitions.iter().filter(|one| one.leader.is_none()).map(|one| one.partition).collect();
        if leaderless.is_empty() {
            let text = format!("{name} has {} partitions, each with a leader", topic.partitions.len());
            findings.tell("topic", Verdict::Good, &text)?;
        } else {
            let text =
                format!("partitions {leaderless:?} of {name} have no leader: the brokers that keep them are away");
            findings.tell("topic", Verdict::Wrong, &text)?;
        }
        let config = ReaderConfig {
            bootstrap_servers: self.cluster.brokers.clone(),
            kafka: self.cluster.kafka(),
            timeout: self.cluster.timeout,
            ..ReaderConfig::default()
        };
        let read = Reader::open(config, &[Selection::new(name, ReadFrom::Last(1))])
            .and_then(|mut reader| reader.next(self.cluster.timeout).map(drop));
        match read {
            Ok(()) => findings.tell("rights", Verdict::Good, &format!("{name} may be read"))?,
            Err(error) => findings.tell("rights", Verdict::Wrong, &advice(&error))?,
        }
        let settings = match admin.configs(&ConfigResource::Topic(name.to_owned())) {
            Ok(settings) => settings,
            Err(error) => return findings.tell("topic settings", Verdict::Doubtful, &advice(&error)),
        };
        let value = |name: &str| {
            settings.iter().find(|entry| entry.name == name).and_then(|entry| entry.value.clone()).unwrap_or_default()
        };
        let replicas = topic.partitions.iter().map(|one| one.replicas.len()).min().unwrap_or(0);
        let in_sync = topic.partitions.iter().map(|one| one.in_sync.len()).min().unwrap_or(0);
        let wanted: usize = value("min.insync.replicas").parse().unwrap_or(1);
        if in_sync < wanted {
            let text = format!(
                "min.insync.replicas is {wanted}, but a partition has {in_sync} in sync: nothing can be produced with acks=all"
            );
            findings.tell("topic settings", Verdict::Wrong, &text)?;
        } else if replicas < 2 {
            let text = "a partition is kept by one broker only: what that broker loses is lost";
            findings.tell("topic settings", Verdict::Doubtful, text)?;
        } else if wanted < 2 {
            let text = "min.insync.replicas is 1: what one broker has acknowledged alone can be lost with it";
            findings.tell("topic settings", Verdict::Doubtful, text)?;
        } else {
            findings.tell("topic settings", Verdict::Good, "records survive the loss of a broker")?;
        }
        if value("unclean.leader.election.enable") == "true" {
            let text = "unclean.leader.election.enable is true: acknowledged records can be lost when brokers fail";
            findings.tell("topic settings", Verdict::Doubtful, text)?;
        }
        Ok(())
    }
}

/// An address as librdkafka reads it: without a protocol before it, and with Kafka's port where it has none.
fn full(address: &str) -> String {
    if address.starts_with("embedded://") {
        return address.to_owned();
    }
    let place = address.split_once("://").map_or(address, |(_, place)| place);
    let has_port = place.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    if has_port || place.is_empty() { place.to_owned() } else { format!("{place}:9092") }
}

/// Whether an address accepts connections, else why not, as the end of a sentence.
fn reach(address: &str, timeout: Duration) -> Result<(), String> {
    if address.starts_with("embedded://") {
        return Ok(());
    }
    let found =
        address.to_socket_addrs().map_err(|error| format!("is no address that this machine can find: {error}"))?;
    let mut reason = "has no address".to_owned();
    for one in found {
        match TcpStream::connect_timeout(&one, timeout) {
            Ok(_) => return Ok(()),
            Err(error) => reason = format!("does not accept connections: {error}"),
        }
    }
    Err(reason)
}

/// What is wrong, and what to do about it where that is known.
fn advice(error: &Error) -> String {
    let text = error.to_string();
    let lower = text.to_lowercase();
    let hint = if lower.contains("certificate verify failed") {
        "the broker's certificate is not trusted (set ssl.ca.location to the authority that signed it), is for another host than \
         the address, or is out of date; `openssl s_client -connect HOST:PORT` shows which"
    } else if lower.contains("ssl handshake") || lower.contains("ssl_handshake") {
        "one side speaks TLS and the other does not, or they agree on no version: check security.protocol and the port"
    } else if lower.contains("disconnected") && lower.contains("apiversion") {
        "the broker hangs up on plain text: it wants TLS or SASL; check security.protocol and the port"
    } else if lower.contains("brokers are down") {
        "where an address accepts connections, the broker hangs up: it wants TLS or SASL; check security.protocol and the port"
    } else if lower.contains("authentication fail") || lower.contains("sasl") {
        "user, password or mechanism is wrong: check sasl.username, sasl.password, sasl.mechanism"
    } else if error.kind() == ErrorKind::Auth {
        "the user has no right to this: an access rule has to allow it (`libkarafka acls list`)"
    } else if lower.contains("unknown topic") {
        "the topic does not exist, or the user may not see it"
    } else {
        return text;
    };
    format!("{text}. {hint}")
}
