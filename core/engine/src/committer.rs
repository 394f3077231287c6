//! When to commit, and what to send along.
//!
//! Called by the engine on its one thread. A commit is taken from the ledger at one moment, so its offset never passes a
//! message that is not done; at most one is on its way for each assignment, so an older one never overwrites a newer.

use std::collections::VecDeque;
use std::time::Duration;

use crate::action::{Action, CommitFailure, CommitId, Notice};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::ledger::Ledger;
use crate::metadata;
use crate::record::Record;
use crate::texts::Texts;
use crate::transaction::Offsets;

/// How soon a commit that somebody asked for is tried again after it failed, unless the interval is over before.
const ASKED_RETRY: Duration = Duration::from_millis(250);

/// What a commit said: the version of the ledger and of the user's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    ledger: u64,
    user: u64,
}

/// Of a commit that says what the ledger does not: it covers nothing that somebody waits for.
const NOBODYS: Stamp = Stamp { ledger: u64::MAX, user: u64::MAX };

/// The commits of one assignment.
#[derive(Debug)]
pub(crate) struct Commits {
    confirmed: Stamp,
    on_its_way: Option<(CommitId, Stamp)>,
    last_id: u64,
    /// Somebody waits for a commit: send it as soon as none is on its way.
    pub(crate) urgent: bool,
    /// Somebody asked for a commit that has not succeeded yet.
    asked: bool,
    pub(crate) texts: Texts,
    pub(crate) marks_dropped: bool,
    pub(crate) offsets: Offsets,
    /// The partition was moved with this version of the ledger, and the group has not been told since: it may have any offset,
    /// also one that comes again.
    moved: Option<u64>,
    /// Most bytes of text that the brokers are known to take.
    limit: usize,
    sent_bytes: usize,
    /// After a failure while the partition is given up: when to try again.
    pub(crate) retry_at: Instant,
    #[cfg(feature = "planted")]
    pub(crate) planted: crate::planted::Commits,
}

impl Commits {
    pub(crate) fn new(ledger: &Ledger, texts: Texts) -> Self {
        Self {
            confirmed: Stamp { ledger: ledger.version(), user: texts.version() },
            on_its_way: None,
            last_id: 0,
            urgent: false,
            asked: false,
            texts,
            marks_dropped: false,
            offsets: Offsets::default(),
            moved: None,
            limit: usize::MAX,
            sent_bytes: 0,
            retry_at: Instant::START,
            #[cfg(feature = "planted")]
            planted: crate::planted::Commits::default(),
        }
    }

    /// Whether the ledger says something that no confirmed commit said.
    pub(crate) fn is_dirty(&self, ledger: &Ledger) -> bool {
        self.confirmed != self.stamp(ledger) && ledger.position().is_some()
    }

    pub(crate) fn is_on_its_way(&self) -> bool {
        self.on_its_way.is_some()
    }

    /// A transaction is to commit: nothing else does until it has ended.
    pub(crate) fn hold(&mut self) -> CommitId {
        self.last_id += 1;
        let id = CommitId(self.last_id);
        #[cfg(feature = "planted")]
        if self.planted.chosen == Some(crate::Planted::CommitBesideTransaction) {
            return id;
        }
        self.on_its_way = Some((id, NOBODYS));
        id
    }

    /// The transaction has ended; `confirmed` is what the group knows by it. Whether it was on its way.
    pub(crate) fn let_go(&mut self, id: CommitId, confirmed: Option<Stamp>) -> bool {
        #[cfg(feature = "planted")]
        if self.planted.chosen == Some(crate::Planted::CommitBesideTransaction) {
            return true;
        }
        if self.on_its_way.take_if(|(expected, _)| *expected == id).is_none() {
            return false;
        }
        if let Some(stamp) = confirmed {
            self.confirm(stamp);
        }
        true
    }

    /// The group knows what this said.
    fn confirm(&mut self, stamp: Stamp) {
        self.confirmed = stamp;
        self.moved = self.moved.filter(|version| stamp.ledger < *version);
    }

    /// The partition goes on elsewhere, with this version of the ledger.
    pub(crate) fn move_on(&mut self, ledger: &Ledger) {
        self.moved = Some(ledger.version());
    }

    /// Whether it is not known what offset the group has.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.moved.is_some()
    }

    /// Most bytes of text for the next commit.
    pub(crate) fn limit(&self, limit: usize) -> usize {
        limit.min(self.limit)
    }

    /// This text is on its way.
    pub(crate) fn sends(&mut self, text: &str) {
        self.sent_bytes = text.len();
    }

    /// Bytes of the text that was sent last.
    pub(crate) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// The brokers refused the text that was sent last.
    pub(crate) fn shorten(&mut self) {
        self.limit = self.limit.min(self.sent_bytes / 2);
    }

    pub(crate) fn stamp(&self, ledger: &Ledger) -> Stamp {
        Stamp { ledger: ledger.version(), user: self.texts.version() }
    }

    /// The id of the commit that will say what the ledger says now.
    fn covering(&self, ledger: &Ledger) -> CommitId {
        match self.on_its_way {
            Some((id, stamp)) if stamp == self.stamp(ledger) => id,
            _ => CommitId(self.last_id + 1),
        }
    }
}

impl<M> Assignment<M> {
    pub(crate) fn is_dirty(&self) -> bool {
        self.commits.is_dirty(&self.ledger)
    }

