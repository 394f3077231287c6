//! Sending many messages by one call of librdkafka's.
//!
//! Called by whoever produces, on its thread; never waits. librdkafka looks at its clocks, at the topic's lock and at the client's state
//! once for all of them.

use super::producer::{NativeTopic, UNASSIGNED, redeemed, ticket};
use super::sys;
use crate::producer::Delivery;
use std::ffi::c_void;

/// A message without partition, headers and timestamp.
pub(crate) struct Plain<'a> {
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) payload: Option<&'a [u8]>,
}

impl NativeTopic {
    /// Puts messages for the topic on its client's queue, in order; payloads and keys are copied, and partitions are the partitioner's choice.
    /// Each message's handle comes back with its outcome. Returns how many were sent before the first that was not, and its error's
    /// number; then none behind it was sent either, unless librdkafka answers for one message what it does not for another.
    pub(crate) fn send_many<'a>(&self, messages: impl Iterator<Item = (Plain<'a>, Delivery)>) -> (usize, Option<i32>) {
        let mut list: Vec<_> = messages.map(|(message, delivery)| described(&message, delivery)).collect();
        let count = i32::try_from(list.len()).unwrap_or(i32::MAX);
        // SAFETY: the topic and everything in the list are valid for the call; memory is copied. Messages of the list that have no error
        // afterwards were taken, together with their handles.
        let good = unsafe {
            sys::rd_kafka_produce_batch(self.as_ptr(), UNASSIGNED, sys::RD_KAFKA_MSG_F_COPY, list.as_mut_ptr(), count)
        };
        if good == count {
            return (list.len(), None);
        }
        let mut first = None;
        for (place, message) in list.iter().enumerate() {
            // SAFETY: librdkafka may have written any number, so it is read as one. The handle of what was not taken is still ours.
            unsafe {
                let number = (&raw const message.err).cast::<i32>().read();
                if number != super::code::NO_ERROR {
                    first.get_or_insert((place, number));
                    drop(redeemed(message._private));
                }
            }
        }
        first.map_or((list.len(), None), |(place, number)| (place, Some(number)))
    }
}

fn described(message: &Plain<'_>, delivery: Delivery) -> sys::rd_kafka_message_t {
    let parts = |bytes: Option<&[u8]>| bytes.map_or((std::ptr::null(), 0), |bytes| (bytes.as_ptr(), bytes.len()));
    let ((payload, len), (key, key_len)) = (parts(message.payload), parts(message.key));
    sys::rd_kafka_message_t {
        err: sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR,
        rkt: std::ptr::null_mut(),
        partition: UNASSIGNED,
        payload: payload.cast_mut().cast::<c_void>(),
        len,
        key: key.cast_mut().cast::<c_void>(),
        key_len,
        offset: 0,
        _private: ticket(delivery),
    }
}
