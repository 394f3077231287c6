//! The header's functions and structs, as a C program sees them: a handle is a number that looks like a pointer.

use std::ffi::{c_char, c_void};

pub(super) type Handle = *mut c_void;
pub(super) type Text = *const c_char;
pub(super) type Data = *mut c_void;
pub(super) type Destructor = Option<unsafe extern "C" fn(Data)>;
pub(super) type Handler = Option<unsafe extern "C" fn(Handle, Handle, Data) -> u32>;
pub(super) type Scheduler = Option<unsafe extern "C" fn(*const c_void, usize, *mut u32, *mut usize, Data) -> u32>;
pub(super) type Partitioner =
    Option<unsafe extern "C" fn(Handle, *const c_void, *mut *const u8, *mut usize, Data) -> u32>;
pub(super) type Each = Option<unsafe extern "C" fn(*const c_void, Handle, Data) -> u32>;
pub(super) type Filter = Option<unsafe extern "C" fn(Handle, *const c_void, *mut bool, Data) -> u32>;
pub(super) type Hook = Option<unsafe extern "C" fn(Handle, Data) -> u32>;
pub(super) type Task = Option<unsafe extern "C" fn(*const c_void, Data) -> u32>;
pub(super) type Strategy =
    Option<unsafe extern "C" fn(Handle, *const c_void, Handle, *const c_void, usize, Data) -> u32>;
pub(super) type Callback = Option<unsafe extern "C" fn(Handle, *const c_void, Data)>;
pub(super) type ProducerPartitioner = Option<unsafe extern "C" fn(*const Record, usize, Data) -> i32>;
pub(super) type ProducerMiddleware = Option<unsafe extern "C" fn(*const Record, Handle, Data) -> bool>;
pub(super) type RecordedCallback = Option<unsafe extern "C" fn(*const Record, *const c_void, Data)>;

#[repr(C)]
pub(super) struct Header {
    pub(super) name: *const c_char,
    pub(super) name_length: usize,
    pub(super) value: *const u8,
    pub(super) value_length: usize,
}

