//! The ledger against a naive model: a list of delivered messages, each done or not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::ops::Range;

use karafka_engine::ledger::{Delivery, DoneOffsets, Ledger};
use karafka_engine::metadata::{MAX_METADATA_BYTES, decode, encode};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// Sizes for Miri, which is some thousand times slower than the processor: several blocks of the ledger still.
const LONG: i64 = if cfg!(miri) { 300 } else { 100_000 };
const MANY_STEPS: usize = if cfg!(miri) { 8 } else { 60 };
const MANY_RECORDS: usize = if cfg!(miri) { 80 } else { 400 };
const MANY_MARKS: usize = if cfg!(miri) { 30 } else { 200 };

#[derive(Clone, Debug)]
enum Step {
    Deliver { gap: i64 },
    DeliverRun { gap: i64, count: u32 },
    DeliverBack { by: i64 },
    Mark { place: prop::sample::Index },
    MarkHead,
    MarkRange { from: prop::sample::Index, count: u64 },
    MarkUnknown { beyond: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let gap = || prop_oneof![6 => Just(0_i64), 3 => 1..5_i64, 1 => 1..(1_i64 << 33)];
    prop_oneof![
        4 => gap().prop_map(|gap| Step::Deliver { gap }),
        3 => (gap(), 0..200_u32).prop_map(|(gap, count)| Step::DeliverRun { gap, count }),
        1 => (-3..400_i64).prop_map(|by| Step::DeliverBack { by }),
        6 => any::<prop::sample::Index>().prop_map(|place| Step::Mark { place }),
        2 => Just(Step::MarkHead),
        3 => (any::<prop::sample::Index>(), 0..150_u64).prop_map(|(from, count)| Step::MarkRange { from, count }),
        1 => any::<u64>().prop_map(|beyond| Step::MarkUnknown { beyond }),
    ]
}

/// All that was delivered; a message's sequence number is its index.
#[derive(Default)]
struct Model {
    start: Option<i64>,
    messages: Vec<(i64, bool)>,
    resumed: BTreeSet<i64>,
}

impl Model {
    fn head(&self) -> usize {
        self.messages.iter().position(|(_, done)| !done).unwrap_or(self.messages.len())
    }

    fn position(&self) -> Option<i64> {
        match self.head() {
            0 => self.start.or(self.messages.first().map(|(offset, _)| *offset)),
            head => Some(self.messages[head - 1].0 + 1),
        }
    }

    fn next_offset(&self) -> i64 {
        self.messages.last().map_or(self.start.unwrap_or(0), |(offset, _)| offset + 1)
    }

    fn deliver(&mut self, offset: i64) -> Delivery {
        let start = self.start.or(self.messages.first().map(|(offset, _)| *offset)).unwrap_or(0);
        if offset < start {
            return Delivery::Refused;
        }
        if offset < self.next_offset() {
            return Delivery::Duplicate;
        }
        let done = self.resumed.contains(&offset);
        self.messages.push((offset, done));
        if done { Delivery::AlreadyDone } else { Delivery::New(self.messages.len() as u64 - 1) }
    }

    fn mark(&mut self, seq: u64) -> bool {
        match usize::try_from(seq).ok().and_then(|index| self.messages.get_mut(index)) {
            Some((_, done)) => !std::mem::replace(done, true),
            None => false,
        }
    }

