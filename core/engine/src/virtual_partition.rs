//! The mailboxes of one assignment: a list of messages for each virtual partition, and the queue of those that are ready.
//!
//! Owned by the assignment, used by the engine's one thread. Guarantees: messages leave a virtual partition in the order
//! they entered it (put back ones in front), and one that is running is never in the ready queue.

pub(crate) mod plain;

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::ahead::Useful;
use crate::instant::Instant;
use crate::partitioner::{Route, spread};
use crate::record::Record;
use crate::trouble::Troubles;
use crate::waiting::{List, Queued, Waiting};

/// A virtual partition without messages stays known until this many have gathered: keys come back, and two operations on
/// the table of names cost more than a message. They take about 64 bytes each.
const MOST_EMPTY: usize = 1024;

/// Names a virtual partition inside its assignment while it exists; reused afterwards.
pub(crate) type Index = u32;

/// What a virtual partition is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Messages; or, if it has some, a decision of the engine, which comes at once.
    Idle,
    /// More messages, until it is due.
    Lingering,
    /// A seat.
    Ready,
    /// The end of a job elsewhere that has the value of its next message.
    Blocked,
    /// The end of its job.
    Running,
    /// The end of its back-off, when it is due.
    BackingOff,
    /// The arrival of a dead letter of its.
    Dispatching,
}

#[derive(Debug)]
struct VirtualPartition {
    name: u64,
    /// When a linger or a back-off ends.
    due: Instant,
    list: List,
    state: State,
    /// Whether later messages may join it under its name.
    shared: bool,
    /// Whether messages at its front were in a job before; how it failed is in a table of its own, because few ever do.
    failed: bool,
}

/// What a job took from a virtual partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) index: Index,
    pub(crate) name: u64,
    pub(crate) shared: bool,
}

#[derive(Debug)]
pub(crate) struct Mailboxes<M> {
    waiting: Waiting<M>,
    partitions: Vec<Option<VirtualPartition>>,
    free: Vec<Index>,
    /// By the name, which the virtual partition itself has.
    by_name: HashTable<Index>,
    /// The virtual partition used last: batches often hold runs of one key, and without virtual partitions there is one.
    last: Option<(u64, Index)>,
    ready: VecDeque<Index>,
    ready_messages: u64,
    messages: u64,
    /// Virtual partitions under a name that have no message and are in no job.
    empty: usize,
    pub(crate) troubles: Troubles,
    /// Whether messages wait for no company.
    eager: bool,
    /// Most messages of one virtual partition that count as useful.
    depth: u64,
    useful: Useful,
}

impl<M> Mailboxes<M> {
    /// Mailboxes of many virtual partitions, or of a `single` one; ready as soon as there is a message if `eager`. At
    /// most `depth` messages of one virtual partition count as useful.
    pub(crate) fn new(single: bool, eager: bool, depth: u64) -> Self {
        Self {
            waiting: if single { Waiting::single() } else { Waiting::many() },
            partitions: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            last: None,
            ready: VecDeque::new(),
            ready_messages: 0,
            messages: 0,
            empty: 0,
            troubles: Troubles::new(),
            eager,
            depth,
            useful: Useful::default(),
        }
    }

    /// Messages that keep seats busy, now or soon.
    pub(crate) fn useful(&self) -> Useful {
        Useful { jobs: self.ready.len() as u64, ..self.useful }
    }

    /// Messages waiting in all mailboxes.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// Messages waiting in ready virtual partitions.
    pub(crate) fn ready_messages(&self) -> u64 {
        self.ready_messages
    }

    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many virtual partitions are ready.
    pub(crate) fn ready_count(&self) -> usize {
        self.ready.len()
    }

    /// Messages of the virtual partition that would be taken next.
    pub(crate) fn ready_length(&self) -> u64 {
        self.ready.front().map_or(0, |&index| u64::from(self.length(index)))
    }

