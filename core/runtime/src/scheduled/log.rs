//! The partitions of a topic of scheduled messages: what their records say, and reading them to their end, which recurring tasks do,
//! too.
//!
//! Called by the dispatcher and by the runner of tasks, on a seat. Guarantee: a partition is read as far as it went when reading began, or there is an error.

use crate::message::Message;
use crate::producer::OwnedRecord;
use crate::reader::{ReadFrom, Reader, ReaderConfig, Selection};
use crate::{Context, Error, ErrorKind, Result};
use karafka_schedule::Messages;
use karafka_schedule::layout::Envelope;
use std::time::Duration;

/// How long a broker may take for the next records.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes one record in.
pub(super) fn take_in(messages: &mut Messages<OwnedRecord>, message: &Message<'_>) {
    let (offset, id) = (message.offset(), message.key());
    match (id, message.payload()) {
        (Some(id), None) => messages.ended(offset, id),
        (Some(id), Some(payload)) => match record(message, payload) {
            Ok((at, record)) => messages.scheduled(offset, id, at, record),
            Err(words) => skip(messages, message, &words),
        },
        (None, _) => skip(messages, message, "it has no key"),
    }
}

/// A record that is none of ours stays where it is.
fn skip(messages: &mut Messages<OwnedRecord>, message: &Message<'_>, words: &str) {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    tracing::warn!(topic, partition, offset, "a record is no scheduled message and is left where it is: {words}");
    messages.read_to(offset + 1);
}

fn record(message: &Message<'_>, payload: &[u8]) -> Result<(i64, OwnedRecord), String> {
    let headers: Vec<_> = message.headers().iter().map(|header| (header.name, header.value)).collect();
    let (envelope, ours) = Envelope::read(&headers)?;
    let own = headers.iter().skip(ours);
    let record = OwnedRecord {
        topic: envelope.topic.to_owned(),
        partition: envelope.partition,
        partition_key: envelope.partition_key.map(<[u8]>::to_vec),
        key: envelope.key.map(<[u8]>::to_vec),
        payload: (!envelope.is_tombstone).then(|| payload.to_vec()),
        headers: own.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).collect(),
        timestamp_ms: envelope.timestamp,
        label: None,
    };
    Ok((envelope.at, record))
}

/// Reads a partition from where its messages are to its end.
pub(super) fn catch_up(
    messages: &mut Messages<OwnedRecord>,
    config: ReaderConfig,
    context: &Context,
    from: ReadFrom,
) -> Result<()> {
    let end = read_partition(config, context, from, |message| take_in(messages, message))?;
    messages.read_to(end);
    Ok(())
}

/// Reads a partition from a place to its end, which is returned.
pub(crate) fn read_partition(
    config: ReaderConfig,
    context: &Context,
    from: ReadFrom,
    mut take: impl FnMut(&Message<'_>),
) -> Result<i64> {
    let selection = Selection::of_partitions(context.topic(), [context.partition()], from);
    let mut reader = Reader::open(config, &[selection])?;
    while let Some(batch) = reader.next(PATIENCE)? {
        if context.is_revoked() {
            return Err(Error::new(ErrorKind::NotOwned, "read a partition", "the partition went elsewhere"));
        }
        batch.iter().for_each(|message| take(&message));
    }
    Ok(reader.places().first().map_or(0, |place| place.end))
}
