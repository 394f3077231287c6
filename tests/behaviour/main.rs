//! The behaviour suite: one file for each sentence that must hold against a real Kafka.
//!
//! Run by `make test` under `with-broker`; alone, it starts a broker for itself. Each behaviour makes its own topics and
//! groups, so that all run side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod a_process_killed_and_started_again_loses_nothing;
mod kcat_reads_what_we_produce;
mod members_that_come_go_and_die_lose_nothing;
mod one_slow_key_holds_up_nobody_else;
mod order_holds_per_key_with_virtual_partitions;
mod the_commit_is_exact_after_a_clean_stop;
mod the_tests_read_back_what_kafka_holds;
mod two_processes_share_a_topic_and_one_leaves;
mod what_is_wrong_is_said_with_its_cause;
