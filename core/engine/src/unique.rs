//! Values that no two running jobs may have in common, over all topics and partitions.
//!
//! A job locks the values of its messages when it is made and takes messages only as far as theirs are free. A virtual
//! partition whose next message's value is taken waits in line for it, without a seat. The end of the job gives the value
//! to the first in line that can run, which then is the only one that may take it; so nobody who waits is passed by, and
//! nobody is woken in vain.
//!
//! Used by the engine on its one thread. Guarantees: a value is locked by at most one job; a job keeps its values until it
//! ends, also when its partition is lost; a value is kept for somebody only while they can run and wait for a seat; who
//! cannot run (a pause, a partition that is given up) holds nobody up. A running job waits for no value, so there is no
//! deadlock.

use std::collections::{HashSet, VecDeque};

use hashbrown::HashMap;

use crate::assignment::{Assignment, AssignmentId};
use crate::engine::Engine;
use crate::job::JobKind;
use crate::ledger::Ledger;
use crate::options::{TopicOptions, UniqueBy, VirtualPartitions};
use crate::partitioner::{Spread, hash_key};
use crate::record::Record;
use crate::virtual_partition::{Index, State};

/// The answer for a message that is not limited.
const FREE: u64 = 0;
/// The value of messages whose callback failed. Any constant serves; this one is unlikely to be a hash of a user's value.
const FAILED: u64 = 0x756e_6971_7565_2121;

/// A virtual partition of an ownership.
type Place = (AssignmentId, Index);

/// Who may use a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Whoever comes; those in line cannot run now.
    Nobody,
    /// A job that is out or being made.
    Job(u64),
    /// The virtual partition whose turn it is.
    Kept(Place),
}

#[derive(Debug)]
struct Lock {
    holder: Holder,
    line: VecDeque<Place>,
}

/// All values that a job holds or somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    locks: HashMap<u64, Lock, Spread>,
    /// Jobs made so far.
    jobs: u64,
}

/// What a job takes while it is made.
#[derive(Debug)]
pub(crate) struct Claims {
    job: u64,
    pub(crate) values: Vec<u64>,
    /// Values that were kept for a virtual partition of the job, which turned out not to need them.
    pub(crate) unneeded: Vec<u64>,
}

impl Locks {
    pub(crate) fn claims(&mut self) -> Claims {
        self.jobs += 1;
        Claims { job: self.jobs, values: Vec::new(), unneeded: Vec::new() }
    }

    /// Locks a value for a job; whether it has it now.
    fn take(&mut self, value: u64, place: Place, claims: &mut Claims) -> bool {
        let free = Lock { holder: Holder::Nobody, line: VecDeque::new() };
        let lock = self.locks.entry(value).or_insert(free);
        match lock.holder {
            Holder::Job(job) => return job == claims.job,
            Holder::Kept(other) if other != place => return false,
            Holder::Nobody | Holder::Kept(_) => {}
        }
        lock.holder = Holder::Job(claims.job);
        claims.values.push(value);
        true
    }

    fn wait(&mut self, value: u64, place: Place) {
        if let Some(lock) = self.locks.get_mut(&value) {
            lock.line.push_back(place);
        }
    }

    fn is_kept_for(&self, value: u64, place: Place) -> bool {
        self.locks.get(&value).is_some_and(|lock| lock.holder == Holder::Kept(place))
    }
}

/// What an assignment knows of its messages' values.
#[derive(Debug)]
pub(crate) struct Unique {
    by: UniqueBy,
    seed: u64,
    /// What the callback answered, from the sequence `first` on.
    answers: VecDeque<u64>,
    first: u64,
    /// Messages at the front of the intake whose values are known already.
    answered: usize,
    /// Blocked virtual partitions, and the value each waits for.
    waits: HashMap<u64, u64, Spread>,
    /// Values that are kept for a virtual partition of this assignment.
    kept: Vec<(Index, u64)>,
    /// It was passed by because it could not run.
    passed_by: bool,
}

impl Unique {
    pub(crate) fn new(options: &TopicOptions, seed: u64) -> Option<Box<Self>> {
        if options.unique_by == UniqueBy::Off {
            return None;
        }
        Some(Box::new(Self {
            by: options.unique_by,
            seed,
            answers: VecDeque::new(),
            first: 0,
            answered: 0,
            waits: HashMap::with_hasher(Spread::default()),
            kept: Vec::new(),
            passed_by: false,
        }))
    }

    /// Where messages go first: to the question about their value, if there is one.
    pub(crate) fn first_route(options: &TopicOptions) -> VirtualPartitions {
        match options.unique_by {
            UniqueBy::Callback => VirtualPartitions::Callback,
            UniqueBy::Off | UniqueBy::Key => options.virtual_partitions,
        }
    }

