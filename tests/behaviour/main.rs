//! The behaviour suite: one file for each sentence that must hold against a real Kafka.
//!
//! Run by `make test` under `with-broker`; alone, it starts a broker for itself. Each behaviour makes its own topics and
//! groups, so that all run side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod the_tests_read_back_what_kafka_holds;