// SAFETY: made of constants only.
unsafe impl Sync for Header {}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) struct_size: usize,
    pub(super) topic: *const c_char,
    pub(super) topic_length: usize,
    pub(super) key: *const u8,
    pub(super) key_length: usize,
    pub(super) payload: *const u8,
    pub(super) payload_length: usize,
    pub(super) headers: *const Header,
    pub(super) header_count: usize,
    pub(super) timestamp_ms: i64,
    pub(super) partition: i32,
    pub(super) reserved: u32,
    pub(super) partition_key: *const u8,
    pub(super) partition_key_length: usize,
    pub(super) label: *const u8,
    pub(super) label_length: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Selection {
    pub(super) topic: *const u8,
    pub(super) topic_length: usize,
    pub(super) partitions: *const i32,
    pub(super) partition_count: usize,
    pub(super) number: i64,
    pub(super) from: u32,
    pub(super) reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) topic: Text,
    pub(super) numbers: [i64; 4],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct BatchMetadata {
    pub(super) numbers: [i64; 9],
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Report {
    pub(super) offset: i64,
    pub(super) timestamp_ms: i64,
    pub(super) partition: i32,
    pub(super) reserved: u32,
}

unsafe extern "C" {
    pub(super) fn karafka_abi_version() -> u32;
    pub(super) fn karafka_handle_count() -> usize;
    pub(super) fn karafka_version() -> Text;
    pub(super) fn karafka_librdkafka_version() -> Text;
    pub(super) fn karafka_error_code(error: Handle) -> u32;
    pub(super) fn karafka_error_name(error: Handle) -> Text;
    pub(super) fn karafka_error_message(error: Handle) -> Text;
    pub(super) fn karafka_error_is_retriable(error: Handle) -> bool;
    pub(super) fn karafka_error_is_fatal(error: Handle) -> bool;
    pub(super) fn karafka_error_kafka_code(error: Handle) -> i32;
    pub(super) fn karafka_error_free(error: Handle);
    pub(super) fn karafka_config_new(config: *mut Handle) -> Handle;
    pub(super) fn karafka_config_free(config: Handle);
    pub(super) fn karafka_config_set_string(
        config: Handle,
        name: *const u8,
        name_length: usize,
        value: *const u8,
        value_length: usize,
    ) -> Handle;
    pub(super) fn karafka_config_set_integer(config: Handle, name: *const u8, name_length: usize, value: i64)
    -> Handle;
    pub(super) fn karafka_config_set_float(config: Handle, name: *const u8, name_length: usize, value: f64) -> Handle;
    pub(super) fn karafka_config_set_bool(config: Handle, name: *const u8, name_length: usize, value: bool) -> Handle;
    pub(super) fn karafka_batch_length(batch: Handle) -> usize;
    pub(super) fn karafka_batch_messages(batch: Handle, messages: *mut *const c_void, length: *mut usize) -> Handle;
    pub(super) fn karafka_batch_message(batch: Handle, index: usize) -> *const c_void;
    pub(super) fn karafka_batch_headers(
        batch: Handle,
        index: usize,
        headers: *mut *const c_void,
        length: *mut usize,
    ) -> Handle;
    pub(super) fn karafka_batch_topic(batch: Handle) -> Text;
    pub(super) fn karafka_batch_partition(batch: Handle) -> i32;
    pub(super) fn karafka_batch_ref(batch: Handle) -> Handle;
    pub(super) fn karafka_batch_unref(batch: Handle);
    pub(super) fn karafka_context_mark_as_consumed(context: Handle, index: usize, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_acknowledge(context: Handle, index: usize, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_mark_as_consumed_sync(
        context: Handle,
        index: usize,
        timeout_ms: i64,
        owned: *mut bool,
    ) -> Handle;
    pub(super) fn karafka_context_mark_as_consumed_with(
        context: Handle,
        index: usize,
        metadata: *const u8,
        metadata_length: usize,
        owned: *mut bool,
    ) -> Handle;
    pub(super) fn karafka_context_store_offset_metadata(
        context: Handle,
        metadata: *const u8,
        metadata_length: usize,
        owned: *mut bool,
    ) -> Handle;
    pub(super) fn karafka_context_offset_metadata(context: Handle) -> Text;
    pub(super) fn karafka_context_commit_offsets(context: Handle, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_commit_offsets_sync(context: Handle, timeout_ms: i64, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_pause(context: Handle, time_ms: i64, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_resume(context: Handle, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_seek(context: Handle, offset: i64, timeout_ms: i64, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_seek_to_time(
        context: Handle,
        time_ms: i64,
        timeout_ms: i64,
        owned: *mut bool,
    ) -> Handle;
    pub(super) fn karafka_context_each(context: Handle, each: Each, data: Data) -> u32;
    pub(super) fn karafka_batch_metadata(batch: Handle, metadata: *mut BatchMetadata) -> Handle;
    pub(super) fn karafka_context_fail(
        context: Handle,
        class: *const u8,
        class_length: usize,
        message: *const u8,
        message_length: usize,
    ) -> Handle;
    pub(super) fn karafka_context_defer(context: Handle, completion: *mut Handle) -> Handle;
    pub(super) fn karafka_context_topic(context: Handle) -> Text;
    pub(super) fn karafka_context_partition(context: Handle) -> i32;
    pub(super) fn karafka_context_group(context: Handle) -> Text;
    pub(super) fn karafka_context_attempt(context: Handle) -> u32;
    pub(super) fn karafka_context_is_revoked(context: Handle) -> bool;
    pub(super) fn karafka_context_mark_offset(context: Handle, offset: i64, owned: *mut bool) -> Handle;
    pub(super) fn karafka_context_is_eofed(context: Handle) -> bool;
    pub(super) fn karafka_context_is_used(context: Handle) -> bool;
    pub(super) fn karafka_context_is_stopping(context: Handle) -> bool;
    pub(super) fn karafka_completion_done(completion: Handle) -> Handle;
    pub(super) fn karafka_completion_fail(
        completion: Handle,
        class: *const u8,
        class_length: usize,
        message: *const u8,
        message_length: usize,
    ) -> Handle;
    pub(super) fn karafka_completion_free(completion: Handle);
    pub(super) fn karafka_app_new(config: Handle, app: *mut Handle) -> Handle;
    pub(super) fn karafka_app_free(app: Handle);
    pub(super) fn karafka_app_start(app: Handle) -> Handle;
    pub(super) fn karafka_app_stop(app: Handle) -> Handle;
    pub(super) fn karafka_app_stop_within(app: Handle, timeout_ms: i64) -> Handle;
    pub(super) fn karafka_app_join(app: Handle, timeout_ms: i64, stopped: *mut bool) -> Handle;
    pub(super) fn karafka_app_quiet(app: Handle) -> Handle;
    pub(super) fn karafka_app_resume(app: Handle) -> Handle;
    pub(super) fn karafka_app_resize(app: Handle, concurrency: u32) -> Handle;
    pub(super) fn karafka_app_phase(app: Handle) -> u32;
    pub(super) fn karafka_app_topic(
        app: Handle,
        name: *const u8,
        name_length: usize,
        config: Handle,
        handler: Handler,
        data: Data,
        destructor: Destructor,
        topic: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_app_topic_asynchronous(
        app: Handle,
        name: *const u8,
        name_length: usize,
        config: Handle,
        handler: Handler,
        data: Data,
        destructor: Destructor,
        topic: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_topic_set_partitioner(
        topic: Handle,
        partitioner: Partitioner,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_app_set_scheduler(
        app: Handle,
        scheduler: Scheduler,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_topic_set_unique_by(
        topic: Handle,
        unique_by: Partitioner,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_topic_set_filter(topic: Handle, filter: Filter, data: Data, destructor: Destructor)
    -> Handle;
    pub(super) fn karafka_topic_set_tick(topic: Handle, hook: Hook, data: Data, destructor: Destructor) -> Handle;
    pub(super) fn karafka_topic_set_eofed(topic: Handle, hook: Hook, data: Data, destructor: Destructor) -> Handle;
    pub(super) fn karafka_topic_set_revoked(topic: Handle, hook: Hook, data: Data, destructor: Destructor) -> Handle;
    pub(super) fn karafka_topic_set_shutdown(topic: Handle, hook: Hook, data: Data, destructor: Destructor) -> Handle;
    pub(super) fn karafka_topic_set_strategy(
        topic: Handle,
        strategy: Strategy,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_batch_attempt(batch: Handle, index: usize) -> u32;
    pub(super) fn karafka_context_verdict(
        context: Handle,
        verdict: u32,
        topic: *const u8,
        topic_length: usize,
    ) -> Handle;
    pub(super) fn karafka_error_exit_code(error: Handle) -> i32;
    pub(super) fn karafka_app_statistics(app: Handle, timeout_ms: i64, event: *mut Handle) -> Handle;
    pub(super) fn karafka_app_events_of(
        app: Handle,
        names: *const u8,
        names_length: usize,
        events: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_app_events(app: Handle, events: *mut Handle) -> Handle;
    pub(super) fn karafka_events_next(events: Handle, timeout_ms: i64, event: *mut Handle) -> Handle;
    pub(super) fn karafka_events_free(events: Handle);
    pub(super) fn karafka_event_name(event: Handle) -> Text;
    pub(super) fn karafka_event_text(event: Handle) -> Text;
    pub(super) fn karafka_event_field(event: Handle, name: *const u8, name_length: usize) -> Text;
    pub(super) fn karafka_event_field_count(event: Handle) -> usize;
    pub(super) fn karafka_event_field_name(event: Handle, index: usize) -> Text;
    pub(super) fn karafka_event_field_value(event: Handle, index: usize) -> Text;
    pub(super) fn karafka_event_free(event: Handle);
    pub(super) fn karafka_producer_new(config: Handle, producer: *mut Handle) -> Handle;
    pub(super) fn karafka_app_producer(app: Handle, producer: *mut Handle) -> Handle;
    pub(super) fn karafka_producer_free(producer: Handle);
    pub(super) fn karafka_producer_produce_async(
        producer: Handle,
        record: *const Record,
        delivery: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_producer_produce_with_callback(
        producer: Handle,
        record: *const Record,
        callback: Callback,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_producer_produce_sync(producer: Handle, record: *const Record, report: *mut Report)
    -> Handle;
    pub(super) fn karafka_producer_produce_many_async(
        producer: Handle,
        records: *const Record,
        count: usize,
        deliveries: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_producer_produce_many_sync(
        producer: Handle,
        records: *const Record,
        count: usize,
        reports: *mut Report,
    ) -> Handle;
    pub(super) fn karafka_producer_flush(producer: Handle, timeout_ms: i64, remaining: *mut usize) -> Handle;
    pub(super) fn karafka_producer_in_flight(producer: Handle) -> usize;
    pub(super) fn karafka_producer_close(producer: Handle) -> Handle;
    pub(super) fn karafka_delivery_wait(delivery: Handle, timeout_ms: i64, report: *mut Report) -> Handle;
    pub(super) fn karafka_delivery_free(delivery: Handle);
    pub(super) fn karafka_producer_new_with(
        config: Handle,
        testing_partitions: u32,
        partitioner: ProducerPartitioner,
        partitioner_data: Data,
        partitioner_destructor: Destructor,
        middleware: ProducerMiddleware,
        middleware_data: Data,
        middleware_destructor: Destructor,
        producer: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_draft_set(draft: Handle, record: *const Record) -> Handle;
    pub(super) fn karafka_producer_buffer(producer: Handle, records: *const Record, count: usize) -> Handle;
    pub(super) fn karafka_producer_buffered(producer: Handle) -> usize;
    pub(super) fn karafka_producer_flush_buffer(producer: Handle, wait: bool, sent: *mut usize) -> Handle;
    pub(super) fn karafka_producer_clear_buffer(producer: Handle, cleared: *mut usize) -> Handle;
    pub(super) fn karafka_producer_recorded(
        producer: Handle,
        callback: RecordedCallback,
        data: Data,
        count: *mut usize,
    ) -> Handle;
    pub(super) fn karafka_producer_forget_recorded(producer: Handle) -> Handle;
    pub(super) fn karafka_producer_fail_next(
        producer: Handle,
        code: u32,
        message: *const u8,
        message_length: usize,
    ) -> Handle;
    pub(super) fn karafka_producer_variant(producer: Handle, config: Handle, variant: *mut Handle) -> Handle;
    pub(super) fn karafka_producer_partitions(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        timeout_ms: i64,
        count: *mut usize,
    ) -> Handle;
    pub(super) fn karafka_producer_events(
        producer: Handle,
        names: *const u8,
        names_length: usize,
        events: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_embedded_broker_named(
        address: *const u8,
        address_length: usize,
        broker: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_embedded_broker_create_topic(
        broker: Handle,
        name: *const u8,
        name_length: usize,
        partitions: i32,
    ) -> Handle;
    pub(super) fn karafka_embedded_broker_bootstrap_servers(broker: Handle) -> Text;
    pub(super) fn karafka_embedded_broker_free(broker: Handle);
    pub(super) fn karafka_transactional_producer_new(config: Handle, producer: *mut Handle) -> Handle;
    pub(super) fn karafka_transactional_producer_close(producer: Handle) -> Handle;
    pub(super) fn karafka_transactional_producer_free(producer: Handle);
    pub(super) fn karafka_transactional_producer_begin(producer: Handle, transaction: *mut Handle) -> Handle;
    pub(super) fn karafka_transaction_produce_async(
        transaction: Handle,
        record: *const Record,
        delivery: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_transaction_commit(transaction: Handle) -> Handle;
    pub(super) fn karafka_transaction_abort(transaction: Handle) -> Handle;
    pub(super) fn karafka_transaction_free(transaction: Handle);
    pub(super) fn karafka_reader_new(
        config: Handle,
        selections: *const Selection,
        count: usize,
        reader: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_reader_next(reader: Handle, timeout_ms: i64, batch: *mut Handle) -> Handle;
    pub(super) fn karafka_reader_interrupt(reader: Handle);
    pub(super) fn karafka_reader_stop_partition(
        reader: Handle,
        topic: *const u8,
        topic_length: usize,
        partition: i32,
        was_read: *mut bool,
    ) -> Handle;
    pub(super) fn karafka_reader_place_count(reader: Handle) -> usize;
    pub(super) fn karafka_reader_place(reader: Handle, index: usize, place: *mut Place) -> Handle;
    pub(super) fn karafka_reader_free(reader: Handle);
    pub(super) fn karafka_admin_new(config: Handle, admin: *mut Handle) -> Handle;
    pub(super) fn karafka_admin_ask(
        admin: Handle,
        request: *const u8,
        request_length: usize,
        timeout_ms: i64,
        answer: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_admin_free(admin: Handle);
    pub(super) fn karafka_answer_text(answer: Handle) -> Text;
    pub(super) fn karafka_answer_field(answer: Handle, path: *const u8, path_length: usize) -> Text;
    pub(super) fn karafka_answer_count(answer: Handle, path: *const u8, path_length: usize) -> usize;
    pub(super) fn karafka_answer_free(answer: Handle);
    pub(super) fn karafka_context_begin_transaction(context: Handle, transaction: *mut Handle) -> Handle;
    pub(super) fn karafka_transaction_mark_as_consumed(transaction: Handle, index: usize) -> Handle;
    pub(super) fn karafka_transaction_acknowledge(transaction: Handle, index: usize) -> Handle;
    pub(super) fn karafka_app_scheduled_messages(
        app: Handle,
        topic: *const u8,
        topic_length: usize,
        config: Handle,
    ) -> Handle;
    pub(super) fn karafka_producer_schedule(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        record: *const Record,
        at_ms: i64,
        id: *mut [u8; 64],
    ) -> Handle;
    pub(super) fn karafka_producer_cancel(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        id: *const u8,
        id_length: usize,
    ) -> Handle;
    pub(super) fn karafka_app_recurring_tasks(
        app: Handle,
        topic: *const u8,
        topic_length: usize,
        config: Handle,
        tasks: *mut Handle,
    ) -> Handle;
    pub(super) fn karafka_recurring_tasks_add(
        tasks: Handle,
        name: *const u8,
        name_length: usize,
        cron: *const u8,
        cron_length: usize,
        task: Task,
        data: Data,
        destructor: Destructor,
    ) -> Handle;
    pub(super) fn karafka_task_run_should_end(run: *const c_void) -> bool;
    pub(super) fn karafka_recurring_tasks_free(tasks: Handle);
    pub(super) fn karafka_producer_enable_task(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        task: *const u8,
        task_length: usize,
    ) -> Handle;
    pub(super) fn karafka_producer_disable_task(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        task: *const u8,
        task_length: usize,
    ) -> Handle;
    pub(super) fn karafka_producer_trigger_task(
        producer: Handle,
        topic: *const u8,
        topic_length: usize,
        task: *const u8,
        task_length: usize,
    ) -> Handle;
    pub(super) fn karafka_context_count_outputs(context: Handle) -> Handle;
    pub(super) fn karafka_producer_reopen(producer: Handle, reopened: *mut Handle) -> Handle;
}
