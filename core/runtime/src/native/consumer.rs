//! A member of a consumer group.
//!
//! Owned and called by the poller only. No call waits for a broker: offsets are fetched and committed with answers that
//! come as events, and closing is begun here and finished by serving events until [`Consumer::closed`].

use super::event::{self, ConsumerEvent, RebalanceKind};
use super::offsets::GroupMetadata;
use super::partitions::{self, List, PartitionOffset};
use super::queue::{PartitionQueue, Queue};
use super::{c_string, code, configuration, describe, error, sys, taken, text_of};
use crate::wake::Ready;
use crate::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::ffi::{CString, c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest that librdkafka takes. A request that times out while its coordinator is away leaves a freed object behind,
/// on which the process aborts when the coordinator is back (librdkafka's issues 3663 and 4605).
pub(super) const OFFSETS_TIMEOUT_MS: i32 = 3_600_000;
/// librdkafka's `RD_KAFKA_OFFSET_SPEC_LATEST`.
const OFFSET_SPEC_LATEST: i64 = -1;

pub(crate) struct Consumer {
    client: Arc<Client>,
    // Dropped before the client: `Drop` takes it out first.
    queue: Option<Queue>,
    group: CString,
    /// The brokers expect a member with a `group.instance.id` to come back.
    is_static: bool,
    is_forgotten: AtomicBool,
}

/// The client itself, destroyed with the last of those who hold it.
struct Client(NonNull<sys::rd_kafka_t>);

// SAFETY: librdkafka's clients may be used from any thread, and from several at once.
unsafe impl Send for Client {}
// SAFETY: as above.
unsafe impl Sync for Client {}

impl Client {
    fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.0.as_ptr()
    }
}

impl Drop for Client {
    /// Destroys the client without leaving the group (closing did, or nobody may wait for it). May wait for librdkafka's
    /// threads to end: drop the last holder where that is allowed.
    fn drop(&mut self) {
        let flags = sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE;
        // SAFETY: the client is ours; its queues were given back.
        unsafe { sys::rd_kafka_destroy_flags(self.as_ptr(), flags) };
    }
}

/// The cluster of a consumer, to be looked at from another thread than the poller's. Keeps the client.
pub(crate) struct Cluster(Arc<Client>);

impl Cluster {
    /// All topics and their numbers of partitions, asked from a broker. Waits at most `timeout_ms`.
    pub(crate) fn topics(&self, timeout_ms: i32) -> Result<BTreeMap<String, i32>> {
        let mut metadata: *const sys::rd_kafka_metadata_t = std::ptr::null();
        // SAFETY: the client is valid; the metadata is read inside of its bounds and destroyed once.
        unsafe {
            let code = sys::rd_kafka_metadata(
                self.0.as_ptr(),
                1,
                std::ptr::null_mut(),
                (&raw mut metadata).cast(),
                timeout_ms,
            ) as i32;
            if metadata.is_null() {
                return Err(error(code, "look for topics"));
            }
            let count = usize::try_from((*metadata).topic_cnt).unwrap_or(0);
            let mut topics = BTreeMap::new();
            for position in 0..count {
                let topic = (*metadata).topics.add(position);
                topics.insert(text_of((*topic).topic), (*topic).partition_cnt);
            }
            sys::rd_kafka_metadata_destroy(metadata);
            Ok(topics)
        }
    }

    /// The cluster's name, as far as brokers tell it in time.
    pub(crate) fn id(&self, timeout: Duration) -> Option<String> {
        // SAFETY: the client is valid.
        unsafe { super::client::cluster_id(self.0.as_ptr(), timeout) }
    }

    /// As whom this consumer is a member of its group now; `None` when it is none. Waits for librdkafka's own thread.
    pub(crate) fn member(&self) -> Option<GroupMetadata> {
        // SAFETY: the client is valid; the object is ours.
        unsafe { GroupMetadata::of_member(sys::rd_kafka_consumer_group_metadata(self.0.as_ptr())) }
    }
}

