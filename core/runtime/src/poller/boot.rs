//! How a poller comes to be: routes from topics, subscriptions and their members from groups, client settings from the
//! configuration.

use super::direct::{Direct, Wanted};
use super::member::Member;
use super::numbers::{ByNumber, Numbers};
use super::observer::Observer;
use super::options::{engine_options, options};
use super::orphan::Orphan;
use super::prefetch::{self, Prefetch};
use super::scaling::Limits;
use super::subscription::{Subscription, Target};
use super::{Poller, Route, Source, View};
use crate::app::TopicEntry;
use crate::config::{AppConfig, InitialOffset, TopicConfig};
use crate::embedded;
use crate::encryption::{self, Opener};
use crate::hook::Hook;
use crate::job::Job;
use crate::lease::Renewal;
use crate::native::Consumer;
use crate::output::Declared;
use crate::pattern::Pattern;
use crate::pool::Pool;
use crate::shared::Shared;
use crate::transaction::{Isolation, Producers};
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use crossbeam::sync::Parker;
use karafka_engine::{Engine, Segment, TopicOptions};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// A poller with all its clients. Takes the parker, and leaves it there when something is refused.
pub(super) fn poller(
    config: &AppConfig,
    topics: &[TopicEntry],
    shared: Arc<Shared>,
    pools: [Arc<Pool<Job>>; 2],
    parker: &mut Option<Parker>,
    chooser: bool,
) -> Result<Poller> {
    let mut engine = Engine::new(engine_options(config, chooser));
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

    let mut drafts: Vec<Draft> = Vec::new();
    let mut routes = Vec::new();
    for (number, entry) in topics.iter().enumerate() {
        let pool = Poller::pool_of(entry.seats);
        let options = options(entry, pool_ids[pool]);
        let opener = Opener::of(&entry.config).map_err(|error| error.with("topic", &entry.name))?.map(Arc::new);
        let is_test = embedded::is_in_process(entry.brokers(config));
        let declared = Declared::new(&entry.config.produces, config.output_check, is_test);
        for (group, segment) in segments(entry.group(config), &entry.config) {
            let draft = Draft::of(&mut drafts, group, config, entry);
            draft.topics.push((number, routes.len()));
            let options = TopicOptions { segment, ..options };
            routes.push(Route {
                registration: number,
                options,
                spare: Vec::new(),
                work: entry.work.clone(),
                pool,
                dead_letter_topic: entry.config.dead_letter_queue_topic.as_deref().map(Arc::from),
                dead_letters_in_transactions: entry.config.dead_letter_queue_transactional,
                opener: opener.clone(),
                declared: declared.clone(),
            });
        }
    }
    refuse_both_ways(&drafts)?;

    let Some(own_parker) = parker.take() else {
        return Err(Error::new(ErrorKind::Internal, "start", "another start is on its way"));
    };
    let observer = Observer::new(config.statistics_interval, shared.publisher.wants_statistics());
    let start = Instant::now();
    let mut poller = Poller {
        config: config.clone(),
        shared,
        parker: own_parker,
        pools,
        pool_ids,
        engine,
        routes,
        subscriptions: Vec::new(),
        members: Vec::new(),
        dead_letter_topics: dead_letter_topics(topics),
        is_joined: false,
        is_scaling: false,
        next_scale: None,
        partitions: ByNumber::default(),
        departed: ByNumber::default(),
        sources: ByNumber::default(),
        next_token: 0,
        readable: Vec::new(),
        readable_set: Numbers::default(),
        turns: super::fetching::Turns::new(start),
        commit_waiters: HashMap::new(),
        seeks: HashMap::new(),
        failures: ByNumber::default(),
        transactions: super::transactions::Transactions::default(),
        letters: super::letters::Letters::default(),
        scheduler_failure: None,
        held: Arc::new(()),
        start,
        round: Cell::new((start, karafka_engine::Instant::START)),
        shutdown: None,
        says_farewell: topics.iter().any(|entry| entry.hooks.contains(&Hook::Shutdown)),
        fetched: Vec::new(),
        ready_jobs: Vec::new(),
        last_stall_check: Instant::now(),
        renewal: Renewal::new(),
        observer,
        orphan: Orphan::watch(config.stop_when_orphaned),
    };
    let prefetch = Prefetch::new(config.memory_budget_bytes, prefetch::ASSUMED.max(drafts.len() as u64));
    // Clients are made here, on the caller's thread, so that a refused setting is the caller's error.
    for draft in &drafts {
        if let Err(refused) = poller.add_subscription(draft, topics, prefetch) {
            *parker = Some(poller.parker);
            return Err(refused);
        }
    }
    Ok(poller)
}

