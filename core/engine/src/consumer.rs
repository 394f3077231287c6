//! Whom calls beside the handler's belong to: what is known of each consumer of an assignment.
//!
//! Owned by the assignment, there only where a topic wants such calls, used by the engine's one thread. With virtual partitions
//! off or fixed, each virtual partition is a consumer. In all other modes a consumer lives for one job, so that what
//! belongs to a consumer belongs to the partition: it counts as one, named 0, which runs as long as any job of the partition
//! does.

use std::collections::BTreeMap;

use crate::instant::Instant;
use crate::job::Part;
use crate::options::VirtualPartitions;

/// The consumer of a partition of which none was used yet.
const FIRST: u64 = 0;

/// The most that a consumer was given in an ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Given {
    Nothing,
    Tick,
    Messages,
}

/// What is known of one consumer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumer {
    /// Calls with messages that are out.
    pub(crate) running: u32,
    pub(crate) given: Given,
    /// When its last call ended or, for a tick, was handed out.
    pub(crate) active: Instant,
    /// A tick is due, and not handed out.
    pub(crate) tick_due: bool,
    /// The partition's end is to be told.
    pub(crate) end_due: bool,
    /// A call without messages is out.
    pub(crate) hook_runs: bool,
}

impl Consumer {
    fn new(now: Instant) -> Self {
        Self { running: 0, given: Given::Nothing, active: now, tick_due: false, end_due: false, hook_runs: false }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.running == 0 && !self.hook_runs
    }

    /// Whether it is to hear of the end of the ownership.
    pub(crate) fn is_known(&self) -> bool {
        self.given != Given::Nothing
    }
}

/// The end of a partition, as far as is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// One beyond the last sequence number.
    pub(crate) beyond: u64,
    /// It is to be told, and messages still wait whose call may say so.
    pub(crate) untold: bool,
}

/// The consumers of an assignment.
#[derive(Debug)]
pub(crate) struct Consumers {
    list: BTreeMap<u64, Consumer>,
    /// Whether the partition counts as one consumer.
    pub(crate) is_whole: bool,
    /// A call without messages is out that belongs to the whole partition: nothing of it may begin beside.
    pub(crate) is_held: bool,
    /// The earliest timer that is set for ticks.
    pub(crate) armed: Instant,
    /// Whether the end of the ownership was told, or is about to be.
    pub(crate) bade: bool,
    /// Calls about it that are due and not handed out.
    pub(crate) owed: u32,
    /// Where the partition ends, until another message comes.
    pub(crate) end: Option<End>,
}

impl Consumers {
    /// Those of a new assignment.
    pub(crate) fn new(mode: VirtualPartitions, now: Instant) -> Self {
        let is_whole = !matches!(mode, VirtualPartitions::Off | VirtualPartitions::Fixed(_));
        Self {
            list: BTreeMap::from([(FIRST, Consumer::new(now))]),
            is_whole,
            is_held: false,
            armed: Instant::NEVER,
            bade: false,
            owed: 0,
            end: None,
        }
    }

    pub(crate) fn get(&self, name: u64) -> Option<&Consumer> {
        self.list.get(&name)
    }

    pub(crate) fn get_mut(&mut self, name: u64) -> Option<&mut Consumer> {
        self.list.get_mut(&name)
    }

    /// Those that ticks and the partition's end are told: all that are known, or else the first.
    pub(crate) fn present(&self) -> impl Iterator<Item = (u64, &Consumer)> {
        let alone = !self.list.values().any(Consumer::is_known);
        let present = move |(name, consumer): &(&u64, &Consumer)| consumer.is_known() || (alone && **name == FIRST);
        self.list.iter().filter(present).map(|(name, consumer)| (*name, consumer))
    }

    /// Those that hear of the end of the ownership.
    pub(crate) fn known(&self) -> impl Iterator<Item = (u64, &Consumer)> {
        self.list.iter().filter(|(_, consumer)| consumer.is_known()).map(|(name, consumer)| (*name, consumer))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Consumer> {
        self.list.values_mut()
    }

    /// A call with messages of these virtual partitions is handed out.
    pub(crate) fn begin(&mut self, now: Instant, parts: &[Part]) {
        self.each_of(now, parts, |consumer| {
            consumer.given = Given::Messages;
            consumer.running += 1;
        });
    }

    /// It came back.
    pub(crate) fn end(&mut self, now: Instant, parts: &[Part]) {
        self.each_of(now, parts, |consumer| {
            consumer.running = consumer.running.saturating_sub(1);
            consumer.active = now;
        });
    }

    fn each_of(&mut self, now: Instant, parts: &[Part], mut change: impl FnMut(&mut Consumer)) {
        let names = parts.iter().map(|part| if self.is_whole { FIRST } else { part.name });
        for name in names.take(if self.is_whole { 1 } else { parts.len() }) {
            change(self.list.entry(name).or_insert_with(|| Consumer::new(now)));
        }
    }
}
