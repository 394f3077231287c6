/* Handlers: order, retries, marking, partitioners, and what batches hold; and reading without any. */
#include "support.h"

enum { KEYS = 20 };

struct order {
    struct board board;
    int next[KEYS], busy[KEYS];
    int handled, out_of_order, overlaps, running, most_running, refused;
};

static const struct order ORDER = {BOARD_INIT, {0}, {0}, 0, 0, 0, 0, 0, 0};

/* Notes what comes; two calls have to meet once, which shows that keys run in parallel. */
static karafka_result_t note_order(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct order *order = user_data;
    const karafka_message_t *messages;
    size_t count, i;

    OK(karafka_batch_messages(batch, &messages, &count));
    IS(count, karafka_batch_length(batch));
    CHECK(count > 0 && karafka_batch_partition(batch) == karafka_context_partition(context));
    pthread_mutex_lock(&order->board.lock);
    for (i = 0; i < count; i++) {
        int key = number_in(messages[i].key + 1, messages[i].key_length - 1);
        order->overlaps += order->busy[key] && (i == 0 || messages[i - 1].virtual_partition != messages[i].virtual_partition);
        order->busy[key] = 1;
    }
    if (++order->running > order->most_running) order->most_running = order->running;
    pthread_cond_broadcast(&order->board.changed);
    WAIT_LOCKED(&order->board, order->most_running > 1);
    for (i = 0; i < count; i++) {
        int key = number_in(messages[i].key + 1, messages[i].key_length - 1);
        order->out_of_order += order->next[key] != number_in(messages[i].payload, messages[i].payload_length);
        order->next[key]++;
        order->busy[key] = 0;
        IS(messages[i].index, i);
        CHECK(karafka_batch_message(batch, i) == &messages[i]);
    }
    order->running--;
    order->handled += (int)count;
    pthread_cond_broadcast(&order->board.changed);
    pthread_mutex_unlock(&order->board.lock);
    return KARAFKA_DONE;
}

static void keys_come_in_order_and_in_parallel(void) {
    const char *topic = "c-order";
    struct order order = ORDER;
    karafka_config_t *by_key = CONFIG("virtual_partitions", "by_key", "max_messages", "3");
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 2);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), by_key, note_order, &order, NULL, NULL));
    karafka_config_free(by_key);
    OK(karafka_app_start(app));
    produce_numbers(topic, 400, KEYS);
    WAIT(&order.board, order.handled == 400);
    stop_and_free(app);
    IS(order.out_of_order, 0);
    IS(order.overlaps, 0);
    CHECK(order.most_running > 1);
}

struct seen {
    struct board board;
    int count, first, calls;
};

static karafka_result_t note_first(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct seen *seen = user_data;
    const karafka_message_t *message = karafka_batch_message(batch, 0);
    (void)context;
    TELL(&seen->board, if (seen->count == 0) seen->first = number_in(message->payload, message->payload_length);
         seen->count += (int)karafka_batch_length(batch); seen->calls++);
    return KARAFKA_DONE;
}

static void what_is_done_is_committed_at_stop(void) {
    const char *topic = "c-commit";
    struct seen seen = {BOARD_INIT, 0, -1, 0}, after = seen;
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 1);
    produce_numbers(topic, 10, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, note_first, &seen, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&seen.board, seen.count == 10);
    stop_and_free(app);
    IS(seen.first, 0);

    {
        karafka_producer_t *producer = new_producer();
        karafka_record_t record = record_of(topic, NULL, "77");
        OK(karafka_producer_produce_sync(producer, &record, NULL));
        karafka_producer_free(producer);
    }
    app = new_app(topic);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, note_first, &after, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&after.board, after.count > 0);
    stop_and_free(app);
    IS(after.first, 77);
    IS(after.count, 1);
}

struct retry {
    struct board board;
    int calls, done;
    int64_t first_offset_of_retry;
    uint32_t attempt;
};

/* Marks the first message and fails; the next attempt has to begin after it. */
static karafka_result_t fail_after_first(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct retry *retry = user_data;
    const karafka_message_t *first = karafka_batch_message(batch, 0);
    bool owned = false;
    int call;

    TELL(&retry->board, call = ++retry->calls);
    if (call == 1) {
        IS(karafka_batch_length(batch), 5);
        IS(karafka_context_attempt(context), 1);
        OK(karafka_context_mark_as_consumed(context, 0, &owned));
        CHECK(owned);
        OK(karafka_context_fail(context, KARAFKA_STRING("DatabaseError"), KARAFKA_STRING("no connection")));
        return KARAFKA_FAILED;
    }
    TELL(&retry->board, if (retry->first_offset_of_retry < 0) {
        retry->first_offset_of_retry = first->offset;
        retry->attempt = karafka_context_attempt(context);
    } retry->done += (int)karafka_batch_length(batch));
    return KARAFKA_DONE;
}

