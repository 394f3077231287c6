//! The scheduled messages of one partition: read from its log, sent when they are due, forgotten when they were sent.
//!
//! Owned by the owner of the partition, used by one thread at a time. Times are milliseconds since 1970-01-01 UTC.
//!
//! The log says what waits: a record schedules the message of its key, a tombstone ends it, because it was cancelled or because it
//! was sent. Guarantees, whatever is read, fails or ends in between:
//!
//! 1. A message is given out for sending at its time or later, never before.
//! 2. It is given out again until it was acknowledged, and its tombstone until that was.
//! 3. The log is read as far as it went *at the message's time* before the message is given out: what was cancelled before that
//!    time is not sent.
//! 4. One owner sends a message twice only where it was not told that the first one arrived; the next owner only where
//!    the tombstone was not written.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How long a message waits that could not be sent, the first time.
pub const FIRST_BACKOFF_MS: i64 = 1_000;

/// How long it waits at most; the time doubles with each failure.
pub const LONGEST_BACKOFF_MS: i64 = 60_000;

/// A message that is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due<T> {
    /// The key of its record.
    pub id: Arc<[u8]>,
    /// Where its record lies.
    pub offset: i64,
    /// What is to be sent.
    pub message: Arc<T>,
}

#[derive(Debug)]
enum Phase {
    /// For its time, or for another attempt.
    Waits,
    /// Given out, without an answer yet.
    GivenOut,
    /// It arrived; its tombstone is missing.
    Sent,
}

#[derive(Debug)]
struct Entry<T> {
    offset: i64,
    /// When it goes: its time, or that of the next attempt.
    due: i64,
    failures: u32,
    phase: Phase,
    message: Arc<T>,
}

/// How far the log went at a time.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: i64,
    end: i64,
}

/// The messages of one partition.
#[derive(Debug)]
pub struct Messages<T> {
    entries: HashMap<Arc<[u8]>, Entry<T>>,
    /// Those that wait, by time and then by their place in the log.
    order: BTreeSet<(i64, i64, Arc<[u8]>)>,
    /// Those that have arrived and need their tombstones, by their place in the log.
    arrived: BTreeMap<i64, Arc<[u8]>>,
    /// The next offset of the log.
    next: i64,
    /// What is due until then may go: everything that had been said by that time was read.
    cleared: i64,
    look: Option<Look>,
}

impl<T> Default for Messages<T> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            order: BTreeSet::new(),
            arrived: BTreeMap::new(),
            next: 0,
            cleared: i64::MIN,
            look: None,
        }
    }
}

impl<T> Messages<T> {
    /// The partition's next record schedules a message. What was read before is left out.
    pub fn scheduled(&mut self, offset: i64, id: &[u8], at: i64, message: T) {
        if !self.moves_to(offset) {
            return;
        }
        self.remove(id);
        let id: Arc<[u8]> = Arc::from(id);
        self.order.insert((at, offset, Arc::clone(&id)));
        let entry = Entry { offset, due: at, failures: 0, phase: Phase::Waits, message: Arc::new(message) };
        self.entries.insert(id, entry);
        self.clear();
    }

    /// The partition's next record is the tombstone of a message.
    pub fn ended(&mut self, offset: i64, id: &[u8]) {
        if self.moves_to(offset) {
            self.remove(id);
            self.clear();
        }
    }

    /// The log was read up to here: there is nothing in between, or nothing that concerns messages.
    pub fn read_to(&mut self, end: i64) {
        self.next = self.next.max(end);
        self.clear();
    }

    /// The offset of the next record that was not read.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// How many messages wait, or were sent and are not forgotten yet.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether it has to be found out how far the log goes ([`Self::goes_to`]) before anything more is given out.
    pub fn must_look(&self, now: i64) -> bool {
        self.look.is_none() && self.order.first().is_some_and(|(due, ..)| *due <= now && *due > self.cleared)
    }

    /// The log ends here, as was found out at `at` or after it.
    pub fn goes_to(&mut self, at: i64, end: i64) {
        self.look = Some(Look { at, end });
        self.clear();
    }

    /// How far the log must be read before what is due can be given out.
    pub fn must_read_to(&self) -> Option<i64> {
        self.look.map(|look| look.end)
    }

    /// Gives out what is due, in the order of their times, at most so many.
    pub fn due(&mut self, now: i64, most: usize) -> Vec<Due<T>> {
        let until = now.min(self.cleared);
        let mut given = Vec::new();
        while given.len() < most {
            let Some((due, ..)) = self.order.first() else { break };
            if *due > until {
                break;
            }
            let Some((_, _, id)) = self.order.pop_first() else { break };
            let Some(entry) = self.entries.get_mut(&id) else { continue };
            entry.phase = Phase::GivenOut;
            given.push(Due { id, offset: entry.offset, message: Arc::clone(&entry.message) });
        }
        given
    }

    /// A message that was given out has arrived.
    pub fn sent(&mut self, due: &Due<T>) {
        if let Some(entry) = self.given_out(due) {
            entry.phase = Phase::Sent;
            self.arrived.insert(due.offset, Arc::clone(&due.id));
        }
    }

    /// A message that was given out may not have arrived: it goes again after a while.
    pub fn failed(&mut self, now: i64, due: &Due<T>) {
        let Some(entry) = self.given_out(due) else { return };
        let backoff = FIRST_BACKOFF_MS.saturating_mul(1 << entry.failures.min(16)).min(LONGEST_BACKOFF_MS);
        entry.failures = entry.failures.saturating_add(1);
        entry.due = now.saturating_add(backoff);
        entry.phase = Phase::Waits;
        let place = (entry.due, entry.offset, Arc::clone(&due.id));
        self.order.insert(place);
    }

    /// A message that was given out was not sent after all: it goes when it is asked for again.
    pub fn kept(&mut self, due: &Due<T>) {
        let Some(entry) = self.given_out(due) else { return };
        entry.phase = Phase::Waits;
        let place = (entry.due, entry.offset, Arc::clone(&due.id));
        self.order.insert(place);
    }

    /// Messages that have arrived and need their tombstones, with their places in the log; at most so many.
    pub fn to_forget(&self, most: usize) -> Vec<(Arc<[u8]>, i64)> {
        self.arrived.iter().take(most).map(|(offset, id)| (Arc::clone(id), *offset)).collect()
    }

    /// The tombstone of a message is written.
    pub fn forgotten(&mut self, id: &[u8], offset: i64) {
        if self.arrived.get(&offset).is_some_and(|arrived| **arrived == *id) {
            self.remove(id);
        }
    }

    fn given_out(&mut self, due: &Due<T>) -> Option<&mut Entry<T>> {
        let is_it = |entry: &&mut Entry<T>| entry.offset == due.offset && matches!(entry.phase, Phase::GivenOut);
        self.entries.get_mut(&due.id).filter(is_it)
    }

    /// Whether a record is a new one.
    fn moves_to(&mut self, offset: i64) -> bool {
        if offset < self.next {
            return false;
        }
        self.next = offset.saturating_add(1);
        true
    }

    fn remove(&mut self, id: &[u8]) {
        if let Some((id, entry)) = self.entries.remove_entry(id) {
            self.arrived.remove(&entry.offset);
            self.order.remove(&(entry.due, entry.offset, id));
        }
    }

    /// What had been said when somebody looked may be read by now.
    fn clear(&mut self) {
        if let Some(look) = self.look.filter(|look| self.next >= look.end) {
            self.cleared = self.cleared.max(look.at);
            self.look = None;
        }
    }
}
