//! Looking at the app: its gauges at any time, and statistics every interval.
//!
//! Owned and called by the poller. What librdkafka tells by client is kept until its next word; partitions that are not
//! assigned are left out, and so is a lag of which nothing is known.

use super::Poller;
use crate::event::Event;
use crate::native::{RawBroker, RawPartition, RawStatistics};
use crate::statistics::{BrokerStatistics, Call, ClientStatistics, PartitionStatistics, Statistics};
use karafka_engine::{AssignmentId, JobId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often statistics are told to somebody who asked for them and named no interval.
const USUAL: Duration = Duration::from_secs(5);

pub(super) struct Observer {
    interval: Option<Duration>,
    /// When statistics are told at the latest.
    due: Instant,
    /// librdkafka's last two words on each member.
    told: HashMap<usize, (Box<RawStatistics>, Option<Box<RawStatistics>>)>,
    /// Members that told something since statistics were told last.
    fresh: HashSet<usize>,
}

impl Observer {
    /// Statistics every `interval`, or when it is zero and they are wanted, every [`USUAL`] time.
    pub(super) fn new(interval: Duration, wanted: bool) -> Self {
        let interval = if interval.is_zero() { wanted.then_some(USUAL) } else { Some(interval) };
        let mut observer = Self { interval, due: Instant::now(), told: HashMap::new(), fresh: HashSet::new() };
        observer.put_off(Instant::now());
        observer
    }

    /// The interval in librdkafka's notation.
    pub(super) fn setting(&self) -> String {
        self.interval.map_or(0, |interval| interval.as_millis()).to_string()
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.interval.map(|_| self.due)
    }

    /// Clients tell every interval; one that does not is waited for half as long again.
    fn put_off(&mut self, now: Instant) {
        self.fresh.clear();
        self.due = now + self.interval.map_or(USUAL, |interval| interval + interval / 2);
    }
}

impl Poller {
    /// A client told how it does.
    pub(super) fn client_told(&mut self, member: usize, raw: Box<RawStatistics>) {
        let before = self.observer.told.remove(&member).map(|(last, _)| last);
        self.observer.told.insert(member, (raw, before));
        self.observer.fresh.insert(member);
    }

    /// Tells statistics when they are due.
    pub(super) fn observe(&mut self, now: Instant) {
        if self.observer.interval.is_none() {
            return;
        }
        let is_there = |member: &&super::Member| member.consumer().is_ok();
        let clients = self.members.iter().filter(is_there).count();
        let all_told = clients > 0 && self.observer.fresh.len() >= clients;
        if all_told || now >= self.observer.due {
            self.observer.put_off(now);
            let statistics = self.statistics(now);
            self.shared.publisher.publish(&Event::Statistics(Arc::new(statistics)));
        }
    }

    /// How the app does now.
    pub(super) fn statistics(&self, now: Instant) -> Statistics {
        let totals = self.engine.totals();
        let waiting: HashSet<JobId> = self.pools.iter().flat_map(|pool| pool.waiting(|job| job.context.job)).collect();
        let busy: HashMap<u64, _> = self.shared.desks.busy().into_iter().map(|busy| (busy.job, busy)).collect();
        let mut calls = Vec::new();
        let mut oldest_waiting = Duration::ZERO;
        let mut workers_busy = 0;
        for running in self.engine.running_jobs() {
            let since = self.start + running.since.since(karafka_engine::Instant::START);
            if waiting.contains(&running.job) {
                oldest_waiting = oldest_waiting.max(now.saturating_duration_since(since));
                continue;
            }
            let desk = busy.get(&running.job.number());
            workers_busy += u32::from(desk.is_some());
            let (topic, partition) = self.place(running.assignment);
            calls.push(Call {
                worker: desk.map(|desk| desk.worker),
                thread: desk.map(|desk| desk.thread),
                topic,
                partition,
                offset: running.first_offset,
                messages: running.messages,
                kind: format!("{:?}", running.kind).to_lowercase(),
                running: now.saturating_duration_since(desk.map_or(since, |desk| desk.since)),
            });
        }
        calls.sort_by_key(|call| std::cmp::Reverse(call.running));
        let clients = self.observer.told.iter().filter_map(|(member, (last, before))| {
            let owner = self.members.get(*member).filter(|owner| owner.consumer().is_ok())?;
            Some(self.client_statistics(owner, *member, last, before.as_deref()))
        });
        Statistics {
            phase: self.shared.phase().name(),
            concurrency: u32::try_from(self.pools[0].capacity()).unwrap_or(u32::MAX),
            workers_busy,
            async_busy: u32::try_from(calls.len()).unwrap_or(u32::MAX).saturating_sub(workers_busy),
            jobs_waiting: u32::try_from(waiting.len()).unwrap_or(u32::MAX),
            oldest_waiting,
            longest_running: calls.first().map_or(Duration::ZERO, |call| call.running),
            queued_messages: totals.queued_messages,
            held_messages: totals.held_messages,
            held_bytes: totals.held_bytes,
            held_bytes_limit: self.config.memory_budget_bytes
                - self.config.memory_budget_bytes / super::prefetch::SHARE,
            assigned_partitions: u32::try_from(self.partitions.len()).unwrap_or(u32::MAX),
            calls,
            clients: clients.collect(),
        }
    }

    fn place(&self, assignment: AssignmentId) -> (String, i32) {
        // A partition that went elsewhere while its handler runs on has no name any more.
        self.partitions.get(&assignment).map_or_else(
            || ("(revoked)".to_owned(), -1),
            |partition| (partition.assignment.topic.to_string(), partition.assignment.partition),
        )
    }

    fn client_statistics(
        &self,
        owner: &super::Member,
        member: usize,
        last: &RawStatistics,
        before: Option<&RawStatistics>,
    ) -> ClientStatistics {
        let seconds = before.map(|before| (last.ts - before.ts) as f64 / 1e6).filter(|seconds| *seconds > 0.0);
        let rate = |now: i64, then: Option<i64>| Some((now - then?).max(0) as f64 / seconds?);
        let own = self.partitions.iter().filter(|(_, partition)| partition.member == member);
        let mut partitions: Vec<_> = own
            .map(|(id, partition)| {
                let (topic, number) = (&partition.assignment.topic, partition.assignment.partition);
                let raw = of(last, topic, number);
                let then = before.and_then(|before| of(before, topic, number));
                PartitionStatistics {
                    received_messages_per_second: raw.and_then(|raw| rate(raw.rxmsgs, then.map(|then| then.rxmsgs))),
                    ..self.partition_statistics(*id, topic, number, raw)
                }
            })
            .collect();
        partitions.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        let mut brokers: Vec<_> = last.brokers.values().filter(|raw| raw.nodeid >= 0).map(broker).collect();
        brokers.sort_by_key(|broker| broker.id);
        ClientStatistics {
            name: last.name.clone(),
            group: owner.group().to_string(),
            join_state: last.cgrp.join_state.clone(),
            rebalances: count(last.cgrp.rebalance_cnt),
            received_bytes: count(last.rx_bytes),
            received_messages: count(last.rxmsgs),
            received_bytes_per_second: rate(last.rx_bytes, before.map(|before| before.rx_bytes)),
            received_messages_per_second: rate(last.rxmsgs, before.map(|before| before.rxmsgs)),
            brokers,
            partitions,
        }
    }

    fn partition_statistics(
        &self,
        id: AssignmentId,
        topic: &str,
        partition: i32,
        raw: Option<&RawPartition>,
    ) -> PartitionStatistics {
        let known = |offset: i64| (offset >= 0).then_some(offset);
        let position = self.engine.position(id);
        // The last stable offset is the end for who reads committed records only.
        let end_offset = raw.and_then(|raw| known(raw.ls_offset).or(known(raw.hi_offset)));
        let low_offset = raw.and_then(|raw| known(raw.lo_offset));
        // A partition that nothing was committed of begins where its log does.
        let lag = end_offset.and_then(|end| Some(count(end - position.or(low_offset)?)));
        PartitionStatistics {
            topic: topic.to_owned(),
            partition,
            position,
            low_offset,
            end_offset,
            lag,
            fetch_queue_messages: raw.map_or(0, |raw| count(raw.fetchq_cnt)),
            fetch_queue_bytes: raw.map_or(0, |raw| count(raw.fetchq_size)),
            queued_messages: self.engine.queued(id),
            running_jobs: self.engine.running(id),
            received_messages: raw.map_or(0, |raw| count(raw.rxmsgs)),
            received_messages_per_second: None,
        }
    }
}

fn of<'a>(raw: &'a RawStatistics, topic: &str, partition: i32) -> Option<&'a RawPartition> {
    raw.topics.get(topic)?.partitions.values().find(|raw| raw.partition == partition)
}

/// Nothing is counted below zero.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn broker(raw: &RawBroker) -> BrokerStatistics {
    let time = |microseconds: i64| (raw.rtt.cnt > 0).then(|| Duration::from_micros(count(microseconds)));
    BrokerStatistics {
        name: raw.nodename.clone(),
        id: raw.nodeid,
        state: raw.state.clone(),
        requests_waiting: count(raw.outbuf_cnt),
        requests_in_flight: count(raw.waitresp_cnt),
        latency: time(raw.rtt.avg),
        latency_p95: time(raw.rtt.p95),
        latency_p99: time(raw.rtt.p99),
        connects: count(raw.connects),
        disconnects: count(raw.disconnects),
        errors: count(raw.txerrs) + count(raw.rxerrs) + count(raw.req_timeouts),
    }
}