    /// Takes a commit from the ledger and sends it off.
    pub(crate) fn send_commit(
        &mut self,
        id: AssignmentId,
        limit: usize,
        last: bool,
        actions: &mut VecDeque<Action<M>>,
    ) {
        let Some(position) = self.ledger.position() else { return };
        self.commits.texts.settle(&self.ledger);
        let limit = self.commits.limit(limit);
        let Commits { texts, marks_dropped, .. } = &mut self.commits;
        let text = text_beside(id, position, &self.ledger, texts.text(), limit, marks_dropped, actions);
        self.commits.sends(&text);
        #[cfg(feature = "planted")]
        let (position, text) = self.falsify(position, text, limit);
        self.commits.urgent = false;
        self.commits.last_id += 1;
        let commit = CommitId(self.commits.last_id);
        self.commits.on_its_way = Some((commit, self.commits.stamp(&self.ledger)));
        actions.push_back(Action::Commit { assignment: id, id: commit, position, metadata: text, last });
    }
}

/// The text beside a commit of what a ledger says. Notices tell what does not fit.
pub(crate) fn text_beside<M>(
    id: AssignmentId,
    position: i64,
    ledger: &Ledger,
    user: Option<&str>,
    limit: usize,
    marks_dropped: &mut bool,
    actions: &mut VecDeque<Action<M>>,
) -> String {
    let encoded = metadata::encode(position, ledger.done_runs(), user, limit).or_else(|problem| {
        actions.push_back(Action::Notice(Notice::UserMetadataTooLong { assignment: id, problem }));
        metadata::encode(position, ledger.done_runs(), None, limit)
    });
    // Without the user's part nothing is too long: the marks give way, and an empty text always fits.
    let (text, dropped) = encoded.map_or((String::new(), false), |encoded| (encoded.text, encoded.marks_dropped));
    if dropped && !*marks_dropped {
        let messages = ledger.done_beyond();
        actions.push_back(Action::Notice(Notice::MarksDropped { assignment: id, messages }));
    }
    *marks_dropped = dropped;
    text
}

impl<M: Record> Engine<M> {
    /// The result of a commit that [`Action::Commit`] asked for.
    pub fn committed(&mut self, now: Instant, id: AssignmentId, commit: CommitId, result: Result<(), CommitFailure>) {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let Some((_, stamp)) = assignment.commits.on_its_way.take_if(|(expected, _)| *expected == commit) else {
            return;
        };
        let result = match result {
            Err(CommitFailure::MetadataTooLarge) => {
                // With less of it, and soon.
                assignment.commits.shorten();
                assignment.commits.asked = true;
                Err(CommitFailure::Retriable)
            }
            result => result,
        };
        match result {
            Ok(()) => {
                assignment.commits.confirm(stamp);
                assignment.commits.asked = assignment.commits.urgent;
            }
            Err(CommitFailure::Retriable) => {}
            Err(failure) => self.actions.push_back(Action::Notice(Notice::CommitFailed { assignment: id, failure })),
        }
        if assignment.stage != Stage::Active {
            self.last_commit_answered(now, id, result);
            self.send_offsets(id);
            return;
        }
        if assignment.commits.urgent && assignment.is_dirty() && result.is_ok() {
            assignment.send_commit(id, self.options.metadata_limit, false, &mut self.actions);
        }
        let asked = assignment.commits.asked && result == Err(CommitFailure::Retriable);
        self.send_offsets(id);
        self.schedule_commit(id);
        if asked {
            let soon = self.clock + ASKED_RETRY;
            self.next_commit = self.next_commit.map(|due| due.min(soon));
        }
    }

    /// Commits as soon as possible instead of at the next interval. The id of the commit that will say what is done now,
    /// which may go out only after the one on its way; `None` when all of it is committed already, or the id is stale.
    pub fn commit_now(&mut self, now: Instant, id: AssignmentId) -> Option<CommitId> {
        self.observe(now);
        let assignment = self.assignments.get_mut(id)?;
        if !assignment.marks_count() || !assignment.is_dirty() {
            return None;
        }
        assignment.commits.asked = true;
        let covering = assignment.commits.covering(&assignment.ledger);
        if !assignment.commits.is_on_its_way() {
            assignment.send_commit(id, self.options.metadata_limit, false, &mut self.actions);
        } else if assignment.commits.on_its_way.is_some_and(|(on_its_way, _)| on_its_way != covering) {
            assignment.commits.urgent = true;
        }
        Some(covering)
    }

    /// Sees to it that what changed is committed within an interval. All partitions share the moment, so that the
    /// runtime can put them into one request.
    pub(crate) fn schedule_commit(&mut self, id: AssignmentId) {
        if self.next_commit.is_some() {
            return;
        }
        let dirty = self.assignments.get(id).is_some_and(|found| !found.commits.is_on_its_way() && found.is_dirty());
        if dirty {
            self.next_commit = Some(self.clock + self.options.commit_interval);
        }
    }

    /// Commits of every partition that has something new, if the interval is over.
    pub(crate) fn commit_if_due(&mut self, now: Instant) {
        if self.next_commit.is_none_or(|due| due > now) {
            return;
        }
        self.next_commit = None;
        for (id, assignment) in self.assignments.iter_mut() {
            let ours = !matches!(assignment.stage, Stage::LastCommit { .. });
            if ours && !assignment.commits.is_on_its_way() && assignment.is_dirty() {
                assignment.send_commit(id, self.options.metadata_limit, false, &mut self.actions);
            }
        }
    }
}
