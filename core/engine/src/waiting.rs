//! Messages that wait, in lists that share one memory.
//!
//! Owned by the mailboxes of one assignment, used by the engine's one thread. Lists are links by index in one arena, so
//! that one that comes and goes with a single message costs no allocation; a freed place is the next to be used, so what
//! is used stays in the cache. An assignment with a single list keeps it in a row, without links. Guarantee: messages leave
//! a list in the order they entered it, those put in front first.

use std::collections::VecDeque;

const NONE: u32 = u32::MAX;

/// A message out of a list, or on its way into one.
#[derive(Debug)]
pub(crate) struct Queued<M> {
    pub(crate) message: M,
    /// The message's place in the ledger.
    pub(crate) sequence: u64,
    pub(crate) bytes: u32,
}

/// Where a list begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    length: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self { head: NONE, tail: NONE, length: 0 };

    pub(crate) fn length(&self) -> u32 {
        self.length
    }
}

#[derive(Debug)]
pub(crate) struct Node<M> {
    message: Option<M>,
    sequence: u64,
    bytes: u32,
    next: u32,
}

/// The memory of all lists of an assignment.
#[derive(Debug)]
pub(crate) enum Waiting<M> {
    /// Of the only list there is.
    Single(VecDeque<Queued<M>>),
    /// Of many, with the first free node.
    Many { nodes: Vec<Node<M>>, free: u32 },
}

impl<M> Waiting<M> {
    pub(crate) fn single() -> Self {
        Self::Single(VecDeque::new())
    }

    pub(crate) fn many() -> Self {
        Self::Many { nodes: Vec::new(), free: NONE }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, list: &mut List, queued: Queued<M>) {
        list.length += 1;
        match self {
            Self::Single(row) => row.push_back(queued),
            Self::Many { nodes, free } => {
                let node = allocate(nodes, free, queued, NONE);
                let previous = std::mem::replace(&mut list.tail, node);
                if let Some(previous) = nodes.get_mut(previous as usize) {
                    previous.next = node;
                } else {
                    list.head = node;
                }
            }
        }
    }

    pub(crate) fn push_front(&mut self, list: &mut List, queued: Queued<M>) {
        list.length += 1;
        match self {
            Self::Single(row) => row.push_front(queued),
            Self::Many { nodes, free } => {
                list.head = allocate(nodes, free, queued, list.head);
                if list.tail == NONE {
                    list.tail = list.head;
                }
            }
        }
    }

    /// Takes messages from the front, until there is none or `most` were of use to `each`.
    #[inline]
    pub(crate) fn take(&mut self, list: &mut List, most: usize, mut each: impl FnMut(Queued<M>) -> bool) {
        let mut used = 0;
        match self {
            Self::Single(row) => {
                while used < most
                    && let Some(queued) = row.pop_front()
                {
                    list.length -= 1;
                    used += usize::from(each(queued));
                }
            }
            Self::Many { nodes, free } => {
                while used < most
                    && let Some(node) = nodes.get_mut(list.head as usize)
                    && let Some(message) = node.message.take()
                {
                    let queued = Queued { message, sequence: node.sequence, bytes: node.bytes };
                    let taken = std::mem::replace(&mut list.head, node.next);
                    node.next = std::mem::replace(free, taken);
                    list.length -= 1;
                    used += usize::from(each(queued));
                }
                if list.head == NONE {
                    list.tail = NONE;
                }
            }
        }
    }

    /// Takes at most `most` messages from the front, all of which are of use; returns their bytes.
    #[inline]
    pub(crate) fn take_all(
        &mut self,
        list: &mut List,
        most: usize,
        messages: &mut Vec<M>,
        sequences: &mut Vec<u64>,
    ) -> u64 {
        let mut bytes = 0;
        match self {
            Self::Single(row) => {
                let count = row.len().min(most);
                list.length -= count as u32;
                for queued in row.drain(..count) {
                    bytes += u64::from(queued.bytes);
                    sequences.push(queued.sequence);
                    messages.push(queued.message);
                }
            }
            // With many keys most lists are of one message.
            Self::Many { nodes, free } if list.length == 1 && most > 0 => {
                if let Some(node) = nodes.get_mut(list.head as usize)
                    && let Some(message) = node.message.take()
                {
                    bytes = u64::from(node.bytes);
                    sequences.push(node.sequence);
                    messages.push(message);
                    node.next = std::mem::replace(free, list.head);
                    *list = List::EMPTY;
                }
            }
            Self::Many { nodes, free } => {
                let (mut head, mut left) = (list.head, (list.length as usize).min(most));
                while left > 0
                    && let Some(node) = nodes.get_mut(head as usize)
                    && let Some(message) = node.message.take()
                {
                    bytes += u64::from(node.bytes);
                    sequences.push(node.sequence);
                    messages.push(message);
                    let next = std::mem::replace(&mut node.next, *free);
                    *free = std::mem::replace(&mut head, next);
                    list.length -= 1;
                    left -= 1;
                }
                list.head = head;
                if head == NONE {
                    list.tail = NONE;
                }
            }
        }
        bytes
    }

