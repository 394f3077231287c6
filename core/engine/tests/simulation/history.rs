//! What happened in a run, as far as the oracles care. Written by the world, read afterwards.

use std::collections::BTreeMap;
use std::ops::Range;

use karafka_engine::{AssignmentId, Instant};

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub topic: usize,
    pub partition: i32,
}

/// One ownership of a partition by one process; a restarted process has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    pub process: u32,
    pub assignment: AssignmentId,
}

/// A record of a log. Records of the same `order` must be handled one after the other; those without may run at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    pub offset: i64,
    pub order: Option<u64>,
}

/// The messages of one virtual partition in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub virtual_partition: u64,
    pub offsets: Vec<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A partition was given to a process, which resumes at `start` and knows that `done` is done beyond it.
    Assigned { owner: Owner, place: Place, start: i64, done: Vec<Range<i64>> },
    /// A handler was called.
    Started { call: u64, owner: Owner, place: Place, parts: Vec<Part> },
    /// A handler is through with a message, so this owner must not get it again.
    Handled { owner: Owner, place: Place, offset: i64 },
    /// The engine accepted a message as done.
    Done { owner: Owner, place: Place, offset: i64 },
    /// A handler returned or failed.
    Finished { call: u64 },
    /// The broker accepted a commit that says that `done` is done beyond `position`.
    Committed { place: Place, position: i64, done: Vec<Range<i64>> },
    /// Something the engine must never let happen was seen while running.
    Defect { process: u32, problem: String },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub logs: BTreeMap<Place, Vec<Logged>>,
    pub events: Vec<(Instant, Event)>,
    /// What was still unfinished when the run was over, though all faults had ended long before.
    pub unfinished: Vec<String>,
}

impl History {
    pub fn add(&mut self, now: Instant, event: Event) {
        self.events.push((now, event));
    }
}