impl Cluster {
    /// The group's committed offsets and metadata, from the coordinator that the client's membership goes by. Waits at most
    /// `timeout_ms`.
    pub(crate) fn group_offsets(
        &self,
        partitions: &[PartitionOffset],
        timeout_ms: i32,
    ) -> Result<Vec<PartitionOffset>, (i32, String)> {
        let list = list(partitions, "fetch committed offsets")
            .map_err(|error| (error.kafka().unwrap_or_default(), error.message().to_owned()))?;
        // SAFETY: client and list are valid; librdkafka writes into the list, and keeps nothing of it.
        match unsafe { sys::rd_kafka_committed(self.0.as_ptr(), list.as_ptr(), timeout_ms) } as i32 {
            code::NO_ERROR => {
                // SAFETY: the list is valid.
                Ok(unsafe { partitions::read(list.as_ptr()) })
            }
            number => Err((number, describe(number))),
        }
    }
}

impl Consumer {
    /// Creates the client; nothing is connected or joined before [`Self::subscribe`].
    pub(crate) fn new(settings: &[(String, String)], group: &str, ready: Arc<Ready>) -> Result<Self> {
        let group = c_string(group, "create a consumer")?;
        let conf = configuration(settings)?;
        let events = sys::RD_KAFKA_EVENT_REBALANCE
            | sys::RD_KAFKA_EVENT_OFFSET_COMMIT
            | sys::RD_KAFKA_EVENT_ERROR
            | sys::RD_KAFKA_EVENT_LOG
            | sys::RD_KAFKA_EVENT_STATS;
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration is ours; a successful `rd_kafka_new` takes it over.
        let client = unsafe {
            sys::rd_kafka_conf_set_events(conf, events);
            sys::rd_kafka_new(sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, conf, text.as_mut_ptr(), text.len())
        };
        let Some(client) = NonNull::new(client) else {
            // SAFETY: after a failure the configuration is still ours.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(Error::new(ErrorKind::Config, "create a consumer", text_of(text.as_ptr())));
        };
        // SAFETY: the client is valid; the queue reference is ours.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.as_ptr());
            sys::rd_kafka_queue_get_consumer(client.as_ptr())
        };
        let Some(queue) = NonNull::new(queue) else {
            // SAFETY: the client is ours and is not used any more.
            unsafe { sys::rd_kafka_destroy(client.as_ptr()) };
            return Err(Error::new(ErrorKind::Internal, "create a consumer", "librdkafka gave no consumer queue"));
        };
        // SAFETY: the reference was just given to us; log lines are sent to the same queue.
        let queue = unsafe {
            sys::rd_kafka_set_log_queue(client.as_ptr(), queue.as_ptr());
            Queue::from_raw(queue, ready)
        };
        let is_static = settings.iter().any(|(name, value)| name == "group.instance.id" && !value.is_empty());
        Ok(Self {
            client: Arc::new(Client(client)),
            queue: Some(queue),
            group,
            is_static,
            is_forgotten: AtomicBool::new(false),
        })
    }

    pub(crate) fn ready(&self) -> Option<&Ready> {
        self.queue.as_ref().map(Queue::ready)
    }

    /// Joins the group for these topics (names, or patterns that begin with `^`).
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<()> {
        let entries: Vec<_> = topics.iter().map(|topic| PartitionOffset::new(topic, -1)).collect();
        let list = list(&entries, "subscribe")?;
        // SAFETY: client and list are valid; librdkafka copies the list.
        check(unsafe { sys::rd_kafka_subscribe(self.client.as_ptr(), list.as_ptr()) } as i32, "subscribe")
    }

    /// Is a member of the group for no topics.
    pub(crate) fn unsubscribe(&self) -> Result<()> {
        // SAFETY: the client is valid.
        check(unsafe { sys::rd_kafka_unsubscribe(self.client.as_ptr()) } as i32, "unsubscribe")
    }

    /// The cluster, for a look from another thread.
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster(Arc::clone(&self.client))
    }

    /// Reads partitions beside those that are read already, without asking the group.
    pub(crate) fn take_over(&self, partitions: &[PartitionOffset]) -> Result<()> {
        let list = list(partitions, "take over partitions")?;
        // SAFETY: client and list are valid; librdkafka copies the list.
        taken(unsafe { sys::rd_kafka_incremental_assign(self.client.as_ptr(), list.as_ptr()) }, "take over partitions")
    }

    /// The next event that is there, without waiting. Also tells librdkafka that the application is alive.
    pub(crate) fn event(&self) -> Option<ConsumerEvent> {
        let event = self.queue.as_ref()?.event()?;
        // SAFETY: the event was just handed over.
        Some(unsafe { event::take(event) })
    }

    /// Cuts a partition's queue off; must come before the partition is assigned.
    pub(crate) fn partition_queue(&self, topic: &str, partition: i32, ready: Arc<Ready>) -> Result<PartitionQueue> {
        let topic = c_string(topic, "open a partition")?;
        PartitionQueue::cut_off(self.client.as_ptr(), &topic, partition, ready)
            .ok_or_else(|| Error::new(ErrorKind::Internal, "open a partition", "librdkafka gave no partition queue"))
    }

    /// Whether the group's protocol moves single partitions (cooperative, KIP-848) or everything at once (eager).
    pub(crate) fn is_cooperative(&self) -> bool {
        // SAFETY: the client is valid; the text is static.
        text_of(unsafe { sys::rd_kafka_rebalance_protocol(self.client.as_ptr()) }) == "COOPERATIVE"
    }

    fn has_no_partitions(&self) -> bool {
        let mut assigned = std::ptr::null_mut();
        // SAFETY: the client is valid; the list is read and destroyed once.
        unsafe {
            if sys::rd_kafka_assignment(self.client.as_ptr(), &raw mut assigned) as i32 != code::NO_ERROR {
                return false;
            }
            let is_empty = (*assigned).cnt == 0;
            sys::rd_kafka_topic_partition_list_destroy(assigned);
            is_empty
        }
    }

    /// Whether the group took the assignment away without asking: nothing of it may be committed any more.
    pub(crate) fn assignment_lost(&self) -> bool {
        // SAFETY: the client is valid.
        unsafe { sys::rd_kafka_assignment_lost(self.client.as_ptr()) != 0 }
    }

    /// Answers a rebalance event. Never returns where librdkafka's group ends in that moment without waiting for the answer, as it does
    /// for a member that has got its first partitions while it was closed: the answer is thrown away, and waited for.
    pub(crate) fn answer(&self, kind: RebalanceKind, partitions: &[PartitionOffset]) -> Result<()> {
        let client = self.client.as_ptr();
        let list = list(partitions, "answer a rebalance")?;
        // SAFETY: client and list are valid; librdkafka copies the list; a NULL list ends an eager assignment.
        unsafe {
            match (kind, self.is_cooperative()) {
                (RebalanceKind::Assign, true) => {
                    taken(sys::rd_kafka_incremental_assign(client, list.as_ptr()), "take over partitions")
                }
                (RebalanceKind::Assign, false) => {
                    check(sys::rd_kafka_assign(client, list.as_ptr()) as i32, "take over partitions")
                }
                (RebalanceKind::Revoke, true) => {
                    taken(sys::rd_kafka_incremental_unassign(client, list.as_ptr()), "give partitions up")
                }
                (RebalanceKind::Revoke, false) => {
                    check(sys::rd_kafka_assign(client, std::ptr::null()) as i32, "give partitions up")
                }
            }
        }
    }

    /// Sends a commit; the answer comes as [`ConsumerEvent::Committed`] with the same ticket.
    pub(crate) fn commit(&self, ticket: u64, offsets: &[PartitionOffset]) -> Result<()> {
        let list = list(offsets, "commit offsets")?;
        let Some(queue) = &self.queue else {
            return Err(Error::new(ErrorKind::Stopped, "commit offsets", "the consumer is closed"));
        };
        // SAFETY: client, list and queue are valid; librdkafka copies the list; the ticket is carried, never followed.
        let code = unsafe {
            sys::rd_kafka_commit_queue(
                self.client.as_ptr(),
                list.as_ptr(),
                queue.as_ptr(),
                None,
                std::ptr::without_provenance_mut::<c_void>(ticket as usize),
            )
        };
        check(code as i32, "commit offsets")
    }

    /// Asks for the group's committed offsets and metadata; the answer comes as [`ConsumerEvent::GroupOffsets`].
    /// It may take as long as the coordinator is away: the caller asks again when it has waited enough.
    pub(crate) fn fetch_offsets(&self, ticket: u64, partitions: &[PartitionOffset]) -> Result<()> {
        let list = list(partitions, "fetch committed offsets")?;
        let Some(queue) = &self.queue else {
            return Err(Error::new(ErrorKind::Stopped, "fetch committed offsets", "the consumer is closed"));
        };
        let client = self.client.as_ptr();
        // SAFETY: all handles are valid or checked; request and options are destroyed once, after the call copied them.
        unsafe {
            let request = sys::rd_kafka_ListConsumerGroupOffsets_new(self.group.as_ptr(), list.as_ptr());
            let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
            let options = options(client, operation, Duration::MAX);
            let stable = sys::rd_kafka_AdminOptions_set_require_stable_offsets(options, 1);
            let _ = taken(stable, "fetch committed offsets");
            sys::rd_kafka_AdminOptions_set_opaque(options, std::ptr::without_provenance_mut::<c_void>(ticket as usize));
            let mut requests = [request];
            sys::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue.as_ptr());
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(request);
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        Ok(())
    }

    /// Wakes the threads that fetch these partitions. librdkafka's answer to a rebalance resumes the partitions that stay, but
    /// tells nobody: the thread of an otherwise silent broker notices by its next wake-up, up to a second later. A small request
    /// to each leader is the wake-up; nobody waits for its answer, which is freed when it comes.
    pub(crate) fn wake_fetchers(&self, partitions: impl Iterator<Item = (String, i32)>) -> Result<()> {
        let latest = |(topic, partition): (String, i32)| PartitionOffset {
            offset: Some(OFFSET_SPEC_LATEST),
            ..PartitionOffset::new(&topic, partition)
        };
        let entries: Vec<_> = partitions.map(latest).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let list = list(&entries, "wake fetchers")?;
        let client = self.client.as_ptr();
        // SAFETY: client and list are valid and librdkafka copies the list; options and queue are ours and given back once. An
        // answer to a queue that was given back is freed by librdkafka.
        unsafe {
            let options =
                sys::rd_kafka_AdminOptions_new(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS);
            let queue = sys::rd_kafka_queue_new(client);
            sys::rd_kafka_ListOffsets(client, list.as_ptr(), options, queue);
            sys::rd_kafka_queue_destroy(queue);
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        Ok(())
    }

    /// Has librdkafka fetch nothing of these partitions, and drops what it fetched of them and nobody has read. Waits for its
    /// own thread, never for a broker.
    pub(crate) fn pause(&self, partitions: &[PartitionOffset]) -> Result<()> {
        let list = list(partitions, "pause partitions")?;
        // SAFETY: client and list are valid; librdkafka keeps nothing of the list.
        check(unsafe { sys::rd_kafka_pause_partitions(self.client.as_ptr(), list.as_ptr()) } as i32, "pause partitions")
    }

    /// Ends [`Self::pause`]: they are fetched on behind what was read last.
    pub(crate) fn resume(&self, partitions: &[PartitionOffset]) -> Result<()> {
        let list = list(partitions, "resume partitions")?;
        // SAFETY: client and list are valid; librdkafka keeps nothing of the list.
        check(
            unsafe { sys::rd_kafka_resume_partitions(self.client.as_ptr(), list.as_ptr()) } as i32,
            "resume partitions",
        )
    }

    /// Moves the fetch position of an assigned partition; what was prefetched is dropped by librdkafka.
    pub(crate) fn seek(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut entry = PartitionOffset::new(topic, partition);
        entry.offset = Some(offset);
        let list = list(&[entry], "seek")?;
        // SAFETY: client and list are valid; a timeout of 0 does not wait. The call writes errors into the list's entries.
        let entries = unsafe {
            taken(sys::rd_kafka_seek_partitions(self.client.as_ptr(), list.as_ptr(), 0), "seek")?;
            partitions::read(list.as_ptr())
        };
        // Nobody waits, so what was taken on is in progress.
        let is_taken = |number: i32| number == super::code::NO_ERROR || number == super::code::IN_PROGRESS;
        let refused = entries.iter().find(|entry| !is_taken(entry.code));
        refused.map_or(Ok(()), |entry| Err(error(entry.code, "seek").with("topic", topic).with("partition", partition)))
    }

    /// Asks the partition's leader for the offset of a time in milliseconds, of the beginning (−2) or of the end (−1); the
    /// answer comes as [`ConsumerEvent::Offsets`].
    pub(crate) fn list_offsets(
        &self,
        ticket: u64,
        topic: &str,
        partition: i32,
        time: i64,
        timeout: Duration,
    ) -> Result<()> {
        let mut entry = PartitionOffset::new(topic, partition);
        entry.offset = Some(time);
        let list = list(&[entry], "seek")?;
        let Some(queue) = &self.queue else {
            return Err(Error::new(ErrorKind::Stopped, "seek", "the consumer is closed"));
        };
        let client = self.client.as_ptr();
        // SAFETY: all handles are valid; librdkafka copies the list and the options, which are destroyed once.
        unsafe {
            let options = options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS, timeout);
            // What an open transaction has sent may be committed: its time is to be found, and the end lies before it.
            let level = if time < 0 {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            } else {
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            };
            let _ = taken(sys::rd_kafka_AdminOptions_set_isolation_level(options, level), "seek");
            sys::rd_kafka_AdminOptions_set_opaque(options, std::ptr::without_provenance_mut::<c_void>(ticket as usize));
            sys::rd_kafka_ListOffsets(client, list.as_ptr(), options, queue.as_ptr());
            sys::rd_kafka_AdminOptions_destroy(options);
        }
        Ok(())
    }

    /// The end of a partition's log as the last fetch told it; asks nobody.
    pub(crate) fn end_of(&self, topic: &str, partition: i32) -> Option<i64> {
        let topic = c_string(topic, "look at a log's end").ok()?;
        let (mut low, mut high) = (0, 0);
        // SAFETY: client and topic are valid, and the numbers are written only.
        let code = unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.client.as_ptr(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        };
        (code as i32 == super::code::NO_ERROR && high >= 0).then_some(high)
    }

    /// The number of partitions of a topic, asked from a broker. Waits at most `timeout_ms`; only used before the poller
    /// starts to poll.
    pub(crate) fn partition_count(&self, topic: &str, timeout_ms: i32) -> Result<usize> {
        // SAFETY: the client is valid.
        unsafe { super::partition_count(self.client.as_ptr(), topic, timeout_ms) }
    }

    /// Asks any broker for a sign of life within this time: [`ConsumerEvent::Alive`]. Coordinators are asked by connections of
    /// their own, so one that answers nothing is no reason for this to get no answer.
    pub(crate) fn ask_for_life(&self, within: Duration) {
        let Some(queue) = &self.queue else { return };
        let client = self.client.as_ptr();
        // SAFETY: all handles are valid; librdkafka copies the options, which are destroyed once.
        unsafe {
            let options = options(client, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECLUSTER, within);
            sys::rd_kafka_DescribeCluster(client, options, queue.as_ptr());
            sys::rd_kafka_AdminOptions_destroy(options);
        }
    }

    /// Begins to leave the group: serve events (a last revocation among them) until [`Self::closed`].
    ///
    /// Of a cooperative group librdkafka leaves with the last partition that it gives up: a member without any would end as if it
    /// were still there. Without topics it leaves at once, and closing waits for that.
    pub(crate) fn close(&self) -> Result<()> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let is_forgotten = !self.is_static && self.is_cooperative() && self.has_no_partitions();
        self.is_forgotten.store(is_forgotten, Ordering::Relaxed);
        let left = if is_forgotten { self.unsubscribe() } else { Ok(()) };
        // SAFETY: client and queue are valid.
        taken(unsafe { sys::rd_kafka_consumer_close_queue(self.client.as_ptr(), queue.as_ptr()) }, "close a consumer")?;
        left
    }

    /// Whether it was closed without partitions. What it is told to give up then it hardly ever has to answer: see
    /// [`Self::answer`].
    pub(crate) fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Relaxed)
    }

    pub(crate) fn closed(&self) -> bool {
        // SAFETY: the client is valid.
        unsafe { sys::rd_kafka_consumer_closed(self.client.as_ptr()) != 0 }
    }

    /// The error that made the client unusable, if there is one.
    pub(crate) fn fatal_error(&self) -> Option<(i32, String)> {
        let mut text = [0 as c_char; 512];
        // SAFETY: the client is valid; the buffer's size is given.
        let code = unsafe { sys::rd_kafka_fatal_error(self.client.as_ptr(), text.as_mut_ptr(), text.len()) } as i32;
        (code != 0).then(|| (code, text_of(text.as_ptr())))
    }
}

