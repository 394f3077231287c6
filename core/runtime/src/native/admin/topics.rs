//! Topics: created, deleted, given more partitions, and cut at their beginning.

use super::super::client::{Client, milliseconds};
use super::super::partitions::{self, List, PartitionOffset};
use super::super::{c_string, sys, taken, text_of};
use super::{Outcome, Owned, told, topic_outcomes};
use crate::{Error, ErrorKind, Result};
use std::ffi::{c_char, c_int};
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Operation;

/// A topic to be made.
#[derive(Debug, Clone)]
pub(crate) struct RawNewTopic {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    /// −1 for the cluster's default.
    pub(crate) replicas: i32,
    pub(crate) configs: Vec<(String, String)>,
}

/// Lets brokers answer only when it is done, and, if wanted, do nothing.
fn prepare(
    options: *mut sys::rd_kafka_AdminOptions_t,
    timeout: Duration,
    is_rehearsal: Option<bool>,
    operation: &'static str,
) -> Result<()> {
    let mut text = [0 as c_char; 256];
    // SAFETY: options and buffer are valid.
    let number = unsafe {
        sys::rd_kafka_AdminOptions_set_operation_timeout(options, milliseconds(timeout), text.as_mut_ptr(), text.len())
            as i32
    };
    if number != 0 {
        return Err(Error::new(ErrorKind::Internal, operation, text_of(text.as_ptr())));
    }
    if let Some(is_rehearsal) = is_rehearsal {
        // SAFETY: as above.
        let number = unsafe {
            sys::rd_kafka_AdminOptions_set_validate_only(
                options,
                c_int::from(is_rehearsal),
                text.as_mut_ptr(),
                text.len(),
            ) as i32
        };
        if number != 0 {
            return Err(Error::new(ErrorKind::Internal, operation, text_of(text.as_ptr())));
        }
    }
    Ok(())
}

impl Client {
    pub(crate) fn create_topics(
        &self,
        topics: &[RawNewTopic],
        is_rehearsal: bool,
        timeout: Duration,
    ) -> Result<Vec<Outcome>> {
        const OPERATION: &str = "create topics";
        let mut owned = Owned::new(sys::rd_kafka_NewTopic_destroy);
        for topic in topics {
            let name = c_string(&topic.name, OPERATION)?;
            let mut text = [0 as c_char; 256];
            // SAFETY: name and buffer are valid; the object is ours.
            let native = unsafe {
                sys::rd_kafka_NewTopic_new(
                    name.as_ptr(),
                    topic.partitions,
                    topic.replicas,
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            if native.is_null() {
                let error = Error::new(ErrorKind::Config, OPERATION, text_of(text.as_ptr()));
                return Err(error.with("topic", &topic.name));
            }
            owned.items.push(native);
            for (name, value) in &topic.configs {
                let (name, value) = (c_string(name, OPERATION)?, c_string(value, OPERATION)?);
                // SAFETY: all are valid for the call, and copied.
                unsafe { sys::rd_kafka_NewTopic_set_config(native, name.as_ptr(), value.as_ptr()) };
            }
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_CreateTopics(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    owned.items.len(),
                    options,
                    queue,
                );
            }
        };
        let prepare = |options| prepare(options, timeout, Some(is_rehearsal), OPERATION);
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_CREATETOPICS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_CreateTopics_result(answer.as_ptr());
            let mut count = 0;
            let results = sys::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
            Ok(topic_outcomes(results, count))
        }
    }

