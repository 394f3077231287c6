//! What happened, in order, and whether it may have happened.
//!
//! Written by every thread of the world at the moment of the act; its lock is the standard one, no point where shuttle
//! switches threads. A breach panics on the thread that commits it, so that its schedule is the one that is printed.

use super::Message;
use karafka_engine::{AssignmentId, JobId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Ended,
    Withdrawn,
}

struct Run {
    assignment: AssignmentId,
    partition: i32,
    messages: Vec<(i64, u8)>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ownership {
    Active,
    Answered,
    Lost,
}

#[derive(Default)]
struct Pages {
    ownerships: BTreeMap<AssignmentId, (i32, Ownership)>,
    jobs: BTreeMap<JobId, Run>,
    handled: BTreeSet<(i32, i64)>,
    /// What the broker holds of each partition: position and metadata.
    committed: BTreeMap<i32, (i64, String)>,
    closed: bool,
}

/// The record of one run.
#[derive(Default)]
pub(crate) struct Journal(Mutex<Pages>);

impl Journal {
    fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn assigned(&self, id: AssignmentId, partition: i32) {
        let mut pages = self.open();
        let owned = pages.ownerships.values().any(|(other, stage)| *other == partition && *stage == Ownership::Active);
        assert!(!owned, "partition {partition} is owned twice");
        assert!(pages.ownerships.insert(id, (partition, Ownership::Active)).is_none(), "{id:?} was used before");
    }

    pub(crate) fn handed_out(&self, job: JobId, assignment: AssignmentId, partition: i32, messages: &[Message]) {
        let messages = messages.iter().map(|message| (message.offset, message.key)).collect();
        let run = Run { assignment, partition, messages, stage: Stage::Waiting };
        assert!(self.open().jobs.insert(job, run).is_none(), "{job:?} was handed out twice");
    }

    /// A seat has a job and is about to call the handler.
    pub(crate) fn started(&self, job: JobId) {
        let mut pages = self.open();
        assert!(!pages.closed, "{job:?} starts after the app has ended");
        let run = &pages.jobs[&job];
        assert_eq!(run.stage, Stage::Waiting, "{job:?} starts");
        let ownership = pages.ownerships[&run.assignment].1;
        assert_ne!(ownership, Ownership::Answered, "{job:?} starts after its partition's revocation was answered");
        for other in pages.jobs.values().filter(|other| other.stage == Stage::Running) {
            let same = |(_, key): &(i64, u8)| run.messages.iter().any(|(_, own)| own == key);
            assert!(
                other.partition != run.partition || !other.messages.iter().any(same),
                "{job:?} overlaps with another of its virtual partition"
            );
        }
        for (at, (offset, key)) in run.messages.iter().enumerate() {
            let Some(before) = Message::before(*offset) else { continue };
            let handled = pages.handled.contains(&(run.partition, before));
            let earlier = run.messages[..at].iter().any(|(other, _)| *other == before);
            assert!(handled || earlier, "offset {offset} of key {key} comes before {before}");
        }
        pages.jobs.get_mut(&job).unwrap().stage = Stage::Running;
    }

    pub(crate) fn marked(&self, job: JobId, offset: i64) {
        let mut pages = self.open();
        let partition = pages.jobs[&job].partition;
        pages.handled.insert((partition, offset));
    }

    pub(crate) fn ended(&self, job: JobId, success: bool) {
        let mut pages = self.open();
        let run = pages.jobs.get_mut(&job).unwrap();
        assert_eq!(run.stage, Stage::Running, "{job:?} ends");
        run.stage = Stage::Ended;
        let (partition, messages) = (run.partition, run.messages.clone());
        if success {
            pages.handled.extend(messages.iter().map(|(offset, _)| (partition, *offset)));
        }
    }

    /// A job comes back that no seat has taken.
    pub(crate) fn withdrawn(&self, job: JobId) {
        let mut pages = self.open();
        let run = pages.jobs.get_mut(&job).unwrap();
        assert_eq!(run.stage, Stage::Waiting, "{job:?} is withdrawn");
        run.stage = Stage::Withdrawn;
    }

    /// The group hears that the partition was given up in order.
    pub(crate) fn answered(&self, id: AssignmentId) {
        let mut pages = self.open();
        let busy = |run: &Run| run.assignment == id && matches!(run.stage, Stage::Waiting | Stage::Running);
        let open: Vec<_> = pages.jobs.iter().filter(|(_, run)| busy(run)).map(|(job, _)| *job).collect();
        assert!(open.is_empty(), "the revocation of {id:?} is answered while {open:?} have not ended");
        let ownership = &mut pages.ownerships.get_mut(&id).unwrap().1;
        assert_eq!(*ownership, Ownership::Active, "{id:?} is given up twice");
        *ownership = Ownership::Answered;
    }

    pub(crate) fn lost(&self, id: AssignmentId) {
        self.open().ownerships.get_mut(&id).unwrap().1 = Ownership::Lost;
    }

    /// The broker took a commit. Returns whether the member owns the partition; one that does not commits nothing.
    pub(crate) fn committed(&self, id: AssignmentId, position: i64, metadata: String) -> Option<i32> {
        let mut pages = self.open();
        let (partition, ownership) = pages.ownerships[&id];
        if ownership != Ownership::Active {
            return None;
        }
        let before = pages.committed.insert(partition, (position, metadata)).map_or(0, |(before, _)| before);
        assert!(before <= position, "the commit of {partition} goes back from {before} to {position}");
        for offset in 0..position {
            assert!(pages.handled.contains(&(partition, offset)), "{position} is committed and {offset} not done");
        }
        Some(partition)
    }

    /// Where a new owner of the partition starts.
    pub(crate) fn start(&self, partition: i32) -> Option<(i64, String)> {
        self.open().committed.get(&partition).cloned()
    }

    /// The app has ended: nothing starts any more.
    pub(crate) fn closed(&self) {
        self.open().closed = true;
    }

    /// All threads have ended.
    pub(crate) fn check_end(&self) {
        let pages = self.open();
        assert!(pages.closed, "the app has not ended");
        for (job, run) in &pages.jobs {
            assert!(matches!(run.stage, Stage::Ended | Stage::Withdrawn), "{job:?} is left {:?}", run.stage);
        }
        for (id, (partition, ownership)) in &pages.ownerships {
            assert_ne!(*ownership, Ownership::Active, "{id:?} of partition {partition} was never given up");
        }
    }
}
