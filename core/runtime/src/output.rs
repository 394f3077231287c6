//! Declared outputs: what a call wrote, held against what its topic says it `produces`.
//!
//! A seat says on its thread which call runs there; whoever produces on that thread is counted for it, and so is who says by
//! [`Context::counting`](crate::Context::counting) on another one. Judged where the call ends, by [`judge`], which is pure. While
//! no topic of the process declares outputs, producing costs the read of one flag, and a call nothing.

use crate::config::{Output, OutputCheck, Outputs};
use crate::context::Context;
use crate::event::Event;
use crate::lock::Mutex;
use crate::{Error, ErrorKind, Failure, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether a topic of this process ever declared outputs.
static COUNTING: AtomicBool = AtomicBool::new(false);

/// Between two events of the same kind about the same output.
const PAUSE: Duration = Duration::from_secs(1);

/// Outputs whose last event is remembered: undeclared names may be without end.
const REMEMBERED: usize = 1_000;

thread_local! {
    /// The call that runs on this thread.
    static CURRENT: RefCell<Option<Arc<Tally>>> = const { RefCell::new(None) };
}

/// What a call did against its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Problem {
    /// It wrote to a topic that is not declared.
    Undeclared,
    /// It succeeded and wrote nothing to a required one.
    Missing,
    /// It wrote more than once to one that is not `multiple`.
    Doubled,
}

impl Problem {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Undeclared => "undeclared",
            Self::Missing => "missing",
            Self::Doubled => "doubled",
        }
    }

    /// In words, after the name of the topic that is read.
    fn says(self, output: &str) -> String {
        match self {
            Self::Undeclared => format!("writes to {output}, which its option `produces` does not name"),
            Self::Missing => format!("wrote nothing to {output}, which `produces` says every call does (`required`)"),
            Self::Doubled => {
                format!("wrote to {output} more than once in a call, which `produces` does not say (`multiple`)")
            }
        }
    }
}

/// What is wrong with what a call wrote, in the order of the topics' names. A call that failed is not asked for what is missing.
pub(crate) fn judge(declared: &Outputs, wrote: &BTreeMap<String, u64>, succeeded: bool) -> Vec<(String, Problem)> {
    let mut problems = Vec::new();
    for (topic, count) in wrote {
        match declared.get(topic) {
            None if *count > 0 => problems.push((topic.clone(), Problem::Undeclared)),
            Some(Output { multiple: false, .. }) if *count > 1 => problems.push((topic.clone(), Problem::Doubled)),
            _ => {}
        }
    }
    for (topic, output) in declared.iter().filter(|_| succeeded) {
        if output.required && wrote.get(topic).is_none_or(|count| *count == 0) {
            problems.push((topic.to_owned(), Problem::Missing));
        }
    }
    problems.sort_by(|one, other| one.0.cmp(&other.0));
    problems
}

/// What a topic declares, shared by its calls.
#[derive(Debug)]
pub(crate) struct Declared {
    outputs: Outputs,
    check: OutputCheck,
    /// Whether the app reads from the embedded broker, and is thus a test.
    is_test: bool,
    /// Calls that were wrong since somebody was told, and when that was.
    told: Mutex<HashMap<(String, Problem), (Instant, u64)>>,
}

impl Declared {
    /// What a topic declares; nothing where it declares nothing.
    pub(crate) fn new(outputs: &Outputs, check: OutputCheck, is_test: bool) -> Option<Arc<Self>> {
        if outputs.is_empty() {
            return None;
        }
        COUNTING.store(true, Ordering::Relaxed);
        Some(Arc::new(Self { outputs: outputs.clone(), check, is_test, told: Mutex::default() }))
    }

    /// How many calls an event about one more wrong one stands for; none when it is too early for one.
    fn due(&self, output: &str, problem: Problem, now: Instant) -> Option<u64> {
        let mut told = self.told.lock();
        let key = (output.to_owned(), problem);
        let Some((last, calls)) = told.get_mut(&key) else {
            if told.len() >= REMEMBERED {
                told.clear();
            }
            told.insert(key, (now, 0));
            return Some(1);
        };
        *calls += 1;
        if now.duration_since(*last) < PAUSE {
            return None;
        }
        *last = now;
        Some(std::mem::take(calls))
    }
}

/// What one call wrote.
#[derive(Debug)]
pub(crate) struct Tally {
    declared: Arc<Declared>,
    topic: Arc<str>,
    wrote: Mutex<Wrote>,
}

#[derive(Debug, Default)]
struct Wrote {
    counts: BTreeMap<String, u64>,
    /// Whether a testing producer was among those that wrote.
    recorded: bool,
    /// The first record that was refused.
    refused: Option<String>,
}

impl Tally {
    pub(crate) fn new(declared: &Arc<Declared>, topic: &Arc<str>) -> Arc<Self> {
        Arc::new(Self { declared: Arc::clone(declared), topic: Arc::clone(topic), wrote: Mutex::default() })
    }

    fn is_enforced(&self, recorded: bool) -> bool {
        match self.declared.check {
            OutputCheck::Error => true,
            OutputCheck::Event => false,
            OutputCheck::Auto => self.declared.is_test || recorded,
        }
    }

