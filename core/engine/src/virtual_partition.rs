//! The mailboxes of one assignment: a queue of messages for each virtual partition, and the queue of those that are ready.
//!
//! Owned by the assignment, used by the engine's one thread. All queues share one arena of nodes linked by index, so that
//! a virtual partition that comes and goes with a single message costs no allocation. Guarantees: messages leave a virtual
//! partition in the order they entered it (put back ones in front), and one that is running is never in the ready queue.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::instant::Instant;
use crate::partitioner::{Route, Spread};

const NONE: u32 = u32::MAX;

/// Names a virtual partition inside its assignment while it exists; reused afterwards.
pub(crate) type Index = u32;

/// A message out of a mailbox, or on its way into one.
#[derive(Debug)]
pub(crate) struct Queued<M> {
    pub(crate) message: M,
    /// The message's place in the ledger.
    pub(crate) sequence: u64,
    pub(crate) arrived: Instant,
    pub(crate) bytes: u32,
}

/// What a virtual partition is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Just created or just returned from a job: the engine decides at once what comes next.
    Idle,
    /// More messages, until this instant.
    Lingering(Instant),
    /// A seat.
    Ready,
    /// The end of its job.
    Running,
    /// The end of its back-off.
    BackingOff(Instant),
}

#[derive(Debug)]
struct VirtualPartition {
    name: u64,
    shared: bool,
    state: State,
    head: u32,
    tail: u32,
    length: u32,
    /// Failures in a row of the message `failed`, which was the first unmarked one.
    failures: u32,
    failed: u64,
}

#[derive(Debug)]
struct Node<M> {
    content: Option<Queued<M>>,
    next: u32,
}

#[derive(Debug)]
pub(crate) struct Mailboxes<M> {
    nodes: Vec<Node<M>>,
    free_node: u32,
    partitions: Vec<Option<VirtualPartition>>,
    free: Vec<Index>,
    by_name: HashMap<u64, Index, Spread>,
    /// The virtual partition used last: batches often hold runs of one key, and without virtual partitions there is one.
    last: Option<(u64, Index)>,
    ready: VecDeque<Index>,
    ready_messages: u64,
    messages: u64,
}

