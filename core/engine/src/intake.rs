//! What a topic's intake policies do with the messages of one assignment before its virtual partitions see them.
//!
//! Owned by the assignment, used by the engine's one thread; absent where no policy is on. A message is asked, in this
//! order: is it expired, is it old enough, is there room in the throttle's window, does the filter keep it. Guarantees: the
//! messages of a partition keep their order, so one that has to wait holds those behind it; a policy holds no seat; every
//! wait has an end at which the engine looks again. Two things are decided once more when a call takes messages: what has
//! expired since is not handled, and no more is given than the window has room for.

use std::collections::VecDeque;
use std::time::Duration;

use crate::action::{Action, Notice};
use crate::assignment::{Assignment, AssignmentId, Stage};
use crate::delay::{self, Wait};
use crate::engine::Engine;
use crate::instant::Instant;
use crate::job::{JobId, Outcome, RunningJob};
use crate::options::TopicOptions;
use crate::partitioner::Route;
use crate::record::Record;
use crate::throttle::Window;
use crate::timers::{Timer, Timers};
use crate::waiting::Queued;

/// Most messages of a partition that wait for a policy: enough to go on with while the driver reads more.
const MOST_HELD: u64 = 1_024;
/// The same in bytes, by the mean size of what is held.
const MOST_HELD_BYTES: u64 = 1 << 20;
/// Between two notices of one kind.
const BETWEEN_NOTICES: Duration = Duration::from_secs(1);

/// A message that waits for a policy.
#[derive(Debug)]
struct Held<M> {
    queued: Queued<M>,
    timestamp: Option<i64>,
    wait: Wait,
}

/// Counts what is told now and then.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: u64,
    /// When the next notice may come.
    next: Instant,
}

impl Tally {
    /// The count, when it is time to tell it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        if self.count == 0 || now < self.next {
            return None;
        }
        self.next = now + BETWEEN_NOTICES;
        Some(std::mem::take(&mut self.count))
    }
}

/// The policies of an assignment and what waits for them.
#[derive(Debug)]
pub(crate) struct Intake<M> {
    delay_by: Duration,
    expire_in: Option<i64>,
    filters: bool,
    held: VecDeque<Held<M>>,
    pub(crate) window: Option<Window>,
    /// Whether the window has no room; it opens by a timer or by the end of a job.
    pub(crate) closed: bool,
    /// Messages in arrival order that wait for the filter.
    pub(crate) unfiltered: VecDeque<Queued<M>>,
    pub(crate) asking_filter: bool,
    /// Messages the filter is being asked about.
    pub(crate) asked: u64,
    /// The earliest timer that is set.
    wakes: Instant,
    expired: Tally,
    skipped: Tally,
    wrong: Tally,
    throttled: Tally,
}

impl<M> Intake<M> {
    /// What a topic with these options needs; nothing where all policies are off.
    pub(crate) fn new(options: &TopicOptions) -> Option<Box<Self>> {
        let is_on =
            !options.delay_by.is_zero() || options.expire_in.is_some() || options.throttle.is_some() || options.filter;
        let milliseconds = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        is_on.then(|| {
            Box::new(Self {
                delay_by: options.delay_by,
                expire_in: options.expire_in.map(milliseconds),
                filters: options.filter,
                held: VecDeque::new(),
                window: options.throttle.map(Window::new),
                closed: false,
                unfiltered: VecDeque::new(),
                asking_filter: false,
                asked: 0,
                wakes: Instant::NEVER,
                expired: Tally::default(),
                skipped: Tally::default(),
                wrong: Tally::default(),
                throttled: Tally::default(),
            })
        })
    }

    /// Messages that wait for a policy.
    pub(crate) fn waiting(&self) -> u64 {
        (self.held.len() + self.unfiltered.len()) as u64
    }