    /// Counts a record that is about to be sent; refuses one that must not be, where that is an error.
    fn count(&self, output: &str, recorded: bool) -> Result<()> {
        let mut wrote = self.wrote.lock();
        wrote.recorded |= recorded;
        let before = wrote.counts.get(output).copied().unwrap_or(0);
        let problem = match self.declared.outputs.get(output) {
            None => Some(Problem::Undeclared),
            Some(declared) => (before > 0 && !declared.multiple).then_some(Problem::Doubled),
        };
        if let Some(problem) = problem.filter(|_| self.is_enforced(wrote.recorded)) {
            let message = format!("the handler of {} {}", self.topic, problem.says(output));
            wrote.refused.get_or_insert_with(|| message.clone());
            return Err(Error::new(ErrorKind::Config, "produce", message).with("topic", output));
        }
        *wrote.counts.entry(output.to_owned()).or_default() += 1;
        Ok(())
    }

    /// A record that was counted was not sent after all.
    fn discount(&self, output: &str) {
        if let Some(count) = self.wrote.lock().counts.get_mut(output) {
            *count = count.saturating_sub(1);
        }
    }

    /// The call has ended. Returns why it failed for what it wrote, where that is an error; else tells who listens.
    pub(crate) fn end(&self, context: &Context, offset: i64, succeeded: bool) -> Option<Failure> {
        let mut wrote = std::mem::take(&mut *self.wrote.lock());
        let mut problems = judge(&self.declared.outputs, &wrote.counts, succeeded);
        if problems.is_empty() && wrote.refused.is_none() {
            return None;
        }
        if self.is_enforced(wrote.recorded) {
            let first = (!problems.is_empty()).then(|| problems.swap_remove(0));
            let said = |(output, problem): (String, Problem)| {
                format!("the handler of {} {}", self.topic, problem.says(&output))
            };
            // A handler that failed has said why, be it this.
            return wrote
                .refused
                .take()
                .or(first.map(said))
                .filter(|_| succeeded)
                .map(|message| Failure::new("OutputError", message));
        }
        let now = Instant::now();
        for (output, problem) in problems {
            if let Some(calls) = self.declared.due(&output, problem, now) {
                context.shared.publisher.publish(&Event::OutputsWrong {
                    topic: Arc::clone(&self.topic),
                    partition: context.assignment.partition,
                    offset,
                    output,
                    problem: problem.name().to_owned(),
                    calls,
                });
            }
        }
        None
    }
}

/// Until it is dropped, on the thread that made it, what is produced there counts for another call, or for none.
#[must_use]
pub struct OutputScope(Option<Arc<Tally>>, PhantomData<*const ()>);

impl OutputScope {
    fn new(tally: Option<Arc<Tally>>) -> Self {
        Self(CURRENT.replace(tally), PhantomData)
    }
}

impl std::fmt::Debug for OutputScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OutputScope")
    }
}

impl Drop for OutputScope {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Which call runs on this thread from now on.
pub(crate) fn enter(tally: Option<&Arc<Tally>>) {
    if COUNTING.load(Ordering::Relaxed) {
        CURRENT.set(tally.cloned());
    }
}

/// Whether a topic of this process ever declared outputs.
pub(crate) fn is_counting() -> bool {
    COUNTING.load(Ordering::Relaxed)
}

/// Counts records, to these topics, for the call that runs on this thread, if there is one, unless sending them fails.
pub(crate) fn counted<'topic, T>(
    topics: impl Iterator<Item = &'topic str> + Clone,
    is_recorder: impl FnOnce() -> bool,
    send: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if !COUNTING.load(Ordering::Relaxed) {
        return send();
    }
    let Some(tally) = CURRENT.with_borrow(Option::clone) else { return send() };
    let recorded = is_recorder();
    for (done, topic) in topics.clone().enumerate() {
        if let Err(refused) = tally.count(topic, recorded) {
            topics.take(done).for_each(|topic| tally.discount(topic));
            return Err(refused);
        }
    }
    let outcome = send();
    if outcome.is_err() {
        topics.for_each(|topic| tally.discount(topic));
    }
    outcome
}

/// Does what is not counted: sends what was counted before.
pub(crate) fn uncounted<T>(send: impl FnOnce() -> T) -> T {
    if !COUNTING.load(Ordering::Relaxed) {
        return send();
    }
    let _scope = OutputScope::new(None);
    send()
}

impl Context {
    /// Counts what the closure produces on this thread for this call, where the topic declares what it `produces`. On the thread
    /// of the call this is so anyway; it is for handlers that go on elsewhere.
    ///
    /// ```
    /// # use karafka::{Context, Producer, Record, Result};
    /// fn on_another_thread(context: &Context, producer: &Producer) -> Result<()> {
    ///     context.counting(|| producer.produce_async(&Record { topic: "invoices", ..Record::default() })).map(drop)
    /// }
    /// ```
    pub fn counting<T>(&self, produce: impl FnOnce() -> T) -> T {
        let _scope = self.output_scope();
        produce()
    }

