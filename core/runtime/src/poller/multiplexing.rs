//! Several connections of one group in one process: how they come and go.
//!
//! Called by the poller, on its thread, in every round for groups whose number of connections may change. `scaling` decides, here
//! it is done: a connection that comes is another client that joins the group; one that leaves takes nothing over any more, gives
//! up what it may have been given meanwhile as in any rebalance, leaves the group, and is destroyed on a thread of its own. The
//! app's stop ends both.

use super::Poller;
use super::rebalance::Change;
use super::scaling::{Connection, Decision, decide};
use crate::event::Event;
use crate::native::Consumer;
use crate::{Error, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a connection that leaves is looked at although its queue was not filled.
pub(super) const LEAVING_LOOK: Duration = Duration::from_millis(50);

impl Poller {
    /// Lets connections come and go where it is time. Returns when to ask again, if nothing happens until then.
    pub(super) fn scale(&mut self, now: Instant) -> Option<Instant> {
        if !self.is_scaling || self.shutdown.is_some() {
            return None;
        }
        let mut next: Option<Instant> = None;
        for number in 0..self.subscriptions.len() {
            if !self.subscriptions[number].limits.is_dynamic() {
                continue;
            }
            self.bury(now, number);
            let places: Vec<usize> = self.present(number).collect();
            let connections: Vec<_> = places.iter().filter_map(|place| self.connection(*place)).collect();
            let subscription = &mut self.subscriptions[number];
            let held: Vec<_> = connections.iter().map(|connection| connection.partitions).collect();
            if held != subscription.held {
                subscription.memory.changed = now;
                subscription.held = held;
            }
            match decide(&subscription.limits, &subscription.memory, &connections, now) {
                Decision::Stay => {}
                Decision::Wait(until) => next = Some(next.map_or(until, |next| next.min(until))),
                Decision::Start => self.start_connection(now, number),
                Decision::Stop(place) => {
                    let has: usize = subscription.held.iter().sum();
                    (subscription.memory.changed, subscription.memory.enough_for) = (now, has);
                    if let Some(member) = places.get(place) {
                        self.stop_connection(*member);
                    }
                }
            }
        }
        next
    }

    /// The places of a group's connections.
    fn present(&self, number: usize) -> impl Iterator<Item = usize> {
        let places = self.subscriptions.get(number).map(|subscription| subscription.members.as_slice());
        places
            .unwrap_or_default()
            .iter()
            .copied()
            .filter(|place| self.members.get(*place).is_some_and(|member| member.consumer.is_some()))
    }

    fn connection(&self, place: usize) -> Option<Connection> {
        let member = self.members.get(place)?;
        let is_busy = member.is_leaving || !matches!(member.change, Change::None);
        Some(Connection { partitions: member.assigned.len(), is_busy, since: member.since })
    }

    fn start_connection(&mut self, now: Instant, number: usize) {
        let subscription = &mut self.subscriptions[number];
        subscription.memory.changed = now;
        let vacant = |place: &usize| self.members.get(*place).is_some_and(|member| member.consumer.is_none());
        let position = subscription.members.iter().position(vacant).unwrap_or(subscription.members.len());
        match self.add_connection(number, position) {
            Ok(member) => {
                self.subscribe(member);
                self.tell_connections(number, true);
            }
            Err(error) => self.publish_error(error.retriable(), true),
        }
    }

    fn stop_connection(&mut self, place: usize) {
        let Some(member) = self.members.get_mut(place) else { return };
        member.is_leaving = true;
        let closed = member.consumer().and_then(Consumer::close);
        if let Err(error) = closed {
            self.publish_error(error, true);
        }
    }

    /// Takes connections out that have left their group. Their places are free for later ones.
    fn bury(&mut self, now: Instant, number: usize) {
        let has_left = |place: &usize| {
            let member = self.members.get(*place)?;
            (member.is_leaving && member.consumer().is_ok_and(Consumer::closed)).then_some(*place)
        };
        let left: Vec<_> = self.present(number).filter_map(|place| has_left(&place)).collect();
        for place in left {
            let Some(member) = self.members.get_mut(place) else { continue };
            let (token, consumer) = (member.token, member.take_consumer());
            member.is_leaving = false;
            self.sources.remove(&token);
            self.subscriptions[number].memory.changed = now;
            // Ends by itself; librdkafka may wait there for a while.
            let ended = std::thread::Builder::new().name("karafka-close".to_owned()).spawn(move || drop(consumer));
            if let Err(error) = ended {
                let message = "the system gave no thread to close a connection; it was closed by the poller";
                let told = Error::new(ErrorKind::Internal, "close a connection", message).caused_by(error);
                self.publish_error(told, true);
            }
            self.tell_connections(number, false);
        }
    }

    fn tell_connections(&self, number: usize, came: bool) {
        let connections = self.present(number).count();
        let Some(subscription) = self.subscriptions.get(number) else { return };
        let group = Arc::clone(&subscription.group);
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        self.shared.publisher.publish(&if came {
            Event::ConnectionRunning { group, connections }
        } else {
            Event::ConnectionStopped { group, connections }
        });
    }
}