static void a_failed_job_is_tried_again_from_the_first_unmarked_message(void) {
    const char *topic = "c-retry";
    struct retry retry = {BOARD_INIT, 0, 0, -1, 0};
    karafka_config_t *config = CONFIG("retry_backoff", "10ms", "max_messages", "5", "linger", "20s");
    karafka_app_t *app = new_app(topic);
    karafka_events_t *events;
    karafka_event_t *event;

    create_topic(topic, 1);
    produce_numbers(topic, 5, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, fail_after_first, &retry, NULL, NULL));
    karafka_config_free(config);
    OK(karafka_app_events(app, &events));
    OK(karafka_app_start(app));
    event = event_named(events, "consumer.consume.error");
    TEXT_IS(karafka_event_field(event, KARAFKA_STRING("error_class")), "DatabaseError");
    TEXT_IS(karafka_event_field(event, KARAFKA_STRING("error")), "no connection");
    TEXT_IS(karafka_event_field(event, KARAFKA_STRING("topic")), topic);
    CHECK(karafka_event_field(event, KARAFKA_STRING("no such field")) == NULL);
    CHECK(strstr(karafka_event_text(event), "consumer.consume.error topic=") != NULL);
    TEXT_IS(karafka_event_field_name(event, 0), "topic");
    TEXT_IS(karafka_event_field_value(event, 0), topic);
    CHECK(karafka_event_field_name(event, karafka_event_field_count(event)) == NULL);
    karafka_event_free(event);
    WAIT(&retry.board, retry.done == 4);
    stop_and_free(app);
    karafka_events_free(events);
    IS(retry.first_offset_of_retry, 1);
    IS(retry.attempt, 2);
}

struct script {
    struct board board;
    karafka_result_t results[4];
    int calls;
};

static karafka_result_t play(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct script *script = user_data;
    karafka_result_t result;
    (void)batch, (void)context;
    TELL(&script->board, result = script->results[script->calls < 3 ? script->calls : 3]; script->calls++);
    return result;
}

static void other_results_than_done_are_failures_that_say_why(void) {
    static const char *const classes[] = {"Failed", "UnknownResult", "NoCompletion"};
    const char *topic = "c-results";
    struct script script = {BOARD_INIT, {KARAFKA_FAILED, 0, KARAFKA_LATER, KARAFKA_DONE}, 0};
    unsigned unknown = 4711;
    karafka_config_t *config = CONFIG("retry_backoff", "10ms");
    karafka_app_t *app = new_app(topic);
    karafka_events_t *events;
    int i;

    memcpy(&script.results[1], &unknown, sizeof unknown);
    create_topic(topic, 1);
    produce_numbers(topic, 1, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, play, &script, NULL, NULL));
    karafka_config_free(config);
    OK(karafka_app_events(app, &events));
    OK(karafka_app_start(app));
    for (i = 0; i < 3; i++) {
        karafka_event_t *event = event_named(events, "consumer.consume.error");
        TEXT_IS(karafka_event_field(event, KARAFKA_STRING("error_class")), classes[i]);
        karafka_event_free(event);
    }
    WAIT(&script.board, script.calls == 4);
    stop_and_free(app);
    karafka_events_free(events);
}

static karafka_result_t last_digit(const karafka_batch_t *batch, const karafka_message_t *message, const uint8_t **key,
                                   size_t *key_length, void *user_data) {
    const karafka_header_t *headers;
    size_t count;
    OK(karafka_batch_headers(batch, message->index, &headers, &count));
    IS(count, 0);
    __atomic_add_fetch((int *)user_data, 1, __ATOMIC_SEQ_CST);
    *key = message->payload + message->payload_length - 1;
    *key_length = 1;
    return KARAFKA_DONE;
}