/// A subscription that is being made: what topics have to have in common to share connections.
struct Draft {
    group: String,
    brokers: String,
    is_direct: bool,
    /// The number under which each topic was registered, and its route.
    topics: Vec<(usize, usize)>,
}

impl Draft {
    /// The one that a topic belongs to.
    fn of<'draft>(
        drafts: &'draft mut Vec<Self>,
        group: String,
        config: &AppConfig,
        entry: &TopicEntry,
    ) -> &'draft mut Self {
        let brokers = entry.brokers(config).to_owned();
        let is_direct = entry.config.is_direct();
        let is_it = |draft: &Self| draft.group == group && draft.brokers == brokers && draft.is_direct == is_direct;
        let known = drafts.iter().position(is_it).unwrap_or(drafts.len());
        if known == drafts.len() {
            drafts.push(Self { group, brokers, is_direct, topics: Vec::new() });
        }
        &mut drafts[known]
    }
}

/// The groups that read a topic, each with the segment that it handles.
fn segments(group: &str, config: &TopicConfig) -> Vec<(String, Option<Segment>)> {
    let count = config.parallel_segments_count;
    if count <= 1 {
        return vec![(group.to_owned(), None)];
    }
    let handled = config.segments().into_iter();
    handled.map(|index| (format!("{group}-parallel-{index}"), Some(Segment::new(index, count)))).collect()
}

/// Whoever commits for a group without being its member is refused while it has members.
fn refuse_both_ways(drafts: &[Draft]) -> Result<()> {
    let both = drafts.iter().find(|draft| {
        let is_other = |other: &&Draft| other.group == draft.group && other.brokers == draft.brokers;
        draft.is_direct && drafts.iter().filter(is_other).count() > 1
    });
    let Some(draft) = both else { return Ok(()) };
    let message = "a group has topics with `assign` and topics without; give one of them another group";
    Err(Error::new(ErrorKind::Config, "start", message).with("group", &draft.group))
}

/// The topics to which failures go.
fn dead_letter_topics(topics: &[TopicEntry]) -> BTreeSet<String> {
    topics.iter().filter_map(|entry| entry.config.dead_letter_queue_topic.clone()).collect()
}

/// Between how many connections the group of these topics has: what one of them says counts for all.
fn limits(group: &str, configs: &[&TopicConfig]) -> Result<Limits> {
    let default = TopicConfig::default();
    let said = |of: fn(&TopicConfig) -> u64| {
        let mut said = configs.iter().map(|config| of(config)).filter(|value| *value != of(&default));
        let first = said.next().unwrap_or_else(|| of(&default));
        if said.all(|other| other == first) {
            return Ok(first);
        }
        let message = "topics of one group say different things about `multiplexing`; give one of them another group";
        Err(Error::new(ErrorKind::Config, "start", message).with("group", group))
    };
    let min = said(|config| config.multiplexing_min.into())?;
    let max = said(|config| config.multiplexing_max.into())?;
    let boot = said(|config| config.multiplexing_boot.into())?;
    let delay = said(|config| u64::try_from(config.multiplexing_scale_delay.as_millis()).unwrap_or(u64::MAX))?;
    let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    Ok(Limits::new(small(min), small(max), small(boot), Duration::from_millis(delay)))
}

