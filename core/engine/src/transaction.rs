//! Offsets that are committed as part of a transaction, with what handlers produced.
//!
//! Called by the engine on its one thread. A transaction brings marks of one running job, or one message that was given up and
//! whose copy is part of it. They count once it is committed, and not before; what is committed with it is the ledger's whole
//! state of that moment with the marks on top, so that neither order nor parallelism is lost: transactions of several jobs of a
//! partition produce at the same time, and commit one after the other, in the order in which they asked.
//!
//! Guarantees: while a transaction commits, no other commit of the partition goes out, so none goes back behind it or takes its
//! marks along before they count; a transaction of a partition that is lost, of a job or a letter that has ended, or of before
//! a seek is refused.

use std::collections::VecDeque;

use crate::action::{Action, CommitId};
use crate::assignment::AssignmentId;
use crate::committer::{Stamp, text_beside};
use crate::completion::mark_all;
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Extent, JobId, JobKind, Part};
use crate::letters::LetterId;
use crate::record::Record;

/// Names a transaction of one assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(u64);

/// The transactions of one assignment that want to commit.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    waiting: VecDeque<Waiting>,
    open: Option<Open>,
    last_id: u64,
}

/// Whose marks a transaction brings.
#[derive(Clone, Copy, Debug)]
enum Source {
    Job(JobId),
    /// The one of its message.
    Letter(LetterId),
}

#[derive(Debug)]
struct Waiting {
    id: TransactionId,
    source: Source,
    /// What it marks, by the ledger's sequence, ascending.
    sequences: Vec<u64>,
    texts: Vec<(u64, String)>,
}

/// The one that commits.
#[derive(Debug)]
struct Open {
    id: TransactionId,
    commit: CommitId,
    position: i64,
    sequences: Vec<u64>,
    texts: Vec<(u64, String)>,
    /// What the group knows once it is committed, but for the marks.
    stamp: Stamp,
}

impl Offsets {
    fn ask(&mut self, source: Source, sequences: Vec<u64>, texts: Vec<(u64, String)>) -> TransactionId {
        self.last_id += 1;
        let id = TransactionId(self.last_id);
        self.waiting.push_back(Waiting { id, source, sequences, texts });
        id
    }
}

impl<M: Record> Engine<M> {
    /// A transaction with marks of a running job wants to commit; [`Action::Offsets`] follows when it is its turn, perhaps at
    /// once. Every transaction is ended by [`Engine::transaction_ended`], also one that gives up before its turn. `texts` are stored
    /// with messages that it marks, as by [`Engine::mark_with_metadata`]. `None`: the partition is no longer owned, or was
    /// moved, the job has been completed, or has no such message.
    pub fn commit_in_transaction(
        &mut self,
        now: Instant,
        id: JobId,
        marks: &[(u32, Extent)],
        texts: Vec<(u32, String)>,
    ) -> Option<(AssignmentId, TransactionId)> {
        self.observe(now);
        let job = self.jobs.get_mut(id).filter(|job| job.kind == JobKind::Handle)?;
        let owner = job.assignment;
        let assignment = self.assignments.get_mut(owner).filter(|found| found.marks_count() && found.era == job.era)?;
        let mut sequences = Vec::new();
        // How far a prefix reaches in each part: handlers mark message by message.
        let mut reach = vec![None; job.parts.len()];
        for &(index, extent) in marks {
            sequences.push(*job.sequences.get(index as usize)?);
            if extent == Extent::Prefix {
                Part::of(&mut job.parts, &mut job.last_marked, index)?;
                let furthest = reach.get_mut(job.last_marked)?;
                *furthest = (*furthest).max(Some(index));
            }
        }
        for (part, index) in job.parts.iter().zip(reach).filter_map(|(part, reach)| Some((part, reach?))) {
            sequences.extend(job.sequences.get(part.start as usize..index as usize).unwrap_or_default());
            if part.shared
                && let Some(&sequence) = job.sequences.get(index as usize)
            {
                sequences.extend(assignment.unmarked.before(part.name, sequence));
            }
        }
        let mut stored = Vec::with_capacity(texts.len());
        for (index, text) in texts {
            stored.push((*job.sequences.get(index as usize)?, text));
        }
        sequences.sort_unstable();
        sequences.dedup();
        let transaction = assignment.commits.offsets.ask(Source::Job(id), sequences, stored);
        self.send_offsets(owner);
        Some((owner, transaction))
    }