/* By the payload's last digit: within one, payloads grow. */
static karafka_result_t note_digits(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct order *order = user_data;
    const karafka_message_t *messages;
    size_t count, i;
    (void)context;
    OK(karafka_batch_messages(batch, &messages, &count));
    pthread_mutex_lock(&order->board.lock);
    for (i = 0; i < count; i++) {
        int number = number_in(messages[i].payload, messages[i].payload_length), digit = number % 10;
        order->out_of_order += number < order->next[digit];
        order->next[digit] = number;
    }
    order->handled += (int)count;
    pthread_cond_broadcast(&order->board.changed);
    pthread_mutex_unlock(&order->board.lock);
    return KARAFKA_DONE;
}

static void a_partitioner_chooses_what_comes_in_order(void) {
    const char *topic = "c-partitioner";
    struct order order = ORDER;
    static int asked, destroyed;
    karafka_config_t *config = CONFIG("virtual_partitions", "callback");
    karafka_app_t *app = new_app(topic);
    karafka_topic_t *handle = NULL;

    create_topic(topic, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, note_digits, &order, NULL, &handle));
    karafka_config_free(config);
    FAILS(karafka_app_start(app), KARAFKA_ERROR_CONFIG);
    OK(karafka_topic_set_partitioner(handle, last_digit, &asked, NULL));
    FAILS(karafka_topic_set_partitioner(handle, last_digit, &destroyed, count_destroyed), KARAFKA_ERROR_ARGUMENT);
    IS(DESTROYED(destroyed), 1);
    produce_numbers(topic, 100, 1);
    OK(karafka_app_start(app));
    FAILS(karafka_topic_set_partitioner(handle, last_digit, NULL, NULL), KARAFKA_ERROR_STOPPED);
    WAIT(&order.board, order.handled == 100);
    stop_and_free(app);
    IS(order.out_of_order, 0);
    IS(__atomic_load_n(&asked, __ATOMIC_SEQ_CST), 100);
    FAILS(karafka_topic_set_partitioner(handle, last_digit, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
}

struct manual {
    struct board board;
    int handled;
    bool owned;
};

static karafka_result_t mark_synchronously(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct manual *manual = user_data;
    size_t length = karafka_batch_length(batch);
    bool owned = false;

    FAILS(karafka_context_mark_as_consumed(context, length, &owned), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_context_mark_as_consumed(context, SIZE_MAX, &owned), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_context_acknowledge(context, length, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_context_mark_as_consumed_sync(context, 0, -2, &owned), KARAFKA_ERROR_ARGUMENT);
    CHECK(!owned);
    OK(karafka_context_mark_as_consumed_sync(context, length - 1, DEADLINE_S * 1000, &owned));
    TEXT_IS(karafka_context_topic(context), karafka_batch_topic(batch));
    TEXT_IS(karafka_context_group(context), "c-manual");
    TELL(&manual->board, manual->handled += (int)length; manual->owned = owned);
    return KARAFKA_DONE;
}

static void marks_can_be_committed_at_once(void) {
    const char *topic = "c-manual";
    struct manual manual = {BOARD_INIT, 0, false};
    karafka_config_t *config;
    karafka_app_t *app = new_app(topic);

    OK(karafka_config_new(&config));
    OK(karafka_config_set_bool(config, KARAFKA_STRING("manual_offset_management"), true));
    OK(karafka_config_set_float(config, KARAFKA_STRING("retry_backoff_factor"), 1.5));
    OK(karafka_config_set_integer(config, KARAFKA_STRING("linger"), 1));
    create_topic(topic, 1);
    produce_numbers(topic, 3, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, mark_synchronously, &manual, NULL, NULL));
    karafka_config_free(config);
    OK(karafka_app_start(app));
    WAIT(&manual.board, manual.handled == 3);
    stop_and_free(app);
    CHECK(manual.owned);
}

struct copies {
    struct board board;
    int count, wrong;
};

/* What was produced by `every_kind_of_record_comes_back_as_it_was`, told by the offset. */
static karafka_result_t compare(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct copies *copies = user_data;
    const karafka_message_t *messages;
    const karafka_header_t *headers;
    size_t count, header_count, i;
    (void)context;
    OK(karafka_batch_messages(batch, &messages, &count));
    for (i = 0; i < count; i++) {
        const karafka_message_t *message = &messages[i];
        OK(karafka_batch_headers(batch, i, &headers, &header_count));
        switch (message->offset) {
        case 0: /* nothing is not the same as empty */
            CHECK(message->key == NULL && message->payload != NULL && message->payload_length == 0);
            IS(header_count, 0);
            break;
        case 1:
            CHECK(message->key != NULL && message->key_length == 0 && message->payload == NULL);
            break;
        case 2: /* bytes are bytes, headers keep order, repetition and what is not there */
            IS(message->key_length, 3);
            CHECK(memcmp(message->key, "\0\xff\n", 3) == 0);
            IS(message->timestamp_ms, 1234567890123);
            IS(message->timestamp_kind, KARAFKA_TIMESTAMP_CREATE_TIME);
            IS(header_count, 3);
            CHECK(headers[0].name_length == 1 && headers[0].name[0] == 'a' && memcmp(headers[0].value, "\0\1", 2) == 0);
            CHECK(headers[1].name_length == 1 && headers[1].name[0] == 'a' && headers[1].value == NULL);
            CHECK(headers[2].name_length == 5 && headers[2].value != NULL && headers[2].value_length == 0);
            break;
        default: CHECK(!"a record that nobody produced");
        }
    }
    FAILS(karafka_batch_headers(batch, count, &headers, &header_count), KARAFKA_ERROR_ARGUMENT);
    CHECK(karafka_batch_message(batch, count) == NULL);
    TELL(&copies->board, copies->count += (int)count);
    return KARAFKA_DONE;
}

static void every_kind_of_record_comes_back_as_it_was(void) {
    const char *topic = "c-fidelity";
    struct copies copies = {BOARD_INIT, 0, 0};
    karafka_header_t headers[] = {{"a", 1, (const uint8_t *)"\0\1", 2}, {"a", 1, NULL, 0}, {"empty", 5, (const uint8_t *)"", 0}};
    karafka_record_t records[3];
    karafka_delivery_report_t reports[3];
    karafka_producer_t *producer = new_producer();
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 1);
    records[0] = record_of(topic, NULL, "");
    records[1] = record_of(topic, "", NULL);
    records[2] = record_of(topic, NULL, "last");
    records[2].key = (const uint8_t *)"\0\xff\n";
    records[2].key_length = 3;
    records[2].headers = headers;
    records[2].header_count = 3;
    records[2].timestamp_ms = 1234567890123;
    records[2].partition = 0;
    OK(karafka_producer_produce_many_sync(producer, records, 3, reports));
    IS(reports[0].offset, 0);
    IS(reports[2].offset, 2);
    IS(reports[2].partition, 0);
    karafka_producer_free(producer);

    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, compare, &copies, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&copies.board, copies.count == 3);
    stop_and_free(app);
}

