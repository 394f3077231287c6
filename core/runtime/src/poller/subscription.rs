//! A subscription: what one group of this process reads from one cluster, and with how many connections.
//!
//! Made from the registered topics when an app starts; owned by the poller, on its thread. Its connections are members of
//! the group ([`Member`](super::member::Member)); what they share is here: topics and their handlers, patterns and what
//! these have chosen, the client's settings.

use super::direct::Direct;
use super::lookout::Lookout;
use super::scaling::{Limits, Memory};
use crate::pattern::Pattern;
use crate::transaction::Producers;
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
    /// Producers for the transactions of its handlers.
    pub(super) transactions: Arc<Producers>,
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
        transactions: Arc<Producers>,
    ) -> Self {
        let now = Instant::now();
        Self {
            transactions,
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

    /// The routes of its topics and patterns.
    pub(super) fn routes(&self) -> Vec<usize> {
        let named = self.named.values().map(|target| target.route);
        named.chain(self.patterns.iter().map(|(_, route)| *route)).collect()
    }

    /// The topics that were registered by their names.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.named.keys().cloned().collect();
        names.sort_unstable();
        names
    }

    /// Forgets the topics that patterns do not choose any more, but those that are still `assigned`. Returns what they leave
    /// behind, for later topics of their patterns.
    pub(super) fn forget(
        &mut self,
        chosen: &BTreeMap<String, usize>,
        assigned: impl Fn(TopicId) -> bool,
    ) -> Vec<Target> {
        let mut left = Vec::new();
        self.chosen.retain(|topic, target| {
            let stays = chosen.get(topic) == Some(&target.route) || assigned(target.topic);
            if !stays {
                left.push(*target);
            }
            stays
        });
        left
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

#[cfg(test)]
mod tests {
    use super::*;
    use karafka_engine::{Engine, EngineOptions, TopicOptions};

    /// M19: maps of topics grew for ever where a pattern's topics came and went.
    #[test]
    fn topics_that_come_and_go_leave_nothing_behind() {
        let mut engine: Engine<crate::message::MessageInner> = Engine::new(EngineOptions::default());
        let pool = engine.add_pool(1, 0);
        let mut made = 0;
        let mut spare: Vec<TopicId> = Vec::new();
        let mut subscription =
            Subscription::new("group", "brokers", BTreeMap::new(), None, Limits::ONE, Arc::default());
        for day in 0..1_000 {
            let chosen = BTreeMap::from([(format!("orders-{day}"), 3), (format!("orders-{}", day + 1), 3)]);
            spare.extend(subscription.forget(&chosen, |_| false).into_iter().map(|target| target.topic));
            for (topic, route) in &chosen {
                subscription.chosen.entry(topic.clone()).or_insert_with(|| {
                    let topic = spare.pop().unwrap_or_else(|| {
                        made += 1;
                        engine.add_topic(TopicOptions::new(pool))
                    });
                    Target { route: *route, topic }
                });
            }
            assert_eq!(subscription.chosen.len(), 2);
        }
        assert!(made <= 3, "{made} topics of the engine for two at a time");
        // A partition that still ends keeps its topic until the next look.
        assert_eq!(subscription.forget(&BTreeMap::new(), |_| true), []);
        assert_eq!(subscription.forget(&BTreeMap::new(), |_| false).len(), 2);
    }

    #[test]
    fn connections_of_a_static_member_have_ids_of_their_own() {
        let settings = BTreeMap::from([("group.instance.id".to_owned(), "pod-3".to_owned())]);
        let id = |max, position| {
            let limits = Limits::new(0, max, 0, std::time::Duration::ZERO);
            let subscription = Subscription::new("group", "brokers", settings.clone(), None, limits, Arc::default());
            subscription.settings_at(position)["group.instance.id"].clone()
        };
        assert_eq!([id(1, 0), id(2, 0), id(2, 1)], ["pod-3", "pod-3-0", "pod-3-1"]);
    }
}