impl Poller {
    fn add_subscription(&mut self, draft: &Draft, topics: &[TopicEntry], prefetch: Prefetch) -> Result<()> {
        let entries: Vec<_> =
            draft.topics.iter().filter_map(|(number, route)| Some((topics.get(*number)?, *route))).collect();
        let configs: Vec<_> = entries.iter().map(|(entry, _)| &entry.config).collect();
        let limits = if draft.is_direct { Limits::ONE } else { limits(&draft.group, &configs)? };
        let settings = settings(&self.config, &entries, draft, prefetch)?;
        let producers = self.config.transactions_config(&draft.group, &draft.brokers, &settings);
        // A key that is not there is told by the start, not by the first transaction.
        encryption::recipient(&producers)?;
        let isolation = Isolation::of(&settings);
        let producers = if draft.is_direct { Producers::default() } else { Producers::new(producers, isolation) };
        let producers = Arc::new(producers);
        let direct = draft.is_direct.then(Direct::default);
        let mut subscription = Subscription::new(&draft.group, &draft.brokers, settings, direct, limits, producers);
        for (entry, route) in entries {
            if Pattern::is_one(&entry.name) {
                subscription.patterns.push((Pattern::new(&entry.name)?, route));
                continue;
            }
            let topic = self.engine.add_topic(self.routes[route].options);
            subscription.add_name(&entry.name, Target { route, topic });
            if let Some(direct) = &mut subscription.direct {
                direct.add(&entry.name, Wanted::new(&entry.config.assign));
            }
        }
        let boot = subscription.limits.boot;
        self.is_scaling |= subscription.limits.is_dynamic();
        self.subscriptions.push(subscription);
        for position in 0..boot {
            self.add_connection(self.subscriptions.len() - 1, position)?;
        }
        Ok(())
    }

    /// Makes a client for one more member of a group, at this position among the group's. Returns the member's place.
    pub(super) fn add_connection(&mut self, number: usize, position: usize) -> Result<usize> {
        let token = self.next_token;
        self.next_token += 1;
        let subscription = &self.subscriptions[number];
        let (group, settings) = (Arc::clone(&subscription.group), subscription.settings_at(position));
        let consumer = self.client(token, &group, &settings)?;
        let member = Member::new(group, number, token, consumer, poll_interval(&settings));
        let members = &mut self.subscriptions[number].members;
        let place = members.get(position).copied().unwrap_or(self.members.len());
        if place < self.members.len() {
            self.members[place] = member;
        } else {
            members.push(place);
            self.members.push(member);
        }
        self.sources.insert(token, Source::Member(place));
        Ok(place)
    }

    fn client(&self, token: u64, group: &str, settings: &BTreeMap<String, String>) -> Result<Consumer> {
        let ready = Ready::new(token, Arc::clone(&self.shared.waker));
        let mut pairs: Vec<_> = settings.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        pairs.push(("statistics.interval.ms".to_owned(), self.observer.setting()));
        Consumer::new(&pairs, group, ready)
    }

    /// First thing on the poller's thread: looks at the cluster for at most a few seconds, says what is wrong, joins.
    pub(super) fn connect(&mut self) {
        let deadline = Instant::now() + FIRST_LOOK;
        let mut partitions = 0;
        let mut views = Vec::new();
        for number in 0..self.subscriptions.len() {
            let subscription = &self.subscriptions[number];
            let Some(&member) = subscription.members.first() else { continue };
            let names = subscription.names();
            let (mut view, mut answered) = (View::new(), true);
            for name in &names {
                match self.ask(deadline, || self.members[member].consumer()?.partition_count(name, LOOK_SLICE_MS)) {
                    Ok(count) => {
                        let count = count.unwrap_or_default();
                        partitions += count as u64;
                        view.insert(name.clone(), i32::try_from(count).unwrap_or(i32::MAX));
                    }
                    Err(error) => {
                        // What librdkafka has told meanwhile may hold the cause.
                        self.serve_member(Instant::now(), member);
                        self.first_look_failed(member, &error, name);
                        answered = error.kafka().is_none_or(|number| number > 0);
                        break;
                    }
                }
            }
            if !self.subscriptions[number].patterns.is_empty() {
                match self.ask(deadline, || self.members[member].consumer()?.cluster().topics(LOOK_SLICE_MS)) {
                    Ok(all) => view = all.unwrap_or_default(),
                    Err(error) => {
                        self.serve_member(Instant::now(), member);
                        self.first_look_failed(member, &error, "a pattern");
                        answered = false;
                    }
                }
                partitions += self.take_view(Instant::now(), number, &view);
            }
            self.warn_of_isolation(number);
            let may_go_on = !answered
                || self.look_for_unkept_transactions(number)
                    && self.look_for_letter_topics(number)
                    && self.look_for_letter_rights(number);
            if !may_go_on {
                return;
            }
            views.push((number, view));
        }
        self.divide_prefetch(partitions);
        self.is_joined = true;
        for (number, view) in views {
            self.join(number, &view);
        }
    }

