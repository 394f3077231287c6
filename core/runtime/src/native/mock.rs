//! librdkafka's mock cluster: brokers in one thread of this process, on loopback ports, in memory.

use super::{c_string, configuration, sys, text_of};
use crate::{Error, ErrorKind, Result};
use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

pub(crate) struct MockCluster {
    client: NonNull<sys::rd_kafka_t>,
    cluster: NonNull<sys::rd_kafka_mock_cluster_t>,
}

// SAFETY: the cluster's calls send operations to its own thread.
unsafe impl Send for MockCluster {}
// SAFETY: as above; no call keeps a borrow of what it returns beyond the copy made here.
unsafe impl Sync for MockCluster {}

impl MockCluster {
    pub(crate) fn start(brokers: i32) -> Result<Self> {
        // The client itself never connects anywhere, and would say so on the standard error stream.
        let settings = [("client.id", "embedded"), ("log_level", "3")];
        let conf = configuration(&settings.map(|(name, value)| (name.to_owned(), value.to_owned())))?;
        let mut text = [0 as c_char; 512];
        // SAFETY: the configuration is ours and is taken over on success.
        let client =
            unsafe { sys::rd_kafka_new(sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, conf, text.as_mut_ptr(), text.len()) };
        let Some(client) = NonNull::new(client) else {
            // SAFETY: after a failure the configuration is still ours.
            unsafe { sys::rd_kafka_conf_destroy(conf) };
            return Err(Error::new(ErrorKind::Internal, "start the embedded broker", text_of(text.as_ptr())));
        };
        // SAFETY: the client is valid.
        let cluster = without_signals(|| unsafe { sys::rd_kafka_mock_cluster_new(client.as_ptr(), brokers) });
        let Some(cluster) = NonNull::new(cluster) else {
            // SAFETY: the client is ours and is not used any more.
            unsafe { sys::rd_kafka_destroy(client.as_ptr()) };
            return Err(Error::new(ErrorKind::Internal, "start the embedded broker", "librdkafka made no cluster"));
        };
        // A first join otherwise waits three seconds for members that never come.
        // SAFETY: the cluster is valid.
        unsafe { sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0) };
        Ok(Self { client, cluster })
    }

    pub(crate) fn bootstrap(&self) -> String {
        // SAFETY: the cluster is valid; the text lives as long as it.
        text_of(unsafe { sys::rd_kafka_mock_cluster_bootstraps(self.cluster.as_ptr()) })
    }

    pub(crate) fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let native = c_string(name, "create a topic")?;
        // SAFETY: cluster and name are valid for the call.
        let code = unsafe { sys::rd_kafka_mock_topic_create(self.cluster.as_ptr(), native.as_ptr(), partitions, 1) };
        match code as i32 {
            super::code::NO_ERROR => Ok(()),
            number => Err(super::error(number, "create a topic").with("topic", name)),
        }
    }
}

impl Drop for MockCluster {
    fn drop(&mut self) {
        // SAFETY: both are ours and are destroyed once, the cluster before the client it lives in.
        unsafe {
            sys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr());
            sys::rd_kafka_destroy(self.client.as_ptr());
        }
    }
}

/// Calls with all signals blocked, so that the thread that is made inherits that: the cluster takes a poll that a signal
/// interrupts for its end. librdkafka does the same for its own threads, but not for this one.
fn without_signals<T>(call: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are valid places, and read only after they were written.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), former.as_mut_ptr()) == 0
    };
    let result = call();
    if blocked {
        // SAFETY: the call above succeeded, and has written the former set.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, former.as_ptr(), std::ptr::null_mut()) };
    }
    result
}