    /// Runs of done messages beyond the position, each from its first to its last offset, and what is still to come.
    fn done_runs(&self) -> DoneOffsets {
        let beyond = &self.messages[self.head()..];
        let runs = beyond.chunk_by(|left, right| left.1 == right.1).filter(|run| run[0].1);
        let delivered = runs.map(|run| run[0].0..run[run.len() - 1].0 + 1);
        let to_come = self.resumed.range(self.next_offset()..).map(|offset| *offset..offset + 1);
        delivered.chain(to_come).collect()
    }
}

fn assert_same(ledger: &Ledger, model: &Model) {
    let head = model.head();
    let beyond = &model.messages[head..];
    assert_eq!(ledger.position(), model.position());
    assert_eq!(ledger.seqs(), head as u64..model.messages.len() as u64);
    assert_eq!(ledger.window(), beyond.len() as u64);
    assert_eq!(ledger.undone(), beyond.iter().filter(|(_, done)| !done).count() as u64);
    assert_eq!(ledger.done_beyond(), beyond.iter().filter(|(_, done)| *done).count() as u64);
    let snapshot = ledger.snapshot();
    assert_eq!(snapshot.done, model.done_runs());
    assert_eq!((snapshot.position, snapshot.version), (ledger.position(), ledger.version()));
    assert!(ledger.done_runs().is_sorted_by(|left, right| left.end <= right.start));
    for (seq, (offset, done)) in (0..).zip(&model.messages) {
        let passed = seq < head as u64;
        assert_eq!(ledger.is_done(seq), *done);
        assert_eq!(ledger.offset(seq), (!passed).then_some(*offset));
        assert_eq!(ledger.seq(*offset), (!passed).then_some(seq));
        let in_gap = offset + 1;
        if !passed && model.messages.get(seq as usize + 1).is_none_or(|(next, _)| *next != in_gap) {
            assert_eq!(ledger.seq(in_gap), None);
        }
    }
    let end = ledger.seqs().end;
    assert!(!ledger.is_done(end) && ledger.offset(end).is_none());
}

fn run(ledger: &mut Ledger, model: &mut Model, steps: &[Step]) {
    for step in steps {
        let before = ledger.snapshot();
        match step {
            Step::Deliver { gap } => {
                let offset = model.next_offset() + gap;
                assert_eq!(ledger.deliver(offset), model.deliver(offset));
            }
            Step::DeliverRun { gap, count } => {
                let first = model.next_offset() + gap;
                let offsets = first..first + i64::from(*count);
                let all_new = model.resumed.range(offsets.clone()).next().is_none();
                let end = ledger.seqs().end;
                let recorded = ledger.deliver_run(first, *count);
                assert_eq!(recorded, all_new.then_some(end..end + u64::from(*count)));
                for offset in offsets {
                    let delivery = model.deliver(offset);
                    if !all_new {
                        assert_eq!(ledger.deliver(offset), delivery);
                    }
                }
            }
            Step::DeliverBack { by } => {
                let offset = model.next_offset() - 1 - by.max(&0);
                assert_eq!(ledger.deliver(offset), model.deliver(offset));
                assert_eq!(ledger.deliver_run(offset, 1000), None);
                assert_eq!(ledger.snapshot(), before);
            }
            Step::Mark { place } => {
                let seq = place.index(model.messages.len() + 1) as u64;
                assert_eq!(ledger.mark(seq), model.mark(seq));
                assert!(!ledger.mark(seq), "a mark repeated is no news");
            }
            Step::MarkHead => {
                let seq = model.head() as u64;
                assert_eq!(ledger.mark(seq), model.mark(seq));
            }
            Step::MarkRange { from, count } => {
                let from = from.index(model.messages.len() + 1) as u64;
                let newly = (from..from + count).filter(|seq| model.mark(*seq)).count() as u64;
                assert_eq!(ledger.mark_range(from..from + count), newly);
                assert_eq!(ledger.mark_range(from..from + count), 0);
            }
            Step::MarkUnknown { beyond } => {
                let seq = (model.messages.len() as u64).saturating_add(*beyond);
                assert!(!ledger.mark(seq));
                assert_eq!(ledger.mark_range(seq..u64::MAX), 0);
                assert_eq!(ledger.snapshot(), before);
            }
        }
        assert_same(ledger, model);
        assert!(ledger.position() >= before.position, "a position never goes back");
        assert!(ledger.version() >= before.version);
        let position_moved = ledger.position() != before.position;
        let marked =
            !matches!(step, Step::Deliver { .. } | Step::DeliverRun { .. }) && ledger.snapshot().done != before.done;
        if position_moved || marked {
            assert!(ledger.version() > before.version, "a change that a committer would not see");
        }
    }
}

/// Runs of offsets relative to a start: (not done, done) lengths.
fn lengths() -> impl Strategy<Value = Vec<(i64, i64)>> {
    prop::collection::vec((0..30_i64, 1..30_i64), 0..20)
}

fn runs_from(start: i64, lengths: &[(i64, i64)]) -> Vec<Range<i64>> {
    let mut end = start;
    let mut runs = Vec::new();
    for (undone, done) in lengths {
        runs.push(end + undone..end + undone + done);
        end += undone + done;
    }
    runs
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_new_ledger_agrees_with_the_model(
        first in prop_oneof![Just(0_i64), 0..1_000_i64, Just(1_i64 << 62)],
        steps in prop::collection::vec(step(), 1..MANY_STEPS),
    ) {
        let (mut ledger, mut model) = (Ledger::new(), Model::default());
        assert_eq!(ledger.position(), None);
        assert_eq!(ledger.deliver(first), model.deliver(first));
        run(&mut ledger, &mut model, &steps);
    }

    #[test]
    fn a_resumed_ledger_agrees_with_the_model(
        start in prop_oneof![Just(0_i64), 0..1_000_i64, Just(1_i64 << 62)],
        lengths in lengths(),
        steps in prop::collection::vec(step(), 1..MANY_STEPS),
    ) {
        let runs = runs_from(start, &lengths);
        let resumed = runs.iter().cloned().flatten().collect();
        let mut ledger = Ledger::resume(Some(start), runs.into_iter().collect());
        let mut model = Model { start: Some(start), resumed, ..Model::default() };
        assert_same(&ledger, &model);
        run(&mut ledger, &mut model, &steps);
    }

    /// A log with gaps is handled by one owner after the other; each crashes some marks after its last commit.
    #[test]
    fn after_a_crash_exactly_the_undone_are_handed_out_again(
        start in prop_oneof![Just(0_i64), Just(i64::MAX - 2_000_000)],
        gaps in prop::collection::vec(prop_oneof![5 => Just(1_i64), 1 => 2..2_000_i64], 1..MANY_RECORDS),
        lives in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop::collection::vec(any::<prop::sample::Index>(), 0..MANY_MARKS),
                any::<prop::sample::Index>(),
                prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            ),
            1..6,
        ),
    ) {
        let mut log: Vec<i64> = gaps.iter().scan(start, |offset, gap| { *offset += gap; Some(*offset) }).collect();
        let mut committed: (Option<i64>, String) = (None, String::new());
        let mut done_at_commit: BTreeSet<i64> = BTreeSet::new();
        for (reach, marks, commit_after, compacted) in lives {
            let mut done = done_at_commit.clone();
            let decoded = committed.0.map_or_else(Default::default, |position| decode(position, &committed.1));
            prop_assert_eq!(decoded.problem, None);
            let mut ledger = Ledger::resume(committed.0, decoded.done);
            let mut handed_out = Vec::new();
            let from = log.partition_point(|offset| committed.0.is_some_and(|position| *offset < position));
            let reach = from + reach.index(log.len() - from + 1);
            for offset in &log[from..reach] {
                match ledger.deliver(*offset) {
                    Delivery::New(seq) => {
                        prop_assert!(!done_at_commit.contains(offset), "{} was done and committed", offset);
                        handed_out.push((*offset, seq));
                    }
                    Delivery::AlreadyDone => prop_assert!(done_at_commit.contains(offset), "{} would be lost", offset),
                    other => prop_assert!(false, "{} was {:?}", offset, other),
                }
            }
            for offset in &log[..from] {
                prop_assert!(done.contains(offset), "{} is below the commit and was never done", offset);
            }
            let commit_after = commit_after.index(marks.len() + 1);
            for count in 0..=marks.len() {
                if count == commit_after && let Some(position) = ledger.position() {
                    let encoded = encode(position, ledger.done_runs(), None, MAX_METADATA_BYTES).unwrap();
                    prop_assert!(!encoded.marks_dropped);
                    committed = (Some(position), encoded.text);
                    done_at_commit.clone_from(&done);
                }
                if let Some(place) = marks.get(count) && !handed_out.is_empty() {
                    let (offset, seq) = handed_out[place.index(handed_out.len())];
                    prop_assert_eq!(ledger.mark(seq), done.insert(offset));
                }
            }
            let compacted: BTreeSet<i64> = compacted.iter().map(|place| log[place.index(log.len())]).collect();
            if compacted.len() < log.len() {
                log.retain(|offset| !compacted.contains(offset));
            }
        }
    }
}

