//! The decision after a call, over the full product of what a topic can be told and how a call can end: first the pure
//! function by itself, then through the engine, with a partition that is paused, revoked, lost or moved by the user while
//! the call runs. What must hold: no loss, no freeze, no early dead letter, nothing marked after a loss.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use crate::common::{Driver, message, offsets};
use karafka_engine::after::{After, Call, Counts, Culprit, Ending, Marks, Next, Ownership, Policy, after};
use karafka_engine::{AssignmentId, Extent, GivenUp, Job, Outcome, Verdict};

const BOTH: [bool; 2] = [false, true];
/// Under Miri, one in so many: primes, which meet every part of the product.
const DECISIONS_IN: usize = if cfg!(miri) { 211 } else { 1 };
const RUNS_IN: usize = if cfg!(miri) { 97 } else { 1 };
const VERDICTS: [Verdict; 5] = [Verdict::Unsaid, Verdict::Retry, Verdict::GiveUp, Verdict::Discard, Verdict::Critical];

fn policies() -> Vec<Policy> {
    let mut policies = Vec::new();
    for manual_offset_management in BOTH {
        for max_retries in [None, Some(0), Some(2)] {
            for given_up in [
                GivenUp::Never,
                GivenUp::Skipped,
                GivenUp::Dispatched { wait: true },
                GivenUp::Dispatched { wait: false },
            ] {
                for bits in 0..16_u32 {
                    let [strategy, independent, bisect, long_running] = [0, 1, 2, 3].map(|bit| bits >> bit & 1 == 1);
                    policies.push(Policy {
                        manual_offset_management,
                        max_retries,
                        given_up,
                        strategy,
                        independent,
                        bisect,
                        long_running,
                    });
                }
            }
        }
    }
    policies
}

fn calls() -> Vec<Call> {
    let mut endings = vec![Ending::Done, Ending::Paused, Ending::NotStarted];
    endings.extend(VERDICTS.map(Ending::Failed));
    let mut calls = Vec::new();
    for ownership in [Ownership::Held, Ownership::Leaving, Ownership::Gone] {
        for &ending in &endings {
            for undone in [0, 1, 3] {
                for progress in BOTH {
                    for culprit in [Culprit::Unknown, Culprit::Here, Culprit::Elsewhere] {
                        for deliveries in 1..=4 {
                            calls.push(Call { ownership, ending, undone, progress, culprit, deliveries });
                        }
                    }
                }
            }
        }
    }
    calls
}

#[test]
fn the_decision_keeps_every_promise_over_the_full_product() {
    let (policies, calls) = (policies(), calls());
    let count = policies.len() * calls.len();
    for at in (0..count).step_by(DECISIONS_IN) {
        let (policy, call) = (&policies[at / calls.len()], &calls[at % calls.len()]);
        let decided = after(policy, call);
        judge(policy, call, decided).unwrap_or_else(|broken| panic!("{broken}: {policy:?} {call:?} {decided:?}"));
    }
    println!("{} decisions", count / DECISIONS_IN);
}

fn judge(policy: &Policy, call: &Call, decided: After) -> Result<(), &'static str> {
    let After { marks, counts, resets, searches, next } = decided;
    let leaves = matches!(next, Next::Discard | Next::DeadLetter { .. });
    let failed = matches!(call.ending, Ending::Failed(_));
    let require = |holds: bool, promise: &'static str| if holds { Ok(()) } else { Err(promise) };

    let gone = call.ownership == Ownership::Gone;
    require(!gone || (marks == Marks::Nothing && next == Next::Forget), "nothing is marked after a loss")?;
    require((next == Next::Forget) == (call.ownership != Ownership::Held), "only who keeps it goes on, and goes on")?;
    require(marks != Marks::All || call.ending == Ending::Done, "only success marks by itself")?;
    require(marks != Marks::All || !policy.manual_offset_management, "what the handler marks, it marks itself")?;

    let held = call.ownership == Ownership::Held;
    let comes_again = matches!(next, Next::Again | Next::BackOff);
    let undone = held && call.undone > 0 && call.ending != Ending::Done;
    require(!undone || comes_again || leaves, "no loss: what is not done comes again or leaves")?;
    require(!comes_again || undone, "only what is not done comes again")?;

    let known = call.culprit == Culprit::Here && call.undone > 0;
    require(!leaves || (failed && known), "only a known culprit leaves")?;
    let limit = policy.max_retries.is_some_and(|most| call.deliveries > most && !resets);
    let limit = limit || (resets && policy.max_retries == Some(0));
    let said = matches!(call.ending, Ending::Failed(Verdict::GiveUp | Verdict::Discard));
    let unsaid = call.ending == Ending::Failed(Verdict::Unsaid);
    require(!leaves || said || (unsaid && limit), "no early dead letter")?;
    let never = policy.given_up == GivenUp::Never && call.ending != Ending::Failed(Verdict::Discard);
    require(!leaves || !never, "without a place to go nothing leaves")?;
    let due = held && known && ((unsaid && limit) || said) && !never;
    require(!due || leaves, "what is due leaves")?;

    let critical = call.ending == Ending::Failed(Verdict::Critical);
    let blameless = critical || !failed || call.culprit == Culprit::Elsewhere;
    require(!blameless || counts == Counts::Nobody, "no attempt is counted that was no failure of the message")?;
    require(counts != Counts::Undone || call.culprit == Culprit::Unknown, "a known culprit is counted alone")?;
    require(!resets || policy.independent, "counting starts again only where it is asked for")?;
    let unknown = held && failed && !critical && call.culprit == Culprit::Unknown && call.undone > 0;
    let limited = policy.max_retries.is_some() && policy.given_up != GivenUp::Never;
    let must = unknown && (limited || policy.strategy || policy.bisect || said);
    require(!must || searches, "where it matters, the culprit is looked for")?;
    let short = Policy { long_running: !policy.long_running, ..*policy };
    require(after(&short, call) == decided, "how long calls may take is no matter here")
}