    /// A transaction with the copy of a message that was given up wants to commit, so that the copy is there exactly if the
    /// offset passes: as [`Engine::commit_in_transaction`]. Whatever becomes of it, [`Engine::dead_lettered`] is told, too,
    /// behind the end. `None`: the partition is no longer owned, or was moved, or the letter is not on its way.
    pub fn letter_in_transaction(&mut self, now: Instant, id: AssignmentId, letter: LetterId) -> Option<TransactionId> {
        self.observe(now);
        let assignment = self.assignments.get_mut(id).filter(|found| found.marks_count())?;
        let sequences = vec![assignment.letters.sent(letter)?];
        #[cfg(feature = "planted")]
        let sequences = if self.planted.is(crate::Planted::LetterBesideOffset) { Vec::new() } else { sequences };
        let transaction = assignment.commits.offsets.ask(Source::Letter(letter), sequences, Vec::new());
        self.send_offsets(id);
        Some(transaction)
    }

    /// How a transaction ended, also one whose turn had not come. What it marked counts if it was committed. An end whose
    /// result nobody knows is no end: the caller finds it out first.
    pub fn transaction_ended(&mut self, now: Instant, id: AssignmentId, transaction: TransactionId, committed: bool) {
        self.observe(now);
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let offsets = &mut assignment.commits.offsets;
        let Some(open) = offsets.open.take_if(|open| open.id == transaction) else {
            offsets.waiting.retain(|waiting| waiting.id != transaction);
            return;
        };
        let mut confirmed = None;
        if committed {
            let is_unchanged = assignment.commits.stamp(&assignment.ledger) == open.stamp;
            mark_all(&mut assignment.ledger, &open.sequences);
            for (sequence, text) in open.texts {
                assignment.commits.texts.give(&assignment.ledger, sequence, text);
            }
            assignment.commits.texts.settle(&assignment.ledger);
            // What changed meanwhile is for the next commit; and so is a position that is further for what was read meanwhile: the
            // ledger had it as done already, and passes it only now.
            let said_all = is_unchanged && assignment.ledger.position() == Some(open.position);
            confirmed = Some(if said_all { assignment.commits.stamp(&assignment.ledger) } else { open.stamp });
        }
        if !assignment.commits.let_go(open.commit, confirmed) {
            return;
        }
        if assignment.commits.urgent && assignment.is_dirty() && assignment.marks_count() {
            assignment.send_commit(id, self.options.metadata_limit, false, &mut self.actions);
        }
        self.send_offsets(id);
        self.enlist(id);
        self.schedule_commit(id);
        self.advance_life(now, id);
    }

    /// Gives the next transaction its turn, unless a commit is on its way; refuses what does not count any more.
    pub(crate) fn send_offsets(&mut self, id: AssignmentId) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let counts = assignment.marks_count();
        while !counts || !assignment.commits.is_on_its_way() {
            let Some(next) = assignment.commits.offsets.waiting.pop_front() else { return };
            let is_there = match next.source {
                Source::Job(job) => {
                    self.jobs.get(job).is_some_and(|job| job.assignment == id && job.era == assignment.era)
                }
                Source::Letter(letter) => assignment.letters.sent(letter).is_some(),
            };
            let transaction = next.id;
            if !counts || !is_there {
                self.actions.push_back(Action::OffsetsRefused { assignment: id, transaction });
                continue;
            }
            let stamp = assignment.commits.stamp(&assignment.ledger);
            let mut ledger = assignment.ledger.clone();
            mark_all(&mut ledger, &next.sequences);
            let mut texts = assignment.commits.texts.clone();
            for (sequence, text) in &next.texts {
                texts.give(&ledger, *sequence, text.clone());
            }
            texts.settle(&ledger);
            let Some(position) = ledger.position() else {
                self.actions.push_back(Action::OffsetsRefused { assignment: id, transaction });
                continue;
            };
            let marks_dropped = &mut assignment.commits.marks_dropped;
            let limit = self.options.metadata_limit;
            let metadata = text_beside(id, position, &ledger, texts.text(), limit, marks_dropped, &mut self.actions);
            let is_distinct = assignment.ledger.position() != Some(position)
                || (!*marks_dropped && ledger.version() != assignment.ledger.version());
            #[cfg(feature = "planted")]
            if self.planted.is(crate::Planted::MarkedBeforeTheEnd) {
                mark_all(&mut assignment.ledger, &next.sequences);
            }
            let commit = assignment.commits.hold();
            let Waiting { sequences, texts, .. } = next;
            assignment.commits.offsets.open = Some(Open { id: transaction, commit, position, sequences, texts, stamp });
            self.actions.push_back(Action::Offsets { assignment: id, transaction, position, metadata, is_distinct });
        }
    }
}
