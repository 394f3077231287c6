/* Whatever a program hands in by mistake is an error, never a crash: NULL, freed, foreign, made up, at the wrong time. */
#include "support.h"

/* Every function that takes a handle, given this value as each of its handles. */
static void refused_everywhere(void *value) {
    karafka_record_t record = record_of("t", NULL, "x");
    const karafka_message_t *messages = NULL;
    const karafka_header_t *headers = NULL;
    karafka_completion_t *completion = NULL;
    karafka_producer_t *producer = NULL;
    karafka_events_t *events = NULL;
    karafka_event_t *event = NULL;
    karafka_app_t *app = NULL;
    bool flag = false;
    karafka_batch_metadata_t metadata;
    size_t size = 7;

#define REFUSED(call) FAILS(call, KARAFKA_ERROR_ARGUMENT)
    REFUSED(karafka_config_set_string(value, "a", 1, "b", 1));
    REFUSED(karafka_config_set_integer(value, "a", 1, 1));
    REFUSED(karafka_config_set_float(value, "a", 1, 1));
    REFUSED(karafka_config_set_bool(value, "a", 1, true));
    if (value != NULL) { /* which stands for no options */
        REFUSED(karafka_app_new(value, &app));
        REFUSED(karafka_producer_new(value, &producer));
    }
    REFUSED(karafka_app_topic(value, "t", 1, NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, NULL));
    REFUSED(karafka_app_topic_asynchronous(value, "t", 1, NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, NULL));
    REFUSED(karafka_topic_set_partitioner(value, (karafka_partitioner_t)(void (*)(void))abort, NULL, NULL));
    REFUSED(karafka_app_start(value));
    REFUSED(karafka_app_run(value, 0));
    REFUSED(karafka_app_run(value, KARAFKA_RUN_WITH_SIGNALS));
    REFUSED(karafka_app_stop(value));
    REFUSED(karafka_app_stop_within(value, 0));
    REFUSED(karafka_app_join(value, 0, &flag));
    REFUSED(karafka_app_quiet(value));
    REFUSED(karafka_app_resume(value));
    REFUSED(karafka_app_resize(value, 5));
    REFUSED(karafka_app_events(value, &events));
    REFUSED(karafka_app_producer(value, &producer));
    IS(karafka_app_phase(value), KARAFKA_PHASE_STOPPED);
    REFUSED(karafka_events_next(value, 0, &event));
    CHECK(karafka_event_name(value) == NULL && karafka_event_text(value) == NULL);
    CHECK(karafka_event_field(value, "a", 1) == NULL && karafka_event_field_name(value, 0) == NULL);
    CHECK(karafka_event_field_value(value, 0) == NULL && karafka_event_field_count(value) == 0);
    IS(karafka_batch_length(value), 0);
    IS(karafka_batch_partition(value), -1);
    CHECK(karafka_batch_topic(value) == NULL && karafka_batch_message(value, 0) == NULL);
    REFUSED(karafka_batch_messages(value, &messages, &size));
    REFUSED(karafka_batch_headers(value, 0, &headers, &size));
    REFUSED(karafka_batch_ref(value));
    karafka_batch_unref(value);
    REFUSED(karafka_context_mark_as_consumed(value, 0, &flag));
    REFUSED(karafka_context_acknowledge(value, 0, &flag));
    REFUSED(karafka_context_mark_as_consumed_sync(value, 0, 0, &flag));
    REFUSED(karafka_context_mark_as_consumed_with(value, 0, "a", 1, &flag));
    REFUSED(karafka_context_store_offset_metadata(value, "a", 1, &flag));
    CHECK(karafka_context_offset_metadata(value) == NULL);
    REFUSED(karafka_context_commit_offsets(value, &flag));
    REFUSED(karafka_context_commit_offsets_sync(value, 0, &flag));
    REFUSED(karafka_context_pause(value, 0, &flag));
    REFUSED(karafka_context_resume(value, &flag));
    REFUSED(karafka_context_seek(value, 0, 0, &flag));
    REFUSED(karafka_context_seek_to_time(value, 0, 0, &flag));
    IS(karafka_context_each(value, NULL, NULL), KARAFKA_FAILED);
    REFUSED(karafka_batch_metadata(value, &metadata));
    REFUSED(karafka_context_fail(value, "a", 1, "b", 1));
    REFUSED(karafka_context_defer(value, &completion));
    CHECK(karafka_context_topic(value) == NULL && karafka_context_group(value) == NULL);
    IS(karafka_context_partition(value), -1);
    IS(karafka_context_attempt(value), 0);
    CHECK(karafka_context_is_revoked(value) && karafka_context_is_stopping(value));
    REFUSED(karafka_completion_done(value));
    REFUSED(karafka_completion_fail(value, "a", 1, "b", 1));
    REFUSED(karafka_producer_produce_async(value, &record, NULL));
    REFUSED(karafka_producer_produce_with_callback(value, &record, (karafka_delivery_callback_t)(void (*)(void))abort, NULL, NULL));
    REFUSED(karafka_producer_produce_sync(value, &record, NULL));
    REFUSED(karafka_producer_produce_many_async(value, &record, 1, NULL));
    REFUSED(karafka_producer_produce_many_sync(value, &record, 1, NULL));
    REFUSED(karafka_producer_flush(value, 0, &size));
    REFUSED(karafka_producer_close(value));
    IS(karafka_producer_in_flight(value), 0);
    REFUSED(karafka_delivery_wait(value, 0, NULL));
    REFUSED(karafka_embedded_broker_create_topic(value, "t", 1, 1));
    CHECK(karafka_embedded_broker_bootstrap_servers(value) == NULL);
    if (value != NULL) IS(karafka_error_code(value), KARAFKA_ERROR_ARGUMENT);
    CHECK(karafka_error_message(value) != NULL && karafka_error_name(value) != NULL);
    CHECK(!karafka_error_is_retriable(value) && !karafka_error_is_fatal(value) && karafka_error_kafka_code(value) == 0);
    karafka_config_free(value);
    karafka_app_free(value);
    karafka_events_free(value);
    karafka_event_free(value);
    karafka_completion_free(value);
    karafka_producer_free(value);
    karafka_delivery_free(value);
    karafka_embedded_broker_free(value);
    karafka_error_free(value);
    /* Results are written only on success. */
    CHECK(!messages && !headers && !completion && !producer && !events && !event && !app && !flag && size == 7);
}