    /// [`Self::counting`] for a host: as long as this lives. Nothing where the topic declares nothing.
    #[doc(hidden)]
    pub fn output_scope(&self) -> Option<OutputScope> {
        self.tally.as_ref().map(|tally| OutputScope::new(Some(Arc::clone(tally))))
    }

    /// [`Self::counting`] for a host: from now on, on this thread; without a context for no call any more.
    #[doc(hidden)]
    pub fn count_on_this_thread(context: Option<&Self>) {
        enter(context.and_then(|context| context.tally.as_ref()));
    }

    /// Whether the topic declares what it `produces`, so that [`Self::counting`] does something.
    pub fn counts_outputs(&self) -> bool {
        self.tally.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn outputs(given: &[(&str, &str)]) -> Outputs {
        let mut outputs = Outputs::default();
        for (topic, words) in given {
            let (required, multiple) = (words.contains("required"), words.contains("multiple"));
            outputs.insert(*topic, Output { required, multiple });
        }
        outputs
    }

    #[test]
    fn a_call_is_judged_by_what_it_wrote() {
        use Problem::{Doubled, Missing, Undeclared};
        type Case = (
            &'static [(&'static str, &'static str)],
            &'static [(&'static str, u64)],
            bool,
            &'static [(&'static str, Problem)],
        );
        let cases: &[Case] = &[
            (&[("a", "")], &[], true, &[]),
            (&[("a", "")], &[("a", 1)], true, &[]),
            (&[("a", "")], &[("a", 2)], true, &[("a", Doubled)]),
            (&[("a", "")], &[("a", 2)], false, &[("a", Doubled)]),
            (&[("a", "multiple")], &[("a", 2)], true, &[]),
            (&[("a", "multiple")], &[], true, &[]),
            (&[("a", "required")], &[], true, &[("a", Missing)]),
            (&[("a", "required")], &[], false, &[]),
            (&[("a", "required")], &[("a", 1)], true, &[]),
            (&[("a", "required")], &[("a", 0)], true, &[("a", Missing)]),
            (&[("a", "required")], &[("a", 2)], true, &[("a", Doubled)]),
            (&[("a", "required multiple")], &[("a", 9)], true, &[]),
            (&[("a", "required multiple")], &[], true, &[("a", Missing)]),
            (&[("a", "")], &[("b", 1)], true, &[("b", Undeclared)]),
            (&[("a", "")], &[("b", 1)], false, &[("b", Undeclared)]),
            (&[("a", "")], &[("b", 0)], true, &[]),
            (
                &[("b", "required"), ("c", "")],
                &[("a", 1), ("c", 3)],
                true,
                &[("a", Undeclared), ("b", Missing), ("c", Doubled)],
            ),
        ];
        for (declared, wrote, succeeded, expected) in cases {
            let wrote = wrote.iter().map(|(topic, count)| ((*topic).to_owned(), *count)).collect();
            let found = judge(&outputs(declared), &wrote, *succeeded);
            let expected: Vec<_> = expected.iter().map(|(topic, problem)| ((*topic).to_owned(), *problem)).collect();
            assert_eq!(found, expected, "{declared:?} {wrote:?}");
        }
    }

    #[test]
    fn what_is_not_sent_does_not_count_and_one_refused_record_refuses_all() {
        let declared = Declared::new(&outputs(&[("a", ""), ("b", "multiple")]), OutputCheck::Error, false).unwrap();
        let tally = Tally::new(&declared, &"orders".into());
        let _scope = OutputScope::new(Some(Arc::clone(&tally)));
        let refused = || Err(Error::new(ErrorKind::QueueFull, "produce", "full"));
        let send = |topics: &[&str], outcome: Result<()>| counted(topics.iter().copied(), || false, || outcome);
        send(&["a"], refused()).unwrap_err();
        send(&["b", "a", "c"], Ok(())).unwrap_err();
        send(&["b", "a"], Ok(())).unwrap();
        let doubled = send(&["a"], Ok(())).unwrap_err();
        assert!(doubled.message().contains("orders wrote to a more than once"), "{doubled}");
        uncounted(|| send(&["a"], Ok(()))).unwrap();
        assert_eq!(tally.wrote.lock().counts, BTreeMap::from([("a".into(), 1), ("b".into(), 1)]));
    }

    #[test]
    fn events_of_one_kind_come_once_a_second_and_say_for_how_many_calls() {
        let declared = Declared::new(&outputs(&[("a", "")]), OutputCheck::Event, true).unwrap();
        let start = Instant::now();
        let due = |after: u64| declared.due("a", Problem::Doubled, start + Duration::from_millis(after));
        assert_eq!(
            [due(0), due(1), due(999), due(1_000), due(1_001), due(5_000)],
            [Some(1), None, None, Some(3), None, Some(2)]
        );
        assert_eq!(declared.due("a", Problem::Missing, start), Some(1));
        for number in 0..3 * REMEMBERED {
            assert_eq!(declared.due(&format!("undeclared-{number}"), Problem::Undeclared, start), Some(1));
            assert!(declared.told.lock().len() <= REMEMBERED);
        }
    }
}
