//! The lookout: which topics a cluster has, and how many partitions each, for patterns and direct assignments.
//!
//! The poller decides when to look, every `topic.metadata.refresh.interval.ms`; it is asked on a thread that lives as long as
//! the question, since librdkafka waits for the answer, which comes back as a report. Only subscriptions that have a pattern,
//! or partitions to be found, look at all. What patterns chose is forgotten with the topic, so that nothing grows with topics
//! that come and go.

use super::subscription::Target;
use super::{Poller, direct};
use crate::event::Event;
use crate::pattern;
use crate::report::Report;
use crate::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a look may take.
const PATIENCE_MS: i32 = 5_000;
/// After one that failed.
const AGAIN: Duration = Duration::from_secs(5);
/// librdkafka's default of `topic.metadata.refresh.interval.ms`.
const REFRESH_MS: i64 = 300_000;

/// The topics of a cluster, each with its number of partitions.
pub(crate) type View = BTreeMap<String, i32>;

/// When a subscription looks at its cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lookout {
    /// `None`: only when the app starts.
    every: Option<Duration>,
    next: Option<Instant>,
    is_asking: bool,
}

impl Lookout {
    pub(super) fn new(settings: &BTreeMap<String, String>) -> Self {
        let text = settings.get("topic.metadata.refresh.interval.ms");
        let every = text.and_then(|text| text.trim().parse().ok()).unwrap_or(REFRESH_MS);
        Self { every: u64::try_from(every).ok().map(Duration::from_millis), next: None, is_asking: false }
    }

    /// A look was answered, or failed.
    pub(super) fn looked(&mut self, now: Instant, is_known: bool) {
        self.is_asking = false;
        let again = if is_known { self.every } else { Some(self.every.map_or(AGAIN, |every| every.min(AGAIN))) };
        self.next = again.map(|after| now + after);
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.next.filter(|_| !self.is_asking)
    }
}

impl Poller {
    /// Asks what is due.
    pub(super) fn look_out(&mut self, now: Instant) {
        if self.shutdown.is_some() {
            return;
        }
        for number in 0..self.subscriptions.len() {
            if self.subscriptions[number].lookout.next_wake().is_none_or(|next| next > now) {
                continue;
            }
            let consumer = self.subscriptions[number].members.iter().find_map(|member| {
                let member = self.members.get(*member).filter(|member| !member.is_leaving)?;
                member.consumer().ok()
            });
            let Some(cluster) = consumer.map(crate::native::Consumer::cluster) else {
                self.subscriptions[number].lookout.looked(now, false);
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let asked = std::thread::Builder::new().name("karafka-look".to_owned()).spawn(move || {
                let view = cluster.topics(PATIENCE_MS);
                // The client may end with this handle: not before its answer is there.
                drop(cluster);
                shared.report(Report::Looked { subscription: number, view });
                shared.waker.wake();
            });
            match asked {
                Ok(_) => self.subscriptions[number].lookout.is_asking = true,
                Err(error) => {
                    self.subscriptions[number].lookout.looked(now, false);
                    let message = "the system gave no thread to look for new topics; it is tried again";
                    let told = Error::new(crate::ErrorKind::Internal, "look for topics", message).caused_by(error);
                    self.publish_error(told.retriable(), true);
                }
            }
        }
    }

    /// The answer to a look.
    pub(super) fn looked(&mut self, now: Instant, number: usize, view: Result<View>) {
        let Some(subscription) = self.subscriptions.get_mut(number) else { return };
        subscription.lookout.looked(now, view.is_ok());
        if self.shutdown.is_some() {
            return;
        }
        match view {
            Ok(view) => {
                self.take_view(now, number, &view);
                self.subscribe_anew(number);
            }
            Err(error) => {
                let group = Arc::clone(&subscription.group);
                let Some(member) = subscription.members.first().and_then(|member| self.members.get_mut(*member)) else {
                    return;
                };
                if member.is_news("look for topics", error.kafka().unwrap_or_default(), "", now) {
                    self.publish_error(error.with("group", group).retriable(), true);
                }
            }
        }
    }

    /// Chooses by patterns, and assigns directly, what the cluster has. Returns how many partitions that is.
    pub(super) fn take_view(&mut self, now: Instant, number: usize, view: &View) -> u64 {
        if self.subscriptions[number].direct.is_some() {
            return direct::take_view(self, now, number, view);
        }
        let subscription = &self.subscriptions[number];
        let topics = view.iter().filter(|(_, partitions)| **partitions > 0).map(|(topic, _)| topic.as_str());
        let is_named = |topic: &str| subscription.is_named(topic);
        let chosen = pattern::choose(topics, &subscription.patterns, is_named, &self.dead_letter_topics);
        let assigned: HashSet<_> = self.partitions.values().map(|partition| partition.topic).collect();
        let subscription = &mut self.subscriptions[number];
        // What is gone from the cluster ends with its last partition; its number serves a later topic of the pattern.
        let routes = &mut self.routes;
        for target in subscription.forget(&chosen, |topic| assigned.contains(&topic)) {
            if let Some(route) = routes.get_mut(target.route) {
                route.spare.push(target.topic);
            }
        }
        let mut partitions = 0;
        for (topic, route) in &chosen {
            partitions += view.get(topic).copied().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
            if subscription.chosen.contains_key(topic) {
                continue;
            }
            let Some(found) = routes.get_mut(*route) else { continue };
            let id = found.spare.pop().unwrap_or_else(|| self.engine.add_topic(found.options));
            subscription.chosen.insert(topic.clone(), Target { route: *route, topic: id });
        }
        subscription.want(chosen.keys());
        if chosen.is_empty() && !subscription.patterns.is_empty() && !subscription.is_warned {
            subscription.is_warned = true;
            let message = format!(
                "no topic matches the patterns of group {}, the whole name counts: `^orders.*` is what begins with \
                 orders; new topics are looked for",
                subscription.group
            );
            self.shared.publisher.publish(&Event::Warning { message });
        }
        partitions
    }

    /// Joins, or joins again, where what is wanted is not what is subscribed to.
    pub(super) fn subscribe_anew(&mut self, number: usize) {
        let subscription = &mut self.subscriptions[number];
        if subscription.direct.is_some() || subscription.wanted == subscription.subscribed {
            return;
        }
        subscription.subscribed.clone_from(&subscription.wanted);
        for member in subscription.members.clone() {
            self.subscribe(member);
        }
    }

    /// Lets one connection ask the group for its topics; a group that has none is not joined.
    pub(super) fn subscribe(&mut self, member: usize) {
        let Some(owner) = self.members.get(member).filter(|owner| !owner.is_leaving) else { return };
        let topics = &self.subscriptions[owner.subscription].subscribed;
        let asked = owner.consumer().and_then(|consumer| match topics.is_empty() {
            true if owner.assigned.is_empty() => Ok(()),
            true => consumer.unsubscribe(),
            false => consumer.subscribe(topics),
        });
        if let Err(error) = asked {
            self.publish_error(error, true);
        }
    }
}