    /// Shows the messages of a list from the front, with their sequences, as long as `each` wants more.
    pub(crate) fn look(&self, list: &List, mut each: impl FnMut(u64, &M) -> bool) {
        match self {
            Self::Single(row) => {
                row.iter().all(|queued| each(queued.sequence, &queued.message));
            }
            Self::Many { nodes, .. } => {
                let mut next = list.head;
                while let Some(node) = nodes.get(next as usize)
                    && let Some(message) = &node.message
                    && each(node.sequence, message)
                {
                    next = node.next;
                }
            }
        }
    }

    /// The ledger's sequence of the first message of a list.
    pub(crate) fn first(&self, list: &List) -> Option<u64> {
        match self {
            Self::Single(row) => row.front().map(|queued| queued.sequence),
            Self::Many { nodes, .. } => nodes.get(list.head as usize).map(|node| node.sequence),
        }
    }

    /// The messages of a list with their sequences.
    pub(crate) fn iter(&self, list: &List) -> impl Iterator<Item = (&M, u64)> {
        let (row, nodes) = match self {
            Self::Single(row) => (Some(row.iter()), None),
            Self::Many { nodes, .. } => (None, Some((nodes, list.head))),
        };
        let row = row.into_iter().flatten().map(|queued| (&queued.message, queued.sequence));
        let linked = nodes.into_iter().flat_map(|(nodes, head)| {
            let follow = move |node: &&Node<M>| nodes.get(node.next as usize);
            std::iter::successors(nodes.get(head as usize), follow)
        });
        row.chain(linked.filter_map(|node| Some((node.message.as_ref()?, node.sequence))))
    }

    /// Empties all lists, in no order; the lists themselves are not told.
    pub(crate) fn drain(&mut self, mut each: impl FnMut(Queued<M>)) {
        match self {
            Self::Single(row) => std::mem::take(row).into_iter().for_each(each),
            Self::Many { nodes, free } => {
                *free = NONE;
                for Node { message, sequence, bytes, .. } in std::mem::take(nodes) {
                    if let Some(message) = message {
                        each(Queued { message, sequence, bytes });
                    }
                }
            }
        }
    }
}

#[inline]
fn allocate<M>(nodes: &mut Vec<Node<M>>, free: &mut u32, queued: Queued<M>, next: u32) -> u32 {
    let Queued { message, sequence, bytes } = queued;
    let made = Node { message: Some(message), sequence, bytes, next };
    let place = *free;
    if let Some(node) = nodes.get_mut(place as usize) {
        *free = node.next;
        *node = made;
        return place;
    }
    nodes.push(made);
    (nodes.len() - 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_node_of_a_pointer_is_24_bytes() {
        assert_eq!(size_of::<Node<Box<u8>>>(), 24);
        assert_eq!(size_of::<Queued<Box<u8>>>(), 24);
    }

    proptest! {
        /// Pushes in front and behind, takes of all, and takes of which every third message is of no use, on three lists.
        #[test]
        fn lists_are_queues(steps in prop::collection::vec((0_usize..3, 0_u8..5, 0_usize..5), 0..200), single: bool) {
            let mut waiting = if single { Waiting::single() } else { Waiting::many() };
            let mut lists = [List::EMPTY; 3];
            let mut models: [VecDeque<u64>; 3] = Default::default();
            for (number, (at, what, most)) in steps.into_iter().enumerate() {
                let at = if single { 0 } else { at };
                let (list, model) = (&mut lists[at], &mut models[at]);
                let sequence = number as u64;
                let queued = Queued { message: Box::new(sequence), sequence, bytes: 1 };
                match what {
                    0 => {
                        waiting.push_front(list, queued);
                        model.push_front(sequence);
                    }
                    1 | 2 => {
                        waiting.push_back(list, queued);
                        model.push_back(sequence);
                    }
                    3 => {
                        let (mut taken, mut sequences) = (Vec::new(), Vec::new());
                        let bytes = waiting.take_all(list, most, &mut taken, &mut sequences);
                        let expected: Vec<u64> = model.drain(..most.min(model.len())).collect();
                        prop_assert_eq!(bytes, expected.len() as u64);
                        prop_assert_eq!(&sequences, &expected);
                        prop_assert!(taken.iter().map(|message| **message).eq(expected));
                    }
                    _ => {
                        let (mut taken, mut expected, mut used) = (Vec::new(), Vec::new(), 0);
                        waiting.take(list, most, |queued| {
                            taken.push(*queued.message);
                            queued.sequence % 3 != 0
                        });
                        while used < most && let Some(first) = model.pop_front() {
                            expected.push(first);
                            used += usize::from(first % 3 != 0);
                        }
                        prop_assert_eq!(taken, expected);
                    }
                }
                prop_assert_eq!(list.length() as usize, model.len());
                if !model.is_empty() {
                    prop_assert_eq!(waiting.first(list), model.front().copied());
                }
                prop_assert!(waiting.iter(list).map(|(_, sequence)| sequence).eq(model.iter().copied()));
            }
            let mut left = Vec::new();
            waiting.drain(|queued| left.push(*queued.message));
            left.sort_unstable();
            let mut expected: Vec<u64> = models.into_iter().flatten().collect();
            expected.sort_unstable();
            prop_assert_eq!(left, expected);
        }
    }
}
