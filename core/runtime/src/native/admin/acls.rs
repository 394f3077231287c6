//! Access rules: made, found, deleted.
//!
//! Numbers are Kafka's own, checked against librdkafka's before they become its types. What librdkafka does not know in an answer,
//! it turns into "unknown" itself.

use super::super::client::Client;
use super::super::{c_string, sys, text_of};
use super::{Owned, optional, told};
use crate::{Error, ErrorKind, Result};
use std::ffi::{CString, c_char};
use std::time::Duration;
use sys::rd_kafka_AclOperation_t as Right;
use sys::rd_kafka_AclPermissionType_t as Permission;
use sys::rd_kafka_ResourcePatternType_t as Pattern;
use sys::rd_kafka_ResourceType_t as Kind;
use sys::rd_kafka_admin_op_t as Operation;

/// A rule, in Kafka's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawAcl {
    pub(crate) resource: i32,
    pub(crate) name: String,
    pub(crate) pattern: i32,
    pub(crate) principal: String,
    pub(crate) host: String,
    pub(crate) right: i32,
    pub(crate) permission: i32,
}

/// Which rules are meant; a name, principal or host that is missing means any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawAclFilter {
    pub(crate) resource: i32,
    pub(crate) name: Option<String>,
    pub(crate) pattern: i32,
    pub(crate) principal: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) right: i32,
    pub(crate) permission: i32,
}

const KINDS: [Kind; 5] = [
    Kind::RD_KAFKA_RESOURCE_ANY,
    Kind::RD_KAFKA_RESOURCE_TOPIC,
    Kind::RD_KAFKA_RESOURCE_GROUP,
    Kind::RD_KAFKA_RESOURCE_BROKER,
    Kind::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
];
const PATTERNS: [Pattern; 4] = [
    Pattern::RD_KAFKA_RESOURCE_PATTERN_ANY,
    Pattern::RD_KAFKA_RESOURCE_PATTERN_MATCH,
    Pattern::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
    Pattern::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
];
const RIGHTS: [Right; 12] = [
    Right::RD_KAFKA_ACL_OPERATION_ANY,
    Right::RD_KAFKA_ACL_OPERATION_ALL,
    Right::RD_KAFKA_ACL_OPERATION_READ,
    Right::RD_KAFKA_ACL_OPERATION_WRITE,
    Right::RD_KAFKA_ACL_OPERATION_CREATE,
    Right::RD_KAFKA_ACL_OPERATION_DELETE,
    Right::RD_KAFKA_ACL_OPERATION_ALTER,
    Right::RD_KAFKA_ACL_OPERATION_DESCRIBE,
    Right::RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION,
    Right::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
    Right::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS,
    Right::RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE,
];
const PERMISSIONS: [Permission; 3] = [
    Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
    Permission::RD_KAFKA_ACL_PERMISSION_TYPE_DENY,
    Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
];

type Maker = unsafe extern "C" fn(
    Kind,
    *const c_char,
    Pattern,
    *const c_char,
    *const c_char,
    Right,
    Permission,
    *mut c_char,
    usize,
) -> *mut sys::rd_kafka_AclBinding_t;

fn known<T: Copy>(list: &[T], number: i32, operation: &'static str, of: impl Fn(T) -> i32) -> Result<T> {
    list.iter().copied().find(|entry| of(*entry) == number).ok_or_else(|| {
        let message = format!("librdkafka {} has no such rule (number {number})", super::super::version());
        Error::new(ErrorKind::Unsupported, operation, message)
    })
}

/// One rule or filter, made by `make`.
fn native(filter: &RawAclFilter, operation: &'static str, make: Maker) -> Result<*mut sys::rd_kafka_AclBinding_t> {
    let text_of_option = |text: &Option<String>| text.as_ref().map(|text| c_string(text, operation)).transpose();
    let (name, principal, host) =
        (text_of_option(&filter.name)?, text_of_option(&filter.principal)?, text_of_option(&filter.host)?);
    let kind = known(&KINDS, filter.resource, operation, |kind| kind as i32)?;
    let pattern = known(&PATTERNS, filter.pattern, operation, |pattern| pattern as i32)?;
    let right = known(&RIGHTS, filter.right, operation, |right| right as i32)?;
    let permission = known(&PERMISSIONS, filter.permission, operation, |permission| permission as i32)?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    let mut text = [0 as c_char; 256];
    // SAFETY: texts and buffer are valid for the call; `make` is one of librdkafka's two functions of this type.
    let binding = unsafe {
        make(
            kind,
            pointer(&name),
            pattern,
            pointer(&principal),
            pointer(&host),
            right,
            permission,
            text.as_mut_ptr(),
            text.len(),
        )
    };
    if binding.is_null() { Err(Error::new(ErrorKind::Config, operation, text_of(text.as_ptr()))) } else { Ok(binding) }
}

