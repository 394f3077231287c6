//! Asking the user's code whose turn it is.
//!
//! When more virtual partitions wait than seats are free, the engine makes a [`Question`] of them; whoever drives it has it
//! answered elsewhere, by [`Engine::chosen`], and the seats get the jobs in the order of the answer, as far as its virtual
//! partitions still wait. Advice, not a command: a pool waits for an answer for [`GRACE`] only; then, and while the user's
//! code fails or takes too long, and for one job in [`SHARE`] in any case, the app's own order decides. So nothing that the
//! user's code does or leaves out can stop a partition or starve it.
//!
//! Used by the engine on its one thread; nothing here waits.

use std::collections::VecDeque;
use std::time::Duration;

use crate::action::{ChooserFailure, Notice};
use crate::assignment::{AssignmentId, TopicId};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::record::Record;
use crate::scheduler::PoolId;
use crate::virtual_partition::Index;

/// How long a pool gives out nothing while it waits for an answer.
const GRACE: Duration = Duration::from_millis(5);
/// How long an answer is awaited before that counts as a failure.
const LONGEST: Duration = Duration::from_secs(1);
/// How long nothing is asked after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Most virtual partitions of a question.
const MOST: usize = 256;
/// One job in so many is given out as if nobody had been asked.
const SHARE: u32 = 16;

/// Names a question; never used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QuestionId(u64);

/// A virtual partition that waits for a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Under which ownership its messages were read.
    pub assignment: AssignmentId,
    /// Of which topic.
    pub topic: TopicId,
    /// And partition.
    pub partition: i32,
    /// Its name inside the partition.
    pub virtual_partition: u64,
    /// How many of its messages wait.
    pub messages: u32,
    /// How long its partition has waited for its turn.
    pub waited: Duration,
    /// Its topic's priority.
    pub priority: i32,
    /// What a message of its topic takes, from the hand-out of a job to its end; zero while nothing was measured.
    pub cost: Duration,
}

/// Who waits for the seats of a pool, to be brought into an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// To answer it by.
    pub id: QuestionId,
    /// At least two, at most 256; in no order.
    pub candidates: Vec<Candidate>,
}

type Place = (TopicId, AssignmentId, Index);

#[derive(Debug)]
struct Asked {
    id: QuestionId,
    at: Instant,
    places: Vec<Place>,
    /// Whether it was given up: its answer means nothing any more, but nothing else is asked before it.
    late: bool,
}

/// What was asked and answered for one pool.
#[derive(Debug, Default)]
struct Choice {
    asked: Option<Asked>,
    order: VecDeque<Place>,
    not_before: Instant,
    given: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Chooser {
    pools: Vec<(PoolId, Choice)>,
    asked: u64,
    /// Made, and not taken by the driver yet.
    questions: VecDeque<Question>,
}

impl Chooser {
    fn of(&mut self, pool: PoolId) -> Option<&mut Choice> {
        let known = self.pools.iter().position(|(of, _)| *of == pool);
        let place = known.unwrap_or_else(|| {
            self.pools.push((pool, Choice::default()));
            self.pools.len() - 1
        });
        self.pools.get_mut(place).map(|(_, choice)| choice)
    }

    /// When an answer is not awaited any longer.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        let asked = self.pools.iter().filter_map(|(_, choice)| choice.asked.as_ref()).filter(|asked| !asked.late);
        let ends = |asked: &Asked| if now < asked.at + GRACE { asked.at + GRACE } else { asked.at + LONGEST };
        asked.map(ends).min()
    }
}

impl<M: Record> Engine<M> {
    /// The next question for the user's scheduler, after [`Engine::next_job`] had nothing to give. Each is answered by
    /// [`Engine::chosen`], exactly once, however late.
    pub fn next_question(&mut self) -> Option<Question> {
        self.chooser.questions.pop_front()
    }

