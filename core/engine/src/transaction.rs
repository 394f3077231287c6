//! Offsets that are committed as part of a transaction, with what handlers produced.
//!
//! Called by the engine on its one thread. A transaction brings marks of one running job, or one message that was given up and
//! whose copy is part of it. They count once it is committed, and not before; what is committed with it is the ledger's whole
//! state of that moment with the marks on top, so that neither order nor parallelism is lost: transactions of several jobs of a
//! partition produce at the same time, and commit one after the other, in the order in which they asked, or together, where their
//! topic says so (`sharing`). A job that is completed meanwhile, because its handler stopped waiting, ends behind its transaction:
//! what that commits must not be handled again.
//!
//! Guarantees: while a transaction commits, no other commit of the partition goes out, so none goes back behind it or takes its
//! marks along before they count; a transaction of a partition that is lost, of a job or a letter that has ended, or of before
//! a seek is refused.

use std::collections::VecDeque;

use crate::action::{Action, CommitId, TransactionEnd, TransactionOffsets};
use crate::assignment::AssignmentId;
use crate::committer::{Stamp, text_beside};
use crate::completion::mark_all;
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{Extent, JobId, JobKind, Outcome, Part};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Job(JobId),
    /// The one of its message.
    Letter(LetterId),
}

#[derive(Debug)]
pub(crate) struct Waiting {
    id: TransactionId,
    source: Source,
    /// What it marks, by the ledger's sequence, ascending.
    sequences: Vec<u64>,
    texts: Vec<(u64, String)>,
}

/// A job that was completed while its transaction commits.
#[derive(Debug)]
pub(crate) struct CutShort<M> {
    pub(crate) job: JobId,
    pub(crate) outcome: Outcome,
    pub(crate) messages: Vec<M>,
}

/// The one that commits, or those that do so together, under the name of the first.
#[derive(Debug)]
struct Open {
    id: TransactionId,
    sources: Vec<Source>,
    commit: CommitId,
    position: i64,
    sequences: Vec<u64>,
    texts: Vec<(u64, String)>,
    /// What the group knows once it is committed, but for the marks.
    stamp: Stamp,
    /// The era whose marks and texts it has: a seek moves the partition meanwhile.
    era: u32,
}

impl Offsets {
    fn ask(&mut self, source: Source, sequences: Vec<u64>, texts: Vec<(u64, String)>) -> TransactionId {
        self.last_id += 1;
        let id = TransactionId(self.last_id);
        self.waiting.push_back(Waiting { id, source, sequences, texts });
        id
    }

    pub(crate) fn waits(&self, id: TransactionId) -> bool {
        self.waiting.iter().any(|waiting| waiting.id == id)
    }

    pub(crate) fn take(&mut self, id: TransactionId) -> Option<Waiting> {
        let place = self.waiting.iter().position(|waiting| waiting.id == id)?;
        self.waiting.remove(place)
    }
}

impl<M: Record> Engine<M> {
    /// A transaction with marks of a running job wants to commit; [`Action::Offsets`] follows when it is its turn, perhaps at
    /// once. Every transaction is ended by [`Engine::transaction_ended`], also one that gives up before its turn. `texts` are stored
    /// with messages that it marks, as by [`Engine::mark_with_metadata`]. `alone`: it shares its commit with no other, whatever
    /// its topic says. `None`: the partition is no longer owned, or was moved, the job has been completed, or has no such
    /// message.
    pub fn commit_in_transaction(
        &mut self,
        now: Instant,
        id: JobId,
        marks: &[(u32, Extent)],
        texts: Vec<(u32, String)>,
        alone: bool,
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
        let messages = sequences.len() as u64;
        let transaction = assignment.commits.offsets.ask(Source::Job(id), sequences, stored);
        job.asks = true;
        let topic = assignment.topic;
        self.line_up(topic, owner, transaction, messages, alone);
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
        let topic = assignment.topic;
        self.line_up(topic, id, transaction, 1, true);
        self.send_offsets(id);
        Some(transaction)
    }