    /// Says what would break exactly once, where the options tell of transactions; else the first transaction does.
    fn warn_of_isolation(&self, number: usize) {
        let subscription = &self.subscriptions[number];
        let commits = |route: &Route| route.dead_letters_in_transactions || route.options.sharing.is_some();
        let commits = |route: &usize| self.routes.get(*route).is_some_and(commits);
        if self.config.transactional_id_prefix.is_some() || subscription.routes().iter().any(commits) {
            subscription.transactions.isolation.warn(&self.shared, &subscription.group);
        }
    }

    /// Joins a group with all connections, or takes over what is assigned directly.
    fn join(&mut self, number: usize, view: &View) {
        let now = Instant::now();
        let subscription = &mut self.subscriptions[number];
        let looks = match &subscription.direct {
            Some(direct) => direct.needs_view(),
            None => !subscription.patterns.is_empty(),
        };
        if looks {
            subscription.lookout.looked(now, !view.is_empty());
        }
        if subscription.direct.is_some() {
            self.take_view(now, number, view);
        } else {
            let chosen: Vec<_> = subscription.chosen.keys().cloned().collect();
            subscription.want(chosen.iter());
            self.subscribe_anew(number);
        }
    }

    /// Where there are more partitions than were reckoned with, the clients, which joined nothing yet, are made anew with
    /// less for each.
    fn divide_prefetch(&mut self, partitions: u64) {
        if partitions <= prefetch::ASSUMED {
            return;
        }
        let prefetch = Prefetch::new(self.config.memory_budget_bytes, partitions);
        for number in 0..self.subscriptions.len() {
            prefetch.lower(&mut self.subscriptions[number].settings);
            for (position, place) in self.subscriptions[number].members.clone().into_iter().enumerate() {
                let settings = self.subscriptions[number].settings_at(position);
                let (token, group) = (self.members[place].token, Arc::clone(self.members[place].group()));
                match self.client(token, &group, &settings) {
                    // Its predecessor is connected to a broker that answers, so that it goes at once.
                    Ok(client) => drop(self.members[place].replace_consumer(client)),
                    Err(error) => self.publish_error(error, true),
                }
            }
        }
    }

    /// Asks the cluster in slices, so that a stop is never late by more than one of them; `None` when one is asked for.
    pub(super) fn ask<T>(&self, deadline: Instant, question: impl Fn() -> Result<T>) -> Result<Option<T>> {
        loop {
            match question() {
                Err(error) if error.kafka().is_some_and(|number| number < 0) && Instant::now() < deadline => {
                    if self.shared.is_stop_asked() {
                        return Ok(None);
                    }
                }
                other => return other.map(Some),
            }
        }
    }

    fn first_look_failed(&self, member: usize, error: &Error, topic: &str) {
        let brokers = self.brokers(member);
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
    entries: &[(&TopicEntry, usize)],
    draft: &Draft,
    prefetch: Prefetch,
) -> Result<BTreeMap<String, String>> {
    let group = &draft.group;
    let mut settings = config.client_settings(group);
    let embedded = embedded::is_embedded(&draft.brokers);
    if embedded && !draft.is_direct && !config.kafka.keys().any(|name| CLASSIC.contains(&name.as_str())) {
        // The embedded broker's classic groups take nearly a session to rebalance; those of KIP-848 do not.
        settings.insert("group.protocol".to_owned(), "consumer".to_owned());
        settings.remove("partition.assignment.strategy");
    }
    settings.insert("bootstrap.servers".to_owned(), embedded::resolve(&draft.brokers)?);
    prefetch.apply(&mut settings, config.kafka.contains_key("fetch.message.max.bytes"));
    let configs = || entries.iter().map(|(entry, _)| (&entry.name, &entry.config));
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
    if configs().any(|(_, topic)| topic.eofed) {
        settings.insert("enable.partition.eof".to_owned(), "true".to_owned());
    }
    settings.insert("log.queue".to_owned(), "true".to_owned());
    if draft.is_direct {
        // Nobody's member: what concerns members would only be in the way.
        for name in ["group.protocol", "group.instance.id", "group.remote.assignor"] {
            settings.remove(name);
        }
    }
    Ok(settings)
}

fn poll_interval(settings: &BTreeMap<String, String>) -> Duration {
    let longest = settings.get("max.poll.interval.ms").and_then(|text| text.parse::<u64>().ok()).unwrap_or(300_000);
    Duration::from_millis((longest / 4).clamp(50, LONGEST_SILENCE_MS))
}