#[test]
fn an_empty_ledger_has_nothing_to_commit() {
    let mut ledger = Ledger::new();
    assert_eq!((ledger.position(), ledger.window(), ledger.undone()), (None, 0, 0));
    assert!(!ledger.mark(0));
    assert!(!ledger.is_done(0));
    assert_eq!(ledger.mark_range(0..u64::MAX), 0);
    assert_eq!((ledger.offset(0), ledger.seq(0)), (None, None));
    assert_eq!(ledger.done_runs().count(), 0);
    assert_eq!(ledger.version(), 0);
}

#[test]
fn the_position_is_one_beyond_the_last_done_message_not_the_next_delivered_one() {
    let mut ledger = Ledger::resume(Some(5), DoneOffsets::new());
    for offset in [10, 20, 30] {
        ledger.deliver(offset);
    }
    assert_eq!(ledger.position(), Some(5));
    ledger.mark(1);
    assert_eq!(ledger.position(), Some(5));
    ledger.mark(0);
    assert_eq!(ledger.position(), Some(21));
}

#[test]
fn a_first_delivery_without_a_commit_makes_the_position_known() {
    let mut ledger = Ledger::new();
    ledger.deliver_run(100, 5);
    ledger.mark_range(1..5);
    assert_eq!(ledger.position(), Some(100));
    assert_eq!(ledger.done_runs().collect::<Vec<_>>(), vec![101..105]);
}