    /// How transactions ended, that committed together or were about to: each partition's by the name it went under in
    /// [`Action::Offsets`]; or one alone whose turn had not come. What they marked counts if they were committed. An end whose
    /// result nobody knows is no end: the caller finds it out first.
    pub fn transaction_ended(&mut self, now: Instant, ended: &[(AssignmentId, TransactionId)], end: TransactionEnd) {
        self.observe(now);
        if end == TransactionEnd::MetadataTooLarge {
            self.shorten_longest(ended);
        }
        for &(id, transaction) in ended {
            self.end_offsets(id, transaction, end == TransactionEnd::Committed);
        }
        self.complete_cut_short(now);
        // All of them first: what waits may share a commit again.
        for &(id, _) in ended {
            self.send_offsets(id);
            self.enlist(id);
            self.schedule_commit(id);
            self.advance_life(now, id);
        }
    }

    /// Brokers that refuse offsets do not say whose text was too large: the longest surely was.
    fn shorten_longest(&mut self, ended: &[(AssignmentId, TransactionId)]) {
        let sent = |&(id, transaction): &(AssignmentId, TransactionId)| {
            let commits = &self.assignments.get(id)?.commits;
            commits.offsets.open.as_ref().filter(|open| open.id == transaction)?;
            Some((commits.sent_bytes(), id))
        };
        let longest = ended.iter().filter_map(sent).max_by_key(|(bytes, _)| *bytes);
        if let Some(assignment) = longest.and_then(|(_, id)| self.assignments.get_mut(id)) {
            assignment.commits.shorten();
        }
    }

