//! The judges: what must hold of every run, whatever was killed, revoked or retried in it.
//!
//! Called by tests after a run, with what was produced, what handlers saw ([`crate::record`]) and what was committed
//! ([`crate::commits`]). Each judge panics with the first few breaches; each is shown to find a falsified record by the
//! tests below.

use std::collections::{BTreeMap, HashMap, HashSet};

use karafka_engine::ledger::DoneOffsets;

use crate::commits::Commit;
use crate::record::{Place, Span};
use crate::topics::Message;

const SHOWN: usize = 10;
/// In a millisecond, which is how exactly the broker tells the time.
const NANOSECONDS: u64 = 1_000_000;

type Key<'a> = (&'a str, i32, &'a [u8]);

/// Every message was finished at least once.
pub fn nothing_lost(produced: &[Message], spans: &[Span]) {
    let finished: HashSet<_> = spans.iter().filter(|span| span.is_finished).map(|span| &span.place).collect();
    let lost = produced.iter().map(Place::from).filter(|place| !finished.contains(place));
    judge("these messages were never finished", lost.map(|place| place.to_string()));
}

/// No message was finished more than once: holds where nothing crashed, was revoked late or retried.
pub fn nothing_twice(spans: &[Span]) {
    let mut times: BTreeMap<&Place, usize> = BTreeMap::new();
    spans.iter().filter(|span| span.is_finished).for_each(|span| *times.entry(&span.place).or_default() += 1);
    let twice = times.into_iter().filter(|(_, times)| *times > 1);
    judge("these messages were finished more than once", twice.map(|(place, times)| format!("{place}: {times} times")));
}

/// Order per key: a message was begun only after every earlier message of its key, in its partition, had been finished.
/// What was done before may come again after a crash; nothing may ever be jumped.
pub fn order_per_key(produced: &[Message], spans: &[Span]) {
    let mut first_finish: HashMap<&Place, u64> = HashMap::new();
    for span in spans.iter().filter(|span| span.is_finished) {
        let ended = span.ended.unwrap_or(u64::MAX);
        first_finish.entry(&span.place).and_modify(|first| *first = ended.min(*first)).or_insert(ended);
    }
    // From when on each message may be begun: when all its predecessors of the key have been finished.
    let mut messages: Vec<_> = produced.iter().filter(|message| message.key.is_some()).collect();
    messages.sort_by_key(|message| message.offset);
    let mut done_by: HashMap<Key<'_>, u64> = HashMap::new();
    let mut free_from: HashMap<Place, u64> = HashMap::new();
    for message in messages {
        let place = Place::from(message);
        let key = (message.topic.as_str(), message.partition, message.key.as_deref().unwrap_or_default());
        let done = done_by.entry(key).or_default();
        let finish = first_finish.get(&place).copied().unwrap_or(u64::MAX);
        free_from.insert(place, *done);
        *done = finish.max(*done);
    }
    let jumped = spans.iter().filter(|span| free_from.get(&span.place).is_some_and(|&free| span.began < free));
    judge("these were begun before an earlier message of their key was finished", jumped.map(describe));
}

/// No overlap: two messages of the same key, or one message twice, were never worked on at the same time.
pub fn no_overlap_per_key(spans: &[Span]) {
    let mut by_key: HashMap<Key<'_>, Vec<&Span>> = HashMap::new();
    for span in spans {
        if let Some(key) = &span.key {
            by_key.entry((&span.place.topic, span.place.partition, key)).or_default().push(span);
        }
    }
    let mut overlaps = Vec::new();
    for mut of_key in by_key.into_values() {
        of_key.sort_by_key(|span| span.began);
        let mut longest: Option<&Span> = None;
        for span in of_key {
            let end = |span: &Span| span.ended.unwrap_or(u64::MAX);
            match longest {
                Some(running) if end(running) > span.began => {
                    overlaps.push(format!("{} beside {}", describe(span), describe(running)));
                }
                _ => {}
            }
            if longest.is_none_or(|running| end(running) < end(span)) {
                longest = Some(span);
            }
        }
    }
    judge("these ran beside another message of their key", overlaps);
}

