//! Consumer groups: listed, described, deleted.

use super::super::client::Client;
use super::super::partitions::{self, List, PartitionOffset};
use super::super::{c_string, sys, text_of};
use super::{Outcome, Owned, optional, told};
use crate::{Error, ErrorKind, Result};
use std::ffi::CString;
use std::time::Duration;
use sys::rd_kafka_admin_op_t as Operation;

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawGroupListing {
    pub(crate) group: String,
    pub(crate) state: String,
    pub(crate) protocol: String,
}

/// Codes and texts of what brokers refused.
type Refusals = Vec<(i32, String)>;

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawMember {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) instance_id: Option<String>,
    pub(crate) host: String,
    pub(crate) partitions: Vec<PartitionOffset>,
}

/// A group, described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawGroup {
    pub(crate) outcome: Outcome,
    pub(crate) state: String,
    pub(crate) protocol: String,
    pub(crate) assignor: String,
    /// Negative where it is unknown.
    pub(crate) coordinator: i32,
    pub(crate) members: Vec<RawMember>,
}

impl Client {
    /// All groups, and what brokers refused to list.
    pub(crate) fn list_groups(&self, timeout: Duration) -> Result<(Vec<RawGroupListing>, Refusals)> {
        const OPERATION: &str = "list groups";
        // SAFETY: all handles are valid.
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| unsafe {
            sys::rd_kafka_ListConsumerGroups(self.as_ptr(), options, queue);
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
        let answer = self.ask(kind, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds.
        unsafe {
            let result = sys::rd_kafka_event_ListConsumerGroups_result(answer.as_ptr());
            let (mut count, mut failures) = (0, 0);
            let groups = sys::rd_kafka_ListConsumerGroups_result_valid(result, &raw mut count);
            let errors = sys::rd_kafka_ListConsumerGroups_result_errors(result, &raw mut failures);
            let group = |at| {
                let group = *groups.add(at);
                RawGroupListing {
                    group: text_of(sys::rd_kafka_ConsumerGroupListing_group_id(group)),
                    state: state(sys::rd_kafka_ConsumerGroupListing_state(group)),
                    protocol: protocol(sys::rd_kafka_ConsumerGroupListing_type(group)),
                }
            };
            let failed = (0..failures).map(|at| told(*errors.add(at))).collect();
            Ok(((0..count).map(group).collect(), failed))
        }
    }

    pub(crate) fn describe_groups(&self, groups: &[&str], timeout: Duration) -> Result<Vec<RawGroup>> {
        const OPERATION: &str = "describe groups";
        let names = groups.iter().map(|group| c_string(group, OPERATION)).collect::<Result<Vec<CString>>>()?;
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: all are valid for the call, and copied.
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| unsafe {
            let (start, count) = (pointers.as_mut_ptr(), pointers.len());
            sys::rd_kafka_DescribeConsumerGroups(self.as_ptr(), start, count, options, queue);
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        let answer = self.ask(kind, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(answer.as_ptr());
            let mut count = 0;
            let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            Ok((0..count).map(|at| describe(*groups.add(at))).collect())
        }
    }

    pub(crate) fn delete_groups(&self, groups: &[&str], timeout: Duration) -> Result<Vec<Outcome>> {
        const OPERATION: &str = "delete groups";
        let mut owned = Owned::new(sys::rd_kafka_DeleteGroup_destroy);
        for group in groups {
            let name = c_string(group, OPERATION)?;
            // SAFETY: the name is valid and copied; the object is ours.
            owned.items.push(unsafe { sys::rd_kafka_DeleteGroup_new(name.as_ptr()) });
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DeleteGroups(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    owned.items.len(),
                    options,
                    queue,
                );
            }
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DELETEGROUPS, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_DeleteGroups_result(answer.as_ptr());
            let mut count = 0;
            let results = sys::rd_kafka_DeleteGroups_result_groups(result, &raw mut count);
            let one = |at| {
                let result = *results.add(at);
                let (number, text) = told(sys::rd_kafka_group_result_error(result));
                (text_of(sys::rd_kafka_group_result_name(result)), number, text)
            };
            Ok((0..count).map(one).collect())
        }
    }

    /// Forgets what a group has committed for some partitions.
    pub(crate) fn delete_group_offsets(
        &self,
        group: &str,
        partitions: &[PartitionOffset],
        timeout: Duration,
    ) -> Result<Vec<PartitionOffset>> {
        const OPERATION: &str = "delete a group's offsets";
        let name = c_string(group, OPERATION)?;
        let list = List::new(partitions)
            .ok_or_else(|| Error::new(ErrorKind::Config, OPERATION, "a topic's name contains a NUL byte"))?;
        let mut owned = Owned::new(sys::rd_kafka_DeleteConsumerGroupOffsets_destroy);
        // SAFETY: name and list are valid and copied; the object is ours.
        owned.items.push(unsafe { sys::rd_kafka_DeleteConsumerGroupOffsets_new(name.as_ptr(), list.as_ptr()) });
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DeleteConsumerGroupOffsets(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    1,
                    options,
                    queue,
                );
            }
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_DELETECONSUMERGROUPOFFSETS;
        let answer = self.ask(kind, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_DeleteConsumerGroupOffsets_result(answer.as_ptr());
            let mut count = 0;
            let groups = sys::rd_kafka_DeleteConsumerGroupOffsets_result_groups(result, &raw mut count);
            super::super::groups::read_group(groups, count, group, OPERATION)
        }
    }
}

/// # Safety
/// The description must be valid.
unsafe fn describe(group: *const sys::rd_kafka_ConsumerGroupDescription_t) -> RawGroup {
    // SAFETY: promised by the caller; members are counted by librdkafka.
    unsafe {
        let (number, text) = told(sys::rd_kafka_ConsumerGroupDescription_error(group));
        let node = sys::rd_kafka_ConsumerGroupDescription_coordinator(group);
        let member = |at| {
            let member = sys::rd_kafka_ConsumerGroupDescription_member(group, at);
            let assignment = sys::rd_kafka_MemberDescription_assignment(member);
            let assigned = if assignment.is_null() {
                std::ptr::null()
            } else {
                sys::rd_kafka_MemberAssignment_partitions(assignment)
            };
            RawMember {
                id: text_of(sys::rd_kafka_MemberDescription_consumer_id(member)),
                client_id: text_of(sys::rd_kafka_MemberDescription_client_id(member)),
                instance_id: optional(sys::rd_kafka_MemberDescription_group_instance_id(member))
                    .filter(|id| !id.is_empty()),
                host: text_of(sys::rd_kafka_MemberDescription_host(member)),
                partitions: partitions::read(assigned),
            }
        };
        RawGroup {
            outcome: (text_of(sys::rd_kafka_ConsumerGroupDescription_group_id(group)), number, text),
            state: state(sys::rd_kafka_ConsumerGroupDescription_state(group)),
            protocol: protocol(sys::rd_kafka_ConsumerGroupDescription_type(group)),
            assignor: text_of(sys::rd_kafka_ConsumerGroupDescription_partition_assignor(group)),
            coordinator: if node.is_null() { -1 } else { sys::rd_kafka_Node_id(node) },
            members: (0..sys::rd_kafka_ConsumerGroupDescription_member_count(group)).map(member).collect(),
        }
    }
}

fn state(state: sys::rd_kafka_consumer_group_state_t) -> String {
    // SAFETY: returns a static text for every state.
    text_of(unsafe { sys::rd_kafka_consumer_group_state_name(state) })
}

fn protocol(kind: sys::rd_kafka_consumer_group_type_t) -> String {
    // SAFETY: returns a static text for every type.
    text_of(unsafe { sys::rd_kafka_consumer_group_type_name(kind) })
}
