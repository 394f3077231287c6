//! The text beside a commit: whatever it is, nothing is taken as done that was not written as done at this very position.

use crate::input::Input;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use karafka_engine::metadata::{Decoded, decode, encode};
use std::ops::Range;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Reads the input as a text, as marks with a checksum that holds, or as marks to be written, read and damaged.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => {
            let position = input.integer();
            check(position, &decode(position, &String::from_utf8_lossy(input.rest())));
        }
        1 => {
            let position = input.integer();
            let user = input.text();
            let text = sealed(position, &user, input.rest());
            let decoded = decode(position, &text);
            check(position, &decoded);
            let other = decode(position.wrapping_add(1), &text);
            assert!(other.done.is_empty(), "marks of another position count");
        }
        _ => round_trip(&mut input),
    }
}

/// What must hold for any text.
fn check(position: i64, decoded: &Decoded) {
    let runs = decoded.done.runs();
    assert!(runs.len() <= 16_384, "{} runs", runs.len());
    assert!(runs.iter().all(|run| run.start >= position.max(0) && run.start < run.end), "{runs:?} from {position}");
    assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?} are out of order");
    assert!(decoded.problem.is_none() || runs.is_empty(), "marks of a text with a problem count");
}

/// A body that the checksum vouches for: what a defect of a writer could produce.
fn sealed(position: i64, user: &str, payload: &[u8]) -> String {
    let (encoding, payload) = payload.split_first().unwrap_or((&0, &[]));
    let mut body = vec![*encoding];
    let mut rest = position.cast_unsigned();
    while rest >= 0x80 {
        body.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    body.push(rest as u8);
    body.extend_from_slice(payload);
    let checksum = xxh3_64_with_seed(&body, xxh3_64(user.as_bytes()));
    body.extend_from_slice(&checksum.to_le_bytes());
    format!("karafka/1;{};{user}", STANDARD_NO_PAD.encode(body))
}

fn round_trip(input: &mut Input<'_>) {
    let position = input.integer().checked_abs().unwrap_or_default() >> (input.byte() % 64);
    let limit = (input.integer() as usize) % 40_000;
    let user = input.text();
    let damage = (input.integer() as usize, input.byte());
    let mut runs: Vec<Range<i64>> = Vec::new();
    let mut offset = position;
    while !input.is_empty() {
        let gap = i64::from(input.byte()) << (input.byte() % 16);
        let length = i64::from(input.byte()) << (input.byte() % 16);
        let (Some(start), Some(end)) = (offset.checked_add(gap), offset.checked_add(gap + length)) else { break };
        if start > offset && end > start {
            runs.push(start..end);
        }
        offset = offset.max(end);
    }
    let user = (!user.is_empty()).then_some(user.as_str());
    let Ok(encoded) = encode(position, runs.iter().cloned(), user, limit) else { return };
    assert!(encoded.text.len() <= limit, "{} bytes, {limit} allowed", encoded.text.len());
    let decoded = decode(position, &encoded.text);
    check(position, &decoded);
    assert_eq!(decoded.problem, None, "of {:?}", encoded.text);
    assert_eq!(decoded.user.as_deref(), user);
    let written: &[Range<i64>] = if encoded.marks_dropped { &[] } else { &runs };
    assert_eq!(decoded.done.runs(), written);
    let mut bytes = encoded.text.into_bytes();
    if let Some(at) = damage.0.checked_rem(bytes.len()) {
        bytes[at] ^= damage.1;
        let damaged = decode(position, &String::from_utf8_lossy(&bytes));
        assert!(damaged.done.is_empty() || damaged.done == decoded.done, "damage at {at} makes other marks");
    }
}
