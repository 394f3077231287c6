//! One entry a function: how its arguments are drawn, and what becomes of its results.
//!
//! Not here: `karafka_app_run`, which waits for an end that nobody brings, and what `World` calls by itself.

#[allow(clippy::wildcard_imports, reason = "all of the ABI")]
use super::functions::*;
use super::{
    World, delivered, filter, handler, hook, middleware, partitioner, read, record_partitioner, recorded, scheduler,
    strategy, task,
};

type Call = fn(&mut World<'_>);

pub(super) const CALLS: &[(&str, Call)] = &[
    ("karafka_abi_version", |_| {
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_abi_version() };
    }),
    ("karafka_version", |_| {
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_version() });
    }),
    ("karafka_librdkafka_version", |_| {
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_librdkafka_version() });
    }),
    ("karafka_error_name", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_error_name(error) });
    }),
    ("karafka_error_is_retriable", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_error_is_retriable(error) };
    }),
    ("karafka_error_is_fatal", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_error_is_fatal(error) };
    }),
    ("karafka_error_kafka_code", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_error_kafka_code(error) };
    }),
    ("karafka_error_free", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_error_free(error) };
    }),
    ("karafka_config_new", |world| {
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_config_new(place) };
        world.error(error);
        world.keep(made, karafka_config_free);
    }),
    ("karafka_config_free", |world| {
        let config = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_config_free(config) };
    }),
    ("karafka_config_set_string", |world| {
        let config = world.handle();
        let name = world.text();
        let value = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_config_set_string(config, name.0, name.1, value.0, value.1) };
        world.error(error);
    }),
    ("karafka_config_set_integer", |world| {
        let config = world.handle();
        let name = world.text();
        let value = world.input.integer();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_config_set_integer(config, name.0, name.1, value) };
        world.error(error);
    }),
    ("karafka_config_set_float", |world| {
        let config = world.handle();
        let name = world.text();
        let value = f64::from_bits(world.input.integer().cast_unsigned());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_config_set_float(config, name.0, name.1, value) };
        world.error(error);
    }),
    ("karafka_config_set_bool", |world| {
        let config = world.handle();
        let name = world.text();
        let value = world.input.byte() & 1 == 1;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_config_set_bool(config, name.0, name.1, value) };
        world.error(error);
    }),
    ("karafka_batch_length", |world| {
        let batch = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_batch_length(batch) };
    }),
    ("karafka_batch_messages", |world| {
        let batch = world.handle();
        let mut messages = std::ptr::null();
        let messages = world.place(&mut messages);
        let mut length = 0_usize;
        let length = world.place(&mut length);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_batch_messages(batch, messages, length) };
        world.error(error);
    }),
    ("karafka_batch_message", |world| {
        let batch = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_batch_message(batch, index) };
    }),
    ("karafka_batch_headers", |world| {
        let batch = world.handle();
        let index = world.input.integer() as usize;
        let mut headers = std::ptr::null();
        let headers = world.place(&mut headers);
        let mut length = 0_usize;
        let length = world.place(&mut length);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_batch_headers(batch, index, headers, length) };
        world.error(error);
    }),
    ("karafka_batch_topic", |world| {
        let batch = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_batch_topic(batch) });
    }),
    ("karafka_batch_partition", |world| {
        let batch = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_batch_partition(batch) };
    }),
    ("karafka_batch_ref", |world| {
        let batch = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_batch_ref(batch) };
        world.error(error);
    }),
    ("karafka_batch_unref", |world| {
        let batch = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_batch_unref(batch) };
    }),
    ("karafka_context_mark_as_consumed", |world| {
        let context = world.handle();
        let index = world.input.integer() as usize;
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_mark_as_consumed(context, index, owned) };
        world.error(error);
    }),
    ("karafka_context_acknowledge", |world| {
        let context = world.handle();
        let index = world.input.integer() as usize;
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_acknowledge(context, index, owned) };
        world.error(error);
    }),
    ("karafka_context_mark_as_consumed_sync", |world| {
        let context = world.handle();
        let index = world.input.integer() as usize;
        let timeout = world.timeout();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_mark_as_consumed_sync(context, index, timeout, owned) };
        world.error(error);
    }),
    ("karafka_context_mark_as_consumed_with", |world| {
        let context = world.handle();
        let index = world.input.integer() as usize;
        let text = world.text();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_mark_as_consumed_with(context, index, text.0, text.1, owned) };
        world.error(error);
    }),
    ("karafka_context_store_offset_metadata", |world| {
        let context = world.handle();
        let text = world.text();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_store_offset_metadata(context, text.0, text.1, owned) };
        world.error(error);
    }),
    ("karafka_context_offset_metadata", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_context_offset_metadata(context) });
    }),
    ("karafka_context_commit_offsets", |world| {
        let context = world.handle();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_commit_offsets(context, owned) };
        world.error(error);
    }),
    ("karafka_context_commit_offsets_sync", |world| {
        let context = world.handle();
        let timeout = world.timeout();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_commit_offsets_sync(context, timeout, owned) };
        world.error(error);
    }),
    ("karafka_context_pause", |world| {
        let context = world.handle();
        let timeout = world.timeout();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_pause(context, timeout, owned) };
        world.error(error);
    }),
    ("karafka_context_resume", |world| {
        let context = world.handle();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_resume(context, owned) };
        world.error(error);
    }),
    ("karafka_context_seek", |world| {
        let context = world.handle();
        let offset = world.input.integer();
        let timeout = world.timeout();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_seek(context, offset, timeout, owned) };
        world.error(error);
    }),
    ("karafka_context_seek_to_time", |world| {
        let context = world.handle();
        let offset = world.input.integer();
        let timeout = world.timeout();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_seek_to_time(context, offset, timeout, owned) };
        world.error(error);
    }),
    ("karafka_context_each", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; without a function nothing is called.
        let _ = unsafe { karafka_context_each(context, None, std::ptr::null_mut()) };
    }),
    ("karafka_batch_metadata", |world| {
        let batch = world.handle();
        let mut metadata = BatchMetadata::default();
        let metadata = world.place(&mut metadata);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_batch_metadata(batch, metadata) };
        world.error(error);
    }),
    ("karafka_context_fail", |world| {
        let context = world.handle();
        let class = world.text();
        let message = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_fail(context, class.0, class.1, message.0, message.1) };
        world.error(error);
    }),
    ("karafka_context_defer", |world| {
        let context = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_defer(context, place) };
        world.error(error);
        world.keep(made, karafka_completion_free);
    }),
    ("karafka_context_topic", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_context_topic(context) });
    }),
    ("karafka_context_partition", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_partition(context) };
    }),
    ("karafka_context_group", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_context_group(context) });
    }),
    ("karafka_context_attempt", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_attempt(context) };
    }),
    ("karafka_context_is_revoked", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_is_revoked(context) };
    }),
    ("karafka_context_is_stopping", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_is_stopping(context) };
    }),
    ("karafka_completion_done", |world| {
        let completion = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_completion_done(completion) };
        world.error(error);
    }),
    ("karafka_completion_fail", |world| {
        let completion = world.handle();
        let class = world.text();
        let message = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_completion_fail(completion, class.0, class.1, message.0, message.1) };
        world.error(error);
    }),
    ("karafka_completion_free", |world| {
        let completion = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_completion_free(completion) };
    }),
    ("karafka_app_new", |world| {
        if !world.may_make_client() {
            return;
        }
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_new(config, place) };
        world.error(error);
        world.keep(made, karafka_app_free);
    }),
    ("karafka_app_free", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_app_free(app) };
    }),
    ("karafka_app_start", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_start(app) };
        world.error(error);
    }),
    ("karafka_app_stop", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_stop(app) };
        world.error(error);
    }),
    ("karafka_app_stop_within", |world| {
        let app = world.handle();
        let timeout = world.timeout();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_stop_within(app, timeout) };
        world.error(error);
    }),
    ("karafka_app_join", |world| {
        let app = world.handle();
        let timeout = world.timeout();
        let mut stopped = false;
        let stopped = world.place(&mut stopped);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_join(app, timeout, stopped) };
        world.error(error);
    }),
    ("karafka_app_quiet", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_quiet(app) };
        world.error(error);
    }),
    ("karafka_app_resume", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_resume(app) };
        world.error(error);
    }),
    ("karafka_app_resize", |world| {
        let app = world.handle();
        let concurrency = u32::from(world.input.byte());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_resize(app, concurrency) };
        world.error(error);
    }),
    ("karafka_app_phase", |world| {
        let app = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_app_phase(app) };
    }),
    ("karafka_app_topic", |world| {
        let app = world.handle();
        let name = world.text();
        let config = world.handle();
        let handler: Handler = (world.input.byte() != 0xff).then_some(handler);
        let (data, destructor) = world.user_data();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_topic(app, name.0, name.1, config, handler, data, destructor, place) };
        world.error(error);
        if !made.is_null() {
            world.seen.push(made);
        }
    }),
    ("karafka_app_topic_asynchronous", |world| {
        let app = world.handle();
        let name = world.text();
        let config = world.handle();
        let handler: Handler = (world.input.byte() != 0xff).then_some(handler);
        let (data, destructor) = world.user_data();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error =
            unsafe { karafka_app_topic_asynchronous(app, name.0, name.1, config, handler, data, destructor, place) };
        world.error(error);
        if !made.is_null() {
            world.seen.push(made);
        }
    }),
    ("karafka_topic_set_partitioner", |world| {
        let topic = world.handle();
        let partitioner: Partitioner = (world.input.byte() != 0xff).then_some(partitioner);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_partitioner(topic, partitioner, data, destructor) };
        world.error(error);
    }),
    ("karafka_app_events", |world| {
        let app = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_events(app, place) };
        world.error(error);
        world.keep(made, karafka_events_free);
    }),
    ("karafka_events_next", |world| {
        let events = world.handle();
        let timeout = world.timeout();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_events_next(events, timeout, place) };
        world.error(error);
        world.keep(made, karafka_event_free);
    }),
    ("karafka_events_free", |world| {
        let events = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_events_free(events) };
    }),
    ("karafka_event_name", |world| {
        let event = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_event_name(event) });
    }),
    ("karafka_event_text", |world| {
        let event = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_event_text(event) });
    }),
    ("karafka_event_field", |world| {
        let event = world.handle();
        let name = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_event_field(event, name.0, name.1) });
    }),
    ("karafka_event_field_count", |world| {
        let event = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_event_field_count(event) };
    }),
    ("karafka_event_field_name", |world| {
        let event = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_event_field_name(event, index) });
    }),
    ("karafka_event_field_value", |world| {
        let event = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_event_field_value(event, index) });
    }),
    ("karafka_event_free", |world| {
        let event = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_event_free(event) };
    }),
    ("karafka_producer_new", |world| {
        if !world.may_make_client() {
            return;
        }
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_new(config, place) };
        world.error(error);
        world.keep(made, karafka_producer_free);
    }),
    ("karafka_app_producer", |world| {
        if !world.may_make_client() {
            return;
        }
        let app = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_producer(app, place) };
        world.error(error);
        world.keep(made, karafka_producer_free);
    }),
    ("karafka_producer_free", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_producer_free(producer) };
    }),
    ("karafka_producer_produce_async", |world| {
        let producer = world.handle();
        let record = world.record();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_produce_async(producer, &raw const record, place) };
        world.error(error);
        world.keep(made, karafka_delivery_free);
    }),
    ("karafka_producer_produce_with_callback", |world| {
        let producer = world.handle();
        let record = world.record();
        let callback: Callback = (world.input.byte() != 0xff).then_some(delivered);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error =
            unsafe { karafka_producer_produce_with_callback(producer, &raw const record, callback, data, destructor) };
        world.error(error);
    }),
    ("karafka_producer_produce_sync", |world| {
        let producer = world.handle();
        let record = world.record();
        let mut report = Report::default();
        let report = world.place(&mut report);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_produce_sync(producer, &raw const record, report) };
        world.error(error);
    }),
    ("karafka_producer_produce_many_async", |world| {
        let producer = world.handle();
        let records = [world.record(), world.record(), world.record()];
        let count = world.input.below(4);
        let mut deliveries = [std::ptr::null_mut(); 3];
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error =
            unsafe { karafka_producer_produce_many_async(producer, records.as_ptr(), count, deliveries.as_mut_ptr()) };
        world.error(error);
        for delivery in deliveries {
            world.keep(delivery, karafka_delivery_free);
        }
    }),
    ("karafka_producer_produce_many_sync", |world| {
        let producer = world.handle();
        let records = [world.record(), world.record(), world.record()];
        let count = world.input.below(4);
        let mut reports = [Report::default(); 3];
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error =
            unsafe { karafka_producer_produce_many_sync(producer, records.as_ptr(), count, reports.as_mut_ptr()) };
        world.error(error);
    }),
    ("karafka_producer_flush", |world| {
        let producer = world.handle();
        let timeout = world.timeout();
        let mut remaining = 0_usize;
        let remaining = world.place(&mut remaining);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_flush(producer, timeout, remaining) };
        world.error(error);
    }),
    ("karafka_producer_in_flight", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_producer_in_flight(producer) };
    }),
    ("karafka_producer_close", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_close(producer) };
        world.error(error);
    }),
    ("karafka_delivery_wait", |world| {
        let delivery = world.handle();
        let timeout = world.timeout();
        let mut report = Report::default();
        let report = world.place(&mut report);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_delivery_wait(delivery, timeout, report) };
        world.error(error);
    }),
    ("karafka_delivery_free", |world| {
        let delivery = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_delivery_free(delivery) };
    }),
    ("karafka_embedded_broker_named", |world| {
        if !world.may_make_client() {
            return;
        }
        let address = world.text();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_embedded_broker_named(address.0, address.1, place) };
        world.error(error);
        world.keep(made, karafka_embedded_broker_free);
    }),
    ("karafka_embedded_broker_create_topic", |world| {
        let broker = world.handle();
        let name = world.text();
        let partitions = i32::from(world.input.byte()) - 3;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_embedded_broker_create_topic(broker, name.0, name.1, partitions) };
        world.error(error);
    }),
    ("karafka_embedded_broker_bootstrap_servers", |world| {
        let broker = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_embedded_broker_bootstrap_servers(broker) });
    }),
    ("karafka_embedded_broker_free", |world| {
        let broker = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_embedded_broker_free(broker) };
    }),
    ("karafka_topic_set_unique_by", |world| {
        let topic = world.handle();
        let partitioner: Partitioner = (world.input.byte() != 0xff).then_some(partitioner);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_unique_by(topic, partitioner, data, destructor) };
        world.error(error);
    }),
    ("karafka_app_set_scheduler", |world| {
        let app = world.handle();
        let scheduler: Scheduler = (world.input.byte() != 0xff).then_some(scheduler);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_set_scheduler(app, scheduler, data, destructor) };
        world.error(error);
    }),
    ("karafka_app_events_of", |world| {
        let app = world.handle();
        let names = world.text();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_events_of(app, names.0, names.1, place) };
        world.error(error);
        world.keep(made, karafka_events_free);
    }),
    ("karafka_app_statistics", |world| {
        let app = world.handle();
        let timeout = world.timeout();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_statistics(app, timeout, place) };
        world.error(error);
        world.keep(made, karafka_event_free);
    }),
    ("karafka_error_exit_code", |world| {
        let error = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_error_exit_code(error) };
    }),
    ("karafka_batch_attempt", |world| {
        let batch = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_batch_attempt(batch, index) };
    }),
    ("karafka_context_verdict", |world| {
        let context = world.handle();
        let verdict = u32::from(world.input.byte());
        let topic = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_verdict(context, verdict, topic.0, topic.1) };
        world.error(error);
    }),
    ("karafka_topic_set_filter", |world| {
        let topic = world.handle();
        let filter: Filter = (world.input.byte() != 0xff).then_some(filter);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_filter(topic, filter, data, destructor) };
        world.error(error);
    }),
    ("karafka_topic_set_strategy", |world| {
        let topic = world.handle();
        let strategy: Strategy = (world.input.byte() != 0xff).then_some(strategy);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_strategy(topic, strategy, data, destructor) };
        world.error(error);
    }),
    ("karafka_topic_set_tick", |world| {
        let topic = world.handle();
        let hook: Hook = (world.input.byte() != 0xff).then_some(hook);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_tick(topic, hook, data, destructor) };
        world.error(error);
    }),
    ("karafka_topic_set_eofed", |world| {
        let topic = world.handle();
        let hook: Hook = (world.input.byte() != 0xff).then_some(hook);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_eofed(topic, hook, data, destructor) };
        world.error(error);
    }),
    ("karafka_topic_set_revoked", |world| {
        let topic = world.handle();
        let hook: Hook = (world.input.byte() != 0xff).then_some(hook);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_revoked(topic, hook, data, destructor) };
        world.error(error);
    }),
    ("karafka_topic_set_shutdown", |world| {
        let topic = world.handle();
        let hook: Hook = (world.input.byte() != 0xff).then_some(hook);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_topic_set_shutdown(topic, hook, data, destructor) };
        world.error(error);
    }),
    ("karafka_context_is_eofed", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_is_eofed(context) };
    }),
    ("karafka_context_is_used", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_context_is_used(context) };
    }),
    ("karafka_context_mark_offset", |world| {
        let context = world.handle();
        let offset = world.input.integer();
        let mut owned = false;
        let owned = world.place(&mut owned);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_mark_offset(context, offset, owned) };
        world.error(error);
    }),
    ("karafka_producer_new_with", |world| {
        let config = world.handle();
        // One that sends would ask brokers that are not there.
        let partitions = 1 + u32::from(world.input.byte());
        let partitioner: ProducerPartitioner = (world.input.byte() != 0xff).then_some(record_partitioner);
        let middleware: ProducerMiddleware = (world.input.byte() != 0xff).then_some(middleware);
        let (first, second) = (world.user_data(), world.user_data());
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe {
            karafka_producer_new_with(
                config,
                partitions,
                partitioner,
                first.0,
                first.1,
                middleware,
                second.0,
                second.1,
                place,
            )
        };
        world.error(error);
        world.keep(made, karafka_producer_free);
    }),
    ("karafka_draft_set", |world| {
        let draft = world.handle();
        let record = world.record();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_draft_set(draft, &raw const record) };
        world.error(error);
    }),
    ("karafka_producer_buffer", |world| {
        let producer = world.handle();
        let records = [world.record(), world.record(), world.record()];
        let count = world.input.below(4);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_buffer(producer, records.as_ptr(), count) };
        world.error(error);
    }),
    ("karafka_producer_buffered", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_producer_buffered(producer) };
    }),
    ("karafka_producer_flush_buffer", |world| {
        let producer = world.handle();
        let mut count = 0_usize;
        let place = world.place(&mut count);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_flush_buffer(producer, false, place) };
        world.error(error);
    }),
    ("karafka_producer_clear_buffer", |world| {
        let producer = world.handle();
        let mut count = 0_usize;
        let place = world.place(&mut count);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_clear_buffer(producer, place) };
        world.error(error);
    }),
    ("karafka_producer_recorded", |world| {
        let producer = world.handle();
        let callback: RecordedCallback = (world.input.byte() != 0xff).then_some(recorded);
        let mut count = 0_usize;
        let place = world.place(&mut count);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_recorded(producer, callback, std::ptr::null_mut(), place) };
        world.error(error);
    }),
    ("karafka_producer_forget_recorded", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_forget_recorded(producer) };
        world.error(error);
    }),
    ("karafka_producer_fail_next", |world| {
        let producer = world.handle();
        let code = u32::from(world.input.byte());
        let message = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_fail_next(producer, code, message.0, message.1) };
        world.error(error);
    }),
    ("karafka_producer_variant", |world| {
        if !world.may_make_client() {
            return;
        }
        let producer = world.handle();
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_variant(producer, config, place) };
        world.error(error);
        world.keep(made, karafka_producer_free);
    }),
    ("karafka_producer_partitions", |world| {
        let producer = world.handle();
        let topic = world.text();
        let timeout = world.timeout();
        let mut count = 0_usize;
        let place = world.place(&mut count);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_partitions(producer, topic.0, topic.1, timeout, place) };
        world.error(error);
    }),
    ("karafka_producer_events", |world| {
        let producer = world.handle();
        let names = world.text();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_events(producer, names.0, names.1, place) };
        world.error(error);
        world.keep(made, karafka_events_free);
    }),
    ("karafka_transactional_producer_new", |world| {
        if !world.may_make_client() {
            return;
        }
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transactional_producer_new(config, place) };
        world.error(error);
        world.keep(made, karafka_transactional_producer_free);
    }),
    ("karafka_transactional_producer_close", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transactional_producer_close(producer) };
        world.error(error);
    }),
    ("karafka_transactional_producer_free", |world| {
        let producer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_transactional_producer_free(producer) };
    }),
    ("karafka_transactional_producer_begin", |world| {
        let producer = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transactional_producer_begin(producer, place) };
        world.error(error);
        world.keep(made, karafka_transaction_free);
    }),
    ("karafka_transaction_produce_async", |world| {
        let transaction = world.handle();
        let record = world.record();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transaction_produce_async(transaction, &raw const record, place) };
        world.error(error);
        world.keep(made, karafka_delivery_free);
    }),
    ("karafka_transaction_commit", |world| {
        let transaction = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transaction_commit(transaction) };
        world.error(error);
    }),
    ("karafka_transaction_abort", |world| {
        let transaction = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transaction_abort(transaction) };
        world.error(error);
    }),
    ("karafka_transaction_free", |world| {
        let transaction = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_transaction_free(transaction) };
    }),
    ("karafka_reader_new", |world| {
        if !world.may_make_client() {
            return;
        }
        let config = world.handle();
        let topic = world.text();
        let partition = 0_i32;
        let selection = Selection {
            topic: topic.0,
            topic_length: topic.1,
            partitions: if world.input.byte() % 2 == 0 { std::ptr::null() } else { &raw const partition },
            partition_count: usize::from(world.input.byte() % 2),
            number: world.input.integer(),
            from: u32::from(world.input.byte() % 6),
            reserved: 0,
        };
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_reader_new(config, &raw const selection, 1, place) };
        world.error(error);
        world.keep(made, karafka_reader_free);
    }),
    ("karafka_reader_next", |world| {
        let reader = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_reader_next(reader, 0, place) };
        world.error(error);
        world.keep(made, karafka_batch_unref);
    }),
    ("karafka_reader_interrupt", |world| {
        let reader = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_reader_interrupt(reader) };
    }),
    ("karafka_reader_stop_partition", |world| {
        let reader = world.handle();
        let topic = world.text();
        let mut was_read = false;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_reader_stop_partition(reader, topic.0, topic.1, 0, &raw mut was_read) };
        world.error(error);
    }),
    ("karafka_reader_place_count", |world| {
        let reader = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_reader_place_count(reader) };
    }),
    ("karafka_reader_place", |world| {
        let reader = world.handle();
        let mut found = Place { topic: std::ptr::null(), numbers: [0; 4] };
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_reader_place(reader, usize::from(world.input.byte() % 4), &raw mut found) };
        world.error(error);
        read(found.topic);
    }),
    ("karafka_reader_free", |world| {
        let reader = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_reader_free(reader) };
    }),
    ("karafka_admin_new", |world| {
        if !world.may_make_client() {
            return;
        }
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_admin_new(config, place) };
        world.error(error);
        world.keep(made, karafka_admin_free);
    }),
    ("karafka_admin_ask", |world| {
        const TOPICS: &str = "{\"call\": \"topics\"}";
        let admin = world.handle();
        let request = if world.input.byte() % 2 == 0 { (TOPICS.as_ptr(), TOPICS.len()) } else { world.text() };
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_admin_ask(admin, request.0, request.1, 200, place) };
        world.error(error);
        world.keep(made, karafka_answer_free);
    }),
    ("karafka_admin_free", |world| {
        let admin = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_admin_free(admin) };
    }),
    ("karafka_answer_text", |world| {
        let answer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_answer_text(answer) });
    }),
    ("karafka_answer_field", |world| {
        let answer = world.handle();
        let path = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        read(unsafe { karafka_answer_field(answer, path.0, path.1) });
    }),
    ("karafka_answer_count", |world| {
        let answer = world.handle();
        let path = world.text();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let _ = unsafe { karafka_answer_count(answer, path.0, path.1) };
    }),
    ("karafka_answer_free", |world| {
        let answer = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        unsafe { karafka_answer_free(answer) };
    }),
    ("karafka_context_begin_transaction", |world| {
        let context = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_begin_transaction(context, place) };
        world.error(error);
        world.keep(made, karafka_transaction_free);
    }),
    ("karafka_transaction_mark_as_consumed", |world| {
        let transaction = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transaction_mark_as_consumed(transaction, index) };
        world.error(error);
    }),
    ("karafka_transaction_acknowledge", |world| {
        let transaction = world.handle();
        let index = world.input.integer() as usize;
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_transaction_acknowledge(transaction, index) };
        world.error(error);
    }),
    ("karafka_app_scheduled_messages", |world| {
        let app = world.handle();
        let topic = world.text();
        let config = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_scheduled_messages(app, topic.0, topic.1, config) };
        world.error(error);
    }),
    ("karafka_producer_schedule", |world| {
        let producer = world.handle();
        let topic = world.text();
        let record = world.record();
        let at = world.input.integer();
        let mut id = [0_u8; 64];
        let place = world.place(&mut id);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_schedule(producer, topic.0, topic.1, &raw const record, at, place) };
        world.error(error);
    }),
    ("karafka_producer_cancel", |world| {
        let producer = world.handle();
        let (topic, id) = (world.text(), world.text());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_cancel(producer, topic.0, topic.1, id.0, id.1) };
        world.error(error);
    }),
    ("karafka_app_recurring_tasks", |world| {
        let app = world.handle();
        let topic = world.text();
        let config = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_app_recurring_tasks(app, topic.0, topic.1, config, place) };
        world.error(error);
        world.keep(made, karafka_recurring_tasks_free);
    }),
    ("karafka_recurring_tasks_add", |world| {
        let tasks = world.handle();
        let name = world.text();
        let often = "* * * * * *";
        let cron = if world.input.byte() < 0x80 { (often.as_ptr(), often.len()) } else { world.text() };
        let task: Task = (world.input.byte() != 0xff).then_some(task);
        let (data, destructor) = world.user_data();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error =
            unsafe { karafka_recurring_tasks_add(tasks, name.0, name.1, cron.0, cron.1, task, data, destructor) };
        world.error(error);
    }),
    ("karafka_task_run_should_end", |_| {
        // SAFETY: NULL is no run.
        assert!(!unsafe { karafka_task_run_should_end(std::ptr::null()) });
    }),
    ("karafka_recurring_tasks_free", |world| {
        let tasks = world.handle();
        // SAFETY: any handle will do.
        unsafe { karafka_recurring_tasks_free(tasks) };
    }),
    ("karafka_producer_enable_task", |world| {
        let producer = world.handle();
        let (topic, task) = (world.text(), world.text());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_enable_task(producer, topic.0, topic.1, task.0, task.1) };
        world.error(error);
    }),
    ("karafka_producer_disable_task", |world| {
        let producer = world.handle();
        let (topic, task) = (world.text(), world.text());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_disable_task(producer, topic.0, topic.1, task.0, task.1) };
        world.error(error);
    }),
    ("karafka_producer_trigger_task", |world| {
        let producer = world.handle();
        let (topic, task) = (world.text(), world.text());
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_trigger_task(producer, topic.0, topic.1, task.0, task.1) };
        world.error(error);
    }),
    ("karafka_context_count_outputs", |world| {
        let context = world.handle();
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_context_count_outputs(context) };
        world.error(error);
    }),
    ("karafka_producer_reopen", |world| {
        let producer = world.handle();
        let mut made = std::ptr::null_mut();
        let place = world.place(&mut made);
        // SAFETY: any handle will do; pointers are NULL or point to what their lengths say.
        let error = unsafe { karafka_producer_reopen(producer, place) };
        world.error(error);
        world.keep(made, karafka_producer_free);
    }),
];