impl Client {
    /// Makes rules; each has a code and text of its own.
    pub(crate) fn create_acls(&self, acls: &[RawAcl], timeout: Duration) -> Result<Vec<(i32, String)>> {
        const OPERATION: &str = "create access rules";
        let mut owned = Owned::new(sys::rd_kafka_AclBinding_destroy);
        for acl in acls {
            let acl = acl.clone();
            let exact = RawAclFilter {
                resource: acl.resource,
                name: Some(acl.name),
                pattern: acl.pattern,
                principal: Some(acl.principal),
                host: Some(acl.host),
                right: acl.right,
                permission: acl.permission,
            };
            owned.items.push(native(&exact, OPERATION, sys::rd_kafka_AclBinding_new)?);
        }
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_CreateAcls(
                    self.as_ptr(),
                    owned.items.as_ptr().cast_mut(),
                    owned.items.len(),
                    options,
                    queue,
                );
            }
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_CREATEACLS, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_CreateAcls_result(answer.as_ptr());
            let mut count = 0;
            let results = sys::rd_kafka_CreateAcls_result_acls(result, &raw mut count);
            Ok((0..count).map(|at| told(sys::rd_kafka_acl_result_error(*results.add(at)))).collect())
        }
    }

    pub(crate) fn describe_acls(&self, filter: &RawAclFilter, timeout: Duration) -> Result<Vec<RawAcl>> {
        const OPERATION: &str = "describe access rules";
        let mut owned = Owned::new(sys::rd_kafka_AclBinding_destroy);
        let filter = native(filter, OPERATION, sys::rd_kafka_AclBindingFilter_new)?;
        owned.items.push(filter);
        // SAFETY: all are valid for the call, and copied.
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| unsafe {
            sys::rd_kafka_DescribeAcls(self.as_ptr(), filter, options, queue);
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DESCRIBEACLS, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it.
        unsafe {
            let result = sys::rd_kafka_event_DescribeAcls_result(answer.as_ptr());
            let mut count = 0;
            let acls = sys::rd_kafka_DescribeAcls_result_acls(result, &raw mut count);
            Ok((0..count).map(|at| read(*acls.add(at))).collect())
        }
    }

    /// Deletes what matches, and tells what that was.
    pub(crate) fn delete_acls(&self, filter: &RawAclFilter, timeout: Duration) -> Result<Vec<(RawAcl, i32, String)>> {
        const OPERATION: &str = "delete access rules";
        let mut owned = Owned::new(sys::rd_kafka_AclBinding_destroy);
        owned.items.push(native(filter, OPERATION, sys::rd_kafka_AclBindingFilter_new)?);
        let send = |options: *mut sys::rd_kafka_AdminOptions_t, queue| {
            // SAFETY: all are valid for the call, and copied.
            unsafe {
                sys::rd_kafka_DeleteAcls(self.as_ptr(), owned.items.as_ptr().cast_mut(), 1, options, queue);
            }
        };
        let answer = self.ask(Operation::RD_KAFKA_ADMIN_OP_DELETEACLS, OPERATION, timeout, |_| Ok(()), send)?;
        // SAFETY: the answer is one to this request; results live as long as it, and are read inside of their bounds.
        unsafe {
            let result = sys::rd_kafka_event_DeleteAcls_result(answer.as_ptr());
            let mut count = 0;
            let responses = sys::rd_kafka_DeleteAcls_result_responses(result, &raw mut count);
            let mut deleted = Vec::new();
            for at in 0..count {
                let response = *responses.add(at);
                let (number, text) = told(sys::rd_kafka_DeleteAcls_result_response_error(response));
                if number != 0 {
                    return Err(Error::new(super::super::kind_of(number), OPERATION, text).kafka_code(number));
                }
                let mut matching = 0;
                let acls = sys::rd_kafka_DeleteAcls_result_response_matching_acls(response, &raw mut matching);
                for place in 0..matching {
                    let acl = *acls.add(place);
                    let (number, text) = told(sys::rd_kafka_AclBinding_error(acl));
                    deleted.push((read(acl), number, text));
                }
            }
            Ok(deleted)
        }
    }
}

/// # Safety
/// The rule must be valid.
unsafe fn read(acl: *const sys::rd_kafka_AclBinding_t) -> RawAcl {
    // SAFETY: promised by the caller.
    unsafe {
        RawAcl {
            resource: sys::rd_kafka_AclBinding_restype(acl) as i32,
            name: optional(sys::rd_kafka_AclBinding_name(acl)).unwrap_or_default(),
            pattern: sys::rd_kafka_AclBinding_resource_pattern_type(acl) as i32,
            principal: text_of(sys::rd_kafka_AclBinding_principal(acl)),
            host: text_of(sys::rd_kafka_AclBinding_host(acl)),
            right: sys::rd_kafka_AclBinding_operation(acl) as i32,
            permission: sys::rd_kafka_AclBinding_permission_type(acl) as i32,
        }
    }
}