#[test]
fn resumed_offsets_that_were_compacted_away_hold_nothing_up() {
    let mut ledger = Ledger::resume(Some(100), [102..104, 106..109, 500..501].into_iter().collect());
    assert_eq!(ledger.done_runs().collect::<Vec<_>>(), vec![102..104, 106..109, 500..501]);
    assert_eq!(ledger.deliver(105), Delivery::New(0));
    assert_eq!(ledger.deliver(107), Delivery::AlreadyDone);
    assert_eq!(ledger.deliver(110), Delivery::New(2));
    assert_eq!(ledger.done_runs().collect::<Vec<_>>(), vec![107..108, 500..501]);
    ledger.mark(0);
    assert_eq!(ledger.position(), Some(108));
    ledger.mark(2);
    assert_eq!(ledger.position(), Some(111));
    assert_eq!(ledger.deliver(501), Delivery::New(3));
    assert_eq!(ledger.done_runs().count(), 0);
    assert_eq!(ledger.position(), Some(111));
}

#[test]
fn what_was_resumed_below_the_committed_offset_is_left_out() {
    let ledger = Ledger::resume(Some(100), [10..20, 90..110, 120..121].into_iter().collect());
    assert_eq!(ledger.done_runs().collect::<Vec<_>>(), vec![100..110, 120..121]);
}

#[test]
fn a_position_that_an_already_done_message_moves_is_a_new_version() {
    let mut ledger = Ledger::resume(Some(100), std::iter::once(101..103).collect());
    let version = ledger.version();
    assert_eq!(ledger.deliver(101), Delivery::AlreadyDone);
    assert_eq!(ledger.position(), Some(102));
    assert!(ledger.version() > version);
}

#[test]
fn what_lies_below_the_resumed_offset_is_refused_and_what_was_delivered_is_a_duplicate() {
    let mut ledger = Ledger::resume(Some(100), DoneOffsets::new());
    assert_eq!(ledger.deliver(99), Delivery::Refused);
    assert_eq!(ledger.deliver(102), Delivery::New(0));
    assert_eq!(ledger.deliver(102), Delivery::Duplicate);
    assert_eq!(ledger.deliver(101), Delivery::Duplicate);
    assert_eq!(ledger.deliver(99), Delivery::Refused);
    assert_eq!(ledger.seqs(), 0..1);
}