    fn value<M: Record>(&self, message: &M, sequence: u64) -> Option<u64> {
        match self.by {
            UniqueBy::Off => None,
            UniqueBy::Key => message.key().map(|key| hash_key(key, self.seed)),
            UniqueBy::Callback => {
                let place = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
                self.answers.get(place).copied().filter(|value| *value != FREE)
            }
        }
    }

    /// Keeps answers for messages, and forgets those of messages that the ledger has let go of.
    fn keep(&mut self, ledger: &Ledger, sequences: &[u64], answers: Option<&[u64]>) {
        let present = ledger.seqs();
        while self.first < present.start && self.answers.pop_front().is_some() {
            self.first += 1;
        }
        if self.answers.is_empty() {
            self.first = present.start;
        }
        for (position, sequence) in sequences.iter().enumerate() {
            let Some(place) = sequence.checked_sub(self.first).and_then(|place| usize::try_from(place).ok()) else {
                continue;
            };
            if self.answers.len() <= place {
                self.answers.resize(place + 1, FREE);
            }
            let answer = answers.map_or(FAILED, |answers| answers.get(position).copied().unwrap_or(FREE));
            if let Some(kept) = self.answers.get_mut(place) {
                *kept = answer;
            }
        }
    }
}

impl<M: Record> Assignment<M> {
    /// What the user's code is to be asked next about the messages of the intake, and about how many of them at most.
    pub(crate) fn question(&mut self) -> (JobKind, usize) {
        let all = self.intake.len();
        match self.unique.as_deref_mut() {
            Some(unique) if unique.by == UniqueBy::Callback && unique.answered == 0 => (JobKind::Unique, all),
            Some(unique) if unique.by == UniqueBy::Callback => {
                // All of them are asked about at once, since they were answered at once.
                (JobKind::Key, std::mem::take(&mut unique.answered).min(all))
            }
            _ => (JobKind::Key, all),
        }
    }

    /// A question was never put: its messages are in front of the intake again.
    pub(crate) fn question_put_back(&mut self, kind: JobKind, count: usize) {
        if let Some(unique) = self.unique.as_deref_mut().filter(|_| kind == JobKind::Key) {
            unique.answered = count;
        }
    }

    /// The callback answered for these messages; none of them, if it failed.
    pub(crate) fn keep_values(&mut self, sequences: &[u64], answers: Option<&[u64]>) {
        if let Some(unique) = self.unique.as_deref_mut() {
            unique.keep(&self.ledger, sequences, answers);
            if self.options.virtual_partitions == VirtualPartitions::Callback {
                unique.answered = sequences.len();
            }
        }
    }

    /// Locks the values of the next messages of the first ready virtual partition for a job that may take `most` of them.
    /// Returns how many it may take; `None` when the first one has to wait, and the virtual partition with it.
    #[inline]
    pub(crate) fn claim(
        &mut self,
        locks: &mut Locks,
        claims: &mut Claims,
        place: Place,
        alone: bool,
        most: usize,
    ) -> Option<usize> {
        if self.unique.is_none() { Some(most) } else { self.claim_values(locks, claims, place, alone, most) }
    }

    fn claim_values(
        &mut self,
        locks: &mut Locks,
        claims: &mut Claims,
        place: Place,
        alone: bool,
        most: usize,
    ) -> Option<usize> {
        let index = place.1;
        let unique = self.unique.as_deref_mut()?;
        let kept = unique.kept.iter().position(|(of, _)| *of == index);
        let kept = kept.map(|kept| unique.kept.swap_remove(kept).1);
        let (mut free, mut taken) = (0, None);
        for (message, sequence) in self.mailboxes.waiting(index) {
            if free == most {
                break;
            }
            // It will not be handled again, so it needs nothing.
            if alone && self.ledger.is_done(sequence) {
                continue;
            }
            if let Some(value) = unique.value(message, sequence)
                && !locks.take(value, place, claims)
            {
                taken = Some(value);
                break;
            }
            free += 1;
        }
        claims.unneeded.extend(kept.filter(|value| locks.is_kept_for(*value, place)));
        match taken {
            None => Some(most),
            Some(_) if free > 0 => Some(free),
            Some(value) => {
                unique.waits.insert(u64::from(index), value);
                locks.wait(value, place);
                self.mailboxes.block_first();
                None
            }
        }
    }
}

impl<M: Record> Engine<M> {
    /// Gives values back that a job had or somebody did not need; each goes to the first in line that can run.
    pub(crate) fn release_values(&mut self, values: Vec<u64>) {
        for value in values {
            if let Some(lock) = self.locks.locks.get_mut(&value) {
                lock.holder = Holder::Nobody;
                self.pass_on(value);
            }
        }
    }

