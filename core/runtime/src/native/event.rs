//! What a consumer's queue tells, copied out of librdkafka's event objects.

use super::partitions::{self, PartitionOffset};
use super::statistics::{self, RawStatistics};
use super::{code, sys, text_of};
use std::ptr::NonNull;

/// Whether partitions come or go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RebalanceKind {
    Assign,
    Revoke,
}

/// One event of a consumer's queue.
pub(crate) enum ConsumerEvent {
    Rebalance {
        kind: RebalanceKind,
        partitions: Vec<PartitionOffset>,
    },
    Committed {
        ticket: u64,
        code: i32,
        partitions: Vec<PartitionOffset>,
    },
    GroupOffsets {
        ticket: u64,
        result: Result<Vec<PartitionOffset>, (i32, String)>,
    },
    /// Where a time, the beginning or the end of a log is; negative where there is no message.
    Offsets {
        ticket: u64,
        result: Result<i64, (i32, String)>,
    },
    Error {
        code: i32,
        fatal: bool,
        text: String,
    },
    Log {
        level: i32,
        facility: String,
        text: String,
    },
    /// A broker has answered.
    Alive,
    /// How the client does.
    Statistics(Box<RawStatistics>),
    /// A message or a partition's error that took the consumer's own queue, which is cut off before assignment.
    Stray {
        topic: String,
        partition: i32,
        offset: i64,
        code: i32,
    },
    Other,
}

struct Owned(NonNull<sys::rd_kafka_event_t>);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the event is ours and is destroyed once.
        unsafe { sys::rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}

/// Copies and destroys an event.
///
/// # Safety
/// `event` must be an event that librdkafka handed over.
pub(super) unsafe fn take(event: NonNull<sys::rd_kafka_event_t>) -> ConsumerEvent {
    let owned = Owned(event);
    let event = owned.0.as_ptr();
    // SAFETY: the event is valid until `owned` drops; each accessor is used on an event of its own type.
    unsafe {
        let number = sys::rd_kafka_event_error(event) as i32;
        match sys::rd_kafka_event_type(event) {
            sys::RD_KAFKA_EVENT_REBALANCE => {
                let partitions = partitions::read(sys::rd_kafka_event_topic_partition_list(event));
                let kind = if number == -175 { RebalanceKind::Assign } else { RebalanceKind::Revoke };
                ConsumerEvent::Rebalance { kind, partitions }
            }
            sys::RD_KAFKA_EVENT_OFFSET_COMMIT => ConsumerEvent::Committed {
                ticket: sys::rd_kafka_event_opaque(event) as u64,
                code: number,
                partitions: partitions::read(sys::rd_kafka_event_topic_partition_list(event)),
            },
            sys::RD_KAFKA_EVENT_LISTCONSUMERGROUPOFFSETS_RESULT => {
                let ticket = sys::rd_kafka_event_opaque(event) as u64;
                ConsumerEvent::GroupOffsets { ticket, result: group_offsets(event, number) }
            }
            sys::RD_KAFKA_EVENT_DESCRIBECLUSTER_RESULT if number == code::NO_ERROR => ConsumerEvent::Alive,
            sys::RD_KAFKA_EVENT_LISTOFFSETS_RESULT => {
                let ticket = sys::rd_kafka_event_opaque(event) as u64;
                ConsumerEvent::Offsets { ticket, result: listed_offset(event, number) }
            }
            sys::RD_KAFKA_EVENT_ERROR => {
                let mut text = text_of(sys::rd_kafka_event_error_string(event));
                if text.is_empty() {
                    text = super::describe(number);
                }
                let fatal = sys::rd_kafka_event_error_is_fatal(event) != 0 || number == code::FATAL;
                ConsumerEvent::Error { code: number, fatal, text }
            }
            sys::RD_KAFKA_EVENT_LOG => {
                let (mut facility, mut text, mut level) = (std::ptr::null(), std::ptr::null(), 0);
                sys::rd_kafka_event_log(event, &raw mut facility, &raw mut text, &raw mut level);
                ConsumerEvent::Log { level, facility: text_of(facility), text: text_of(text) }
            }
            sys::RD_KAFKA_EVENT_STATS => {
                let told = statistics::read(&text_of(sys::rd_kafka_event_stats(event)));
                told.map_or(ConsumerEvent::Other, ConsumerEvent::Statistics)
            }
            sys::RD_KAFKA_EVENT_FETCH => {
                let message = sys::rd_kafka_event_message_next(event);
                if message.is_null() {
                    return ConsumerEvent::Other;
                }
                // The event keeps the message; what is needed is copied.
                ConsumerEvent::Stray {
                    topic: text_of(sys::rd_kafka_topic_name((*message).rkt)),
                    partition: (*message).partition,
                    offset: (*message).offset,
                    code: (&raw const (*message).err).cast::<i32>().read(),
                }
            }
            _ => ConsumerEvent::Other,
        }
    }
}

/// # Safety
/// `event` must be a valid answer to a request for a group's offsets.
unsafe fn group_offsets(event: *mut sys::rd_kafka_event_t, number: i32) -> Result<Vec<PartitionOffset>, (i32, String)> {
    // SAFETY: promised by the caller; results live as long as the event.
    unsafe {
        if number != code::NO_ERROR {
            return Err((number, text_of(sys::rd_kafka_event_error_string(event))));
        }
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        if groups.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        let group = *groups;
        let failure = sys::rd_kafka_group_result_error(group);
        if !failure.is_null() {
            let number = sys::rd_kafka_error_code(failure) as i32;
            return Err((number, text_of(sys::rd_kafka_error_string(failure))));
        }
        Ok(partitions::read(sys::rd_kafka_group_result_partitions(group)))
    }
}

/// # Safety
/// `event` must be a valid answer to a request for the offset of one partition.
unsafe fn listed_offset(event: *mut sys::rd_kafka_event_t, number: i32) -> Result<i64, (i32, String)> {
    // SAFETY: promised by the caller; results live as long as the event.
    unsafe {
        if number != code::NO_ERROR {
            return Err((number, text_of(sys::rd_kafka_event_error_string(event))));
        }
        let result = sys::rd_kafka_event_ListOffsets_result(event);
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        if infos.is_null() || count == 0 {
            return Ok(-1);
        }
        let partition = sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*infos);
        match (&raw const (*partition).err).cast::<i32>().read() {
            code::NO_ERROR => Ok((*partition).offset),
            number => Err((number, super::describe(number))),
        }
    }
}
