//! The logs, and what was committed for the group.
//!
//! A log has gaps, open transactions, aborted ones, control records; it is compacted, cut from the front by its retention
//! and from the end by an unclean election. Readers see what is before the first open transaction and not aborted.

use std::collections::BTreeMap;
use std::rc::Rc;

use karafka_engine::{Record, VirtualPartitions};

use crate::history::{Event, History, Logged, Place};
use crate::queue::Queue;
use crate::random::Random;
use crate::scenario::Topic;

/// A record in a log; the engine holds a [`Message`] of it.
#[derive(Debug)]
pub struct Entry {
    pub offset: i64,
    pub key: Option<[u8; 8]>,
    pub bytes: u32,
    pub place: Place,
    pub timestamp: Option<i64>,
    /// How many times a process fails to handle it before it succeeds.
    pub poison: u8,
}

#[derive(Clone, Debug)]
pub struct Message(pub Rc<Entry>);

impl Record for Message {
    fn offset(&self) -> i64 {
        self.0.offset
    }
    fn key(&self) -> Option<&[u8]> {
        self.0.key.as_ref().map(<[u8; 8]>::as_slice)
    }
    fn bytes(&self) -> u32 {
        self.0.bytes
    }
    fn timestamp(&self) -> Option<i64> {
        self.0.timestamp
    }
}

/// What a partitioner of a user answers: fewer virtual partitions than keys.
pub fn partitioner(message: &Message) -> u64 {
    message.0.key.map_or(0, u64::from_le_bytes) % 7
}

#[derive(Default)]
pub struct Log {
    /// What readers may see.
    pub entries: Vec<Message>,
    /// Behind `entries`: of open transactions, or after them. Each with its transaction.
    hidden: Vec<(Message, Option<u64>)>,
    pub next_offset: i64,
    /// The first offset that was not deleted.
    pub start: i64,
    pub committed: Option<(i64, String)>,
    /// Counts how often the end was cut off.
    pub epoch: u32,
    /// Where the end was cut off, each time.
    cuts: Vec<i64>,
}

impl Log {
    /// Where a reader is sent that knows the log of `epoch`: to the lowest place where the end was cut off below `known`; to the
    /// start of a log that ends before its `position`. A log that is `complete` and has nothing behind the cut sends nobody
    /// anywhere, and Kafka takes offsets beyond the end; this one does not, so there a reader begins at the group's offset.
    pub fn reset(&self, known: i64, position: i64, epoch: u32, complete: bool) -> Option<i64> {
        let cut = self.cuts.iter().skip(epoch as usize).copied().min();
        let Some(cut) = cut.filter(|cut| known > *cut) else {
            return (position > self.next_offset).then_some(self.start);
        };
        if !complete || self.last_readable().is_some_and(|last| last >= cut) {
            return Some(cut);
        }
        let committed = self.committed.as_ref().map_or(self.start, |(committed, _)| *committed);
        Some(committed.min(cut))
    }

    pub fn last_readable(&self) -> Option<i64> {
        self.entries.last().map(|message| message.0.offset)
    }
}

#[derive(Default)]
pub struct Broker {
    pub logs: BTreeMap<Place, Log>,
    transactions: u64,
}

impl Broker {
    pub fn create(&mut self, place: Place, random: &mut Random) {
        let next_offset = if random.chance(50) { 0 } else { random.below(1 << 40) as i64 };
        self.logs.insert(place, Log { next_offset, start: next_offset, ..Log::default() });
    }

    /// A number for a transaction, to be ended by [`Broker::end`].
    pub fn begin(&mut self) -> u64 {
        self.transactions += 1;
        self.transactions
    }