    /// Whether no more should be read for now.
    pub(crate) fn is_full(&self, mean_bytes: u64) -> bool {
        self.waiting() >= (MOST_HELD_BYTES / mean_bytes.max(1)).clamp(1, MOST_HELD)
    }

    /// The timestamp below which messages have expired at this time, if any do.
    pub(crate) fn oldest(&self, wall: Option<i64>) -> Option<i64> {
        Some(wall?.saturating_sub(self.expire_in?))
    }

    pub(crate) fn count_skipped(&mut self, messages: u64) {
        self.skipped.count += messages;
    }

    /// Whether the timer that is set has been missed by as much as `late`, or none is.
    pub(crate) fn is_forgotten(&self, late: impl Fn(Instant) -> bool) -> bool {
        self.wakes == Instant::NEVER || late(self.wakes)
    }

    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// Nobody waits for the answer of the filter any more.
    pub(crate) fn forget_question(&mut self) {
        self.asking_filter = false;
        self.asked = 0;
    }

    /// Empties everything.
    pub(crate) fn clear(&mut self, mut drop: impl FnMut(Queued<M>)) {
        self.held.drain(..).for_each(|held| drop(held.queued));
        self.unfiltered.drain(..).for_each(drop);
    }
}

impl<M: Record> Intake<M> {
    /// Takes a message that was read.
    #[inline]
    pub(crate) fn take(&mut self, now: Instant, wall: Option<i64>, queued: Queued<M>) {
        let (mut timestamp, mut wait) = (None, Wait::NONE);
        if !self.delay_by.is_zero() || self.expire_in.is_some() {
            timestamp = queued.message.timestamp();
        }
        if !self.delay_by.is_zero() {
            wait = Wait::of(self.delay_by, now, timestamp, wall);
            let is_wrong = |(timestamp, wall)| delay::is_wrong(timestamp, wall);
            self.wrong.count += u64::from(timestamp.zip(wall).is_some_and(is_wrong));
        }
        self.held.push_back(Held { queued, timestamp, wait });
    }
}

/// What the policies leave of a call.
pub(crate) struct Limits {
    /// Most messages.
    pub(crate) most: usize,
    /// Older ones have expired.
    pub(crate) oldest: Option<i64>,
    pub(crate) is_throttled: bool,
}

/// Whether a message has expired where messages below this timestamp have.
#[inline]
pub(crate) fn is_expired<M: Record>(message: &M, oldest: Option<i64>) -> bool {
    oldest.is_some() && is_older(message.timestamp(), oldest)
}

fn is_older(timestamp: Option<i64>, oldest: Option<i64>) -> bool {
    timestamp.zip(oldest).is_some_and(|(timestamp, oldest)| timestamp < oldest)
}

impl<M: Record> Engine<M> {
    /// Tells the engine what the wall clock says: milliseconds since 1970. Ages of messages are measured by it, for
    /// `delay_by` and `expire_in`; in between it is carried on by `now`. To be called before the engine is driven, once a
    /// round. A clock that is set back lengthens delays, one that is set ahead shortens none that has begun.
    pub fn observe_wall(&mut self, now: Instant, milliseconds: i64) {
        self.observe(now);
        self.wall.set(now, milliseconds);
    }

    /// A job with [`Job::tell_start`](crate::Job::tell_start) begins: its messages count in the throttle's window from `at`
    /// on. Where nobody says, they count when the job ends, and take their place until then. A job that has ended, or is of
    /// a partition that was given up, changes nothing.
    pub fn started(&mut self, now: Instant, id: JobId, at: Instant) {
        self.observe(now);
        let Some(job) = self.jobs.get_mut(id) else { return };
        if std::mem::take(&mut job.start_awaited) {
            let (assignment, messages) = (job.assignment, job.sequences.len() as u64);
            if let Some(window) = self.assignments.get_mut(assignment).and_then(Assignment::window) {
                window.begin(messages, at);
            }
            self.enlist(assignment);
        }
    }