    /// Keeps a value that nobody holds for the first in line that can run.
    fn pass_on(&mut self, value: u64) {
        let Some(lock) = self.locks.locks.get_mut(&value).filter(|lock| lock.holder == Holder::Nobody) else { return };
        let mut at = 0;
        while let Some(&(id, index)) = lock.line.get(at) {
            let waits = |assignment: &&mut Assignment<M>| {
                assignment.mailboxes.state(index) == Some(State::Blocked)
                    && assignment.unique.as_deref().is_some_and(|unique| unique.waits_for(index, value))
            };
            let Some(assignment) = self.assignments.get_mut(id).filter(waits) else {
                lock.line.remove(at);
                continue;
            };
            let can_run = assignment.can_run();
            let Some(unique) = assignment.unique.as_deref_mut() else { return };
            if !can_run {
                unique.passed_by = true;
                at += 1;
                continue;
            }
            lock.line.remove(at);
            lock.holder = Holder::Kept((id, index));
            unique.waits.remove(&u64::from(index));
            unique.kept.push((index, value));
            assignment.mailboxes.set_ready_again(index);
            self.enlist(id);
            return;
        }
        if lock.line.is_empty() {
            self.locks.locks.remove(&value);
        }
    }

    /// An assignment may have begun or ceased to be able to run: what is kept for it in vain goes on, and what it was passed
    /// by for it gets.
    #[inline]
    pub(crate) fn review_values(&mut self, id: AssignmentId) {
        if !self.locks.locks.is_empty() {
            self.review(id);
        }
    }

    fn review(&mut self, id: AssignmentId) {
        let Some(assignment) = self.assignments.get_mut(id) else { return };
        let can_run = assignment.can_run();
        let Some(unique) = assignment.unique.as_deref_mut() else { return };
        let mut vain = Vec::new();
        let mailboxes = &assignment.mailboxes;
        unique.kept.retain(|&(index, value)| {
            let used = can_run && mailboxes.state(index) == Some(State::Ready);
            if !used {
                vain.push(((id, index), value));
            }
            used
        });
        let passed_by = can_run && std::mem::take(&mut unique.passed_by);
        let waits: Vec<u64> = if passed_by { unique.waits.values().copied().collect() } else { Vec::new() };
        for (place, value) in vain {
            if self.locks.is_kept_for(value, place) {
                self.release_values(vec![value]);
            }
        }
        for value in waits {
            self.pass_on(value);
        }
    }

    /// An assignment is gone: nothing is kept for it any more. What its running jobs hold they keep.
    pub(crate) fn forget_values(&mut self, assignment: &mut Assignment<M>) {
        if let Some(unique) = assignment.unique.as_deref_mut() {
            let kept = std::mem::take(&mut unique.kept);
            self.release_values(kept.into_iter().map(|(_, value)| value).collect());
        }
    }

    /// Whether a virtual partition waits for a value that will be given to it.
    pub(crate) fn is_blocked(&self, id: AssignmentId, assignment: &Assignment<M>, index: Index) -> bool {
        let value = assignment.unique.as_deref().and_then(|unique| unique.waits.get(&u64::from(index)));
        let lock = value.and_then(|value| self.locks.locks.get(value));
        lock.is_some_and(|lock| {
            lock.line.contains(&(id, index)) && (lock.holder != Holder::Nobody || !assignment.can_run())
        })
    }

    /// Compares the locks with the jobs that are out and with who waits; for tests.
    pub(crate) fn check_values(&self) -> Result<(), String> {
        let mut held = HashSet::new();
        for value in self.jobs.iter().flat_map(|job| &job.values) {
            let is_locked = self.locks.locks.get(value).is_some_and(|lock| matches!(lock.holder, Holder::Job(_)));
            if !held.insert(*value) || !is_locked {
                return Err(format!("value {value} is run twice or not locked"));
            }
        }
        for (value, lock) in &self.locks.locks {
            let is_right = match lock.holder {
                Holder::Nobody => !lock.line.is_empty(),
                Holder::Job(_) => held.contains(value),
                Holder::Kept((id, index)) => self.assignments.get(id).is_some_and(|assignment| {
                    let unique = assignment.unique.as_deref();
                    let is_kept = unique.is_some_and(|unique| unique.kept.contains(&(index, *value)));
                    is_kept && assignment.can_run() && assignment.mailboxes.state(index) == Some(State::Ready)
                }),
            };
            if !is_right {
                return Err(format!("value {value} is held wrongly: {lock:?}"));
            }
        }
        for (id, assignment) in self.assignments.iter() {
            let mut blocked = assignment.mailboxes.iter().filter(|(_, state, _)| *state == State::Blocked);
            if let Some((index, ..)) = blocked.find(|(index, ..)| !self.is_blocked(id, assignment, *index)) {
                return Err(format!("virtual partition {index} of {id:?} waits for a value that does not come"));
            }
        }
        Ok(())
    }
}

impl Unique {
    /// Nothing waits any more. What is kept for its virtual partitions goes on with the next review.
    pub(crate) fn forget_waiting(&mut self) {
        self.waits.clear();
        self.answers.clear();
        self.answered = 0;
    }

    fn waits_for(&self, index: Index, value: u64) -> bool {
        self.waits.get(&u64::from(index)) == Some(&value)
    }
}
