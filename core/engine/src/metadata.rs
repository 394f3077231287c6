//! What travels in the metadata string of an offset commit: the user's own metadata, and which offsets beyond the commit
//! position are done.
//!
//! Owns no state; the committer encodes and the engine decodes at assignment, on whatever thread drives them. Kafka keeps
//! the string with the committed offset and refuses more than `offset.metadata.max.bytes`, 4096 unless the broker is told
//! otherwise.
//!
//! Guarantees: an offset is never read as done that was not written as done at this very position. Marks that are damaged,
//! belong to another position or were written by somebody else are ignored and reported as a [`Problem`]; the cost is
//! redelivery, never loss. Marks that do not fit are left out as a whole, never cut. Decoding takes any text without a
//! panic, in time linear in its length and in less than half a megabyte of memory beside the text.
//!
//! # Text
//!
//! ```text
//! <user metadata>                        nothing is done beyond the position, and the text does not begin with "karafka/"
//! karafka/1;<marks>;<user metadata>      otherwise
//! ```
//!
//! `<marks>` is the body below in Base64 (standard alphabet, no padding). The first `;` after it ends it; the user metadata
//! is everything that follows, as it is. Empty user metadata and none are the same. A text that begins with `karafka/` and
//! anything but `1;` is foreign, and one whose checksum does not hold is damaged: neither marks nor user metadata are taken
//! from them.
//!
//! # Body
//!
//! Numbers are unsigned LEB128: seven bits a byte from the lowest up, the top bit set on all bytes but the last, at most
//! ten bytes.
//!
//! ```text
//! encoding     1 byte    0 bit map, 1 run lengths, 2 deflated bit map
//! position     number    the commit position that the marks belong to, in two's complement
//! payload      ...       to the checksum
//! checksum     8 bytes   XXH3, 64 bits, little-endian, of all bytes of the body before it, seeded with the XXH3 (seed 0)
//!                        of the user metadata
//! ```
//!
//! | encoding | payload |
//! |---|---|
//! | 0 bit map | number: how far the first done offset is beyond the position; then bytes, bit n of which (lowest bit first) tells whether the n-th offset from there on is done; at most 16 KiB |
//! | 1 run lengths | numbers to the end, in turn how many offsets are not done and how many are done, from the position on; only the first may be 0; no numbers when nothing is done |
//! | 2 deflated bit map | as 0, with the bytes in raw DEFLATE |
//!
//! The writer takes the smallest of the three; it tries to deflate only when the others take more than 256 bytes. Neither
//! writer nor reader takes more than 16,384 runs, or more than 32,767 bytes of text. Offsets that were never delivered count as done where that joins two done runs.

mod payload;
mod varint;

use std::fmt;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::ledger::DoneOffsets;

/// The longest metadata a broker takes unless it is configured otherwise, in bytes.
pub const MAX_METADATA_BYTES: usize = 4096;

const FAMILY: &str = "karafka/";
const PREFIX: &str = "karafka/1;";
const CHECKSUM_BYTES: usize = size_of::<u64>();

/// The longest string of Kafka's protocol: no limit goes beyond it, and longer marks are not looked at.
const MAX_STRING_BYTES: usize = i16::MAX as usize;

/// The metadata of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The string to commit.
    pub text: String,
    /// Whether something was done beyond the position and is not in `text` because it does not fit. After a crash those
    /// messages are handled again.
    pub marks_dropped: bool,
}

/// What the metadata of a commit says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// What is done at or beyond the position; empty when there is a problem.
    pub done: DoneOffsets,
    /// The user's metadata; `None` when there is none, or when the checksum does not hold or the version is unknown.
    pub user: Option<String>,
    /// Why marks that seem to be there were ignored: worth a warning.
    pub problem: Option<Problem>,
}

/// Why the marks in a commit's metadata were ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It begins like this library's metadata and is of a version it does not know.
    UnknownVersion,
    /// It was cut or altered.
    Damaged,
    /// The marks belong to another commit position: the committed offset was moved by other means and the metadata kept.
    OtherPosition {
        /// The position that the marks belong to.
        found: i64,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVersion => formatter.write_str("the offset metadata is of an unknown version"),
            Self::Damaged => formatter.write_str("the offset metadata is damaged"),
            Self::OtherPosition { found } => {
                write!(formatter, "the offset metadata belongs to another committed offset, {found}")
            }
        }
    }
}

impl std::error::Error for Problem {}

