//! How a poller comes to be: routes from topics, members from groups, client settings from the configuration.

use super::member::Member;
use super::prefetch::{self, Prefetch};
use super::{Poller, Route, Source};
use crate::app::TopicEntry;
use crate::config::{self, AppConfig, InitialOffset};
use crate::embedded;
use crate::job::Job;
use crate::lease::Renewal;
use crate::native::Consumer;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use karafka_engine::{Backoff, Engine, EngineOptions, TopicOptions};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a first look at the cluster may take before the app says that no broker answers.
const FIRST_LOOK: Duration = Duration::from_millis(2_200);
const LOOK_SLICE_MS: i32 = 250;
/// How long a client may go unasked: it tells by its queue when there is something. It leaves its group when nobody asks for
/// `max.poll.interval.ms`, of which at most a quarter is used.
const LONGEST_SILENCE_MS: u64 = 10_000;
/// Settings that only the classic group protocol knows.
const CLASSIC: [&str; 3] = ["session.timeout.ms", "heartbeat.interval.ms", "group.protocol"];

pub(super) fn poller(
    config: &AppConfig,
    topics: &[TopicEntry],
    shared: Arc<Shared>,
    pools: [Arc<Pool<Job>>; 2],
    parker: Parker,
) -> Result<Poller> {
    let mut engine = Engine::new(EngineOptions {
        memory_budget_bytes: config.memory_budget_bytes - config.memory_budget_bytes / prefetch::SHARE,
        commit_interval: config.commit_interval,
        ..EngineOptions::default()
    });
    let mut pool_ids = Vec::new();
    for pool in &pools {
        let seats = u32::try_from(pool.capacity()).unwrap_or(u32::MAX);
        // As many jobs again wait beside those that run, so that a seat never waits for the poller.
        pool_ids.push(engine.add_pool(seats, seats));
    }
    let [threads, slots] = pool_ids[..] else {
        return Err(Error::new(ErrorKind::Internal, "start", "there are two kinds of seats"));
    };
    let pool_ids = [threads, slots];

    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut routes = Vec::new();
    for (number, entry) in topics.iter().enumerate() {
        let group = entry.config.group.clone().unwrap_or_else(|| config.group.clone());
        let known = groups.iter().position(|(name, _)| *name == group);
        let member = known.unwrap_or_else(|| {
            groups.push((group, Vec::new()));
            groups.len() - 1
        });
        groups[member].1.push(number);
        let pool = Poller::pool_of(entry.seats);
        let topic = engine.add_topic(TopicOptions {
            virtual_partitions: spread(entry.config.virtual_partitions),
            virtual_partitions_per_job: entry.config.virtual_partitions_per_job,
            max_messages: entry.config.max_messages,
            linger: entry.config.linger,
            manual_offset_management: entry.config.manual_offset_management,
            retry: Backoff {
                first: entry.config.retry_backoff,
                longest: entry.config.retry_backoff_max,
                factor: entry.config.retry_backoff_factor,
            },
            long_running_job: entry.config.long_running_job,
            window: entry.config.window,
            ..TopicOptions::new(pool_ids[pool])
        });
        routes.push(Route { topic, work: entry.work.clone(), pool });
    }

    let mut poller = Poller {
        config: config.clone(),
        shared,
        parker,
        pools,
        pool_ids,
        engine,
        routes,
        members: Vec::new(),
        partitions: HashMap::new(),
        sources: HashMap::new(),
        next_token: 0,
        readable: Vec::new(),
        readable_set: HashSet::new(),
        commit_waiters: HashMap::new(),
        failures: HashMap::new(),
        held: Arc::new(()),
        start: Instant::now(),
        shutdown: None,
        fetched: Vec::new(),
        ready_jobs: Vec::new(),
        last_stall_check: Instant::now(),
        unjoined: Vec::new(),
        renewal: Renewal::new(),
    };
    let prefetch = Prefetch::new(config.memory_budget_bytes, prefetch::ASSUMED.max(groups.len() as u64));
    // Clients are made here, on the caller's thread, so that a refused setting is the caller's error.
    for (number, (group, members_topics)) in groups.iter().enumerate() {
        let settings = settings(config, topics, members_topics, group, prefetch)?;
        poller.add_member(number, group, members_topics, topics, settings)?;
    }
    Ok(poller)
}

impl Poller {
    fn add_member(
        &mut self,
        number: usize,
        group: &str,
        numbers: &[usize],
        topics: &[TopicEntry],
        settings: BTreeMap<String, String>,
    ) -> Result<()> {
        let token = self.next_token;
        self.next_token += 1;
        let consumer = self.client(token, group, &settings)?;
        let poll_every = poll_interval(&settings);
        let names = numbers.iter().map(|topic| (topics[*topic].name.clone(), *topic)).collect();
        self.sources.insert(token, Source::Member(number));
        self.members.push(Member::new(Arc::from(group), consumer, names, poll_every));
        self.unjoined.push((token, settings));
        Ok(())
    }

    fn client(&self, token: u64, group: &str, settings: &BTreeMap<String, String>) -> Result<Consumer> {
        let ready = Ready::new(token, Arc::clone(&self.shared.waker));
        let pairs: Vec<_> = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Consumer::new(&pairs, group, ready)
    }

    /// First thing on the poller's thread: looks at the cluster for at most a few seconds, says what is wrong, joins.
    pub(super) fn connect(&mut self) {
        let deadline = Instant::now() + FIRST_LOOK;
        let mut partitions = 0;
        for member in 0..self.members.len() {
            for name in self.members[member].names() {
                match self.look_at(member, &name, deadline) {
                    Ok(count) => partitions += count as u64,
                    Err(error) => {
                        // What librdkafka has told meanwhile may hold the cause.
                        self.serve_member(Instant::now(), member);
                        self.first_look_failed(member, &error, &name);
                        break;
                    }
                }
            }
        }
        self.divide_prefetch(partitions);
        for member in 0..self.members.len() {
            let names = self.members[member].names();
            let joined = self.members[member].consumer().and_then(|consumer| consumer.subscribe(&names));
            if let Err(error) = joined {
                self.publish_error(error, true);
            }
        }
    }

