//! The logs, and what was committed for the group.

use std::collections::BTreeMap;
use std::rc::Rc;

use karafka_engine::{Record, VirtualPartitions};

use crate::history::{History, Logged, Place};
use crate::random::Random;
use crate::scenario::Topic;

/// A record in a log; the engine holds a [`Message`] of it.
#[derive(Debug)]
pub struct Entry {
    pub offset: i64,
    pub key: Option<[u8; 8]>,
    pub bytes: u32,
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
}

/// What a partitioner of a user answers: fewer virtual partitions than keys.
pub fn partitioner(message: &Message) -> u64 {
    message.0.key.map_or(0, u64::from_le_bytes) % 7
}

#[derive(Default)]
pub struct Log {
    pub entries: Vec<Message>,
    next_offset: i64,
    pub committed: Option<(i64, String)>,
}

#[derive(Default)]
pub struct Broker {
    pub logs: BTreeMap<Place, Log>,
}

impl Broker {
    pub fn create(&mut self, place: Place, random: &mut Random) {
        let next_offset = if random.chance(50) { 0 } else { random.below(1 << 40) as i64 };
        self.logs.insert(place, Log { next_offset, ..Log::default() });
    }

    /// Appends a record, after a gap of missing offsets perhaps.
    pub fn append(&mut self, place: Place, topic: &Topic, random: &mut Random, history: &mut History) {
        let Some(log) = self.logs.get_mut(&place) else { return };
        while random.chance(topic.gaps) {
            log.next_offset += 1;
        }
        let key = (!random.chance(topic.keyless)).then(|| random.below(topic.keys).to_le_bytes());
        let poison = if random.chance(topic.poison) { random.between(1, 4) as u8 } else { 0 };
        let entry = Entry { offset: log.next_offset, key, bytes: random.between(1, 200) as u32, poison };
        log.next_offset += 1;
        let message = Message(Rc::new(entry));
        let logged = Logged { offset: message.0.offset, order: order(&message, topic) };
        history.logs.entry(place).or_default().push(logged);
        log.entries.push(message);
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
