//! What consumer groups have committed, asked and set from outside of them.
//!
//! Called on the threads of admins and redrives; waits for the group's coordinator, within the given timeout.

use super::client::Client;
use super::partitions::{self, List, PartitionOffset};
use super::{c_string, code, sys, taken, text_of};
use crate::{Error, ErrorKind, Result};
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Operation;

impl Client {
    /// The offsets and metadata that a group has committed for these partitions, or for all that it knows. `decided`: a partition
    /// whose offset an open transaction is about to change is an error.
    pub(crate) fn group_offsets(
        &self,
        group: &str,
        partitions: Option<&[PartitionOffset]>,
        decided: bool,
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>> {
        const OPERATION: &str = "read a group's offsets";
        let name = c_string(group, OPERATION)?;
        let list = partitions.map(|partitions| list(partitions, OPERATION)).transpose()?;
        let prepare = |options| {
            // SAFETY: the options are valid.
            taken(
                unsafe { sys::rd_kafka_AdminOptions_set_require_stable_offsets(options, i32::from(decided)) },
                OPERATION,
            )
        };
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            let list = list.as_ref().map_or(std::ptr::null(), |list| list.as_ptr().cast_const());
            // SAFETY: all handles are valid; the request is destroyed once, after librdkafka copied it.
            unsafe {
                let request = sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), list);
                let mut requests = [request];
                sys::rd_kafka_ListConsumerGroupOffsets(self.as_ptr(), requests.as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            }
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        let answer = self.ask(kind, OPERATION, timeout, prepare, send).map_err(|error| error.with("group", group))?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_ListConsumerGroupOffsets_result(answer.as_ptr());
            let mut count = 0;
            let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
            read_group(groups, count, group, OPERATION)
        }
    }

    /// Sets what a group has committed; it must have no members. Each answer has a code of its own.
    pub(crate) fn alter_group_offsets(
        &self,
        group: &str,
        offsets: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>> {
        const OPERATION: &str = "set a group's offsets";
        if offsets.is_empty() {
            return Ok(Vec::new());
        }
        let name = c_string(group, OPERATION)?;
        let list = list(offsets, OPERATION)?;
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all handles are valid; the request is destroyed once, after librdkafka copied it.
            unsafe {
                let request = sys::rd_kafka_AlterConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr());
                let mut requests = [request];
                sys::rd_kafka_AlterConsumerGroupOffsets(self.as_ptr(), requests.as_mut_ptr(), 1, options, queue);
                sys::rd_kafka_AlterConsumerGroupOffsets_destroy(request);
            }
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
        let answer = self.ask(kind, OPERATION, timeout, |_| Ok(()), send);
        let answer = answer.map_err(|error| with_members(error, group))?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_AlterConsumerGroupOffsets_result(answer.as_ptr());
            let mut count = 0;
            let groups = sys::rd_kafka_AlterConsumerGroupOffsets_result_groups(result, &raw mut count);
            read_group(groups, count, group, OPERATION)
        }
    }
}

/// A group with members refuses; that is said in words.
pub(crate) fn with_members(error: Error, group: &str) -> Error {
    let number = error.kafka().unwrap_or(code::NO_ERROR);
    if number != code::UNKNOWN_MEMBER_ID && number != code::NON_EMPTY_GROUP {
        return error.with("group", group);
    }
    let message = "the group has members; stop them first";
    Error::new(ErrorKind::Broker, error.operation(), message).kafka_code(number).retriable().with("group", group)
}

fn list(entries: &[PartitionOffset], operation: &'static str) -> Result<List> {
    List::new(entries).ok_or_else(|| Error::new(ErrorKind::Config, operation, "a topic's name contains a NUL byte"))
}

/// # Safety
/// `groups` must be a list of as many results, valid for the call.
pub(super) unsafe fn read_group(
    groups: *mut *const sys::rd_kafka_group_result_t,
    count: usize,
    group: &str,
    operation: &'static str,
) -> Result<Vec<PartitionOffset>> {
    // SAFETY: promised by the caller.
    unsafe {
        if groups.is_null() || count == 0 {
            return Ok(Vec::new());
        }
        let failure = sys::rd_kafka_group_result_error(*groups);
        if !failure.is_null() {
            let number = sys::rd_kafka_error_code(failure) as i32;
            let text = text_of(sys::rd_kafka_error_string(failure));
            let error = Error::new(super::kind_of(number), operation, text).kafka_code(number);
            return Err(with_members(error, group));
        }
        Ok(partitions::read(sys::rd_kafka_group_result_partitions(*groups)))
    }
}
