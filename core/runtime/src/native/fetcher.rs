//! Fetching partitions without a group.
//!
//! Owned by one reader and called by whoever reads; starting, stopping and ending may wait for librdkafka's threads, reading
//! does not. All partitions share one queue, so that what is fetched ahead is bounded for all of them together. librdkafka
//! needs neither a group nor a right to one for this (its "simple consumer").

use super::client::Client;
use super::queue::{PartitionQueue, Queue};
use super::{NativeMessage, c_string, code, error, sys};
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::Arc;

const OPERATION: &str = "read a topic";

pub(crate) struct Fetcher {
    // Dropped in this order: the topics and the queue before the client they belong to.
    topics: HashMap<Arc<str>, Topic>,
    queue: PartitionQueue,
    client: Client,
}

/// A reference to one of librdkafka's topics.
struct Topic(NonNull<sys::rd_kafka_topic_t>);

// SAFETY: librdkafka's topics may be used from any thread.
unsafe impl Send for Topic {}

impl Drop for Topic {
    fn drop(&mut self) {
        // SAFETY: the reference is ours and is given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.0.as_ptr()) };
    }
}

impl Fetcher {
    /// `news` is raised for errors and log lines, `messages` when there is something to read.
    pub(crate) fn new(settings: &[(String, String)], news: Arc<Ready>, messages: Arc<Ready>) -> Result<Self> {
        let client = Client::new(settings, Some(news))?;
        // SAFETY: the client is valid; the reference is ours.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.as_ptr()) })
            .ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "librdkafka gave no queue"))?;
        // SAFETY: the reference was just given to us.
        let queue = PartitionQueue::shared(unsafe { Queue::from_raw(queue, messages) });
        Ok(Self { topics: HashMap::new(), queue, client })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Begins to fetch a partition at an offset.
    pub(crate) fn start(&mut self, topic: &Arc<str>, partition: i32, offset: i64) -> Result<()> {
        let handle = self.topic(topic)?;
        // SAFETY: topic and queue are valid; the last error is asked for on the same thread.
        unsafe {
            if sys::rd_kafka_consume_start_queue(handle, partition, offset, self.queue.as_ptr()) == 0 {
                return Ok(());
            }
            Err(error(sys::rd_kafka_last_error() as i32, OPERATION).with("topic", topic).with("partition", partition))
        }
    }

    /// Ends fetching a partition. What was fetched of it already is still read.
    pub(crate) fn stop(&mut self, topic: &Arc<str>, partition: i32) -> Result<()> {
        let handle = self.topic(topic)?;
        // SAFETY: the topic is valid.
        if unsafe { sys::rd_kafka_consume_stop(handle, partition) } == 0 {
            return Ok(());
        }
        // SAFETY: asked on the thread of the call that failed.
        let number = unsafe { sys::rd_kafka_last_error() } as i32;
        if number == code::NO_ERROR { Ok(()) } else { Err(error(number, OPERATION).with("topic", topic)) }
    }

    /// Moves at most `most` messages that are there into the empty list.
    pub(crate) fn read(&mut self, messages: &mut Vec<NativeMessage>, most: usize) {
        self.queue.ready().lower();
        self.queue.read(messages, most);
        if messages.len() == most {
            // There may be more, of which nobody will tell again.
            self.queue.ready().raise();
        }
    }

    fn topic(&mut self, topic: &Arc<str>) -> Result<*mut sys::rd_kafka_topic_t> {
        if let Some(handle) = self.topics.get(topic) {
            return Ok(handle.0.as_ptr());
        }
        let name = c_string(topic, OPERATION)?;
        // SAFETY: client and name are valid; the reference is ours.
        let handle = unsafe { sys::rd_kafka_topic_new(self.client.as_ptr(), name.as_ptr(), std::ptr::null_mut()) };
        let handle = NonNull::new(handle)
            .ok_or_else(|| Error::new(ErrorKind::Internal, OPERATION, "librdkafka made no topic handle"))?;
        self.topics.insert(Arc::clone(topic), Topic(handle));
        Ok(handle.as_ptr())
    }
}
