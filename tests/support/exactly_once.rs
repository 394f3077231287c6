//! What becomes of each record that is sent on in a transaction, and the judge of all that a reader of committed records sees.
//!
//! Called by the `member` program, by behaviours and by the chaos run, from any thread. Pure: it asks no broker.
//! [`exactly_once`] panics with the first few breaches, and is shown to find falsified records by the tests below.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::oracle::judge;
use crate::topics::Message;

/// The payload of the output for an input: no two inputs have the same, and none is its own.
#[must_use]
pub fn f(payload: &[u8]) -> Vec<u8> {
    [b"f(", payload, b")"].concat()
}

/// Every input's output is there once, under the input's key, and nothing else is; outputs of a key lie in one partition, in
/// the order of their inputs. `produced` in the order of producing, with payloads of which no two are the same; `seen` as
/// [`crate::topics::read`] returns it.
pub fn exactly_once(produced: &[Message], seen: &[Message]) {
    let expected: HashMap<Vec<u8>, &Message> =
        produced.iter().map(|input| (f(input.payload.as_deref().unwrap_or_default()), input)).collect();
    assert_eq!(expected.len(), produced.len(), "two inputs have the same payload");
    let mut found: HashMap<&[u8], Vec<&Message>> = HashMap::new();
    for output in seen {
        found.entry(output.payload.as_deref().unwrap_or_default()).or_default().push(output);
    }
    let strange = seen.iter().filter(|output| {
        let input = expected.get(output.payload.as_deref().unwrap_or_default());
        input.is_none_or(|input| input.key != output.key)
    });
    judge("these outputs are of no input", strange.map(describe));
    let missing = produced.iter().filter(|input| !found.contains_key(f(payload(input)).as_slice()));
    judge("these inputs have no output", missing.map(describe));
    let mut twice: Vec<_> = found.values().filter(|outputs| outputs.len() > 1).collect();
    twice.sort_by_key(|outputs| outputs.first().map(|first| (first.partition, first.offset)));
    let places = |outputs: &&Vec<&Message>| outputs.iter().map(|one| describe(one)).collect::<Vec<_>>().join(", ");
    judge("these outputs are there more than once", twice.iter().map(places));
    in_order(produced, seen);
}

fn in_order(produced: &[Message], seen: &[Message]) {
    let mut turns: HashMap<&[u8], Vec<Vec<u8>>> = HashMap::new();
    for input in produced {
        turns.entry(key(input)).or_default().push(f(payload(input)));
    }
    let mut outputs: BTreeMap<&[u8], Vec<&Message>> = BTreeMap::new();
    for output in seen {
        outputs.entry(key(output)).or_default().push(output);
    }
    let scattered = outputs
        .values()
        .filter(|of_key| of_key.iter().map(|output| output.partition).collect::<HashSet<_>>().len() > 1);
    judge(
        "the outputs of these keys are scattered",
        scattered.filter_map(|of_key| of_key.first().copied()).map(describe),
    );
    let mut swapped = Vec::new();
    for (key, mut of_key) in outputs {
        of_key.sort_by_key(|output| output.offset);
        let expected = turns.get(key).into_iter().flatten();
        let first = of_key.iter().zip(expected).find(|(output, turn)| payload(output) != turn.as_slice());
        swapped.extend(
            first.map(|(output, turn)| format!("{} in place of {}", describe(output), String::from_utf8_lossy(turn))),
        );
    }
    judge("these outputs are out of order", swapped);
}

fn key(message: &Message) -> &[u8] {
    message.key.as_deref().unwrap_or_default()
}

fn payload(message: &Message) -> &[u8] {
    message.payload.as_deref().unwrap_or_default()
}

fn describe(message: &Message) -> String {
    let Message { topic, partition, offset, .. } = message;
    let (key, payload) = (String::from_utf8_lossy(key(message)), String::from_utf8_lossy(payload(message)));
    format!("{topic}/{partition}@{offset} {key}: {payload}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(topic: &str, offset: i64, key: &str, payload: &[u8]) -> Message {
        let (topic, key, payload) = (topic.to_owned(), Some(key.into()), Some(payload.to_vec()));
        Message { topic, partition: 0, offset, key, payload, headers: Vec::new() }
    }

    fn inputs() -> Vec<Message> {
        ["a", "b", "a", "b", "a"]
            .iter()
            .zip(0..)
            .map(|(key, n)| message("in", n, key, n.to_string().as_bytes()))
            .collect()
    }

    /// In order per key, though not in all; with gaps between, as control records leave.
    fn outputs() -> Vec<Message> {
        let turns = [("b", "1"), ("a", "0"), ("a", "2"), ("b", "3"), ("a", "4")];
        turns.iter().zip(0..).map(|((key, n), offset)| message("out", offset * 2, key, &f(n.as_bytes()))).collect()
    }

    #[test]
    fn what_is_there_once_and_in_order_passes() {
        exactly_once(&inputs(), &outputs());
        assert_ne!(f(b"1"), b"1");
    }

    #[test]
    #[should_panic(expected = "have no output: 1 in all, the first:\n  in/0@2 a: 2")]
    fn what_is_missing_is_found() {
        let mut outputs = outputs();
        outputs.remove(2);
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "more than once: 1 in all, the first:\n  out/0@6 b: f(3), out/0@11 b: f(3)")]
    fn what_is_doubled_is_found() {
        let mut outputs = outputs();
        outputs.push(message("out", 11, "b", &f(b"3")));
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "out of order: 1 in all, the first:\n  out/0@4 a: f(4) in place of f(2)")]
    fn what_is_swapped_is_found() {
        let mut outputs = outputs();
        (outputs[2].offset, outputs[4].offset) = (outputs[4].offset, outputs[2].offset);
        outputs.sort_by_key(|output| output.offset);
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "of no input: 1 in all, the first:\n  out/0@4 a: f(7)")]
    fn a_wrong_value_is_found() {
        let mut outputs = outputs();
        outputs[2].payload = Some(f(b"7"));
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "of no input: 1 in all, the first:\n  out/0@4 a: 2")]
    fn a_value_that_was_not_changed_is_found() {
        let mut outputs = outputs();
        outputs[2].payload = Some(b"2".to_vec());
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "of no input: 1 in all, the first:\n  out/0@4 b: f(2)")]
    fn a_wrong_key_is_found() {
        let mut outputs = outputs();
        outputs[2].key = Some(b"b".to_vec());
        exactly_once(&inputs(), &outputs);
    }

    #[test]
    #[should_panic(expected = "scattered: 1 in all, the first:\n  out/0@2 a: f(0)")]
    fn a_key_in_two_partitions_is_found() {
        let mut outputs = outputs();
        outputs[4].partition = 1;
        exactly_once(&inputs(), &outputs);
    }
}