    /// A job ended of which nobody said when it began.
    pub(crate) fn ended_unstarted(&mut self, now: Instant, job: &RunningJob, outcome: &Outcome) {
        let Some(window) = self.assignments.get_mut(job.assignment).and_then(Assignment::window) else { return };
        let messages = job.sequences.len() as u64;
        if *outcome == Outcome::NotStarted {
            window.take_back(messages);
        } else {
            window.begin(messages, now);
        }
    }

    /// Lets everything go on that the policies let pass now, in order; sees to it that the engine looks again when more
    /// may; and tells what there is to tell.
    #[inline(never)]
    pub(crate) fn admit(&mut self, id: AssignmentId) {
        let (now, wall) = (self.clock, self.wall.at(self.clock));
        let Some(assignment) = self.assignments.get_mut(id).filter(|found| found.stage == Stage::Active) else {
            return;
        };
        let Some(mut intake) = assignment.policies.take() else { return };
        #[cfg(feature = "planted")]
        let planted = self.planted.chosen;
        let mut wakes = Instant::NEVER;
        let oldest = intake.oldest(wall);
        let mut room = u64::MAX;
        if let Some(window) = &mut intake.window {
            room = window.room(now);
            intake.closed = room == 0;
            if intake.closed {
                wakes = window.opens(now);
                #[cfg(feature = "planted")]
                if planted == Some(crate::Planted::PauseOfNothing) {
                    wakes = Instant::from_nanos(now.as_nanos() + 1);
                }
            }
        }
        let (mut expired, mut expired_bytes) = (0, 0);
        while let Some(first) = intake.held.front_mut() {
            if is_older(first.timestamp, oldest) {
                let Some(Held { queued, .. }) = intake.held.pop_front() else { break };
                expired += 1;
                expired_bytes += u64::from(queued.bytes);
                assignment.ledger.mark(queued.sequence);
                self.dropped.push(queued.message);
                continue;
            }
            #[cfg(feature = "planted")]
            if planted == Some(crate::Planted::PauseWithoutEnd)
                && first.timestamp.zip(wall).is_some_and(|(timestamp, wall)| delay::is_wrong(timestamp, wall))
            {
                first.wait = Wait::ENDLESS;
            }
            let over = intake.delay_by.is_zero() || first.wait.is_over(intake.delay_by, now, first.timestamp, wall);
            #[cfg(feature = "planted")]
            let over = over || (planted == Some(crate::Planted::FutureIsCaughtUp) && first.timestamp > wall);
            if !over {
                wakes = wakes.min(first.wait.due);
                break;
            }
            // What waits in a back-off or behind a running call takes no place from the others.
            let before = assignment.mailboxes.ready_messages() + assignment.intake.len() as u64;
            if room <= before + intake.unfiltered.len() as u64 + intake.asked {
                break;
            }
            let Some(Held { queued, .. }) = intake.held.pop_front() else { break };
            if intake.filters {
                intake.unfiltered.push_back(queued);
            } else {
                assignment.enter(&mut self.timers, now, id, queued);
            }
        }
        if expired > 0 {
            intake.expired.count += expired;
            assignment.release(expired, expired_bytes);
            self.budget.give_back(expired, expired_bytes);
        }
        let waits = intake.closed && (intake.holds() || assignment.mailboxes.has_ready());
        intake.throttled.count = u64::from(waits) * (intake.held.len() as u64 + assignment.mailboxes.ready_messages());
        if let Some(due) = intake.tell(now, id, |notice| self.actions.push_back(Action::Notice(notice))) {
            wakes = wakes.min(due);
        }
        if wakes < intake.wakes || intake.wakes <= now {
            intake.wakes = wakes;
            self.timers.set(wakes, Timer::Intake(id));
        }
        let is_closed = intake.closed;
        assignment.policies = Some(intake);
        if is_closed {
            // What waits for the window keeps nobody from a tick.
            self.arm_ticks(id);
        }
        if expired > 0 {
            self.schedule_commit(id);
            self.consumers_moved(id);
        }
    }