struct kept {
    struct board board;
    const karafka_batch_t *batch;
};

static karafka_result_t keep_batch(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct kept *kept = user_data;
    (void)context;
    OK(karafka_batch_ref(batch));
    OK(karafka_batch_ref(batch));
    karafka_batch_unref(batch);
    TELL(&kept->board, kept->batch = batch);
    return KARAFKA_DONE;
}

static void a_kept_batch_outlives_its_app(void) {
    const char *topic = "c-kept";
    struct kept kept = {BOARD_INIT, NULL};
    const karafka_message_t *messages;
    size_t count;
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 1);
    produce_numbers(topic, 3, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, keep_batch, &kept, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&kept.board, kept.batch != NULL);
    stop_and_free(app);
    OK(karafka_batch_messages(kept.batch, &messages, &count));
    IS(messages[0].offset, 0);
    IS(number_in(messages[count - 1].payload, messages[count - 1].payload_length), count - 1);
    TEXT_IS(karafka_batch_topic(kept.batch), topic);
    karafka_batch_unref(kept.batch);
    CHECK(karafka_batch_topic(kept.batch) == NULL);
}

static karafka_selection_t selection_of(const char *topic, uint32_t from, int64_t number) {
    karafka_selection_t selection = {topic, strlen(topic), NULL, 0, number, from, 0};
    return selection;
}

static karafka_reader_t *open_reader(const karafka_selection_t *selection, const char *until) {
    karafka_config_t *config = CONFIG("bootstrap_servers", BROKER, "until", until);
    karafka_reader_t *reader;
    OK(karafka_reader_new(config, selection, 1, &reader));
    karafka_config_free(config);
    return reader;
}

static karafka_batch_t *next_of(karafka_reader_t *reader) {
    karafka_batch_t *batch;
    OK(karafka_reader_next(reader, -1, &batch));
    return batch;
}