/// The user's metadata does not fit into a commit, even without any marks beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserMetadataTooLong {
    /// What it takes, in bytes.
    pub length: usize,
    /// What there is, in bytes.
    pub limit: usize,
}

impl fmt::Display for UserMetadataTooLong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the offset metadata takes {} bytes, and the limit is {}", self.length, self.limit)
    }
}

impl std::error::Error for UserMetadataTooLong {}

/// Encodes what is `done` beyond the commit `position`, beside the `user`'s metadata, in at most `limit` bytes (and never
/// more than the 32,767 of Kafka's strings). What lies below the position is left out, as the position says it;
/// marks beyond a negative position do not fit.
///
/// # Errors
/// [`UserMetadataTooLong`] when the user's metadata alone does not fit. Marks that do not fit are no error: they are left
/// out, and [`Encoded::marks_dropped`] tells.
pub fn encode(
    position: i64,
    done: impl IntoIterator<Item = Range<i64>>,
    user: Option<&str>,
    limit: usize,
) -> Result<Encoded, UserMetadataTooLong> {
    let user = user.unwrap_or_default();
    let limit = limit.min(MAX_STRING_BYTES);
    let runs: DoneOffsets = done.into_iter().map(|run| run.start.max(position)..run.end).collect();
    if !runs.is_empty()
        && let Some((encoding, payload)) = payload::smallest(position, runs.runs())
    {
        let text = with_marks(position, encoding, &payload, user);
        if text.len() <= limit {
            return Ok(Encoded { text, marks_dropped: false });
        }
    }
    let text =
        if user.starts_with(FAMILY) { with_marks(position, payload::RUN_LENGTHS, &[], user) } else { user.to_owned() };
    if text.len() > limit {
        return Err(UserMetadataTooLong { length: text.len(), limit });
    }
    Ok(Encoded { text, marks_dropped: !runs.is_empty() })
}

/// Decodes the metadata of a commit of `position`. Takes any text; see the module for what it guarantees.
pub fn decode(position: i64, text: &str) -> Decoded {
    let known =
        |user: &str, done, problem| Decoded { done, user: (!user.is_empty()).then(|| user.to_owned()), problem };
    if !text.starts_with(FAMILY) {
        return known(text, DoneOffsets::new(), None);
    }
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return Decoded { problem: Some(Problem::UnknownVersion), ..Decoded::default() };
    };
    let damaged = Decoded { problem: Some(Problem::Damaged), ..Decoded::default() };
    let Some((marks, user)) = rest.split_once(';') else {
        return damaged;
    };
    let Some(content) = read_content(marks, user) else {
        return damaged;
    };
    match read_done(position, &content) {
        Ok(done) => known(user, done, None),
        Err(problem) => known(user, DoneOffsets::new(), Some(problem)),
    }
}

fn with_marks(position: i64, encoding: u8, payload: &[u8], user: &str) -> String {
    let mut body = Vec::with_capacity(1 + varint::MAX_BYTES + payload.len() + CHECKSUM_BYTES);
    body.push(encoding);
    varint::write(&mut body, position.cast_unsigned());
    body.extend_from_slice(payload);
    let checksum = checksum(&body, user);
    body.extend_from_slice(&checksum.to_le_bytes());
    format!("{PREFIX}{};{user}", STANDARD_NO_PAD.encode(body))
}

/// The body in front of its checksum, if that holds.
fn read_content(marks: &str, user: &str) -> Option<Vec<u8>> {
    if marks.len() > MAX_STRING_BYTES {
        return None;
    }
    let mut body = STANDARD_NO_PAD.decode(marks).ok()?;
    let (content, found) = body.split_last_chunk::<CHECKSUM_BYTES>()?;
    let length = content.len();
    if checksum(content, user) != u64::from_le_bytes(*found) {
        return None;
    }
    body.truncate(length);
    Some(body)
}

fn read_done(position: i64, content: &[u8]) -> Result<DoneOffsets, Problem> {
    let (encoding, mut rest) = content.split_first().ok_or(Problem::Damaged)?;
    let found = varint::read(&mut rest).ok_or(Problem::Damaged)?.cast_signed();
    if found != position {
        return Err(Problem::OtherPosition { found });
    }
    payload::read(*encoding, position, rest).ok_or(Problem::Damaged)
}

fn checksum(content: &[u8], user: &str) -> u64 {
    xxh3_64_with_seed(content, xxh3_64(user.as_bytes()))
}
