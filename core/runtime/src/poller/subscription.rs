//! A subscription: what one group of this process reads from one cluster, and with how many connections.
//!
//! Made from the registered topics when an app starts; owned by the poller, on its thread. Its connections are members of
//! the group ([`Member`](super::member::Member)); what they share is here: topics and their handlers, patterns and what
//! these have chosen, the client's settings.

use super::direct::Direct;
use super::lookout::Lookout;
use super::scaling::{Limits, Memory};
use crate::pattern::Pattern;
use karafka_engine::{AssignmentId, TopicId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

const INSTANCE_ID: &str = "group.instance.id";

/// Who handles a topic's records, and how the engine knows the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) route: usize,
    pub(super) topic: TopicId,
}

pub(super) struct Subscription {
    pub(super) group: Arc<str>,
    /// As the user wrote them.
    pub(super) brokers: String,
    pub(super) settings: BTreeMap<String, String>,
    /// Topics that were registered by their names.
    named: HashMap<String, Target>,
    /// Each with the number of its route.
    pub(super) patterns: Vec<(Pattern, usize)>,
    /// Topics that patterns have chosen: those of the last look at the cluster, and older ones that are still assigned.
    pub(super) chosen: HashMap<String, Target>,
    /// What the members should subscribe to, and what they have subscribed to.
    pub(super) wanted: Vec<String>,
    pub(super) subscribed: Vec<String>,
    /// Whether it was told that no pattern matches anything.
    pub(super) is_warned: bool,
    /// The partitions that are read without the group; `None` where the group shares them out.
    pub(super) direct: Option<Direct>,
    pub(super) lookout: Lookout,
    pub(super) limits: Limits,
    pub(super) memory: Memory,
    /// Partitions of each member when the number of members was thought about last.
    pub(super) held: Vec<usize>,
    /// Its connections, by their place among the poller's members; a place stays when its connection is gone.
    pub(super) members: Vec<usize>,
}

impl Subscription {
    pub(super) fn new(
        group: &str,
        brokers: &str,
        settings: BTreeMap<String, String>,
        direct: Option<Direct>,
        limits: Limits,
    ) -> Self {
        let now = Instant::now();
        Self {
            group: Arc::from(group),
            brokers: brokers.to_owned(),
            lookout: Lookout::new(&settings),
            settings,
            named: HashMap::new(),
            patterns: Vec::new(),
            chosen: HashMap::new(),
            wanted: Vec::new(),
            subscribed: Vec::new(),
            is_warned: false,
            direct,
            limits,
            memory: Memory { changed: now, enough_for: 0 },
            held: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Adds a topic that is read by its name.
    pub(super) fn add_name(&mut self, name: &str, target: Target) {
        self.named.insert(name.to_owned(), target);
    }

    pub(super) fn is_named(&self, topic: &str) -> bool {
        self.named.contains_key(topic)
    }

    /// The topics that were registered by their names.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.named.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// From now on the group is wanted for the topics by name, and these.
    pub(super) fn want<'topic>(&mut self, chosen: impl Iterator<Item = &'topic String>) {
        let all: BTreeSet<_> = self.named.keys().cloned().chain(chosen.cloned()).collect();
        self.wanted = all.into_iter().collect();
    }

    pub(super) fn target(&self, topic: &str) -> Option<Target> {
        self.named.get(topic).or_else(|| self.chosen.get(topic)).copied()
    }

    /// The settings of one of its connections. A static member needs an id of its own, which stays the same.
    pub(super) fn settings_at(&self, position: usize) -> BTreeMap<String, String> {
        let mut settings = self.settings.clone();
        if self.limits.max > 1
            && let Some(id) = settings.get_mut(INSTANCE_ID)
        {
            *id = format!("{id}-{position}");
        }
        settings
    }
}

/// The partitions of one member: topic and number, with the assignment and the token of its queue.
pub(super) type Assigned = HashMap<(String, i32), (AssignmentId, u64)>;