static void topics_are_read_without_a_group(void) {
    const char *topic = "c-read";
    const struct {
        uint32_t from;
        int64_t number;
        int first;
    } cases[] = {{KARAFKA_READ_EARLIEST, 0, 0}, {KARAFKA_READ_LATEST, 0, 9}, {KARAFKA_READ_OFFSET, 7, 7},
                 {KARAFKA_READ_OFFSET, -3, 6},  {KARAFKA_READ_LAST, 2, 7}};
    size_t i;
    karafka_config_t *config = CONFIG("bootstrap_servers", BROKER);
    karafka_selection_t selection = selection_of(topic, 5, 0);
    karafka_reader_t *reader;

    create_topic(topic, 1);
    produce_numbers(topic, 9, 1);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int next = cases[i].first;
        karafka_batch_t *batch;
        karafka_place_t place;
        selection = selection_of(topic, cases[i].from, cases[i].number);
        reader = open_reader(&selection, "end");
        while ((batch = next_of(reader)) != NULL) {
            const karafka_message_t *messages;
            size_t count, at;
            OK(karafka_batch_messages(batch, &messages, &count));
            for (at = 0; at < count; at++) IS(number_in(messages[at].payload, messages[at].payload_length), next++);
            TEXT_IS(karafka_batch_topic(batch), topic);
            karafka_batch_unref(batch);
        }
        IS(next, 9);
        IS(karafka_reader_place_count(reader), 1);
        OK(karafka_reader_place(reader, 0, &place));
        TEXT_IS(place.topic, topic);
        IS(place.start, cases[i].first);
        IS(place.next, 9);
        IS(place.is_done, 1);
        FAILS(karafka_reader_place(reader, 1, &place), KARAFKA_ERROR_ARGUMENT);
        karafka_reader_free(reader);
    }
    selection = selection_of(topic, 5, 0);
    FAILS(karafka_reader_new(config, &selection, 1, &reader), KARAFKA_ERROR_ARGUMENT);
    selection = selection_of(topic, KARAFKA_READ_OFFSET, 10);
    FAILS(karafka_reader_new(config, &selection, 1, &reader), KARAFKA_ERROR_CONFIG);
    selection = selection_of(topic, KARAFKA_READ_TIME, 1);
    FAILS(karafka_reader_new(config, &selection, 1, &reader), KARAFKA_ERROR_UNSUPPORTED);
    FAILS(karafka_reader_new(config, NULL, 0, &reader), KARAFKA_ERROR_CONFIG);
    karafka_config_free(config);
}

static void *read_forever(void *reader) {
    karafka_batch_t *batch;
    FAILS(karafka_reader_next(reader, -1, &batch), KARAFKA_ERROR_STOPPED);
    return NULL;
}

static void a_reader_that_waits_is_interrupted(void) {
    const char *topic = "c-wait";
    karafka_selection_t selection = selection_of(topic, KARAFKA_READ_EARLIEST, 0);
    karafka_reader_t *reader;
    karafka_batch_t *batch, *kept;
    pthread_t thread;
    bool was_read;

    create_topic(topic, 1);
    reader = open_reader(&selection, "forever");
    FAILS(karafka_reader_next(reader, 0, &batch), KARAFKA_ERROR_TIMEOUT);
    CHECK(pthread_create(&thread, NULL, read_forever, reader) == 0);
    karafka_reader_interrupt(reader);
    pthread_join(thread, NULL);
    produce_numbers(topic, 1, 1);
    OK(karafka_reader_next(reader, -1, &kept));
    OK(karafka_reader_stop_partition(reader, KARAFKA_STRING(topic), 0, &was_read));
    CHECK(was_read);
    OK(karafka_reader_next(reader, -1, &batch));
    CHECK(batch == NULL);
    karafka_reader_free(reader);
    IS(karafka_batch_length(kept), 1);
    karafka_batch_unref(kept);
    CHECK(karafka_batch_topic(kept) == NULL);
}

int main(void) {
    RUN(keys_come_in_order_and_in_parallel);
    RUN(what_is_done_is_committed_at_stop);
    RUN(a_failed_job_is_tried_again_from_the_first_unmarked_message);
    RUN(other_results_than_done_are_failures_that_say_why);
    RUN(a_partitioner_chooses_what_comes_in_order);
    RUN(marks_can_be_committed_at_once);
    RUN(a_kept_batch_outlives_its_app);
    RUN(every_kind_of_record_comes_back_as_it_was);
    RUN(topics_are_read_without_a_group);
    RUN(a_reader_that_waits_is_interrupted);
    return 0;
}
