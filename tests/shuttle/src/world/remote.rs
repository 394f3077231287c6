//! What is beyond the poller: librdkafka's threads, which fill partition queues, and the broker, which takes commits.

use super::{Event, LOG, Message, PARTITIONS, Shared};
use crate::sync::{Arc, Mutex};
use crate::wake::Ready;
use karafka_engine::{AssignmentId, CommitFailure, CommitId};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc::Sender;
use shuttle::sync::{Condvar, MutexGuard};
use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;

/// Requests to a thread of this module, until they are closed.
pub(super) struct Remote<T> {
    state: shuttle::sync::Mutex<(VecDeque<T>, bool)>,
    changed: Condvar,
}

impl<T> Remote<T> {
    pub(super) fn new() -> Self {
        Self { state: shuttle::sync::Mutex::new((VecDeque::new(), false)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, (VecDeque<T>, bool)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn ask(&self, request: T) {
        self.lock().0.push_back(request);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.lock().1 = true;
        self.changed.notify_one();
    }

    fn next(&self) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(request) = state.0.pop_front() {
                return Some(request);
            }
            if state.1 {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A partition's queue, as the poller opened it.
pub(super) struct Fetched {
    pub(super) messages: Mutex<VecDeque<Message>>,
    pub(super) ready: Arc<Ready>,
}

pub(super) struct Fetch {
    pub(super) into: Arc<Fetched>,
    pub(super) from: i64,
}

/// Fills queues. A queue's owner is told when it was empty before, as librdkafka does.
pub(super) fn fetch(shared: &Shared) {
    while let Some(Fetch { into, from }) = shared.fetcher.next() {
        for offset in from..LOG {
            let first = {
                let mut messages = into.messages.lock();
                messages.push_back(Message::at(offset));
                messages.len() == 1
            };
            if first {
                into.ready.raise();
            }
        }
    }
}

pub(super) struct Commit {
    pub(super) assignment: AssignmentId,
    pub(super) id: CommitId,
    pub(super) position: i64,
    pub(super) metadata: String,
}

/// Takes commits of owned partitions, most of them at the first time; says when there is nothing left to commit.
pub(super) fn answer_commits(shared: &Shared, finished: &Sender<()>) {
    let mut committed = BTreeMap::new();
    while let Some(Commit { assignment, id, position, metadata }) = shared.broker.next() {
        let result = if thread_rng().gen_bool(0.2) {
            Err(CommitFailure::Retriable)
        } else {
            match shared.journal.committed(assignment, position, metadata) {
                Some(partition) => {
                    committed.insert(partition, position);
                    Ok(())
                }
                None => Err(CommitFailure::NotOwned),
            }
        };
        shared.event(Event::Committed { assignment, id, result });
        if committed.len() == PARTITIONS as usize && committed.values().all(|position| *position == LOG) {
            // Heard once; later ones find nobody.
            let _ = finished.send(());
        }
    }
}