#[test]
fn no_value_of_an_offset_or_a_count_overflows() {
    let extremes = [i64::MIN, i64::MIN + 1, -1001, -1, 0, 1, i64::MAX - 2, i64::MAX - 1, i64::MAX];
    let every = if cfg!(miri) { 4 } else { 1 };
    for start in extremes.map(Some).into_iter().chain([None]).step_by(every) {
        for end in extremes.into_iter().step_by(every) {
            let mut ledger = Ledger::resume(start, extremes.map(|from| from..end).into_iter().collect());
            for offset in extremes {
                for count in [0, 1, 2, 63, 64, 65, u32::MAX] {
                    if offset > 1 || count < 100 {
                        ledger.deliver_run(offset, count);
                    }
                }
                ledger.deliver(offset);
                ledger.seq(offset);
                ledger.mark_range(ledger.seqs());
                assert_ne!(ledger.position(), Some(i64::MIN));
            }
            for seq in [0, 1, 63, 64, u64::MAX - 1, u64::MAX] {
                ledger.mark(seq);
                ledger.mark_range(seq..u64::MAX);
                ledger.mark_range(u64::MAX..seq);
                ledger.is_done(seq);
                ledger.offset(seq);
            }
            ledger.snapshot();
        }
    }
    let mut ledger = Ledger::resume(Some(i64::MAX - 70), DoneOffsets::new());
    assert_eq!(ledger.deliver_run(i64::MAX - 70, 71), None);
    assert_eq!(ledger.deliver_run(i64::MAX - 70, 70), Some(0..70));
    assert_eq!(ledger.deliver(i64::MAX), Delivery::Refused);
    ledger.mark_range(0..70);
    assert_eq!(ledger.position(), Some(i64::MAX));
}

#[test]
fn a_negative_committed_offset_is_none() {
    for start in [-1, -1001, i64::MIN] {
        let mut ledger = Ledger::resume(Some(start), std::iter::once(0..1000).collect());
        assert_eq!(ledger.position(), None);
        assert_eq!(ledger.deliver(7), Delivery::New(0));
    }
}

/// Bytes that do not grow with the number of messages: the partly passed block, the one being filled, an empty ring.
const FIXED_BYTES: usize = 2 * 64 * 8 + 16 * 24;

#[test]
fn a_message_in_flight_takes_at_most_16_bytes_and_passed_ones_none() {
    const BEHIND: u64 = LONG as u64 / 200;
    let mut ledger = Ledger::new();
    for index in 0..LONG {
        ledger.deliver(index * 3);
        let window = ledger.window() as usize;
        assert!(ledger.memory() <= 16 * window + FIXED_BYTES, "{} bytes for {window} messages", ledger.memory());
    }
    for seq in (1..LONG as u64).rev() {
        ledger.mark(seq);
    }
    assert_eq!(ledger.window(), LONG as u64);
    ledger.mark(0);
    assert_eq!(ledger.window(), 0);
    assert!(ledger.memory() <= FIXED_BYTES, "{} bytes for no message", ledger.memory());
    for index in 0..LONG {
        let Delivery::New(seq) = ledger.deliver(3 * LONG + index * 2) else { panic!("offset {index} is new") };
        if seq >= LONG as u64 + BEHIND {
            ledger.mark(seq - BEHIND);
        }
        let window = ledger.window() as usize;
        assert!(ledger.memory() <= 16 * window + FIXED_BYTES, "{} bytes for {window} messages", ledger.memory());
    }
}

#[test]
fn consecutive_messages_take_less_than_a_byte_each() {
    let mut ledger = Ledger::new();
    let count: u32 = if cfg!(miri) { 5_000 } else { 1_000_000 };
    ledger.deliver_run(7, count);
    assert!(ledger.memory() < count as usize, "{} bytes", ledger.memory());
    assert_eq!(ledger.mark_range(1..u64::from(count)), u64::from(count) - 1);
    assert!(ledger.mark(0));
    assert_eq!(ledger.position(), Some(7 + i64::from(count)));
    assert!(ledger.memory() <= FIXED_BYTES);
}

#[test]
fn runs_collected_in_any_order_are_their_union() {
    let set: DoneOffsets = [50..60, 10..20, 15..30, 30..31, 70..70, -5..2, 55..56].into_iter().collect();
    assert_eq!(set.runs(), [0..2, 10..31, 50..60]);
    for (offset, contained) in [(-1, false), (0, true), (2, false), (9, false), (10, true), (30, true), (31, false)] {
        assert_eq!(set.contains(offset), contained, "{offset}");
    }
}