    fn end_offsets(&mut self, id: AssignmentId, transaction: TransactionId, committed: bool) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        let offsets = &mut assignment.commits.offsets;
        let Some(open) = offsets.open.take_if(|open| open.id == transaction) else {
            if let Some(waiting) = offsets.take(transaction) {
                self.asks_no_more(waiting.source);
            }
            return;
        };
        let mut confirmed = None;
        if committed {
            let is_unchanged = assignment.commits.stamp(&assignment.ledger) == open.stamp;
            mark_all(&mut assignment.ledger, &open.sequences);
            for (sequence, text) in open.texts.into_iter().filter(|_| assignment.era == open.era) {
                assignment.commits.texts.give(&assignment.ledger, sequence, text);
            }
            assignment.commits.texts.settle(&assignment.ledger);
            // What changed meanwhile is for the next commit; and so is a position that is further for what was read meanwhile: the
            // ledger had it as done already, and passes it only now.
            let said_all = is_unchanged && assignment.ledger.position() == Some(open.position);
            confirmed = Some(if said_all { assignment.commits.stamp(&assignment.ledger) } else { open.stamp });
        }
        let is_over = assignment.commits.let_go(open.commit, confirmed);
        // Whoever waits was promised a commit of its own, also where the transaction has said all of it.
        if is_over && assignment.commits.urgent && assignment.marks_count() {
            assignment.send_commit(id, self.options.metadata_limit, false, &mut self.actions);
        }
    }

    /// Whether a transaction of the job is on its way to the brokers.
    pub(crate) fn commits_meanwhile(&self, id: JobId) -> bool {
        #[cfg(feature = "planted")]
        if self.planted.is(crate::Planted::EndedBesideCommit) {
            return false;
        }
        let assignment = self.jobs.get(id).and_then(|job| self.assignments.get(job.assignment));
        let open = assignment.and_then(|assignment| assignment.commits.offsets.open.as_ref());
        open.is_some_and(|open| open.sources.contains(&Source::Job(id)))
    }

    fn complete_cut_short(&mut self, now: Instant) {
        for CutShort { job, outcome, messages } in std::mem::take(&mut self.cut_short) {
            // Puts it back where its transaction is another one.
            self.complete(now, job, outcome, messages);
        }
    }

    fn asks_no_more(&mut self, source: Source) {
        if let Source::Job(job) = source
            && let Some(job) = self.jobs.get_mut(job)
        {
            job.asks = false;
        }
    }

    /// Gives the next transaction its turn, unless a commit is on its way; refuses what does not count any more.
    pub(crate) fn send_offsets(&mut self, id: AssignmentId) {
        let Some(assignment) = self.assignments.get_mut(id) else {
            return;
        };
        if assignment.marks_count() && assignment.options.sharing.is_some() {
            let topic = assignment.topic;
            self.share(topic);
            return;
        }
        loop {
            let Some(assignment) = self.assignments.get_mut(id) else { return };
            if assignment.marks_count() && assignment.commits.is_on_its_way() {
                return;
            }
            let Some(next) = assignment.commits.offsets.waiting.pop_front() else { return };
            if let Some(offsets) = self.open_offsets(id, vec![next]) {
                self.actions.push_back(Action::Offsets(vec![offsets]));
            }
        }
    }

    /// Begins the commit of transactions of one partition, which has none on its way. Those that do not count any more are
    /// refused; `None` when there is no other.
    pub(crate) fn open_offsets(&mut self, id: AssignmentId, waiting: Vec<Waiting>) -> Option<TransactionOffsets> {
        let (mut sequences, mut given) = (Vec::new(), Vec::new());
        let (mut transactions, mut sources) = (Vec::new(), Vec::new());
        let assignment = self.assignments.get_mut(id)?;
        let counts = assignment.marks_count();
        for Waiting { id: transaction, source, sequences: marked, texts } in waiting {
            let is_there = match source {
                Source::Job(job) => {
                    self.jobs.get(job).is_some_and(|job| job.assignment == id && job.era == assignment.era)
                }
                Source::Letter(letter) => assignment.letters.sent(letter).is_some(),
            };
            if let Source::Job(job) = source
                && let Some(job) = self.jobs.get_mut(job)
            {
                job.asks = false;
            }
            if !counts || !is_there {
                self.actions.push_back(Action::OffsetsRefused { assignment: id, transaction });
                continue;
            }
            #[cfg(feature = "planted")]
            let marked = if self.planted.is(crate::Planted::SharedMarksForgotten) && !transactions.is_empty() {
                Vec::new()
            } else {
                marked
            };
            transactions.push(transaction);
            sources.push(source);
            sequences.extend(marked);
            given.extend(texts);
        }
        let &first = transactions.first()?;
        let stamp = assignment.commits.stamp(&assignment.ledger);
        let mut ledger = assignment.ledger.clone();
        sequences.sort_unstable();
        mark_all(&mut ledger, &sequences);
        let mut texts = assignment.commits.texts.clone();
        for (sequence, text) in &given {
            texts.give(&ledger, *sequence, text.clone());
        }
        texts.settle(&ledger);
        let Some(position) = ledger.position() else {
            let refused = |transaction| Action::OffsetsRefused { assignment: id, transaction };
            self.actions.extend(transactions.into_iter().map(refused));
            return None;
        };
        let limit = assignment.commits.limit(self.options.metadata_limit);
        let marks_dropped = &mut assignment.commits.marks_dropped;
        let metadata = text_beside(id, position, &ledger, texts.text(), limit, marks_dropped, &mut self.actions);
        let says_more = assignment.ledger.position() != Some(position)
            || (!*marks_dropped && ledger.version() != assignment.ledger.version());
        let is_distinct = says_more && !assignment.commits.is_in_doubt();
        assignment.commits.sends(&metadata);
        #[cfg(feature = "planted")]
        if self.planted.is(crate::Planted::MarkedBeforeTheEnd) {
            mark_all(&mut assignment.ledger, &sequences);
        }
        let commit = assignment.commits.hold();
        let era = assignment.era;
        let open = Open { id: first, sources, commit, position, sequences, texts: given, stamp, era };
        assignment.commits.offsets.open = Some(open);
        Some(TransactionOffsets { assignment: id, transactions, position, metadata, is_distinct })
    }
}