/// No commit claims a message that nobody had finished when the broker took the commit.
pub fn commits_claim_only_what_is_done(produced: &[Message], spans: &[Span], commits: &[Commit]) {
    let mut first_finish: HashMap<&Place, u64> = HashMap::new();
    for span in spans.iter().filter(|span| span.is_finished) {
        // The broker's time is cut to milliseconds, so is ours.
        let ended = span.ended.map_or(u64::MAX, |ended| ended / NANOSECONDS);
        first_finish.entry(&span.place).and_modify(|first| *first = ended.min(*first)).or_insert(ended);
    }
    // Per partition, by offset: when the message and all before it were done.
    let mut messages: Vec<_> = produced.iter().map(Place::from).collect();
    messages.sort();
    let mut done: HashMap<(&str, i32), Vec<(i64, u64)>> = HashMap::new();
    for place in &messages {
        let so_far = done.entry((&place.topic, place.partition)).or_default();
        let finish = first_finish.get(place).copied().unwrap_or(u64::MAX);
        let all_before = so_far.last().map_or(0, |(_, done)| *done);
        so_far.push((place.offset, finish.max(all_before)));
    }
    let is_too_far = |commit: &&Commit| {
        let Some(done) = done.get(&(commit.topic.as_str(), commit.partition)) else { return false };
        let claimed = done.partition_point(|(offset, _)| *offset < commit.offset);
        let all_done = claimed.checked_sub(1).map_or(0, |last| done[last].1);
        all_done > commit.at as u64
    };
    judge(
        "these commits claim messages that were not done",
        commits
            .iter()
            .filter(is_too_far)
            .map(|commit| format!("{}/{} to {} at {}", commit.topic, commit.partition, commit.offset, commit.at)),
    );
}

/// No mark in a commit's metadata claims a message that nobody had finished when the broker took the commit.
pub fn marks_claim_only_what_is_done(produced: &[Message], spans: &[Span], commits: &[Commit]) {
    let mut first_finish: HashMap<&Place, u64> = HashMap::new();
    for span in spans.iter().filter(|span| span.is_finished) {
        let ended = span.ended.map_or(u64::MAX, |ended| ended / NANOSECONDS);
        first_finish.entry(&span.place).and_modify(|first| *first = ended.min(*first)).or_insert(ended);
    }
    let mut offsets: HashMap<(&str, i32), Vec<i64>> = HashMap::new();
    for message in produced {
        offsets.entry((&message.topic, message.partition)).or_default().push(message.offset);
    }
    for offsets in offsets.values_mut() {
        offsets.sort_unstable();
    }
    let mut breaches = Vec::new();
    for commit in commits {
        let Some(offsets) = offsets.get(&(commit.topic.as_str(), commit.partition)) else { continue };
        for run in commit.marks().runs() {
            let from = offsets.partition_point(|offset| *offset < run.start);
            for &offset in offsets[from..].iter().take_while(|offset| **offset < run.end) {
                let place = Place { topic: commit.topic.clone(), partition: commit.partition, offset };
                if first_finish.get(&place).is_none_or(|finish| *finish > commit.at as u64) {
                    breaches.push(format!("{place} in the commit to {} at {}", commit.offset, commit.at));
                }
            }
        }
    }
    judge("these marks claim messages that were not done", breaches);
}

/// After a process has ended, only what was in flight or finished since its last commit comes again: no message comes again
/// that a commit of the time before said to be done, by its offset or by its marks.
pub fn nothing_repeated_that_was_committed(spans: &[Span], commits: &[Commit], ends: &BTreeMap<u32, u64>) {
    let mut of_place: HashMap<&Place, Vec<&Span>> = HashMap::new();
    for span in spans {
        of_place.entry(&span.place).or_default().push(span);
    }
    let mut of_partition: HashMap<(&str, i32), Vec<(&Commit, DoneOffsets)>> = HashMap::new();
    for commit in commits {
        let key = (commit.topic.as_str(), commit.partition);
        of_partition.entry(key).or_default().push((commit, commit.marks()));
    }
    let mut breaches = Vec::new();
    for (place, spans) in of_place {
        let Some(commits) = of_partition.get(&(place.topic.as_str(), place.partition)) else { continue };
        for again in &spans {
            // The last process that had finished it before: what it committed in its life is what its heir knew.
            let before =
                spans.iter().filter(|span| span.is_finished && span.ended.is_some_and(|end| end < again.began));
            let Some(before) = before.max_by_key(|span| span.ended) else { continue };
            let Some(end) = ends.get(&before.process).filter(|end| **end < again.began) else { continue };
            let said = commits.iter().find(|(commit, marks)| {
                let says = commit.offset > place.offset || marks.contains(place.offset);
                says && (commit.at as u64) < end / NANOSECONDS
            });
            if let Some((commit, _)) = said {
                breaches.push(format!("{}, committed to {} at {}", describe(again), commit.offset, commit.at));
            }
        }
    }
    judge("these were begun again although a commit said that they were done", breaches);
}

