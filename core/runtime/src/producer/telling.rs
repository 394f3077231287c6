//! What a producer tells its subscribers.
//!
//! Called by whoever produces, and by the thread that reads reports. Events of single records are made only when somebody named
//! them.

use super::delivery::{Delivery, Outcome};
use super::record::Record;
use crate::event::{Event, Publisher};
use crate::native::{RawStatistics, code, describe, kind_of};
use crate::poller::broker;
use crate::{Error, ErrorKind};
use std::sync::Arc;

/// A record was taken.
pub(super) fn produced(publisher: &Publisher, record: &Record<'_>) {
    publisher.publish(&Event::Produced {
        topic: Arc::from(record.topic),
        partition: record.partition,
        label: record.label.map(str::to_owned),
    });
}

/// A record's way has ended.
pub(super) fn ended(publisher: &Publisher, delivery: &Delivery, partition: i32, outcome: Outcome) {
    let (topic, label) = (Arc::clone(delivery.topic_name()), delivery.label().map(str::to_owned));
    let event = match outcome {
        Ok(report) => Event::Acknowledged { topic, partition, offset: report.offset, label },
        Err(code::PURGED_IN_QUEUE | code::PURGED_IN_FLIGHT) => Event::Purged { topic, partition, label },
        Err(_) => match delivery.result(outcome) {
            Err(error) => Event::Undelivered { error: Arc::new(error.with("partition", partition)), label },
            Ok(_) => return,
        },
    };
    publisher.publish(&event);
}

/// The client complains: only a fatal error needs a person, since the others end, or fail the records that they concern.
pub(super) fn error(publisher: &Publisher, number: i32, is_fatal: bool, text: String) {
    let text = if text.is_empty() { describe(number) } else { text };
    let kind = if is_fatal && number == code::FATAL { ErrorKind::Broker } else { kind_of(number) };
    let error = Error::new(kind, "produce", text).kafka_code(number);
    let error = if is_fatal { error.fatal() } else { error.retriable() };
    let event = Event::Error { error: Arc::new(error), recoverable: !is_fatal };
    if is_fatal {
        publisher.publish(&event);
    } else {
        publisher.offer(&event);
    }
}

/// How the producer does.
pub(super) fn statistics(publisher: &Publisher, in_flight: usize, raw: &RawStatistics) {
    let count = |number: i64| u64::try_from(number).unwrap_or(0);
    let mut brokers: Vec<_> = raw.brokers.values().filter(|broker| broker.nodeid >= 0).map(broker).collect();
    brokers.sort_by_key(|broker| broker.id);
    publisher.publish(&Event::ProducerStatistics {
        name: raw.name.clone(),
        messages_in_flight: in_flight as u64,
        queue_messages: count(raw.msg_cnt),
        queue_bytes: count(raw.msg_size),
        sent_messages: count(raw.txmsgs),
        sent_bytes: count(raw.tx_bytes),
        brokers,
    });
}