    /// Takes the answer to a question: places in its list of candidates, the best one first; `None`: the scheduler failed.
    /// Places that are not there or named twice are left out; candidates that are not named come after the others.
    pub fn chosen(&mut self, now: Instant, id: QuestionId, order: Option<&[u32]>) {
        self.observe(now);
        let asked = |choice: &Choice| choice.asked.as_ref().is_some_and(|asked| asked.id == id);
        let Some((_, choice)) = self.chooser.pools.iter_mut().find(|(_, choice)| asked(choice)) else { return };
        let Some(mut asked) = choice.asked.take().filter(|asked| !asked.late) else { return };
        let mut places: Vec<Option<Place>> = asked.places.drain(..).map(Some).collect();
        choice.order.clear();
        for place in order.unwrap_or_default() {
            choice.order.extend(places.get_mut(*place as usize).and_then(Option::take));
        }
        if choice.order.is_empty() {
            choice.not_before = now + PAUSE;
            let reason = if order.is_some() { ChooserFailure::NothingValid } else { ChooserFailure::Failed };
            self.notice(Notice::ChooserFailed { reason });
        }
    }

    /// Gives up questions that were not answered in time.
    pub(crate) fn chooser_if_due(&mut self, now: Instant) {
        let mut late = 0;
        for (_, choice) in &mut self.chooser.pools {
            if let Some(asked) = choice.asked.as_mut().filter(|asked| !asked.late && asked.at + LONGEST <= now) {
                asked.late = true;
                choice.not_before = now + PAUSE;
                late += 1;
            }
        }
        for _ in 0..late {
            self.notice(Notice::ChooserFailed { reason: ChooserFailure::TooLate });
        }
    }

    /// Whose turn it is by what was chosen, while the pool takes one more job. Nobody's while an answer is awaited.
    pub(crate) fn chosen_turn(&mut self, pool: PoolId) -> Option<AssignmentId> {
        let now = self.clock;
        let choice = self.chooser.of(pool)?;
        if choice.asked.as_ref().is_some_and(|asked| !asked.late && now < asked.at + GRACE) {
            return None;
        }
        if !self.scheduler.has_place(pool) {
            return None;
        }
        choice.given = choice.given.wrapping_add(1);
        if choice.given.is_multiple_of(SHARE) {
            return self.scheduler.next(pool);
        }
        while let Some((topic, id, index)) = choice.order.pop_front() {
            let Some(assignment) = self.assignments.get_mut(id) else { continue };
            let can = assignment.enlisted && assignment.can_give_job() && assignment.mailboxes.advance(index);
            if can && self.scheduler.prefer(topic, id) {
                return Some(id);
            }
        }
        if self.ask(pool) { None } else { self.scheduler.next(pool) }
    }

    /// Makes a question, if one is due and worth it.
    fn ask(&mut self, pool: PoolId) -> bool {
        let now = self.clock;
        let free = self.scheduler.free_seats(pool) as usize;
        if self.chooser.of(pool).is_none_or(|choice| choice.asked.is_some() || now < choice.not_before) {
            return false;
        }
        let in_line = || self.scheduler.waiting(pool).filter(|(_, turns)| !turns.is_full());
        let each = (MOST / in_line().map(|(_, turns)| turns.iter().count()).sum::<usize>().max(1)).max(1);
        let (mut candidates, mut places) = (Vec::new(), Vec::new());
        for (topic, turns) in in_line() {
            for entry in turns.iter() {
                let Some(assignment) = self.assignments.get(entry.assignment) else { continue };
                if !assignment.can_run() {
                    continue;
                }
                for (index, name) in assignment.mailboxes.ready().take(each) {
                    candidates.push(Candidate {
                        assignment: entry.assignment,
                        topic,
                        partition: assignment.partition,
                        virtual_partition: name,
                        messages: assignment.mailboxes.length(index),
                        waited: now.since(entry.since),
                        priority: turns.priority,
                        cost: turns.cost(),
                    });
                    places.push((topic, entry.assignment, index));
                }
            }
        }
        candidates.truncate(MOST);
        places.truncate(MOST);
        // Where there is a seat for everybody, the order means nothing.
        if candidates.len() < 2 || candidates.len() <= free {
            return false;
        }
        self.chooser.asked += 1;
        let id = QuestionId(self.chooser.asked);
        if let Some(choice) = self.chooser.of(pool) {
            choice.asked = Some(Asked { id, at: now, places, late: false });
        }
        self.chooser.questions.push_back(Question { id, candidates });
        true
    }
}
