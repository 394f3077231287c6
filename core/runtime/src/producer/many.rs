//! Sending many records by one call.
//!
//! Called by whoever produces, on its thread. What most records are (for one topic, without headers, partition and time, for a
//! producer whose records nobody changes) goes to librdkafka by hundreds; any other record is sent as if it came alone. Guarantees: the
//! order of the list, and that a record that cannot be sent ends the call with none behind it sent.

use super::deliveries::Deliveries;
use super::delivery::Delivery;
use super::outbox::{Outbox, Target, Topic};
use super::record::Record;
use crate::native::{NativeProducer, Plain, code, error as native_error};
use crate::output;
use crate::{Error, ErrorKind, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most records by one call of librdkafka's.
const AT_ONCE: usize = 256;

/// More than librdkafka adds to payload and key of a record when it holds its size against the limit.
const OVERHEAD: u64 = 256;

impl Outbox {
    /// Sends records until one cannot be sent; handles of those that were are added to `sent`. Waits for room until `patience` has
    /// passed, from the beginning of each wait.
    pub(super) fn send_all(&self, records: &[Record<'_>], sent: &mut Deliveries, patience: Duration) -> Result<()> {
        self.owns("produce")?;
        let mut rest = records;
        while let Some(first) = rest.first() {
            let count = if self.is_plain() { self.alike(rest) } else { 0 };
            let (together, others) = rest.split_at(count.max(1));
            match together {
                [_] => sent.push(self.send(first, None, patience)?),
                _ => self.send_alike(together, sent, patience)?,
            }
            rest = others;
        }
        Ok(())
    }

    /// Whether nobody looks at single records on their way.
    fn is_plain(&self) -> bool {
        self.hooks.middleware.is_empty()
            && self.hooks.partitioner.is_none()
            && self.recipient.is_none()
            && !output::is_counting()
            && !self.publisher.wants_jobs()
            && matches!(&*self.target.read(), Some(Target::Kafka { .. }))
    }

    /// How many records at the beginning may go by one call. A size that librdkafka may refuse is left to a call of its own.
    fn alike(&self, records: &[Record<'_>]) -> usize {
        let Some(first) = records.first() else { return 0 };
        let most = self.config.max_payload_bytes;
        let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) as u64;
        let is_plain = |record: &&Record<'_>| {
            record.partition.is_none()
                && record.partition_key.is_none()
                && record.headers.is_empty()
                && record.timestamp_ms.is_none()
                && record.label.is_none()
                && length(record.key).saturating_add(length(record.payload)).saturating_add(OVERHEAD) <= most
                && (std::ptr::eq(record.topic, first.topic) || record.topic == first.topic)
        };
        records.iter().take(AT_ONCE).take_while(is_plain).count()
    }

    fn send_alike(&self, records: &[Record<'_>], sent: &mut Deliveries, patience: Duration) -> Result<()> {
        let (mut rest, mut deadline) = (records, None);
        while let Some(first) = rest.first() {
            let used = self.room.occupied();
            let (done, refused) = self.hand_over_many(rest, sent);
            rest = &rest[done..];
            match refused {
                Some(error) => return Err(error),
                None if done > 0 => deadline = None,
                None => {
                    let deadline = *deadline.get_or_insert_with(|| Instant::now() + patience);
                    if !patience.is_zero() {
                        self.wait_for_room(used, deadline);
                    }
                    if patience.is_zero() || Instant::now() >= deadline {
                        return Err(self.full(first, patience));
                    }
                }
            }
        }
        Ok(())
    }

    /// Sends as many as there is room for now. Says how many those were, and why the next one can never be sent, if that is so.
    fn hand_over_many(&self, records: &[Record<'_>], sent: &mut Deliveries) -> (usize, Option<Error>) {
        let Some(first) = records.first() else { return (0, None) };
        loop {
            let unacquainted = {
                let target = self.target.read();
                let target = target.as_ref().filter(|_| !self.closing.load(Ordering::SeqCst));
                let Some(Target::Kafka { topics, client, .. }) = target else {
                    let error = Error::new(ErrorKind::Stopped, "produce", "the producer is closed");
                    return (0, Some(error.with("topic", first.topic)));
                };
                if let Some(topic) = topics.get(first.topic) {
                    return self.send_many_to(client, topic, records, sent);
                }
                Arc::clone(client)
            };
            if let Err(error) = self.meet(&unacquainted, first.topic) {
                return (0, Some(error));
            }
        }
    }

    fn send_many_to(
        &self,
        client: &NativeProducer,
        topic: &Topic,
        records: &[Record<'_>],
        sent: &mut Deliveries,
    ) -> (usize, Option<Error>) {
        let room = self.room.take_up_to(records.len());
        let (lot, start, count) = topic.pile.take_many(room);
        let handle = |place| Delivery::of(Arc::clone(&lot), start + place as u8);
        let plain = records.iter().map(|record| Plain { key: record.key, payload: record.payload });
        let (done, refused) = topic.native.send_many(plain.zip((0..count).map(handle)));
        sent.add(Arc::clone(&lot), start, done);
        if done < room {
            self.room.give(room - done);
        }
        let refused = refused.filter(|number| *number != code::QUEUE_FULL);
        let record = records.get(done);
        let why = |(number, record)| self.why(client, record, native_error(number, "produce"));
        (done, refused.zip(record).map(why))
    }
}