impl Drop for Consumer {
    /// Gives the queue back, then the client, unless somebody still looks at its cluster.
    fn drop(&mut self) {
        self.queue = None;
    }
}

/// Options of a request that is given up after this time, to be destroyed by the caller.
///
/// # Safety
/// `client` must be valid.
unsafe fn options(
    client: *mut sys::rd_kafka_t,
    of: sys::rd_kafka_admin_op_t,
    within: Duration,
) -> *mut sys::rd_kafka_AdminOptions_t {
    let within = i32::try_from(within.as_millis()).unwrap_or(i32::MAX).clamp(1, OFFSETS_TIMEOUT_MS);
    let mut text = [0 as c_char; 256];
    // SAFETY: the client is valid; the buffer's size is given.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, of);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, within, text.as_mut_ptr(), text.len());
        options
    }
}

fn check(code: i32, operation: &'static str) -> Result<()> {
    if code == super::code::NO_ERROR { Ok(()) } else { Err(error(code, operation)) }
}

fn list(entries: &[PartitionOffset], operation: &'static str) -> Result<List> {
    List::new(entries).ok_or_else(|| Error::new(ErrorKind::Config, operation, "a topic name contains a NUL byte"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::mock::MockCluster;
    use super::*;
    use crate::wake::Waker;
    use crossbeam::sync::Parker;
    use std::time::Instant;

    const GROUP: &str = "group";
    const PATIENCE: Duration = Duration::from_secs(30);

    /// An administrator's request, whose answer is an event, and the membership's own, for which a thread waits.
    #[test]
    fn a_group_tells_its_offsets_in_both_ways() {
        let cluster = MockCluster::start(1).unwrap();
        cluster.create_topic("topic", 1).unwrap();
        let parker = Parker::new();
        let ready = Ready::new(0, Arc::new(Waker::new(parker.unparker().clone())));
        let settings = [("bootstrap.servers", cluster.bootstrap()), ("group.id", GROUP.to_owned())];
        let settings = settings.map(|(name, value)| (name.to_owned(), value));
        let consumer = Consumer::new(&settings, GROUP, ready).unwrap();
        let partitions = [PartitionOffset::new("topic", 0)];
        let deadline = Instant::now() + PATIENCE;
        consumer.fetch_offsets(1, &partitions).unwrap();
        let by_event = loop {
            assert!(Instant::now() < deadline, "no answer within {PATIENCE:?}");
            if let Some(ConsumerEvent::GroupOffsets { ticket: 1, result }) = consumer.event() {
                break result.unwrap();
            }
            std::thread::yield_now();
        };
        let by_membership = loop {
            match consumer.cluster().group_offsets(&partitions, 4_000) {
                Ok(offsets) => break offsets,
                Err(failed) => assert!(Instant::now() < deadline, "{failed:?}"),
            }
        };
        for offsets in [by_event, by_membership] {
            assert_eq!((offsets.len(), offsets[0].code, offsets[0].offset), (1, code::NO_ERROR, None));
        }
    }
}
