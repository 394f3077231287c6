//! The behaviour suite: one file for each sentence that must hold against a real Kafka.
//!
//! Run by `make test` under `with-broker`; alone, it starts a broker for itself. Each behaviour makes its own topics and
//! groups, so that all run side by side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod languages;
mod large_batches_of_many_partitions_keep_to_the_memory_budget;
mod support;

mod a_process_killed_and_started_again_loses_nothing;
mod kcat_reads_what_we_produce;
mod members_that_come_go_and_die_lose_nothing;
mod one_slow_key_holds_up_nobody_else;
mod order_holds_per_key_with_virtual_partitions;
mod the_commit_is_exact_after_a_clean_stop;
mod the_tests_read_back_what_kafka_holds;
mod two_processes_share_a_topic_and_one_leaves;
mod what_is_surely_a_mistake_is_told_at_the_start;
mod what_is_wrong_is_said_with_its_cause;

mod a_broker_that_takes_little_text_takes_the_offset;
mod a_guarded_cluster_lets_in_who_may_and_says_why_not;
mod a_halted_member_touches_nothing_it_has_lost;
mod a_handler_of_ten_poll_intervals_keeps_its_partition;
mod a_new_partition_is_read_and_a_deleted_topic_told;
mod an_urgent_topic_goes_first_and_starves_nobody;
mod brokers_that_die_and_come_back_lose_nothing;
mod gaps_in_the_log_hold_nothing_up;
mod garbage_beside_a_commit_skips_nothing;
mod killed_twenty_times_it_repeats_only_what_no_commit_said;
mod offsets_moved_by_hand_are_followed;
mod records_deleted_before_their_turn_are_told;
mod what_is_done_beyond_a_blocked_head_is_not_repeated;

// What fails, and how it is told.
mod a_bad_network_breaks_nothing;
mod a_handler_that_hangs_is_named_by_the_forced_stop;
mod a_right_taken_away_stops_reading_until_it_is_given_back;
mod a_stop_keeps_its_deadline_in_every_language;
mod a_stop_keeps_its_deadline_in_every_state;
mod known_defects_of_librdkafka_do_no_harm;
mod one_instance_id_twice_ends_the_older_one;
mod signals_are_obeyed_to_the_exit_code;
mod statistics_tell_of_assigned_partitions_only;
mod what_refuses_a_client_is_told_in_every_language;
mod what_refuses_a_client_is_told_within_ten_seconds;

// How an app reads: groups, connections, clusters.
mod a_hundred_idle_topics_cost_next_to_nothing;
mod a_pattern_reads_topics_that_come_and_go;
mod connections_come_and_go_one_at_a_time;
mod groups_and_clusters_share_one_app;
mod partitions_can_be_read_without_the_group;
mod segments_share_a_topic_by_key;
mod static_members_keep_their_partitions;
mod topics_are_read_without_a_group;

// What is asked of a cluster, and changed there.
mod a_cluster_is_asked_and_changed;

// What a handler does to the position of its partition.
mod a_handlers_pause_or_seek_outlives_what_goes_on_by_itself;
mod a_lost_partition_refuses_marks_with_all_workers_busy;
mod a_seek_that_fails_skips_nothing_and_one_that_succeeds_lands;

// What becomes of messages that fail.
mod a_critical_error_ends_the_program_and_marks_nothing;
mod a_letter_and_its_offset_count_together;
mod a_message_that_always_fails_goes_out_alone;
mod dead_letters_go_back_once_and_in_order;
mod what_does_not_decrypt_reaches_nobody_and_stays_encrypted;

// What a topic takes in, and when.
mod a_delayed_message_is_handled_in_time_and_never_early;
mod a_filter_that_skips_holds_nothing_up;
mod a_throttle_holds_in_every_window;

// Who owns a partition, and what becomes of its messages when that changes.
mod a_loss_in_the_midst_of_a_call_sends_no_letter;
mod a_rebalance_that_is_asked_for_waits_for_what_runs;
mod a_search_for_a_culprit_ends_with_its_ownership;
mod what_waits_of_a_lost_partition_is_left_to_its_heir;
mod what_was_committed_before_a_loss_is_not_repeated;
mod with_synchronous_commits_no_rebalance_repeats_anything;

// Transactions.
mod a_block_that_panics_or_takes_too_long_leaves_nothing;
mod a_member_halted_in_a_transaction_leaves_nothing_of_it;
mod a_transaction_is_seen_whole_or_not_at_all;
mod a_transaction_of_a_lost_partition_leaves_nothing;
mod every_input_has_its_effect_exactly_once;
mod transactions_hold_on_another_broker;
mod transactions_of_several_calls_commit_together;
mod what_a_handler_produces_and_marks_counts_together;

// How messages are split, whose turn it is, and what fails beside what.
mod a_key_keeps_its_virtual_partition;
mod a_letter_counts_as_a_mark;
mod a_partitioner_that_fails_loses_nothing;
mod a_scheduler_that_fails_is_stood_in_for;
mod a_topic_has_no_more_calls_than_it_may;
mod each_message_counts_by_itself;
mod no_seat_is_idle_while_a_key_waits;
mod one_value_is_never_in_two_hands;
mod texts_travel_with_the_offset;
mod what_was_marked_beside_a_failure_does_not_come_again;
mod whatever_a_handler_throws_its_messages_come_again;

// What a producer promises.
mod every_record_ends_when_brokers_die_under_a_producer;

// What is done at a time.
mod a_scheduled_message_without_its_topic_holds_up_no_other;
mod a_topic_that_would_forget_what_waits_refuses_the_start;
mod recurring_tasks_have_one_runner_whoever_dies;
mod scheduled_messages_survive_whoever_sends_them;

// What consumers are called for beside messages.
mod a_member_put_out_of_its_group_hears_of_it;
mod revocations_are_told_after_the_running_calls;
mod the_end_of_a_partition_is_told_alone_only_without_messages;
mod ticks_come_in_their_time;