    /// Appends records, after gaps of missing offsets perhaps.
    pub fn append(
        &mut self,
        place: Place,
        records: u32,
        transaction: Option<u64>,
        topic: &Topic,
        wall: i64,
        random: &mut Random,
    ) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        for _ in 0..records {
            while random.chance(topic.gaps) {
                log.next_offset += 1;
            }
            let key = (!random.chance(topic.keyless)).then(|| random.below(topic.keys).to_le_bytes());
            let poison = if random.chance(topic.poison) { random.between(1, 4) as u8 } else { 0 };
            let (offset, bytes) = (log.next_offset, random.between(1, 200) as u32);
            let entry = Entry { offset, key, bytes, poison, place, timestamp: topic.intake.timestamp(wall, random) };
            log.next_offset += 1;
            log.hidden.push((Message(Rc::new(entry)), transaction));
        }
    }

    /// Ends a transaction everywhere; its control record takes an offset of each log it wrote to.
    pub fn end(&mut self, transaction: u64, commits: bool, history: &mut History, queue: &Queue) {
        for (&place, log) in &mut self.logs {
            let (mut found, mut aborted) = (false, Vec::new());
            log.hidden.retain_mut(|(message, owner)| {
                if *owner != Some(transaction) {
                    return true;
                }
                found = true;
                *owner = None;
                if !commits {
                    aborted.push(message.0.offset);
                }
                commits
            });
            log.next_offset += i64::from(found);
            if !aborted.is_empty() {
                history.add(queue.now, Event::Aborted { place, offsets: aborted });
            }
        }
    }

    /// Shows readers what lies before the first open transaction.
    pub fn reveal(&mut self, place: Place, topic: &Topic, history: &mut History, queue: &Queue) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        let stable = log.hidden.iter().position(|(_, owner)| owner.is_some()).unwrap_or(log.hidden.len());
        if stable == 0 {
            return;
        }
        let shown: Vec<Message> = log.hidden.drain(..stable).map(|(message, _)| message).collect();
        let logged = |message: &Message| Logged { offset: message.0.offset, order: order(message, topic) };
        let records = shown.iter().map(logged).collect();
        history.add(queue.now, Event::Readable { place, records });
        log.entries.extend(shown);
    }

    /// Removes all but the last record of each key among the readable ones, except the newest few.
    pub fn compact(&mut self, place: Place, history: &mut History, queue: &Queue) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        let clean = log.entries.len().saturating_sub(5);
        let newest: BTreeMap<_, _> = log.entries.iter().map(|message| (message.0.key, message.0.offset)).collect();
        let mut index = 0;
        let mut removed = Vec::new();
        log.entries.retain(|message| {
            index += 1;
            let stays = index > clean || message.0.key.is_none() || newest[&message.0.key] == message.0.offset;
            if !stays {
                removed.push(message.0.offset);
            }
            stays
        });
        history.add(queue.now, Event::Removed { place, offsets: removed });
    }

    /// Deletes the records before a random one.
    pub fn delete(&mut self, place: Place, random: &mut Random, history: &mut History, queue: &Queue) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        let count = random.below(log.entries.len() as u64 + 1) as usize;
        let removed: Vec<i64> = log.entries.drain(..count).map(|message| message.0.offset).collect();
        let Some(last) = removed.last() else { return };
        log.start = last + 1;
        history.add(queue.now, Event::Removed { place, offsets: removed });
    }

    /// Cuts the end off, from a random readable record on. What the group committed of it is gone, too: a commit beyond
    /// the end with marks would say of the records to come that they are done.
    pub fn truncate(&mut self, place: Place, random: &mut Random, history: &mut History, queue: &Queue) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        // Often so little that a reader still has to do with what lies before.
        let most = (log.entries.len() as u64).min(random.pick(&[3, 10, 40]));
        let keep = log.entries.len() - random.below(most + 1) as usize;
        let Some(first) = log.entries.get(keep) else { return };
        let end = first.0.offset;
        log.entries.truncate(keep);
        log.hidden.clear();
        log.next_offset = end;
        log.epoch += 1;
        log.cuts.push(end);
        if let Some((position, metadata)) = &mut log.committed {
            *position = (*position).min(end);
            let marks = karafka_engine::metadata::decode(*position, metadata).done;
            if !marks.is_empty() {
                metadata.clear();
            }
        }
        history.add(queue.now, Event::Truncated { place, end });
    }

    /// Up to `messages` records from `position` on, as long as they take no more than `bytes`, but at least one.
    pub fn fetch(&self, place: Place, position: i64, messages: usize, bytes: u64) -> Vec<Message> {
        let Some(log) = self.logs.get(&place) else {
            return Vec::new();
        };
        let first = log.entries.partition_point(|message| message.0.offset < position);
        let mut left = bytes;
        let fits = |message: &&Message| {
            let size = u64::from(message.0.bytes);
            let fits = left > 0;
            left = left.saturating_sub(size);
            fits
        };
        log.entries[first..].iter().take(messages).take_while(fits).cloned().collect()
    }
}

/// Which records have to be handled one after the other.
fn order(message: &Message, topic: &Topic) -> Option<u64> {
    match topic.options.virtual_partitions {
        VirtualPartitions::Off => Some(0),
        VirtualPartitions::ByKey | VirtualPartitions::Fixed(_) => message.0.key.map(u64::from_le_bytes),
        VirtualPartitions::Callback => (topic.partitioner_failures == 0).then(|| partitioner(message)),
        VirtualPartitions::RoundRobin(_) => None,
    }
}
