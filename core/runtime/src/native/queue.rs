//! librdkafka's queues, and the flag by which they wake the poller.
//!
//! A queue calls back, on one of librdkafka's threads and under its own lock, when it turns from empty to filled. The
//! callback raises the queue's flag, puts its token on the list of filled queues and unparks the poller; it does nothing
//! else. The poller then reads until the queue is empty, or remembers that it did not.

use super::{NativeMessage, sys};
use crate::wake::Ready;
use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

unsafe extern "C" fn filled(_client: *mut sys::rd_kafka_t, opaque: *mut c_void) {
    // SAFETY: `opaque` is the `Ready` whose `Arc` the queue's owner holds until it switched the callback off.
    let ready = unsafe { &*opaque.cast::<Ready>() };
    ready.raise();
}

/// A reference to one of librdkafka's queues, with its flag.
pub(crate) struct Queue {
    pointer: NonNull<sys::rd_kafka_queue_t>,
    ready: Arc<Ready>,
}

// SAFETY: librdkafka's queues are made to be used from any thread.
unsafe impl Send for Queue {}

impl Queue {
    /// # Safety
    /// `pointer` must be a queue reference that is ours to destroy.
    pub(super) unsafe fn from_raw(pointer: NonNull<sys::rd_kafka_queue_t>, ready: Arc<Ready>) -> Self {
        let opaque = Arc::as_ptr(&ready).cast_mut().cast::<c_void>();
        // SAFETY: the flag outlives the callback: drop switches it off first.
        unsafe { sys::rd_kafka_queue_cb_event_enable(pointer.as_ptr(), Some(filled), opaque) };
        // What came before the callback was switched on raised nothing.
        ready.raise();
        Self { pointer, ready }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.pointer.as_ptr()
    }

    pub(crate) fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The next event that is there, without waiting.
    pub(super) fn event(&self) -> Option<NonNull<sys::rd_kafka_event_t>> {
        // SAFETY: the queue is valid; a timeout of 0 does not wait.
        NonNull::new(unsafe { sys::rd_kafka_queue_poll(self.as_ptr(), 0) })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: switching the callback off takes the queue's lock, so it does not run any more afterwards; the reference
        // is ours and is given back once.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.as_ptr());
        }
    }
}

/// The queue of one partition, cut off from the consumer's own queue.
pub(crate) struct PartitionQueue(Queue);

impl PartitionQueue {
    /// Cuts the partition's queue off from the consumer's. Must come before the partition is assigned: the mark that
    /// forwarding left makes librdkafka keep its hands off, so no message takes the consumer's queue.
    pub(super) fn cut_off(
        client: *mut sys::rd_kafka_t,
        topic: &CString,
        partition: i32,
        ready: Arc<Ready>,
    ) -> Option<Self> {
        // SAFETY: client and topic are valid for the call; the partition's state is made if it is not known yet.
        let pointer = unsafe { sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition) };
        let pointer = NonNull::new(pointer)?;
        // SAFETY: the queue is valid; a NULL destination switches forwarding off.
        unsafe { sys::rd_kafka_queue_forward(pointer.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: the reference was just given to us.
        let queue = unsafe { Queue::from_raw(pointer, ready) };
        Some(Self(queue))
    }

    /// A queue that several partitions send to.
    pub(super) fn shared(queue: Queue) -> Self {
        Self(queue)
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.0.as_ptr()
    }

    pub(crate) fn ready(&self) -> &Ready {
        self.0.ready()
    }

    /// How many messages wait in it.
    pub(crate) fn length(&self) -> usize {
        // SAFETY: the queue is valid.
        unsafe { sys::rd_kafka_queue_length(self.0.as_ptr()) }
    }

    /// Moves at most `most` messages that are there into the empty list `messages`, without waiting.
    pub(crate) fn read(&mut self, messages: &mut Vec<NativeMessage>, most: usize) {
        debug_assert!(messages.is_empty());
        messages.clear();
        messages.reserve(most);
        let room = messages.spare_capacity_mut().as_mut_ptr().cast::<*mut sys::rd_kafka_message_t>();
        // SAFETY: the list has room for `most` messages, each of which is one pointer; a timeout of 0 does not wait. What
        // librdkafka wrote, and said that it wrote, are messages that it handed over; it never writes a NULL.
        unsafe {
            let count = sys::rd_kafka_consume_batch_queue(self.0.as_ptr(), 0, room, most);
            messages.set_len(usize::try_from(count).unwrap_or(0).min(most));
        }
    }
}