    pub(crate) fn delete_topics(&self, topics: &[&str], timeout: Duration) -> Result<Vec<Outcome>> {
        const OPERATION: &str = "delete topics";
        let mut owned = Owned::new(sys::rd_kafka_DeleteTopic_destroy);
        for topic in topics {
            let name = c_string(topic, OPERATION)?;
            // SAFETY: the name is valid and copied; the object is ours.
            owned.items.push(unsafe { sys::rd_kafka_DeleteTopic_new(name.as_ptr()) });
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DeleteTopics(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    owned.items.len(),
                    options,
                    queue,
                );
            }
        };
        let prepare = |options| prepare(options, timeout, None, OPERATION);
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DELETETOPICS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_DeleteTopics_result(answer.as_ptr());
            let mut count = 0;
            let results = sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut count);
            Ok(topic_outcomes(results, count))
        }
    }

    /// Gives topics more partitions: so many in all.
    pub(crate) fn create_partitions(
        &self,
        topics: &[(&str, i32)],
        is_rehearsal: bool,
        timeout: Duration,
    ) -> Result<Vec<Outcome>> {
        const OPERATION: &str = "add partitions";
        let mut owned = Owned::new(sys::rd_kafka_NewPartitions_destroy);
        for (topic, partitions) in topics {
            let name = c_string(topic, OPERATION)?;
            let mut text = [0 as c_char; 256];
            let total = usize::try_from(*partitions).unwrap_or(0);
            // SAFETY: name and buffer are valid; the object is ours.
            let native =
                unsafe { sys::rd_kafka_NewPartitions_new(name.as_ptr(), total, text.as_mut_ptr(), text.len()) };
            if native.is_null() {
                return Err(Error::new(ErrorKind::Config, OPERATION, text_of(text.as_ptr())).with("topic", topic));
            }
            owned.items.push(native);
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            let count = owned.items.len();
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_CreatePartitions(self.as_ptr(), owned.items.as_ptr().cast_mut(), count, options, queue);
            }
        };
        let prepare = |options| prepare(options, timeout, Some(is_rehearsal), OPERATION);
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_CREATEPARTITIONS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_CreatePartitions_result(answer.as_ptr());
            let mut count = 0;
            let results = sys::rd_kafka_CreatePartitions_result_topics(result, &raw mut count);
            Ok(topic_outcomes(results, count))
        }
    }

    /// Whether the client's user may write to a topic; `None` where brokers do not tell.
    pub(crate) fn may_write(&self, topic: &str, timeout: Duration) -> Result<Option<bool>> {
        const OPERATION: &str = "ask for rights";
        const WRITE: u32 = sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE as u32;
        const DESCRIBE: u32 = sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE as u32;
        let name = c_string(topic, OPERATION)?;
        let mut names = [name.as_ptr()];
        let mut owned = Owned::new(sys::rd_kafka_TopicCollection_destroy);
        // SAFETY: the name is valid and copied; the object is ours.
        owned.items.push(unsafe { sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len()) });
        let prepare = |options| {
            // SAFETY: the options are valid.
            taken(unsafe { sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1) }, OPERATION)
        };
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            for topics in &owned.items {
                // SAFETY: all are valid for the call, and copied.
                unsafe { sys::rd_kafka_DescribeTopics(self.as_ptr(), *topics, options, queue) };
            }
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds. Rights are
        // read as numbers: a broker may know one more.
        unsafe {
            let result = sys::rd_kafka_event_DescribeTopics_result(answer.as_ptr());
            let (mut count, mut rights) = (0, 0);
            let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            if count == 0 {
                return Ok(None);
            }
            let (number, text) = told(sys::rd_kafka_TopicDescription_error(*topics));
            if number != 0 {
                return Err(Error::new(super::super::kind_of(number), OPERATION, text).kafka_code(number));
            }
            let first = sys::rd_kafka_TopicDescription_authorized_operations(*topics, &raw mut rights).cast::<u32>();
            let may = |right| (0..rights).any(|at| *first.add(at) == right);
            // Who sees a topic may describe it: a broker that does not say so tells nothing.
            Ok(may(DESCRIBE).then(|| may(WRITE)))
        }
    }

    /// Deletes what lies below an offset (none: all that is there); each answer has the new beginning, or a code of its own.
    pub(crate) fn delete_records(&self, before: &[PartitionOffset], timeout: Duration) -> Result<Vec<PartitionOffset>> {
        const OPERATION: &str = "delete records";
        const END: i64 = -1;
        let invalid = || Error::new(ErrorKind::Config, OPERATION, "a topic's name contains a NUL byte");
        let entry = |entry: &PartitionOffset| PartitionOffset { offset: entry.offset.or(Some(END)), ..entry.clone() };
        let list = List::new(&before.iter().map(entry).collect::<Vec<_>>()).ok_or_else(invalid)?;
        let mut owned = Owned::new(sys::rd_kafka_DeleteRecords_destroy);
        // SAFETY: the list is valid and copied; the object is ours.
        owned.items.push(unsafe { sys::rd_kafka_DeleteRecords_new(list.as_ptr()) });
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DeleteRecords(self.as_ptr(), owned.items.as_ptr().cast_mut(), 1, options, queue);
            }
        };
        let prepare = |options| prepare(options, timeout, None, OPERATION);
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DELETERECORDS, OPERATION, timeout, prepare, send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_DeleteRecords_result(answer.as_ptr());
            Ok(partitions::read(sys::rd_kafka_DeleteRecords_result_offsets(result)))
        }
    }
}