static void null_is_refused(void) {
    refused_everywhere(NULL);
    TEXT_IS(karafka_error_name(NULL), "Ok");
    TEXT_IS(karafka_error_message(NULL), "success");
}

static void values_that_are_no_handles_are_refused(void) {
    int on_the_stack = 0;
    void *on_the_heap = malloc(64);
    uintptr_t bits;

    refused_everywhere(&on_the_stack);
    refused_everywhere(on_the_heap);
    refused_everywhere((void *)(uintptr_t)1);
    refused_everywhere((void *)UINTPTR_MAX);
    refused_everywhere((void *)(uintptr_t)null_is_refused);
    /* Tags of handles with everything below them made up. */
    for (bits = 0xC0; bits <= 0xCF; bits++) {
        refused_everywhere((void *)(bits << 56));
        refused_everywhere((void *)(bits << 56 | (uintptr_t)0xffffffffffffff));
        refused_everywhere((void *)(bits << 56 | (uintptr_t)0x1234567 << 24 | 3));
    }
    free(on_the_heap);
}

static void freed_handles_are_refused(void) {
    karafka_config_t *config = CONFIG("group", "x");
    karafka_app_t *app = new_app("c-freed");
    karafka_producer_t *producer = new_producer();
    karafka_embedded_broker_t *broker;
    karafka_events_t *events;
    karafka_topic_t *topic;
    karafka_error_t *error = karafka_config_new(NULL);

    IS(karafka_error_code(error), KARAFKA_ERROR_ARGUMENT);
    TEXT_IS(karafka_error_name(error), "Argument");
    CHECK(strstr(karafka_error_message(error), "karafka_config_new: config") != NULL);
    OK(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &broker));
    OK(karafka_app_events(app, &events));
    OK(karafka_app_topic(app, KARAFKA_STRING("t"), NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, &topic));

    karafka_config_free(config);
    karafka_app_free(app);
    karafka_producer_free(producer);
    karafka_embedded_broker_free(broker);
    karafka_events_free(events);
    karafka_error_free(error);
    refused_everywhere(config);
    refused_everywhere(app);
    refused_everywhere(producer);
    refused_everywhere(broker);
    refused_everywhere(events);
    refused_everywhere(topic);
    refused_everywhere(error);
}

static void handles_of_other_types_are_refused(void) {
    karafka_config_t *config = CONFIG("group", "x");
    karafka_app_t *app = new_app("c-types");

    FAILS(karafka_app_start((karafka_app_t *)(void *)config), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_set_bool((karafka_config_t *)(void *)app, "a", 1, true), KARAFKA_ERROR_ARGUMENT);
    karafka_config_free((karafka_config_t *)(void *)app);
    karafka_app_free((karafka_app_t *)(void *)config);
    /* Both are what they were. */
    OK(karafka_config_set_bool(config, "a", 1, true));
    IS(karafka_app_phase(app), KARAFKA_PHASE_INITIALIZED);
    karafka_app_free(app);
    karafka_config_free(config);
}