    /// Queues a message at the end of its virtual partition, which appears with its first message. Returns it if the engine
    /// has to decide whether it is ready. A message the partitioner was not asked about yet ([`Route::Ask`]) must not come
    /// here; it would go to the virtual partition 0.
    #[inline]
    pub(crate) fn push(&mut self, route: Route, queued: Queued<M>) -> Option<Index> {
        let index = match route {
            Route::Alone(name) => self.create(name, false),
            Route::Shared(name) => self.find_or_create(name),
            Route::Ask => self.find_or_create(0),
        };
        let partition = self.partitions.get_mut(index as usize).and_then(Option::as_mut)?;
        self.waiting.push_back(&mut partition.list, queued);
        self.messages += 1;
        let length = u64::from(partition.list.length());
        match partition.state {
            State::Ready => {
                self.ready_messages += 1;
                self.useful.ready += u64::from(length <= self.depth);
            }
            State::Idle => {
                self.empty -= usize::from(partition.shared && length == 1);
                if !self.eager {
                    return Some(index);
                }
                partition.state = State::Ready;
                self.ready_messages += length;
                self.useful.ready += length.min(self.depth);
                self.ready.push_back(index);
            }
            State::Lingering => return Some(index),
            State::Running => self.useful.running += u64::from(length <= self.depth),
            State::BackingOff | State::Dispatching | State::Blocked => {}
        }
        None
    }

    /// Puts a message back in front of its running virtual partition.
    pub(crate) fn push_front(&mut self, index: Index, queued: Queued<M>) {
        if let Some(partition) = self.partitions.get_mut(index as usize).and_then(Option::as_mut) {
            self.waiting.push_front(&mut partition.list, queued);
            self.messages += 1;
            self.useful.running += u64::from(u64::from(partition.list.length()) <= self.depth);
        }
    }

    /// The virtual partition that would be taken next, and whether it failed before, so that it is retried without
    /// company.
    #[inline]
    pub(crate) fn peek_ready(&self) -> Option<(Index, bool)> {
        let index = *self.ready.front()?;
        Some((index, self.partition(index).is_some_and(|partition| partition.failed)))
    }

    /// Takes the first ready virtual partition out of the queue, to wait for the end of a job elsewhere.
    pub(crate) fn block_first(&mut self) {
        let Some(index) = self.ready.pop_front() else { return };
        let depth = self.depth;
        if let Some(partition) = self.partition_mut(index) {
            partition.state = State::Blocked;
            let length = u64::from(partition.list.length());
            self.ready_messages -= length;
            self.useful.ready -= length.min(depth);
        }
    }

    /// The waiting messages of a virtual partition with their sequences, the first one first.
    pub(crate) fn waiting(&self, index: Index) -> impl Iterator<Item = (&M, u64)> {
        self.partition(index).into_iter().flat_map(|partition| self.waiting.iter(&partition.list))
    }

    /// Puts a ready virtual partition in front of the others; whether it is ready.
    pub(crate) fn advance(&mut self, index: Index) -> bool {
        let place = self.ready.iter().position(|other| *other == index);
        let found = place.and_then(|place| self.ready.remove(place));
        if let Some(index) = found {
            self.ready.push_front(index);
        }
        found.is_some()
    }

