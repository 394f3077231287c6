//! The metadata codec: round trips, damage of every kind, hostile bodies, and the limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use karafka_engine::ledger::{DoneOffsets, Ledger};
use karafka_engine::metadata::{Decoded, MAX_METADATA_BYTES, Problem, UserMetadataTooLong, decode, encode};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

/// Miri is some thousand times slower than the processor: it gets fewer of everything.
const MANY: usize = if cfg!(miri) { 40 } else { 3_000 };

/// Every place in a text, and for Miri one of so many.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(if cfg!(miri) { length.div_ceil(4).max(1) } else { 1 })
}

/// Runs from `start` on, by turns of lengths not done and done.
fn runs_from(start: i64, lengths: &[(i64, i64)]) -> Vec<Range<i64>> {
    let mut end = start;
    let mut runs = Vec::new();
    for (undone, done) in lengths {
        let Some(run) = end.checked_add(*undone).and_then(|from| Some(from..from.checked_add(*done)?)) else {
            break;
        };
        end = run.end;
        runs.push(run);
    }
    runs
}

fn position() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0_i64), 0..1_000_000_i64, (i64::MAX - 100_000)..=i64::MAX]
}

fn lengths() -> impl Strategy<Value = Vec<(i64, i64)>> {
    let length = || prop_oneof![6 => 1..20_i64, 2 => 1..2_000_i64, 1 => 1..(1_i64 << 40)];
    prop_oneof![
        prop::collection::vec((length(), length()), 0..MANY.min(200)),
        prop::collection::vec((1..4_i64, 1..4_i64), 0..MANY),
        (1..9_i64, 1..9_i64, 0..MANY).prop_map(|(undone, done, times)| vec![(undone, done); times]),
    ]
}

fn user() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("karafka/1;".to_owned()),
        Just("karafka/9;x".to_owned()),
        ".{0,40}",
        "[;/]{0,4}"
    ]
}

