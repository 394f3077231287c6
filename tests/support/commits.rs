//! Every commit that a group ever made, decoded from the broker's own log of them (`__consumer_offsets`).
//!
//! Called by tests from any thread. The judges of [`crate::oracle`] need all commits in their order: the last one alone
//! cannot show that an earlier one was too far. Aborted transactional commits are left out, as the broker does.

use karafka_engine::ledger::DoneOffsets;
use karafka_engine::metadata;

use crate::topics;

const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// One commit of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset to go on from: everything before it is claimed to be done.
    pub offset: i64,
    /// The leader epoch of the last message, or -1.
    pub leader_epoch: i32,
    /// What was stored beside the offset.
    pub metadata: String,
    /// When the broker took it, in milliseconds since 1970.
    pub at: i64,
}

impl Commit {
    /// What the metadata says is done at or beyond the offset. Read by libkarafka's own decoder: what that made up would
    /// show as a message lost, and what it kept back as one repeated.
    pub fn marks(&self) -> DoneOffsets {
        metadata::decode(self.offset, &self.metadata).done
    }

    /// The user's part of the metadata.
    pub fn user_metadata(&self) -> Option<String> {
        metadata::decode(self.offset, &self.metadata).user
    }
}

/// All commits of the group that the broker has accepted, in their order.
pub fn all(bootstrap: &str, group: &str) -> Vec<Commit> {
    let of_group = |message: topics::Message| {
        let commit = decode(&message.key?, &message.payload?)?;
        (commit.group == group).then_some(commit)
    };
    // The broker makes the topic for the first group that asks.
    if !topics::exists(bootstrap, OFFSETS_TOPIC) {
        return Vec::new();
    }
    topics::read(bootstrap, OFFSETS_TOPIC).into_iter().filter_map(of_group).collect()
}

/// Decodes a record of the offsets topic. `None` for other kinds of records (group metadata, members, ...).
fn decode(key: &[u8], value: &[u8]) -> Option<Commit> {
    let mut key = Reader(key);
    if !matches!(key.int16()?, 0 | 1) {
        return None;
    }
    let (group, topic, partition) = (key.string()?, key.string()?, key.int32()?);

    let mut value = Reader(value);
    let version = value.int16()?;
    assert!((0..=4).contains(&version), "an offset commit of version {version}, which this reader does not know");
    let offset = value.int64()?;
    let leader_epoch = if version >= 3 { value.int32()? } else { -1 };
    let metadata = if version >= 4 { value.compact_string()? } else { value.string()? };
    let at = value.int64()?;
    Some(Commit { group, topic, partition, offset, leader_epoch, metadata, at })
}

/// Reads Kafka's primitive types from the front of the bytes. `None` where there are too few.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const LENGTH: usize>(&mut self) -> Option<[u8; LENGTH]> {
        let (front, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*front)
    }

    fn int16(&mut self) -> Option<i16> {
        self.bytes().map(i16::from_be_bytes)
    }

    fn int32(&mut self) -> Option<i32> {
        self.bytes().map(i32::from_be_bytes)
    }

    fn int64(&mut self) -> Option<i64> {
        self.bytes().map(i64::from_be_bytes)
    }

    fn string(&mut self) -> Option<String> {
        let length = self.int16()?;
        self.text(usize::try_from(length).ok()?)
    }

    /// As `string`, but with the length plus one as a variable-length number.
    fn compact_string(&mut self) -> Option<String> {
        let mut length = 0_usize;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.bytes()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return self.text(length.checked_sub(1)?);
            }
        }
        None
    }

    fn text(&mut self, length: usize) -> Option<String> {
        let (front, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(String::from_utf8_lossy(front).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"\x00\x01\x00\x07billing\x00\x06orders\x00\x00\x00\x03";

    fn commit(leader_epoch: i32) -> Commit {
        let (group, topic) = ("billing".to_owned(), "orders".to_owned());
        Commit { group, topic, partition: 3, offset: 258, leader_epoch, metadata: "hi".to_owned(), at: 65_536 }
    }

    fn value(version: u8, after_offset: &[u8], metadata: &[u8], after_time: &[u8]) -> Vec<u8> {
        let offset = [0, 0, 0, 0, 0, 0, 1, 2];
        let time = [0, 0, 0, 0, 0, 1, 0, 0];
        [&[0, version], &offset[..], after_offset, metadata, &time, after_time].concat()
    }

    #[test]
    fn every_version_of_an_offset_commit() {
        let old = b"\x00\x02hi";
        assert_eq!(decode(KEY, &value(0, &[], old, &[])), Some(commit(-1)));
        assert_eq!(decode(KEY, &value(1, &[], old, &[0; 8])), Some(commit(-1)));
        assert_eq!(decode(KEY, &value(2, &[], old, &[])), Some(commit(-1)));
        assert_eq!(decode(KEY, &value(3, &[0, 0, 0, 9], old, &[])), Some(commit(9)));
        let topic_id = [&[1, 0, 16][..], &[7; 16]].concat();
        assert_eq!(decode(KEY, &value(4, &[0, 0, 0, 9], b"\x03hi", &topic_id)), Some(commit(9)));
    }

    #[test]
    fn a_long_compact_string() {
        let text = "x".repeat(200);
        let metadata = [&[0xc9, 0x01], text.as_bytes()].concat();
        let decoded = decode(KEY, &value(4, &[0; 4], &metadata, &[0])).unwrap();
        assert_eq!(decoded.metadata, text);
    }

    #[test]
    fn other_kinds_and_broken_records_are_no_commits() {
        assert_eq!(decode(b"\x00\x02\x00\x07billing", b"\x00\x03"), None);
        assert_eq!(decode(&KEY[..9], &value(2, &[], b"\x00\x02hi", &[])), None);
        assert_eq!(decode(KEY, b"\x00\x03\x00"), None);
    }
}