/// The committed offset of a partition never goes back.
pub fn commits_never_go_back(commits: &[Commit]) {
    let mut last: HashMap<(&str, &str, i32), i64> = HashMap::new();
    let mut back = Vec::new();
    for commit in commits {
        let last = last.entry((&commit.group, &commit.topic, commit.partition)).or_insert(commit.offset);
        if commit.offset < *last {
            back.push(format!("{}/{} from {last} to {}", commit.topic, commit.partition, commit.offset));
        }
        *last = commit.offset;
    }
    judge("these commits went back", back);
}

/// All that hold of every run, crashes and rebalances included.
pub fn all(produced: &[Message], spans: &[Span], commits: &[Commit]) {
    nothing_lost(produced, spans);
    order_per_key(produced, spans);
    no_overlap_per_key(spans);
    commits_claim_only_what_is_done(produced, spans, commits);
    marks_claim_only_what_is_done(produced, spans, commits);
    commits_never_go_back(commits);
}

fn describe(span: &Span) -> String {
    format!("{} by process {} at {}", span.place, span.process, span.began)
}

pub(crate) fn judge(accusation: &str, breaches: impl IntoIterator<Item = String>) {
    let breaches: Vec<_> = breaches.into_iter().collect();
    if !breaches.is_empty() {
        let shown: Vec<_> = breaches.iter().take(SHOWN).map(String::as_str).collect();
        panic!("{accusation}: {} in all, the first:\n  {}", breaches.len(), shown.join("\n  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;

    /// Offsets 0 to 3 of one partition; keys a, b, a, b.
    fn produced() -> Vec<Message> {
        let message = |offset: i64, key: &str| Message {
            topic: "orders".to_owned(),
            partition: 0,
            offset,
            key: Some(key.as_bytes().to_vec()),
            payload: None,
            headers: Vec::new(),
        };
        vec![message(0, "a"), message(1, "b"), message(2, "a"), message(3, "b")]
    }

    fn span(offset: i64, key: &str, began: u64, ended: u64) -> Span {
        let place = Place { topic: "orders".to_owned(), partition: 0, offset };
        let key = Some(key.as_bytes().to_vec());
        let (began, ended) = (began * MILLISECOND, Some(ended * MILLISECOND));
        Span { process: 1, place, key, began, ended, is_finished: true }
    }

    /// A right run: key a in 10-20 and 20-30, key b beside it in 12-18 and 19-40.
    fn spans() -> Vec<Span> {
        vec![span(0, "a", 10, 20), span(1, "b", 12, 18), span(3, "b", 19, 40), span(2, "a", 20, 30)]
    }

    fn commit(offset: i64, at: i64) -> Commit {
        let (group, topic) = ("billing".to_owned(), "orders".to_owned());
        Commit { group, topic, partition: 0, offset, leader_epoch: 0, metadata: String::new(), at }
    }

    fn commits() -> Vec<Commit> {
        vec![commit(2, 20), commit(3, 30), commit(4, 40), commit(4, 41)]
    }

    #[test]
    fn a_right_run_passes_them_all() {
        all(&produced(), &spans(), &commits());
        nothing_twice(&spans());
    }

    #[test]
    fn a_run_with_a_crash_and_a_second_delivery_passes() {
        let mut spans = spans();
        // The first process dies in message 2; the second one takes up from the commit at 2.
        spans[3].is_finished = false;
        spans.extend([span(2, "a", 50, 60), span(3, "b", 50, 60)]);
        all(&produced(), &spans, &[commit(2, 20), commit(4, 60)]);
    }

    #[test]
    #[should_panic(expected = "never finished: 1 in all, the first:\n  orders/0@2")]
    fn a_lost_message_is_found() {
        nothing_lost(&produced(), &spans()[..3]);
    }

    #[test]
    #[should_panic(expected = "orders/0@2")]
    fn a_message_that_only_failed_is_lost() {
        let mut spans = spans();
        spans[3].is_finished = false;
        nothing_lost(&produced(), &spans);
    }

    #[test]
    #[should_panic(expected = "orders/0@1: 2 times")]
    fn a_message_done_twice_is_found() {
        let mut spans = spans();
        spans.push(span(1, "b", 50, 51));
        nothing_twice(&spans);
    }

    #[test]
    #[should_panic(expected = "begun before an earlier message of their key was finished: 1 in all")]
    fn a_message_begun_too_early_is_found() {
        let mut spans = spans();
        spans[3].began -= 1;
        order_per_key(&produced(), &spans);
    }

    #[test]
    #[should_panic(expected = "orders/0@2")]
    fn a_jump_over_a_failed_message_is_found() {
        let mut spans = spans();
        spans[0].is_finished = false;
        order_per_key(&produced(), &spans);
    }

    #[test]
    #[should_panic(expected = "ran beside another message of their key: 1 in all")]
    fn an_overlap_is_found() {
        let mut spans = spans();
        spans[0].ended = Some(20 * MILLISECOND + 1);
        no_overlap_per_key(&spans);
    }

    #[test]
    #[should_panic(expected = "orders/0@0 by process 2")]
    fn the_same_message_in_two_processes_at_once_is_found() {
        let mut spans = spans();
        spans.push(Span { process: 2, ..span(0, "a", 15, 16) });
        no_overlap_per_key(&spans);
    }

    #[test]
    #[should_panic(expected = "not done: 1 in all, the first:\n  orders/0 to 3 at 29")]
    fn a_commit_past_running_work_is_found() {
        commits_claim_only_what_is_done(&produced(), &spans(), &[commit(2, 20), commit(3, 29)]);
    }

    #[test]
    #[should_panic(expected = "orders/0 to 4 at 99")]
    fn a_commit_past_a_message_never_finished_is_found() {
        commits_claim_only_what_is_done(&produced(), &spans()[..3], &[commit(4, 99)]);
    }

    /// A commit whose metadata says that offset 3 is done as well.
    fn marked_commit(offset: i64, at: i64) -> Commit {
        let metadata = karafka_engine::metadata::encode(offset, std::iter::once(3..4), None, 4096).unwrap().text;
        Commit { metadata, ..commit(offset, at) }
    }

    #[test]
    fn marks_of_what_is_done_pass() {
        marks_claim_only_what_is_done(&produced(), &spans(), &[marked_commit(2, 40)]);
    }

    #[test]
    #[should_panic(
        expected = "marks claim messages that were not done: 1 in all, the first:\n  orders/0@3 in the commit to 2"
    )]
    fn a_mark_of_running_work_is_found() {
        marks_claim_only_what_is_done(&produced(), &spans(), &[marked_commit(2, 39)]);
    }

    /// Process 1 ended at 45, and process 2 does these once more.
    fn again(offsets: &[(i64, &str)]) -> (Vec<Span>, BTreeMap<u32, u64>) {
        let mut spans = spans();
        spans.extend(offsets.iter().map(|(offset, key)| Span { process: 2, ..span(*offset, key, 50, 60) }));
        (spans, BTreeMap::from([(1, 45 * MILLISECOND)]))
    }

    #[test]
    fn what_was_not_committed_may_come_again() {
        let (spans, ends) = again(&[(2, "a"), (3, "b")]);
        nothing_repeated_that_was_committed(&spans, &[commit(2, 41), commit(4, 46)], &ends);
    }

    #[test]
    #[should_panic(
        expected = "begun again although a commit said that they were done: 1 in all, the first:\n  orders/0@2"
    )]
    fn what_was_committed_and_comes_again_is_found() {
        let (spans, ends) = again(&[(2, "a"), (3, "b")]);
        nothing_repeated_that_was_committed(&spans, &[commit(2, 40), commit(3, 41)], &ends);
    }

    #[test]
    #[should_panic(
        expected = "begun again although a commit said that they were done: 1 in all, the first:\n  orders/0@3"
    )]
    fn what_was_marked_and_comes_again_is_found() {
        let (spans, ends) = again(&[(2, "a"), (3, "b")]);
        nothing_repeated_that_was_committed(&spans, &[marked_commit(2, 41)], &ends);
    }

    #[test]
    #[should_panic(expected = "went back: 1 in all, the first:\n  orders/0 from 4 to 3")]
    fn a_commit_that_goes_back_is_found() {
        commits_never_go_back(&[commit(4, 40), commit(3, 41)]);
    }
}
