//! What will happen when, in virtual time. Events of the same moment happen in the order they were planned.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use karafka_engine::{AssignmentId, CommitFailure, CommitId, Instant, QuestionId, TransactionEnd};

use crate::history::{Owner, Place};

/// Something that happens to a process, a group or the world.
#[derive(Clone, Debug)]
pub enum Happening {
    Produce {
        place: Place,
        records: u32,
    },
    TransactionEnds {
        transaction: u64,
        commits: bool,
    },
    Process(u32, ProcessEvent),
    Group(GroupEvent),
    /// A frozen process goes on.
    Thaw(u32),
    Fault,
    /// All faults end here.
    Heal,
}

#[derive(Clone, Debug)]
pub enum ProcessEvent {
    Wake,
    Assign {
        place: Place,
        generation: u32,
        committed: Option<(i64, String)>,
        log_epoch: u32,
    },
    Revoke {
        place: Place,
        generation: u32,
    },
    Lose {
        place: Place,
        generation: u32,
    },
    /// Halfway through a call.
    Midway {
        call: u64,
    },
    CallEnds {
        call: u64,
    },
    /// A handler waits no longer for its transaction, which goes on.
    CutShort {
        call: u64,
    },
    /// A handler marks, through a handle it kept, messages it returned from without marking.
    LateMarks,
    CommitAnswered {
        assignment: AssignmentId,
        id: CommitId,
        result: Result<(), CommitFailure>,
    },
    /// How a transaction ended, told once that is known.
    TransactionAnswered {
        number: u64,
        end: TransactionEnd,
    },
    /// A copy that was sent to the dead letters arrived, or did not.
    LetterAnswered {
        letter: u64,
    },
    Resume,
    /// A scheduler of the user's answers.
    Chosen {
        question: QuestionId,
        order: Option<Vec<u32>>,
    },
    /// A stopping process waits no longer.
    StopIsOver,
    Heal,
}

#[derive(Clone, Debug)]
pub enum GroupEvent {
    Joins {
        process: u32,
    },
    Leaves {
        process: u32,
    },
    /// The coordinator has not heard from a process for the session timeout.
    SessionEnds {
        process: u32,
    },
    Released {
        process: u32,
        place: Place,
        generation: u32,
    },
    RebalanceTimeout {
        place: Place,
        generation: u32,
    },
    Commit(CommitRequest),
    Transaction(TransactionRequest),
}

/// A commit on its way to the group.
#[derive(Clone, Debug)]
pub struct CommitRequest {
    pub process: u32,
    pub place: Place,
    pub generation: u32,
    pub log_epoch: u32,
    pub owner: Owner,
    pub id: CommitId,
    pub position: i64,
    pub metadata: String,
}

/// The end of a transaction on its way to the brokers: all of its parts count, or none does.
#[derive(Clone, Debug)]
pub struct TransactionRequest {
    pub process: u32,
    pub number: u64,
    pub parts: Vec<TransactionPart>,
}

/// What a transaction has of one partition: what was produced of these records, and what the group knows then.
#[derive(Clone, Debug)]
pub struct TransactionPart {
    pub place: Place,
    pub generation: u32,
    pub log_epoch: u32,
    pub owner: Owner,
    pub position: i64,
    pub metadata: String,
    pub outputs: Vec<i64>,
}

struct Planned {
    at: Instant,
    number: u64,
    happening: Happening,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[derive(Default)]
pub struct Queue {
    heap: BinaryHeap<Reverse<Planned>>,
    planned: u64,
    connections: BTreeMap<(u32, bool), Instant>,
    pub now: Instant,
}

impl Queue {
    pub fn plan(&mut self, after: Duration, happening: Happening) {
        self.plan_at(self.now + after, happening);
    }

    pub fn plan_at(&mut self, at: Instant, happening: Happening) {
        self.planned += 1;
        self.heap.push(Reverse(Planned { at: at.max(self.now), number: self.planned, happening }));
    }

    /// What a process hears from its coordinator comes in the order it was said, as on any connection.
    pub fn tell(&mut self, after: Duration, process: u32, event: ProcessEvent) {
        let at = self.on_connection(process, true, after);
        self.plan_at(at, Happening::Process(process, event));
    }

    /// The other direction of the same connection.
    pub fn ask(&mut self, after: Duration, process: u32, event: GroupEvent) {
        let at = self.on_connection(process, false, after);
        self.plan_at(at, Happening::Group(event));
    }

    fn on_connection(&mut self, process: u32, inward: bool, after: Duration) -> Instant {
        let latest = self.connections.entry((process, inward)).or_default();
        *latest = (*latest).max(self.now + after);
        *latest
    }

    /// Moves the time on to the next event.
    pub fn next(&mut self) -> Option<Happening> {
        let Reverse(planned) = self.heap.pop()?;
        self.now = planned.at;
        Some(planned.happening)
    }
}