fn user_of(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// A text with a correct checksum around any body.
fn signed(content: &[u8], user: &str) -> String {
    let checksum = xxh3_64_with_seed(content, xxh3_64(user.as_bytes())).to_le_bytes();
    format!("karafka/1;{};{user}", STANDARD_NO_PAD.encode([content, &checksum].concat()))
}

fn body(text: &str) -> Vec<u8> {
    STANDARD_NO_PAD.decode(text.split(';').nth(1).unwrap()).unwrap()
}

/// Every other one of `count` offsets by a fixed pseudo-random sequence.
fn random_half(count: u64, seed: u64) -> impl Iterator<Item = u64> {
    (0..count).filter(move |index| xxh3_64_with_seed(&index.to_le_bytes(), seed) & 1 == 1)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_was_encoded_is_decoded(position in position(), lengths in lengths(), user in user(), limit in prop_oneof![100..9_000_usize, 9_000..400_000_usize]) {
        let runs = runs_from(position, &lengths);
        let encoded = encode(position, runs.clone(), Some(&user), limit).unwrap();
        prop_assert!(encoded.text.len() <= limit);
        let done = if encoded.marks_dropped { DoneOffsets::new() } else { runs.into_iter().collect() };
        prop_assert_eq!(decode(position, &encoded.text), Decoded { done, user: user_of(&user), problem: None });
    }

    #[test]
    fn marks_of_another_position_are_ignored(position in position(), other in position(), lengths in lengths()) {
        prop_assume!(position != other);
        let encoded = encode(position, runs_from(position, &lengths), Some("kept"), 100_000).unwrap();
        let decoded = decode(other, &encoded.text);
        prop_assert!(decoded.done.is_empty());
        prop_assert_eq!(decoded.user.as_deref(), Some("kept"));
        let problem = (encoded.text != "kept").then_some(Problem::OtherPosition { found: position });
        prop_assert_eq!(decoded.problem, problem);
    }

    #[test]
    fn any_text_is_decoded_without_a_panic(position in any::<i64>(), text in any::<String>(), tail in any::<String>()) {
        decode(position, &text);
        decode(position, &format!("karafka/{text}"));
        decode(position, &format!("karafka/1;{text};{tail}"));
        let headed = format!("karafka/1;{text}");
        prop_assert!(decode(position, &headed).done.is_empty());
    }

    #[test]
    fn any_body_with_a_right_checksum_is_decoded_within_bounds(
        position in any::<i64>(),
        encoding in 0..4_u8,
        payload in prop::collection::vec(any::<u8>(), 0..MANY),
    ) {
        let mut content = vec![encoding];
        varint(&mut content, position.cast_unsigned());
        content.extend_from_slice(&payload);
        let decoded = decode(position, &signed(&content, ""));
        prop_assert!(decoded.done.runs().len() <= 16_384);
        prop_assert!(decoded.done.runs().iter().all(|run| run.start >= position && run.start < run.end));
    }

    #[test]
    fn any_runs_and_limits_are_encoded_without_a_panic(
        position in any::<i64>(),
        ends in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20),
        limit in 0..200_usize,
    ) {
        let runs: Vec<_> = ends.into_iter().map(|(start, end)| start..end).collect();
        let encoded = encode(position, runs.clone(), None, limit).unwrap();
        let decoded = decode(position, &encoded.text);
        prop_assert_eq!(decoded.problem, None);
        for run in decoded.done.runs() {
            prop_assert!(run.start >= position);
            prop_assert!(runs.iter().any(|given| given.contains(&run.start)));
            prop_assert!(runs.iter().any(|given| given.contains(&(run.end - 1))));
        }
    }
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// One text for each encoding, and whether the user's metadata stands behind it.
fn samples() -> Vec<(i64, String, DoneOffsets)> {
    let bit_map: Vec<_> = random_half(400, 1).map(|index| 1_005 + index as i64..1_006 + index as i64).collect();
    let run_lengths = vec![1_001..90_000, 100_000..5_000_000_000];
    let deflated: Vec<_> = (0..700).map(|index| 1_001 + index * 10..1_009 + index * 10).collect();
    let mut samples = Vec::new();
    // Miri takes most of a minute to deflate one.
    let encodings = if cfg!(miri) { 2 } else { 3 };
    for (encoding, runs) in [(0, bit_map), (1, run_lengths), (2, deflated)].into_iter().take(encodings) {
        for user in [None, Some("the user's; own")] {
            let text = encode(1_000, runs.clone(), user, MAX_METADATA_BYTES).unwrap().text;
            assert_eq!(body(&text)[0], encoding);
            samples.push((1_000, text, runs.clone().into_iter().collect()));
        }
    }
    samples
}

#[test]
fn a_changed_byte_never_makes_an_offset_done() {
    for (position, text, done) in samples() {
        assert_eq!(decode(position, &text).done, done);
        for place in places(text.len()) {
            for byte in (0..0x80_u8).step_by(if cfg!(miri) { 50 } else { 1 }) {
                let mut bytes = text.clone().into_bytes();
                if std::mem::replace(&mut bytes[place], byte) == byte {
                    continue;
                }
                let decoded = decode(position, std::str::from_utf8(&bytes).unwrap());
                assert!(decoded.done.is_empty(), "byte {place} of {text} changed to {byte}");
                let reported =
                    decoded.problem.is_some() || decoded.user.as_deref().is_some_and(|user| user.len() == text.len());
                assert!(reported, "byte {place} of {text} changed to {byte}");
            }
        }
    }
}

#[test]
fn a_cut_text_never_makes_an_offset_done() {
    for (position, text, _) in samples() {
        for length in places(text.len()) {
            for part in [&text[..length], &text[text.len() - length..]] {
                assert!(decode(position, part).done.is_empty(), "{part}");
            }
        }
    }
}

#[test]
fn a_byte_taken_out_or_put_in_never_makes_an_offset_done() {
    for (position, text, _) in samples() {
        for place in places(text.len()) {
            let mut shorter = text.clone();
            shorter.remove(place);
            let mut longer = text.clone();
            longer.insert(place, 'A');
            for changed in [shorter, longer].into_iter().filter(|changed| *changed != text) {
                assert!(decode(position, &changed).done.is_empty(), "{changed}");
            }
        }
    }
}

#[test]
fn the_layout_is_as_documented() {
    let mut content = vec![1];
    varint(&mut content, 1_000);
    for number in [3, 2, 300, 5_000_000_000] {
        varint(&mut content, number);
    }
    let text = signed(&content, "mine");
    let runs = vec![1_003..1_005, 1_305..5_000_001_305];
    assert_eq!(encode(1_000, runs.clone(), Some("mine"), MAX_METADATA_BYTES).unwrap().text, text);
    assert_eq!(decode(1_000, &text).done, runs.into_iter().collect());
    assert_eq!(text, "karafka/1;AegHAwKsAoDkl9ASSmlgEjvW+Ac;mine");
    let bit_map = signed(&[0, 5, 2, 0b0100_0101, 0b1000_0000], "");
    assert_eq!(decode(5, &bit_map).done.runs(), [7..8, 9..10, 13..14, 22..23]);
}

#[test]
fn without_marks_the_user_metadata_is_committed_as_it_is() {
    for (user, text) in [
        (None, ""),
        (Some(""), ""),
        (Some("plain; text"), "plain; text"),
        (Some("karafka"), "karafka"),
        (Some("karafka/1;x;y"), &signed(&[1, 9], "karafka/1;x;y")),
        (Some("karafka/"), &signed(&[1, 9], "karafka/")),
    ] {
        let encoded = encode(9, [], user, MAX_METADATA_BYTES).unwrap();
        assert_eq!((encoded.text.as_str(), encoded.marks_dropped), (text, false));
        let user = user.and_then(user_of);
        assert_eq!(decode(9, text), Decoded { done: DoneOffsets::new(), user, problem: None });
    }
}

#[test]
fn foreign_and_damaged_texts_are_reported() {
    for (text, problem) in [
        ("karafka/2;AAAA;later", Problem::UnknownVersion),
        ("karafka/", Problem::UnknownVersion),
        ("karafka/1", Problem::UnknownVersion),
        ("karafka/10;;x", Problem::UnknownVersion),
        ("karafka/1;", Problem::Damaged),
        ("karafka/1;;", Problem::Damaged),
        ("karafka/1;AAAA", Problem::Damaged),
        ("karafka/1;AAAA;mine", Problem::Damaged),
        ("karafka/1;not base64;mine", Problem::Damaged),
        ("karafka/1;AAAA=;mine", Problem::Damaged),
    ] {
        let expected = Decoded { done: DoneOffsets::new(), user: None, problem: Some(problem) };
        assert_eq!(decode(0, text), expected, "{text}");
    }
    let huge = format!("karafka/1;{};mine", "A".repeat(if cfg!(miri) { 100_000 } else { 10_000_000 }));
    assert_eq!(decode(0, &huge).problem, Some(Problem::Damaged));
    assert_eq!(
        Problem::OtherPosition { found: 7 }.to_string(),
        "the offset metadata belongs to another committed offset, 7"
    );
}

#[test]
fn hostile_bodies_with_a_right_checksum_are_damaged() {
    let numbers = |encoding: u8, numbers: &[u64]| {
        let mut content = vec![encoding];
        for number in numbers {
            varint(&mut content, *number);
        }
        content
    };
    let mut bodies = vec![
        vec![],
        vec![0],
        vec![1, 0x80],
        numbers(3, &[0, 1, 1]),
        numbers(0, &[0, u64::MAX, 255]),
        numbers(0, &[0, i64::MAX as u64 - 3, 0x55, 0x55]),
        numbers(1, &[0, i64::MAX as u64, 1]),
        numbers(1, &[0, u64::MAX, 1]),
        numbers(1, &[0, 1, u64::MAX]),
        numbers(1, &[0, 1, 0]),
        numbers(1, &[0, 1, 1, 0, 1]),
        numbers(1, &[0, 1, 1, 1]),
        numbers(2, &[0, 0]),
        [numbers(0, &[0, 0]), vec![0xff; 16 * 1024 + 1]].concat(),
    ];
    // The limits themselves, which take Miri too long.
    if !cfg!(miri) {
        let bomb = miniz_oxide::deflate::compress_to_vec(&vec![0x55; 10_000_000], 9);
        let many_runs = miniz_oxide::deflate::compress_to_vec(&[0x55; 16 * 1024], 9);
        bodies.push(numbers(1, &[&[0][..], &vec![1; 40_000]].concat()));
        bodies.push([numbers(2, &[0, 0]), bomb].concat());
        bodies.push([numbers(2, &[0, 0]), many_runs].concat());
        bodies.push([numbers(0, &[0, 0]), vec![0x55; 16 * 1024]].concat());
    }
    for content in bodies {
        let decoded = decode(0, &signed(&content, ""));
        assert_eq!(decoded.problem, Some(Problem::Damaged), "{:?}", &content[..content.len().min(20)]);
        assert!(decoded.done.is_empty());
    }
}

#[test]
fn a_default_window_at_random_leaves_a_kilobyte_to_the_user() {
    let (seeds, window) = if cfg!(miri) { (1, 1_000) } else { (20, 16_384) };
    for seed in 0..seeds {
        let mut ledger = Ledger::new();
        ledger.deliver_run(1 << 40, window);
        for seq in random_half(window.into(), seed).filter(|seq| *seq > 0) {
            ledger.mark(seq);
        }
        let user = "u".repeat(1024);
        let position = ledger.position().unwrap();
        let encoded = encode(position, ledger.done_runs(), Some(&user), MAX_METADATA_BYTES).unwrap();
        assert!(!encoded.marks_dropped && encoded.text.len() <= MAX_METADATA_BYTES);
        assert_eq!(decode(position, &encoded.text).done, ledger.snapshot().done);
    }
}

#[test]
fn marks_that_do_not_fit_are_dropped_whole_and_too_much_user_metadata_is_an_error() {
    let (count, limit) = if cfg!(miri) { (3_000, 300) } else { (40_000, MAX_METADATA_BYTES) };
    let runs: Vec<_> = random_half(count, 3).map(|index| 1 + index as i64..2 + index as i64).collect();
    let encoded = encode(0, runs.clone(), Some("kept"), limit).unwrap();
    assert_eq!((encoded.text.as_str(), encoded.marks_dropped), ("kept", true));
    let full = encode(0, runs[..50].to_vec(), Some("kept"), MAX_METADATA_BYTES).unwrap().text;
    assert_eq!(encode(0, runs[..50].to_vec(), Some("kept"), full.len()).unwrap().text, full);
    assert!(encode(0, runs[..50].to_vec(), Some("kept"), full.len() - 1).unwrap().marks_dropped);
    let long = "x".repeat(MAX_METADATA_BYTES + 1);
    let error = encode(0, runs, Some(&long), MAX_METADATA_BYTES).unwrap_err();
    assert_eq!(error, UserMetadataTooLong { length: MAX_METADATA_BYTES + 1, limit: MAX_METADATA_BYTES });
    assert_eq!(error.to_string(), "the offset metadata takes 4097 bytes, and the limit is 4096");
}

#[test]
#[cfg_attr(miri, ignore = "the limits themselves take Miri hours, and their lines are those of the others")]
fn whatever_is_written_can_be_read_however_large_the_limit() {
    let every = |step: i64, count: i64| (0..count).map(move |index| index * step + 1..index * step + 2);
    let random = |count: u64, one_in: u64| {
        let chosen = (0..count).filter(|index| xxh3_64(&index.to_le_bytes()).is_multiple_of(one_in));
        chosen.map(|index| index as i64..index as i64 + 1).collect::<Vec<_>>()
    };
    for (runs, dropped) in [
        (every(2, 16_384).collect::<Vec<_>>(), false),
        (every(2, 16_385).collect(), true),
        (every(8, 16_384).collect(), false),
        (random(150_000, 13), false),
        (every(9, 12_200).map(|run| run.start * 99..run.start * 99 + 1).collect(), true),
        (every(1, 131_072).collect(), false),
        (random(131_072, 9), false),
    ] {
        let encoded = encode(0, runs.clone(), Some("mine"), usize::MAX).unwrap();
        assert!(encoded.text.len() <= 32_767);
        assert_eq!(encoded.marks_dropped, dropped, "{} runs, {:?}", runs.len(), runs.last());
        let done = if dropped { DoneOffsets::new() } else { runs.into_iter().collect() };
        assert_eq!(decode(0, &encoded.text), Decoded { done, user: Some("mine".to_owned()), problem: None });
    }
    let long = "x".repeat(32_768);
    assert_eq!(
        encode(0, [], Some(&long), usize::MAX).unwrap_err(),
        UserMetadataTooLong { length: 32_768, limit: 32_767 }
    );
}

#[test]
fn what_is_done_below_the_position_is_left_out() {
    let text = encode(100, [10..20, 50..120, 130..131], None, MAX_METADATA_BYTES).unwrap().text;
    assert_eq!(decode(100, &text).done.runs(), [100..120, 130..131]);
}

#[test]
fn the_smallest_encoding_wins() {
    let one_slow_message = encode(0, std::iter::once(1..16_384), None, MAX_METADATA_BYTES).unwrap().text;
    assert!(one_slow_message.len() < 40, "{one_slow_message}");
    let every_tenth: Vec<_> = (0..1_638).map(|index| index * 10 + 1..index * 10 + 10).collect();
    let deflated = encode(0, every_tenth, None, MAX_METADATA_BYTES).unwrap().text;
    assert!(deflated.len() < 150, "{deflated}");
}