    /// Messages had expired when a call was to take them.
    pub(crate) fn expired_late(&mut self, id: AssignmentId, messages: u64) {
        if messages > 0 {
            if let Some(intake) = self.assignments.get_mut(id).and_then(|assignment| assignment.policies.as_mut()) {
                intake.expired.count += messages;
            }
            self.schedule_commit(id);
            self.consumers_moved(id);
        }
    }

    /// The last notices of an assignment.
    pub(crate) fn tell_intake(&mut self, id: AssignmentId) {
        let Some(assignment) = self.assignments.get_mut(id) else { return };
        if let Some(intake) = &mut assignment.policies {
            intake.throttled.count = 0;
            intake.tell(Instant::NEVER, id, |notice| self.actions.push_back(Action::Notice(notice)));
        }
    }
}

impl<M> Intake<M> {
    /// Tells what it is time for; returns when the next notice is due.
    fn tell(&mut self, now: Instant, assignment: AssignmentId, mut say: impl FnMut(Notice)) -> Option<Instant> {
        if self.expired.count + self.skipped.count + self.wrong.count + self.throttled.count == 0 {
            return None;
        }
        if let Some(messages) = self.expired.take(now) {
            say(Notice::Expired { assignment, messages });
        }
        if let Some(messages) = self.skipped.take(now) {
            say(Notice::Filtered { assignment, messages });
        }
        if let Some(messages) = self.wrong.take(now) {
            say(Notice::TimestampsAhead { assignment, messages });
        }
        // Told only as long as it holds: nothing is due for it.
        if let Some(messages) = self.throttled.take(now) {
            say(Notice::Throttled { assignment, messages });
        }
        [self.expired, self.skipped, self.wrong]
            .into_iter()
            .filter(|tally| tally.count > 0)
            .map(|tally| tally.next)
            .min()
    }
}

impl<M: Record> Assignment<M> {
    /// A message that every policy let pass enters its virtual partition, or waits for the partitioner.
    #[inline]
    pub(crate) fn enter(&mut self, timers: &mut Timers, now: Instant, id: AssignmentId, queued: Queued<M>) {
        let route = self.partitioner.route(&queued.message);
        if route == Route::Ask {
            self.intake.push_back(queued);
        } else if let Some(index) = self.mailboxes.push(route, queued) {
            self.gather(timers, now, id, index);
        }
    }
}

impl<M> Assignment<M> {
    pub(crate) fn window(&mut self) -> Option<&mut Window> {
        self.policies.as_mut()?.window.as_mut()
    }

    /// What a call may take now; `None`: nothing.
    #[inline]
    pub(crate) fn limits(&mut self, now: Instant, wall: Option<i64>) -> Option<Limits> {
        let mut limits = Limits { most: self.options.max_messages.max(1) as usize, oldest: None, is_throttled: false };
        if let Some(intake) = &mut self.policies {
            limits.oldest = intake.oldest(wall);
            if let Some(window) = &mut intake.window {
                limits.is_throttled = true;
                limits.most = limits.most.min(usize::try_from(window.room(now)).unwrap_or(usize::MAX));
            }
        }
        (limits.most > 0).then_some(limits)
    }

    /// Counts messages that a call gets; whether the window waits to hear when it begins.
    pub(crate) fn count_handed_out(&mut self, messages: u64) -> bool {
        self.window().map(|window| window.hand_out(messages)).is_some()
    }

    /// Whether a throttle lets no call begin now.
    #[inline]
    pub(crate) fn is_throttled(&self) -> bool {
        self.policies.as_ref().is_some_and(|intake| intake.closed)
    }

    pub(crate) fn can_ask_filter(&self) -> bool {
        self.policies.as_ref().is_some_and(|intake| !intake.asking_filter && !intake.unfiltered.is_empty())
    }
}
