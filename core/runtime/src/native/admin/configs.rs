//! Settings of topics, brokers and groups: read and changed.

use super::super::client::Client;
use super::super::{c_string, sys, taken, text_of};
use super::{Outcome, Owned, optional};
use crate::Result;
use std::time::Duration;
use sys::rd_kafka_AlterConfigOpType_t as Change;
use sys::rd_kafka_ResourceType_t as Kind;
use sys::rd_kafka_admin_op_t as Operation;

/// What has settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawResource {
    Topic,
    Broker,
}

impl RawResource {
    fn native(self) -> Kind {
        match self {
            Self::Topic => Kind::RD_KAFKA_RESOURCE_TOPIC,
            Self::Broker => Kind::RD_KAFKA_RESOURCE_BROKER,
        }
    }
}

/// Who has set a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Nobody,
    /// Somebody, for this topic.
    Topic,
    /// Somebody, for a broker or for all of them.
    Brokers,
}

/// A setting as a broker tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawConfigEntry {
    pub(crate) name: String,
    /// None where it is secret.
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
    pub(crate) is_read_only: bool,
    pub(crate) is_sensitive: bool,
}

/// Who has set a setting.
///
/// # Safety
/// `entry` must be valid.
unsafe fn origin(entry: *const sys::rd_kafka_ConfigEntry_t) -> Origin {
    // SAFETY: the entry is valid.
    let (is_default, source) =
        unsafe { (sys::rd_kafka_ConfigEntry_is_default(entry), sys::rd_kafka_ConfigEntry_source(entry)) };
    match source {
        _ if is_default == 1 => Origin::Nobody,
        sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG => Origin::Topic,
        _ => Origin::Brokers,
    }
}

impl Client {
    /// The settings of one thing.
    pub(crate) fn describe_configs(
        &self,
        kind: RawResource,
        name: &str,
        timeout: Duration,
    ) -> Result<(Outcome, Vec<RawConfigEntry>)> {
        const OPERATION: &str = "describe settings";
        let resource_name = c_string(name, OPERATION)?;
        let mut owned = Owned::new(sys::rd_kafka_ConfigResource_destroy);
        // SAFETY: the name is valid and copied; the object is ours.
        owned.items.push(unsafe { sys::rd_kafka_ConfigResource_new(kind.native(), resource_name.as_ptr()) });
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DescribeConfigs(self.as_ptr(), owned.items.as_ptr().cast_mut(), 1, options, queue);
            }
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds.
        unsafe {
            let result = sys::rd_kafka_event_DescribeConfigs_result(answer.as_ptr());
            let mut count = 0;
            let resources = sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
            if count == 0 {
                return Ok(((name.to_owned(), 0, String::new()), Vec::new()));
            }
            let resource = *resources;
            let mut length = 0;
            let entries = sys::rd_kafka_ConfigResource_configs(resource, &raw mut length);
            let entry = |at| {
                let entry = *entries.add(at);
                RawConfigEntry {
                    name: text_of(sys::rd_kafka_ConfigEntry_name(entry)),
                    value: optional(sys::rd_kafka_ConfigEntry_value(entry)),
                    origin: origin(entry),
                    is_read_only: sys::rd_kafka_ConfigEntry_is_read_only(entry) == 1,
                    is_sensitive: sys::rd_kafka_ConfigEntry_is_sensitive(entry) == 1,
                }
            };
            Ok((outcome(resource), (0..length).map(entry).collect()))
        }
    }

    /// Sets settings of one thing, or puts them back to their defaults (no value).
    pub(crate) fn alter_configs(
        &self,
        kind: RawResource,
        name: &str,
        changes: &[(String, Option<String>)],
        timeout: Duration,
    ) -> Result<Vec<Outcome>> {
        const OPERATION: &str = "change settings";
        let resource_name = c_string(name, OPERATION)?;
        let mut owned = Owned::new(sys::rd_kafka_ConfigResource_destroy);
        // SAFETY: the name is valid and copied; the object is ours.
        let resource = unsafe { sys::rd_kafka_ConfigResource_new(kind.native(), resource_name.as_ptr()) };
        owned.items.push(resource);
        for (name, value) in changes {
            let name = c_string(name, OPERATION)?;
            let value = value.as_ref().map(|value| c_string(value, OPERATION)).transpose()?;
            let (change, pointer) = match &value {
                Some(value) => (Change::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, value.as_ptr()),
                None => (Change::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, std::ptr::null()),
            };
            // SAFETY: all are valid for the call, and copied.
            let added = unsafe {
                sys::rd_kafka_ConfigResource_add_incremental_config(resource, name.as_ptr(), change, pointer)
            };
            taken(added, OPERATION)?;
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_IncrementalAlterConfigs(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    1,
                    options,
                    queue,
                );
            }
        };
        let kind = Operation::RD_KAFKA_ADMIN_OP_INCREMENTALALTERCONFIGS;
        let answer = self.ask(kind, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_IncrementalAlterConfigs_result(answer.as_ptr());
            let mut count = 0;
            let resources = sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut count);
            Ok((0..count).map(|at| outcome(*resources.add(at))).collect())
        }
    }
}

/// # Safety
/// The resource must be valid.
unsafe fn outcome(resource: *const sys::rd_kafka_ConfigResource_t) -> Outcome {
    // SAFETY: promised by the caller.
    unsafe {
        let number = sys::rd_kafka_ConfigResource_error(resource) as i32;
        let text = text_of(sys::rd_kafka_ConfigResource_error_string(resource));
        (text_of(sys::rd_kafka_ConfigResource_name(resource)), number, text)
    }
}