/// What happens to the partition while the call runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    Pause,
    Revoke,
    Lose,
    Seek,
}

struct Run {
    driver: Driver,
    id: AssignmentId,
    policy: Policy,
    verdict: Verdict,
    poison: i64,
    /// How often each message was handed out since the ownership began.
    deliveries: Vec<u32>,
    done: Vec<bool>,
    letters: Vec<(i64, u32)>,
    letter_fails: bool,
}

/// Deliveries after which the poison is no poison any more, for those who never give it up.
const PATIENCE: u32 = 9;

impl Run {
    fn new(policy: Policy, verdict: Verdict, messages: i64, poison: i64, letter_fails: bool) -> Self {
        let mut driver = Driver::new(|topic| {
            topic.manual_offset_management = policy.manual_offset_management;
            topic.max_retries = policy.max_retries;
            topic.given_up = policy.given_up;
            topic.strategy = policy.strategy;
            topic.independent = policy.independent;
            topic.bisect = policy.bisect;
            topic.long_running_job = policy.long_running;
            topic.retry.first = Duration::from_millis(1);
            topic.retry.longest = Duration::from_millis(1);
        });
        let id = driver.assign(0);
        driver.deliver(id, (0..messages).map(|offset| message(offset, "a")));
        let (deliveries, done) = (vec![0; messages as usize], vec![false; messages as usize]);
        Self { driver, id, policy, verdict, poison, deliveries, done, letters: Vec::new(), letter_fails }
    }

    /// Handles a job as its handler would, after `meanwhile` happened to the partition.
    fn handle(&mut self, job: Job<crate::common::Message>, owned: bool) {
        let contained = offsets(&job.messages);
        for offset in &contained {
            self.deliveries[*offset as usize] += 1;
        }
        let poisoned = contained.contains(&self.poison) && self.deliveries[self.poison as usize] < PATIENCE;
        if poisoned {
            let outcome = Outcome::Failed { verdict: self.verdict, culprit: None };
            self.driver.complete(job, outcome);
            return;
        }
        if self.policy.manual_offset_management {
            let last = contained.len() as u32 - 1;
            assert_eq!(self.driver.mark(&job, last, Extent::Prefix), owned, "a mark tells who owns the partition");
        }
        self.driver.complete(job, Outcome::Done);
        for offset in contained.into_iter().filter(|_| owned) {
            self.done[offset as usize] = true;
        }
    }

    fn answer_letters(&mut self) {
        while let Some(letter) = self.driver.letters.front() {
            let offset = letter.message.offset;
            assert_eq!(letter.assignment, self.id, "nothing leaves for a partition that is lost");
            assert_eq!(offset, self.poison, "a good message never leaves");
            assert!(self.driver.engine.position(self.id) <= Some(offset), "the offset waits for the copy");
            let arrives = !std::mem::take(&mut self.letter_fails);
            let answered = self.driver.answer_letter(arrives).unwrap();
            if arrives {
                self.letters.push(answered);
                self.done[offset as usize] = true;
            }
        }
    }

    /// Everything, to the end. Whether the end came.
    fn drain(&mut self) -> bool {
        for _ in 0..200 {
            if let Some(job) = self.driver.next() {
                self.handle(job, true);
            }
            self.answer_letters();
            self.driver.wait(Duration::from_millis(2));
            let held = self.driver.engine.totals().held_messages;
            if held == 0 {
                return true;
            }
        }
        false
    }