impl<M> Mailboxes<M> {
    pub(crate) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            free_node: NONE,
            partitions: Vec::new(),
            free: Vec::new(),
            by_name: HashMap::with_hasher(Spread::default()),
            last: None,
            ready: VecDeque::new(),
            ready_messages: 0,
            messages: 0,
        }
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

    /// Queues a message at the end of its virtual partition, which appears with its first message. A message the
    /// partitioner was not asked about yet ([`Route::Ask`]) must not come here; it would go to the virtual partition 0.
    pub(crate) fn push(&mut self, route: Route, queued: Queued<M>) -> Index {
        let index = match route {
            Route::Alone(name) => self.create(name, false),
            Route::Shared(name) => self.find_or_create(name),
            Route::Ask => self.find_or_create(0),
        };
        let node = self.allocate(queued, NONE);
        let Some(partition) = self.partitions.get_mut(index as usize).and_then(Option::as_mut) else {
            return index;
        };
        let previous = std::mem::replace(&mut partition.tail, node);
        partition.length += 1;
        if partition.state == State::Ready {
            self.ready_messages += 1;
        }
        if previous == NONE {
            partition.head = node;
        } else if let Some(previous) = self.nodes.get_mut(previous as usize) {
            previous.next = node;
        }
        self.messages += 1;
        index
    }

    /// Puts a message back in front of its running virtual partition.
    pub(crate) fn push_front(&mut self, index: Index, queued: Queued<M>) {
        let Some(head) = self.partition(index).map(|partition| partition.head) else {
            return;
        };
        let node = self.allocate(queued, head);
        if let Some(partition) = self.partition_mut(index) {
            partition.head = node;
            if partition.tail == NONE {
                partition.tail = node;
            }
            partition.length += 1;
            self.messages += 1;
        }
    }

    /// Takes the first message of a virtual partition that is not in the ready queue.
    pub(crate) fn pop(&mut self, index: Index) -> Option<Queued<M>> {
        let partition = self.partitions.get_mut(index as usize)?.as_mut()?;
        let taken = partition.head;
        let node = self.nodes.get_mut(taken as usize)?;
        let content = node.content.take()?;
        partition.head = node.next;
        partition.length -= 1;
        if partition.head == NONE {
            partition.tail = NONE;
        }
        node.next = self.free_node;
        self.free_node = taken;
        self.messages -= 1;
        Some(content)
    }

    /// The name of a virtual partition, as handlers see it, and whether other messages may join it.
    pub(crate) fn name(&self, index: Index) -> (u64, bool) {
        self.partition(index).map_or((0, false), |partition| (partition.name, partition.shared))
    }

    pub(crate) fn state(&self, index: Index) -> Option<State> {
        self.partition(index).map(|partition| partition.state)
    }

    pub(crate) fn length(&self, index: Index) -> u32 {
        self.partition(index).map_or(0, |partition| partition.length)
    }

    /// When the first waiting message arrived.
    pub(crate) fn oldest(&self, index: Index) -> Option<Instant> {
        let head = self.partition(index)?.head;
        Some(self.nodes.get(head as usize)?.content.as_ref()?.arrived)
    }

    /// Lets a virtual partition wait for something else than a seat.
    pub(crate) fn set_waiting(&mut self, index: Index, state: State) {
        debug_assert!(state != State::Ready && self.state(index) != Some(State::Ready));
        if let Some(partition) = self.partition_mut(index) {
            partition.state = state;
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
        partition.state = State::Ready;
        let length = partition.length;
        self.ready_messages += u64::from(length);
        if first {
            self.ready.push_front(index);
        } else {
            self.ready.push_back(index);
        }
    }

    /// The virtual partition that would be taken next.
    pub(crate) fn peek_ready(&self) -> Option<Index> {
        self.ready.front().copied()
    }

    /// Takes the first ready virtual partition for a job.
    pub(crate) fn take_ready(&mut self) -> Option<Index> {
        let index = self.ready.pop_front()?;
        if let Some(partition) = self.partition_mut(index) {
            partition.state = State::Running;
            let length = partition.length;
            self.ready_messages -= u64::from(length);
        }
        Some(index)
    }

    /// Forgets a virtual partition without messages; false when it still has some.
    pub(crate) fn remove_if_drained(&mut self, index: Index) -> bool {
        let Some(slot) = self.partitions.get_mut(index as usize) else {
            return false;
        };
        if slot.as_ref().is_none_or(|partition| partition.length > 0) {
            return false;
        }
        if let Some(partition) = slot.take() {
            if partition.shared {
                self.by_name.remove(&partition.name);
                if self.last.is_some_and(|(name, _)| name == partition.name) {
                    self.last = None;
                }
            }
            self.free.push(index);
        }
        true
    }

    /// Counts a failure of a virtual partition whose first unmarked message is now `sequence`; returns how many times
    /// this message has failed in a row.
    pub(crate) fn count_failure(&mut self, index: Index, sequence: u64) -> u32 {
        let Some(partition) = self.partition_mut(index) else {
            return 1;
        };
        let again = partition.failures > 0 && partition.failed == sequence;
        partition.failures = if again { partition.failures.saturating_add(1) } else { 1 };
        partition.failed = sequence;
        partition.failures
    }

    pub(crate) fn clear_failures(&mut self, index: Index) {
        if let Some(partition) = self.partition_mut(index) {
            partition.failures = 0;
        }
    }

    /// Whether the virtual partition failed last time, so that it is retried without company.
    pub(crate) fn has_failed(&self, index: Index) -> bool {
        self.partition(index).is_some_and(|partition| partition.failures > 0)
    }

    /// Earlier failures in a row of the message `sequence`.
    pub(crate) fn failures_of(&self, index: Index, sequence: u64) -> u32 {
        let partition = self.partition(index).filter(|partition| partition.failed == sequence);
        partition.map_or(0, |partition| partition.failures)
    }

    /// Empties all mailboxes. Virtual partitions of running jobs are forgotten too: nothing is put back any more.
    pub(crate) fn clear(&mut self, mut drop: impl FnMut(Queued<M>)) {
        self.nodes.drain(..).filter_map(|node| node.content).for_each(&mut drop);
        *self = Self::new();
    }

    /// Every virtual partition with its state and the number of its waiting messages.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Index, State, u32)> {
        let present = self.partitions.iter().enumerate();
        present.filter_map(|(index, slot)| slot.as_ref().map(|found| (index as Index, found.state, found.length)))
    }

    fn partition(&self, index: Index) -> Option<&VirtualPartition> {
        self.partitions.get(index as usize)?.as_ref()
    }

    fn partition_mut(&mut self, index: Index) -> Option<&mut VirtualPartition> {
        self.partitions.get_mut(index as usize)?.as_mut()
    }

    fn find_or_create(&mut self, name: u64) -> Index {
        if let Some((last, index)) = self.last
            && last == name
        {
            return index;
        }
        let index = match self.by_name.get(&name) {
            Some(&index) => index,
            None => self.create(name, true),
        };
        self.last = Some((name, index));
        index
    }

    fn create(&mut self, name: u64, shared: bool) -> Index {
        let partition = VirtualPartition {
            name,
            shared,
            state: State::Idle,
            head: NONE,
            tail: NONE,
            length: 0,
            failures: 0,
            failed: 0,
        };
        let index = if let Some(index) = self.free.pop() {
            if let Some(slot) = self.partitions.get_mut(index as usize) {
                *slot = Some(partition);
            }
            index
        } else {
            self.partitions.push(Some(partition));
            (self.partitions.len() - 1) as Index
        };
        if shared {
            self.by_name.insert(name, index);
        }
        index
    }

    fn allocate(&mut self, queued: Queued<M>, next: u32) -> u32 {
        let free = self.free_node;
        if let Some(node) = self.nodes.get_mut(free as usize) {
            self.free_node = node.next;
            *node = Node { content: Some(queued), next };
            return free;
        }
        self.nodes.push(Node { content: Some(queued), next });
        (self.nodes.len() - 1) as u32
    }

    /// Compares what is counted along the way with a count from scratch; for tests.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut messages = 0;
        let mut ready_messages = 0;
        let mut ready = 0;
        for (index, state, length) in self.iter() {
            messages += u64::from(length);
            if state == State::Ready {
                ready += 1;
                ready_messages += u64::from(length);
                if !self.ready.contains(&index) {
                    return Err(format!("virtual partition {index} is ready but not queued"));
                }
            }
        }
        let counted = (self.messages, self.ready_messages, self.ready.len());
        if counted != (messages, ready_messages, ready) {
            return Err(format!("mailboxes count {counted:?}, hold {:?}", (messages, ready_messages, ready)));
        }
        Ok(())
    }
}