    /// Where there are more partitions than were reckoned with, the clients, which joined nothing yet, are made anew with
    /// less for each.
    fn divide_prefetch(&mut self, partitions: u64) {
        for (member, (token, mut settings)) in std::mem::take(&mut self.unjoined).into_iter().enumerate() {
            if partitions <= prefetch::ASSUMED {
                continue;
            }
            Prefetch::new(self.config.memory_budget_bytes, partitions).lower(&mut settings);
            let group = Arc::clone(self.members[member].group());
            match self.client(token, &group, &settings) {
                // Its predecessor is connected to a broker that answers, so that it goes at once.
                Ok(client) => drop(self.members[member].replace_consumer(client)),
                Err(error) => self.publish_error(error, true),
            }
        }
    }

    /// Asks for a topic in slices, so that a stop is never late by more than one of them. Answers how many partitions it
    /// has; 0 for a pattern, and when nothing is known yet.
    fn look_at(&self, member: usize, name: &str, deadline: Instant) -> Result<usize> {
        loop {
            let looked =
                self.members[member].consumer().and_then(|consumer| consumer.partition_count(name, LOOK_SLICE_MS));
            match looked {
                Err(error) if error.kafka().is_some_and(|number| number < 0) && Instant::now() < deadline => {
                    if self.shared.is_stop_asked() {
                        return Ok(0);
                    }
                }
                other => return other,
            }
        }
    }

    fn first_look_failed(&self, member: usize, error: &Error, topic: &str) {
        let brokers = &self.config.bootstrap_servers;
        let message = if error.kafka().is_some_and(|number| number < 0) {
            let cause = self.members[member].last_failure().unwrap_or_else(|| error.message().to_owned());
            format!("no broker answered within {FIRST_LOOK:?}: {cause}; tried {brokers}, trying on")
        } else if error.kind() == ErrorKind::Auth {
            format!("{}; grant this client's user the right to read it, trying on", error.message())
        } else {
            format!("{}; create it or correct its name, trying on", error.message())
        };
        let mut told = Error::new(error.kind(), "connect", message).with("topic", topic).with("brokers", brokers);
        if let Some(number) = error.kafka() {
            told = told.kafka_code(number);
        }
        self.publish_error(told.retriable(), true);
    }
}

/// The client settings of one group's member, ours and the user's; the user's win where they may.
fn settings(
    config: &AppConfig,
    topics: &[TopicEntry],
    numbers: &[usize],
    group: &str,
    prefetch: Prefetch,
) -> Result<BTreeMap<String, String>> {
    let mut settings = config.client_settings(group);
    let embedded = embedded::is_embedded(&config.bootstrap_servers);
    if embedded && !config.kafka.keys().any(|name| CLASSIC.contains(&name.as_str())) {
        // The embedded broker's classic groups take nearly a session to rebalance; those of KIP-848 do not.
        settings.insert("group.protocol".to_owned(), "consumer".to_owned());
        settings.remove("partition.assignment.strategy");
    }
    settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&config.bootstrap_servers)?);
    prefetch.apply(&mut settings, config.kafka.contains_key("fetch.message.max.bytes"));
    let configs = || numbers.iter().filter_map(|number| topics.get(*number)).map(|entry| (&entry.name, &entry.config));
    let earliest = configs().all(|(_, topic)| topic.initial_offset == InitialOffset::Earliest);
    if !earliest && configs().any(|(_, topic)| topic.initial_offset == InitialOffset::Earliest) {
        let message = "topics of one group start at different initial offsets; give one of them another group";
        return Err(Error::new(ErrorKind::Config, "start", message).with("group", group));
    }
    settings.insert("auto.offset.reset".to_owned(), if earliest { "earliest" } else { "latest" }.to_owned());
    let mut origin: BTreeMap<&String, (&String, &String)> = BTreeMap::new();
    for (topic, (name, value)) in configs().flat_map(|(name, config)| config.kafka.iter().map(move |pair| (name, pair)))
    {
        if let Some((other, before)) = origin.insert(name, (topic, value))
            && before != value
        {
            let message = format!("topics {other} and {topic} of one group set kafka[{name:?}] differently");
            return Err(Error::new(ErrorKind::Config, "start", message).with("group", group));
        }
        settings.insert(name.clone(), value.clone());
    }
    settings.insert("log.queue".to_owned(), "true".to_owned());
    Ok(settings)
}

fn poll_interval(settings: &BTreeMap<String, String>) -> Duration {
    let longest = settings.get("max.poll.interval.ms").and_then(|text| text.parse::<u64>().ok()).unwrap_or(300_000);
    Duration::from_millis((longest / 4).clamp(50, LONGEST_SILENCE_MS))
}

fn spread(mode: config::VirtualPartitions) -> karafka_engine::VirtualPartitions {
    match mode {
        config::VirtualPartitions::Off => karafka_engine::VirtualPartitions::Off,
        config::VirtualPartitions::ByKey => karafka_engine::VirtualPartitions::ByKey,
        config::VirtualPartitions::Fixed(count) => karafka_engine::VirtualPartitions::Fixed(count),
        config::VirtualPartitions::Callback => karafka_engine::VirtualPartitions::Callback,
        config::VirtualPartitions::RoundRobin => karafka_engine::VirtualPartitions::RoundRobin(0),
    }
}
