//! Offsets of a group that are committed by a transaction: who says them, how they go, and what came of it.
//!
//! Called by whoever has the transaction, on any thread that may wait for brokers.

use super::consumer::OFFSETS_TIMEOUT_MS;
use super::groups::read_group;
use super::partitions::{List, PartitionOffset};
use super::producer::NativeProducer;
use super::transaction::{Ended, Trouble, ended, milliseconds};
use super::{code, error, sys, text_of};
use crate::{Error, ErrorKind, Result};
use std::ffi::{CString, c_char};
use std::ptr::NonNull;
use std::time::Duration;

const OPERATION: &str = "look up what a transaction left";

/// Who commits offsets in a transaction, by which the group's coordinator knows members of the past.
pub(crate) struct GroupMetadata(NonNull<sys::rd_kafka_consumer_group_metadata_t>);

// SAFETY: the object is only read once it is made.
unsafe impl Send for GroupMetadata {}

impl GroupMetadata {
    /// Takes over what a consumer gave. `None` when it is no member of its group: brokers do not fence such a one.
    ///
    /// # Safety
    /// The pointer must be NULL or an object that is ours.
    pub(super) unsafe fn of_member(pointer: *mut sys::rd_kafka_consumer_group_metadata_t) -> Option<Self> {
        let metadata = Self(NonNull::new(pointer)?);
        // SAFETY: the object is valid, and the text lives as long as it.
        let (generation, member) = unsafe {
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(pointer);
            (generation, text_of(sys::rd_kafka_consumer_group_metadata_member_id(pointer)))
        };
        (generation >= 0 && !member.is_empty()).then_some(metadata)
    }
}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: the object is ours and is destroyed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.0.as_ptr()) };
    }
}

impl NativeProducer {
    /// Makes offsets of a group part of the transaction.
    pub(crate) fn send_offsets(&self, offsets: &[PartitionOffset], member: &GroupMetadata, timeout: Duration) -> Ended {
        const OPERATION: &str = "commit offsets in a transaction";
        let Some(list) = List::new(offsets) else {
            let message = "a topic name contains a NUL byte";
            return Err((Trouble::Refused, Error::new(ErrorKind::Config, OPERATION, message)));
        };
        // SAFETY: client, list and metadata are valid; librdkafka copies them.
        let pointer = unsafe {
            sys::rd_kafka_send_offsets_to_transaction(
                self.as_ptr(),
                list.as_ptr(),
                member.0.as_ptr(),
                milliseconds(timeout),
            )
        };
        ended(pointer, OPERATION)
    }

    /// What a group has committed for one partition, once no transaction is open on it. Waits for the coordinator.
    pub(crate) fn stable_offset(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        timeout: Duration,
    ) -> Result<PartitionOffset> {
        let refused = |message: &str| Error::new(ErrorKind::Broker, OPERATION, message);
        let name = CString::new(group).map_err(|_| refused("the group's name contains a NUL byte"))?;
        let Some(list) = List::new(&[PartitionOffset::new(topic, partition)]) else {
            return Err(refused("the topic's name contains a NUL byte"));
        };
        let client = self.as_ptr();
        // SAFETY: everything is valid and ours; request, options, event and queue are given back once, after their last use.
        let entries = unsafe {
            let queue = sys::rd_kafka_queue_new(client);
            let request = sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr());
            let options = sys::rd_kafka_AdminOptions_new(
                client,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
            );
            let mut text = [0 as c_char; 256];
            sys::rd_kafka_AdminOptions_set_request_timeout(options, OFFSETS_TIMEOUT_MS, text.as_mut_ptr(), text.len());
            let stable = sys::rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);
            let _ = super::taken(stable, OPERATION);
            let mut requests = [request];
            sys::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue);
            // An answer to a queue that was given back is freed by librdkafka.
            let event = sys::rd_kafka_queue_poll(queue, milliseconds(timeout));
            let entries = answered(event, group);
            if !event.is_null() {
                sys::rd_kafka_event_destroy(event);
            }
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_queue_destroy(queue);
            entries
        };
        let entries = entries.map_err(Error::retriable)?;
        let entry = entries.into_iter().next().ok_or_else(|| refused("the coordinator told nothing").retriable())?;
        if entry.code == code::NO_ERROR { Ok(entry) } else { Err(error(entry.code, OPERATION).retriable()) }
    }
}

/// What the coordinator told of a group's offsets.
///
/// # Safety
/// `event` must be NULL or valid.
unsafe fn answered(event: *mut sys::rd_kafka_event_t, group: &str) -> Result<Vec<PartitionOffset>> {
    if event.is_null() {
        return Err(error(code::TIMED_OUT, OPERATION));
    }
    // SAFETY: the event is valid; results live as long as it and are copied.
    unsafe {
        let number = sys::rd_kafka_event_error(event) as i32;
        if number != code::NO_ERROR {
            return Err(error(number, OPERATION));
        }
        let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        if result.is_null() {
            return Err(error(code::TIMED_OUT, OPERATION));
        }
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        read_group(groups, count, group, OPERATION)
    }
}
