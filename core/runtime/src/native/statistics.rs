//! librdkafka's statistics, read out of its JSON: the part that is used, under librdkafka's own names.
//!
//! Read on the poller's thread when the text comes; unknown fields are passed over, missing ones have their zero.

use serde::Deserialize;
use std::collections::HashMap;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawStatistics {
    pub(crate) name: String,
    /// Microseconds of a monotonic clock.
    pub(crate) ts: i64,
    pub(crate) rx_bytes: i64,
    pub(crate) rxmsgs: i64,
    pub(crate) tx_bytes: i64,
    pub(crate) txmsgs: i64,
    pub(crate) msg_cnt: i64,
    pub(crate) msg_size: i64,
    pub(crate) brokers: HashMap<String, RawBroker>,
    pub(crate) topics: HashMap<String, RawTopic>,
    pub(crate) cgrp: RawGroup,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawBroker {
    pub(crate) nodename: String,
    pub(crate) nodeid: i32,
    pub(crate) state: String,
    pub(crate) outbuf_cnt: i64,
    pub(crate) waitresp_cnt: i64,
    pub(crate) txerrs: i64,
    pub(crate) rxerrs: i64,
    pub(crate) req_timeouts: i64,
    pub(crate) connects: i64,
    pub(crate) disconnects: i64,
    pub(crate) rtt: RawWindow,
}

/// A window of measured times, in microseconds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawWindow {
    pub(crate) cnt: i64,
    pub(crate) avg: i64,
    pub(crate) p95: i64,
    pub(crate) p99: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawTopic {
    pub(crate) partitions: HashMap<String, RawPartition>,
}

#[derive(Debug, Deserialize)]
#[serde(default)]
pub(crate) struct RawPartition {
    pub(crate) partition: i32,
    pub(crate) fetchq_cnt: i64,
    pub(crate) fetchq_size: i64,
    pub(crate) lo_offset: i64,
    pub(crate) hi_offset: i64,
    pub(crate) ls_offset: i64,
    pub(crate) rxmsgs: i64,
}

impl Default for RawPartition {
    fn default() -> Self {
        Self { partition: -1, fetchq_cnt: 0, fetchq_size: 0, lo_offset: -1, hi_offset: -1, ls_offset: -1, rxmsgs: 0 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawGroup {
    pub(crate) join_state: String,
    pub(crate) rebalance_cnt: i64,
}

/// Reads librdkafka's text; none when it is not what is expected.
pub(super) fn read(text: &str) -> Option<Box<RawStatistics>> {
    match serde_json::from_str(text) {
        Ok(read) => Some(Box::new(read)),
        Err(error) => {
            tracing::warn!(%error, "librdkafka's statistics cannot be read");
            None
        }
    }
}