static void texts_and_places_are_checked(void) {
    karafka_config_t *config;
    karafka_app_t *app = new_app("c-texts"), *untouched = NULL;
    karafka_embedded_broker_t *broker = NULL;
    char unaligned[16];

    FAILS(karafka_config_new(NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_new((karafka_config_t **)(void *)(unaligned + ((uintptr_t)unaligned % 2 ? 2 : 1))), KARAFKA_ERROR_ARGUMENT);
    OK(karafka_config_new(&config));
    FAILS(karafka_config_set_string(config, NULL, 4, "b", 1), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_set_string(config, "a", 1, NULL, 4), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_set_string(config, "a\xff", 2, "b", 1), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_set_string(config, "a", 1, "\xc3\x28", 2), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_config_set_string(config, "a", SIZE_MAX, "b", 1), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_app_new(NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_app_events(app, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_app_topic(app, NULL, 3, NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_app_topic(app, "a\0b", 3, NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, NULL), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_app_topic(app, NULL, 0, NULL, (karafka_handler_t)(void (*)(void))abort, NULL, NULL, NULL), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_app_join(app, -2, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_app_stop_within(app, INT64_MIN), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_embedded_broker_named(KARAFKA_STRING("localhost:9092"), &broker), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_embedded_broker_named(NULL, 1, &broker), KARAFKA_ERROR_ARGUMENT);
    CHECK(broker == NULL && untouched == NULL);
    OK(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &broker));
    FAILS(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING("c-zero"), 0), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING("c-zero"), -1), KARAFKA_ERROR_CONFIG);
    OK(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING("c-twice"), 1));
    FAILS(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING("c-twice"), 1), KARAFKA_ERROR_BROKER);
    karafka_embedded_broker_free(broker);
    karafka_app_free(app);
    karafka_config_free(config);
}

static void all_problems_of_a_configuration_come_at_once(void) {
    karafka_config_t *config = CONFIG("concurency", "5", "commit_interval", "soon", "kafka.enable.auto.commit", "true");
    karafka_app_t *app = NULL;
    karafka_error_t *error;

    OK(karafka_config_set_integer(config, KARAFKA_STRING("shutdown_timeout"), -1));
    error = karafka_app_new(config, &app);
    IS(karafka_error_code(error), KARAFKA_ERROR_CONFIG);
    TEXT_IS(karafka_error_name(error), "Config");
    CHECK(strstr(karafka_error_message(error), "did you mean `concurrency`?") != NULL);
    CHECK(strstr(karafka_error_message(error), "commit_interval") != NULL);
    CHECK(strstr(karafka_error_message(error), "enable.auto.commit") != NULL);
    CHECK(strstr(karafka_error_message(error), "shutdown_timeout") != NULL);
    CHECK(app == NULL && !karafka_error_is_fatal(error) && !karafka_error_is_retriable(error));
    karafka_error_free(error);
    karafka_config_free(config);
}

struct shared {
    karafka_producer_t *producer;
    karafka_config_t *config;
    int done;
};

/* Uses handles until they are gone. */
static void *use(void *argument) {
    struct shared *shared = argument;
    karafka_record_t record = record_of("c-race", NULL, "x");
    while (!__atomic_load_n(&shared->done, __ATOMIC_SEQ_CST)) {
        karafka_error_t *error = karafka_producer_produce_async(shared->producer, &record, NULL);
        karafka_error_code_t code = karafka_error_code(error);
        CHECK(code == KARAFKA_OK || code == KARAFKA_ERROR_ARGUMENT || code == KARAFKA_ERROR_STOPPED);
        karafka_error_free(error);
        error = karafka_config_set_integer(shared->config, KARAFKA_STRING("linger"), 5);
        code = karafka_error_code(error);
        CHECK(code == KARAFKA_OK || code == KARAFKA_ERROR_ARGUMENT);
        karafka_error_free(error);
    }
    return NULL;
}

static void handles_may_be_freed_while_other_threads_use_them(void) {
    pthread_t threads[4];
    int round, i;

    create_topic("c-race", 1);
    for (round = 0; round < 3; round++) {
        struct shared shared = {new_producer(), CONFIG("group", "x"), 0};
        karafka_record_t record = record_of("c-race", NULL, "x");
        for (i = 0; i < 4; i++) IS(pthread_create(&threads[i], NULL, use, &shared), 0);
        OK(karafka_producer_produce_sync(shared.producer, &record, NULL));
        karafka_config_free(shared.config);
        karafka_producer_free(shared.producer);
        FAILS(karafka_producer_flush(shared.producer, 0, NULL), KARAFKA_ERROR_ARGUMENT);
        __atomic_store_n(&shared.done, 1, __ATOMIC_SEQ_CST);
        for (i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    }
}

static void errors_not_freed_are_counted(void) {
    size_t before = karafka_handle_count();
    karafka_error_t *error = karafka_app_stop(NULL);
    IS(karafka_handle_count(), before + 1);
    karafka_error_free(error);
    IS(karafka_handle_count(), before);
}

static void versions_are_told(void) {
    int major = -1, minor = -1, patch = -1;
    IS(sscanf(karafka_version(), "%d.%d.%d", &major, &minor, &patch), 3);
    IS(major, KARAFKA_VERSION_MAJOR);
    IS(minor, KARAFKA_VERSION_MINOR);
    IS(patch, KARAFKA_VERSION_PATCH);
    CHECK(strlen(karafka_librdkafka_version()) >= 5);
}

int main(void) {
    RUN(null_is_refused);
    RUN(values_that_are_no_handles_are_refused);
    RUN(freed_handles_are_refused);
    RUN(handles_of_other_types_are_refused);
    RUN(texts_and_places_are_checked);
    RUN(all_problems_of_a_configuration_come_at_once);
    RUN(handles_may_be_freed_while_other_threads_use_them);
    RUN(errors_not_freed_are_counted);
    RUN(versions_are_told);
    return 0;
}