    /// Ready virtual partitions in their order, with their names.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (Index, u64)> {
        self.ready.iter().filter_map(|&index| Some((index, self.partition(index)?.name)))
    }

    /// Takes the first ready virtual partition for a job, with its messages until `most` were of use to `each`.
    #[inline]
    pub(crate) fn take_ready(&mut self, most: usize, each: impl FnMut(Queued<M>) -> bool) -> Option<Taken> {
        let index = self.ready.pop_front()?;
        let partition = self.partitions.get_mut(index as usize)?.as_mut()?;
        partition.state = State::Running;
        let (failed, length) = (partition.failed, partition.list.length());
        let before = u64::from(length);
        self.ready_messages -= before;
        self.waiting.take(&mut partition.list, most, each);
        let after = u64::from(partition.list.length());
        if failed {
            self.troubles.took(index, length - partition.list.length());
        }
        self.messages -= before - after;
        self.useful.ready -= before.min(self.depth);
        self.useful.running += after.min(self.depth);
        Some(Taken { index, name: partition.name, shared: partition.shared })
    }

    /// The job of a virtual partition ended and nothing of it came back. Returns whether the engine has to decide what the
    /// messages that gathered wait for.
    #[inline]
    pub(crate) fn end_job(&mut self, index: Index) -> bool {
        let Some(partition) = self.partitions.get_mut(index as usize).and_then(Option::as_mut) else {
            return false;
        };
        partition.failed = partition.failed && self.troubles.passed(index);
        partition.state = State::Idle;
        let length = u64::from(partition.list.length());
        if length == 0 {
            self.retire(index);
            return false;
        }
        self.useful.running -= length.min(self.depth);
        if self.eager {
            partition.state = State::Ready;
            self.ready_messages += length;
            self.useful.ready += length.min(self.depth);
            self.ready.push_back(index);
        }
        !self.eager
    }

    /// Has a virtual partition, which is made if it is not there, count as running without having given a message; its
    /// place and what it was, unless it runs.
    pub(crate) fn hold(&mut self, name: u64) -> Option<(Index, State)> {
        let index = self.find_or_create(name);
        let depth = self.depth;
        let partition = self.partitions.get_mut(index as usize)?.as_mut()?;
        if matches!(partition.state, State::Running | State::Dispatching | State::Blocked) {
            return None;
        }
        let before = std::mem::replace(&mut partition.state, State::Running);
        let length = u64::from(partition.list.length());
        self.useful.running += length.min(depth);
        match before {
            State::Idle if length == 0 => self.empty -= usize::from(partition.shared),
            State::Ready => {
                self.ready.retain(|other| *other != index);
                self.ready_messages -= length;
                self.useful.ready -= length.min(depth);
            }
            _ => {}
        }
        Some((index, before))
    }

    /// Ends [`Self::hold`]. Returns whether the engine has to decide what the messages that gathered wait for.
    pub(crate) fn release(&mut self, now: Instant, index: Index, before: State) -> bool {
        let depth = self.depth;
        let Some(partition) = self.partitions.get_mut(index as usize).and_then(Option::as_mut) else {
            return false;
        };
        let length = u64::from(partition.list.length());
        let waits = matches!(before, State::Lingering | State::BackingOff) && partition.due > now;
        if length > 0 && !waits && before != State::Idle {
            self.set_ready_again(index);
            return false;
        }
        self.useful.running -= length.min(depth);
        partition.state = if waits { before } else { State::Idle };
        if length == 0 {
            partition.state = State::Idle;
            self.retire(index);
            return false;
        }
        // One that lingers may have grown full meanwhile.
        !waits || before == State::Lingering
    }

    /// The state of the virtual partition under a name that others may join.
    pub(crate) fn state_of(&self, name: u64) -> Option<State> {
        self.state(self.find(name)?)
    }

    /// Whether the virtual partition under a name failed last time.
    pub(crate) fn has_failed(&self, name: u64) -> bool {
        self.find(name).is_some_and(|index| self.troubles.of(index).failed)
    }

    /// Whether some virtual partition failed last time.
    pub(crate) fn is_retrying(&self) -> bool {
        self.troubles.has_failures()
    }

    pub(crate) fn state(&self, index: Index) -> Option<State> {
        self.partition(index).map(|partition| partition.state)
    }

    /// How many of a virtual partition's first messages, at most `most`, are together no larger than `space`, and how large
    /// they are; those that `skips` names by their sequence are not counted.
    pub(crate) fn fitting(&self, index: Index, most: usize, space: u64, skips: impl Fn(u64) -> bool) -> (usize, u64)
    where
        M: Record,
    {
        let (mut count, mut size) = (0, 0);
        let Some(partition) = self.partition(index) else { return (0, 0) };
        self.waiting.look(&partition.list, |sequence, message| {
            if skips(sequence) {
                return true;
            }
            let with = size + u64::from(message.size());
            if count == most || with > space {
                return false;
            }
            (count, size) = (count + 1, with);
            true
        });
        (count, size)
    }

    /// When the linger or the back-off of a virtual partition ends.
    pub(crate) fn due(&self, index: Index) -> Option<Instant> {
        self.partition(index).map(|partition| partition.due)
    }

    pub(crate) fn length(&self, index: Index) -> u32 {
        self.partition(index).map_or(0, |partition| partition.list.length())
    }

    /// The ledger's sequence of the first waiting message.
    pub(crate) fn first(&self, index: Index) -> Option<u64> {
        self.waiting.first(&self.partition(index)?.list)
    }

    /// Lets a virtual partition that is not in the ready queue wait for a moment: the end of a linger or a back-off.
    pub(crate) fn set_waiting(&mut self, index: Index, state: State, due: Instant) {
        debug_assert!(state != State::Ready && self.state(index) != Some(State::Ready));
        let depth = self.depth;
        if let Some(partition) = self.partition_mut(index) {
            let before = std::mem::replace(&mut partition.state, state);
            partition.due = due;
            if before == State::Running {
                let length = u64::from(partition.list.length());
                self.useful.running -= length.min(depth);
            }
        }
    }

    /// Puts a virtual partition at the end of the ready queue.
    pub(crate) fn set_ready(&mut self, index: Index) {
        self.enter_ready(index, false);
    }

    /// Puts a virtual partition at the head of the ready queue: its job was never started.
    pub(crate) fn set_ready_again(&mut self, index: Index) {
        self.enter_ready(index, true);
    }

    fn enter_ready(&mut self, index: Index, first: bool) {
        let Some(partition) = self.partition_mut(index) else {
            return;
        };
        if partition.state == State::Ready {
            return;
        }
        let before = std::mem::replace(&mut partition.state, State::Ready);
        let length = u64::from(partition.list.length());
        self.ready_messages += length;
        self.useful.ready += length.min(self.depth);
        if before == State::Running {
            self.useful.running -= length.min(self.depth);
        }
        if first {
            self.ready.push_front(index);
        } else {
            self.ready.push_back(index);
        }
    }

    /// `count` messages of a failed job are in front of their virtual partition again, of which from now on the first
    /// `suspects` are to run without others.
    pub(crate) fn came_back(&mut self, index: Index, count: u32, suspects: u32, failed: bool) {
        if let Some(partition) = self.partition_mut(index) {
            partition.failed = true;
            self.troubles.came_back(index, count, suspects, failed);
        }
    }

    /// How many messages at the front of a virtual partition failed together, so that one of them is to blame.
    pub(crate) fn suspects(&self, index: Index) -> u32 {
        self.troubles.of(index).suspects
    }

    /// The dead letter that a virtual partition waited for has arrived, or nobody waits for it any more.
    pub(crate) fn letter_arrived(&mut self, index: Index) {
        let Some(partition) = self.partition_mut(index).filter(|found| found.state == State::Dispatching) else {
            return;
        };
        if partition.list.length() > 0 {
            self.set_ready(index);
            return;
        }
        partition.state = State::Idle;
        partition.failed = false;
        self.troubles.passed(index);
        self.retire(index);
    }

    /// Empties all mailboxes. Virtual partitions of running jobs are forgotten too: nothing is put back any more.
    pub(crate) fn clear(&mut self, drop: impl FnMut(Queued<M>)) {
        self.waiting.drain(drop);
        *self = Self::new(matches!(self.waiting, Waiting::Single(_)), self.eager, self.depth);
    }

    /// Every virtual partition with its state and the number of its waiting messages.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Index, State, u32)> {
        let present = self.partitions.iter().enumerate();
        present
            .filter_map(|(index, slot)| slot.as_ref().map(|found| (index as Index, found.state, found.list.length())))
    }

    fn partition(&self, index: Index) -> Option<&VirtualPartition> {
        self.partitions.get(index as usize)?.as_ref()
    }

    fn partition_mut(&mut self, index: Index) -> Option<&mut VirtualPartition> {
        self.partitions.get_mut(index as usize)?.as_mut()
    }

    #[inline]
    fn find(&self, name: u64) -> Option<Index> {
        self.by_name.find(spread(name), |&index| is_named(&self.partitions, index, name)).copied()
    }

    #[inline]
    fn find_or_create(&mut self, name: u64) -> Index {
        if let Some((last, index)) = self.last
            && last == name
        {
            return index;
        }
        let index = self.find(name).unwrap_or_else(|| self.create(name, true));
        self.last = Some((name, index));
        index
    }

    #[inline(never)]
    fn create(&mut self, name: u64, shared: bool) -> Index {
        let partition = VirtualPartition {
            name,
            due: Instant::START,
            list: List::EMPTY,
            state: State::Idle,
            shared,
            failed: false,
        };
        let index = self.free.pop().unwrap_or(self.partitions.len() as Index);
        match self.partitions.get_mut(index as usize) {
            Some(slot) => *slot = Some(partition),
            None => self.partitions.push(Some(partition)),
        }
        if shared {
            let partitions = &self.partitions;
            let hash = |&index: &Index| spread(name_of(partitions, index).unwrap_or_default());
            self.by_name.insert_unique(spread(name), index, hash);
            self.empty += 1;
        }
        index
    }

    /// A virtual partition has no messages left and no job: one that nobody can join is gone, others may be filled again.
    fn retire(&mut self, index: Index) {
        let Some(slot) = self.partitions.get_mut(index as usize) else {
            return;
        };
        if slot.as_ref().is_some_and(|partition| partition.shared) {
            self.empty += 1;
            if self.empty > MOST_EMPTY {
                self.forget_empty();
            }
        } else {
            *slot = None;
            self.free.push(index);
        }
    }

    fn forget_empty(&mut self) {
        for (index, slot) in self.partitions.iter_mut().enumerate() {
            let gone = slot.take_if(|partition| partition.state == State::Idle && partition.list.length() == 0);
            if let Some(partition) = gone {
                let entry = self.by_name.find_entry(spread(partition.name), |&other| other == index as Index);
                if let Ok(found) = entry {
                    found.remove();
                }
                self.free.push(index as Index);
            }
        }
        self.last = None;
        self.empty = 0;
    }

    /// Compares what is counted along the way with a count from scratch; for tests.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut messages = 0;
        let mut ready_messages = 0;
        let mut ready = 0;
        let mut empty = 0;
        let mut useful = Useful::default();
        for (index, state, length) in self.iter() {
            messages += u64::from(length);
            match state {
                State::Ready => useful.ready += u64::from(length).min(self.depth),
                State::Running => useful.running += u64::from(length).min(self.depth),
                State::Idle | State::Lingering | State::BackingOff | State::Dispatching | State::Blocked => {}
            }
            empty += usize::from(state == State::Idle && length == 0);
            if state == State::Ready {
                ready += 1;
                ready_messages += u64::from(length);
                if length == 0 || !self.ready.contains(&index) {
                    return Err(format!("virtual partition {index} is ready but empty or not queued"));
                }
            }
        }
        let counted = (self.messages, self.ready_messages, self.ready.len(), self.empty);
        if counted != (messages, ready_messages, ready, empty) {
            return Err(format!("mailboxes count {counted:?}, hold {:?}", (messages, ready_messages, ready, empty)));
        }
        if self.useful != useful {
            return Err(format!("mailboxes count {:?}, hold {useful:?}", self.useful));
        }
        Ok(())
    }
}

/// The name of the virtual partition at a place.
#[inline]
fn name_of(partitions: &[Option<VirtualPartition>], index: Index) -> Option<u64> {
    Some(partitions.get(index as usize)?.as_ref()?.name)
}

#[inline]
fn is_named(partitions: &[Option<VirtualPartition>], index: Index, name: u64) -> bool {
    name_of(partitions, index) == Some(name)
}