    /// How often the poison is handed out before it leaves; `None` when it stays until it is well.
    fn expected(&self) -> Option<u32> {
        let found = match (self.done.len(), self.policy.bisect) {
            (1, _) => 1,
            (_, false) => 2,
            (_, true) => 3,
        };
        match (self.verdict, self.policy.given_up, self.policy.max_retries) {
            (Verdict::Retry | Verdict::Critical, ..)
            | (Verdict::Unsaid, _, None)
            | (Verdict::GiveUp | Verdict::Unsaid, GivenUp::Never, _) => None,
            (Verdict::Discard | Verdict::GiveUp, ..) => Some(found),
            // The good message before the poison has started the counting again when it is alone.
            (Verdict::Unsaid, _, Some(most)) if self.policy.independent => Some(found + most),
            (Verdict::Unsaid, _, Some(most)) => Some(found.max(most + 1)),
        }
    }

    fn judge_end(&self) {
        let Self { driver, id, done, .. } = self;
        let discarded = self.done[self.poison as usize] || self.expected().is_some();
        assert!(done.iter().enumerate().all(|(at, done)| *done || (at as i64 == self.poison && discarded)));
        assert_eq!(driver.engine.position(*id), Some(done.len() as i64), "everything is through");
        let dispatched = matches!(self.policy.given_up, GivenUp::Dispatched { .. });
        let poison = self.deliveries[self.poison as usize];
        match self.expected() {
            None => assert!(self.letters.is_empty() && poison == PATIENCE),
            Some(expected) => {
                assert_eq!(poison, expected, "exactly so many deliveries");
                let letters = usize::from(dispatched && self.verdict != Verdict::Discard);
                assert_eq!(self.letters.len(), letters, "exactly one dead letter");
            }
        }
    }
}

fn play(mut run: Run, meanwhile: Meanwhile) {
    let job = run.driver.next().unwrap();
    let messages = run.done.len() as i64;
    match meanwhile {
        Meanwhile::Nothing => run.handle(job, true),
        Meanwhile::Pause => {
            run.driver.engine.pause(run.id, None);
            run.handle(job, true);
            run.answer_letters();
            run.driver.wait(Duration::from_secs(5));
            assert!(run.driver.next().is_none(), "no outcome ends the user's pause");
            run.driver.engine.resume(run.id);
        }
        Meanwhile::Revoke => {
            run.driver.revoke(run.id, Duration::from_secs(60));
            // Who is not waited for cannot mark once the last commit is on its way.
            let waited_for = run.driver.engine.is_owned(run.id);
            run.handle(job, waited_for);
            assert!(run.driver.letters.is_empty(), "whoever comes next decides");
            if let Some(commit) = run.driver.commits.last().cloned() {
                assert!(
                    commit.position <= run.poison.max(0) || run.deliveries[0] == 0 || run.done.iter().all(|done| *done)
                );
                run.driver.answer(&commit, Ok(()));
            }
            assert_eq!((&run.driver.released[..], run.driver.engine.totals().held_messages), (&[run.id][..], 0));
            return;
        }
        Meanwhile::Lose => {
            run.driver.lose(run.id);
            run.handle(job, false);
            let (commits, letters) = (run.driver.commits.len(), run.driver.letters.len());
            assert_eq!((commits, letters, run.driver.engine.totals().held_messages), (0, 0, 0));
            assert!(run.driver.notices.is_empty(), "{:?}", run.driver.notices);
            return;
        }
        Meanwhile::Seek => {
            run.id = run.driver.assign(0);
            run.handle(job, false);
            // A new ownership knows nothing of what failed before.
            run.deliveries.fill(0);
            run.driver.deliver(run.id, (0..messages).map(|offset| message(offset, "a")));
        }
    }
    assert!(run.drain(), "nothing freezes");
    run.judge_end();
}

#[test]
fn the_engine_keeps_every_promise_over_the_product() {
    let mut runs = 0_usize;
    // Who decides is told by the verdict; and calls that are not waited for differ when a partition is given up.
    for policy in policies().into_iter().filter(|policy| !policy.strategy) {
        for verdict in VERDICTS {
            for meanwhile in [Meanwhile::Nothing, Meanwhile::Pause, Meanwhile::Revoke, Meanwhile::Lose, Meanwhile::Seek]
            {
                if policy.long_running && meanwhile != Meanwhile::Revoke {
                    continue;
                }
                for (messages, poison) in [(1, 0), (4, 1)] {
                    runs += 1;
                    if !runs.is_multiple_of(RUNS_IN) {
                        continue;
                    }
                    let letter_fails = matches!(policy.given_up, GivenUp::Dispatched { .. }) && runs % 2 == 1;
                    let run = Run::new(policy, verdict, messages, poison, letter_fails);
                    let told = format!("{policy:?} {verdict:?} {meanwhile:?} {messages} messages, {letter_fails}");
                    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(run, meanwhile)));
                    assert!(played.is_ok(), "{told}");
                }
            }
        }
    }
    println!("{} runs", runs / RUNS_IN);
}
