/* Producing beyond the plain calls: testing producers, middleware, partitioners, the buffer, variants, events. */
#include "support.h"

struct kept {
    int count;
    char payloads[16][32];
    char stamped[16];
    int32_t partitions[16];
};

static void keep(const karafka_record_t *record, const karafka_delivery_report_t *report, void *user_data) {
    struct kept *kept = user_data;
    int at = kept->count++;
    snprintf(kept->payloads[at], sizeof kept->payloads[at], "%.*s", (int)record->payload_length, (const char *)record->payload);
    kept->stamped[at] = record->header_count == 1 && record->headers[0].name_length == 5;
    kept->partitions[at] = report->partition;
}

static karafka_producer_t *testing(uint32_t partitions, karafka_producer_partitioner_t partitioner,
                                   karafka_producer_middleware_t middleware, void *data) {
    karafka_producer_t *producer;
    OK(karafka_producer_new_with(NULL, partitions, partitioner, data, NULL, middleware, data, NULL, &producer));
    return producer;
}

static void a_testing_producer_keeps_what_it_is_given(void) {
    karafka_producer_t *producer = testing(1, NULL, NULL, NULL), *sending = new_producer();
    karafka_record_t record = record_of("t", "key", "first");
    karafka_delivery_report_t report;
    struct kept kept = {0};
    size_t count;

    OK(karafka_producer_produce_sync(producer, &record, &report));
    IS(report.offset, 0);
    OK(karafka_producer_fail_next(producer, KARAFKA_ERROR_QUEUE_FULL, KARAFKA_STRING("planted")));
    FAILS(karafka_producer_produce_sync(producer, &record, NULL), KARAFKA_ERROR_QUEUE_FULL);
    FAILS(karafka_producer_fail_next(producer, 9999, KARAFKA_STRING("planted")), KARAFKA_ERROR_ARGUMENT);
    OK(karafka_producer_recorded(producer, keep, &kept, &count));
    IS(count, 1);
    IS(kept.count, 1);
    CHECK(strcmp(kept.payloads[0], "first") == 0);
    OK(karafka_producer_forget_recorded(producer));
    OK(karafka_producer_recorded(producer, NULL, NULL, &count));
    IS(count, 0);
    FAILS(karafka_producer_recorded(sending, NULL, NULL, &count), KARAFKA_ERROR_UNSUPPORTED);
    karafka_producer_free(sending);
    karafka_producer_free(producer);
}

static void the_buffer_is_flushed_in_order_and_keeps_what_failed(void) {
    karafka_producer_t *producer = testing(1, NULL, NULL, NULL);
    karafka_record_t records[3] = {record_of("b", NULL, "0"), record_of("b", NULL, "1"), record_of("b", NULL, "2")};
    struct kept kept = {0};
    size_t count;

    OK(karafka_producer_buffer(producer, records, 3));
    records[0].timestamp_ms = 0;
    FAILS(karafka_producer_buffer(producer, records, 1), KARAFKA_ERROR_CONFIG);
    OK(karafka_producer_fail_next(producer, KARAFKA_ERROR_QUEUE_FULL, KARAFKA_STRING("planted")));
    FAILS(karafka_producer_flush_buffer(producer, false, &count), KARAFKA_ERROR_QUEUE_FULL);
    IS(karafka_producer_buffered(producer), 3);
    OK(karafka_producer_flush_buffer(producer, true, &count));
    IS(count, 3);
    OK(karafka_producer_recorded(producer, keep, &kept, NULL));
    CHECK(strcmp(kept.payloads[0], "0") == 0 && strcmp(kept.payloads[2], "2") == 0);
    OK(karafka_producer_buffer(producer, records + 1, 2));
    OK(karafka_producer_clear_buffer(producer, &count));
    IS(count, 2);
    karafka_producer_free(producer);
}

static int32_t last(const karafka_record_t *record, size_t count, void *user_data) {
    ++*(int *)user_data;
    return record->header_count == 1 ? (int32_t)count - 1 : -1;
}

static bool stamp(const karafka_record_t *record, karafka_draft_t *draft, void *user_data) {
    karafka_header_t header = {"stamp", 5, NULL, 0};
    karafka_record_t changed = *record;
    (void)user_data;
    if (record->payload_length == 2) return false;
    changed.headers = &header;
    changed.header_count = 1;
    OK(karafka_draft_set(draft, &changed));
    return true;
}

static void middleware_comes_before_the_partitioner(void) {
    int asked = 0;
    karafka_producer_t *producer = testing(4, last, stamp, &asked);
    karafka_record_t record = record_of("m", "key", "x"), refused = record_of("m", "key", "no");
    struct kept kept = {0};

    OK(karafka_producer_produce_sync(producer, &record, NULL));
    record.partition = 1;
    OK(karafka_producer_produce_sync(producer, &record, NULL));
    FAILS(karafka_producer_produce_sync(producer, &refused, NULL), KARAFKA_ERROR_HANDLER);
    OK(karafka_producer_recorded(producer, keep, &kept, NULL));
    IS(kept.count, 2);
    CHECK(kept.stamped[0] && kept.stamped[1]);
    IS(kept.partitions[0], 3);
    IS(kept.partitions[1], 1);
    IS(asked, 1);
    karafka_producer_free(producer);
}

static void a_partition_key_takes_the_place_of_the_key(void) {
    karafka_producer_t *producer = new_producer();
    karafka_record_t keyed = record_of("c-partition-keys", "customer-17", "x");
    karafka_record_t other = record_of("c-partition-keys", "other", "x");
    karafka_delivery_report_t expected, report;
    size_t count;

    create_topic("c-partition-keys", 8);
    OK(karafka_producer_partitions(producer, KARAFKA_STRING("c-partition-keys"), DEADLINE_S * 1000, &count));
    IS(count, 8);
    OK(karafka_producer_produce_sync(producer, &keyed, &expected));
    other.partition_key = (const uint8_t *)"customer-17";
    other.partition_key_length = 11;
    OK(karafka_producer_produce_sync(producer, &other, &report));
    IS(report.partition, expected.partition);
    karafka_producer_free(producer);
}

/* The struct as the first header had it: it ended before the partition key. */
static void records_of_older_headers_are_read(void) {
    karafka_producer_t *producer = testing(1, NULL, NULL, NULL);
    karafka_record_t whole = record_of("old", NULL, "old");
    char two[2 * 88];
    karafka_delivery_report_t reports[2];

    whole.struct_size = 88;
    memcpy(two, &whole, 88);
    memcpy(two + 88, &whole, 88);
    OK(karafka_producer_produce_many_sync(producer, (const karafka_record_t *)(const void *)two, 2, reports));
    IS(reports[1].offset, 1);
    karafka_producer_free(producer);
}

static void a_variant_has_its_own_options_and_events_tell_of_both(void) {
    karafka_producer_t *producer = new_producer(), *variant;
    karafka_record_t record = record_of("c-variants", NULL, "x");
    karafka_config_t *options;
    karafka_events_t *events;
    karafka_event_t *event;
    int acknowledged = 0;

    create_topic("c-variants", 1);
    OK(karafka_config_new(&options));
    OK(karafka_config_set_string(options, KARAFKA_STRING("acks"), KARAFKA_STRING("1")));
    OK(karafka_config_set_bool(options, KARAFKA_STRING("idempotence"), 0));
    OK(karafka_producer_variant(producer, options, &variant));
    OK(karafka_producer_events(producer, KARAFKA_STRING("message.acknowledged, producer.closed"), &events));
    record.label = "mine";
    record.label_length = 4;
    OK(karafka_producer_produce_sync(producer, &record, NULL));
    OK(karafka_producer_produce_sync(variant, &record, NULL));
    while (acknowledged < 2) {
        OK(karafka_events_next(events, DEADLINE_S * 1000, &event));
        CHECK(event != NULL);
        if (strcmp(karafka_event_name(event), "message.acknowledged") == 0) {
            CHECK(strcmp(karafka_event_field(event, KARAFKA_STRING("label")), "mine") == 0);
            acknowledged++;
        }
        karafka_event_free(event);
    }
    FAILS(karafka_producer_events(producer, KARAFKA_STRING("message.sent"), &events), KARAFKA_ERROR_CONFIG);
    OK(karafka_producer_close(producer));
    FAILS(karafka_producer_produce_sync(variant, &record, NULL), KARAFKA_ERROR_STOPPED);
    karafka_events_free(events);
    karafka_config_free(options);
    karafka_producer_free(variant);
    karafka_producer_free(producer);
}

#define PUBLIC "MCowBQYDK2VuAyEA+ufA5eX5ckPSo9tlvFqt7KvRRVQEJO5aCARfVTyGh1c="
#define FOREIGN "MCowBQYDK2VuAyEA/03PJwuexl9phcLcw5iaS24ik7Qo6iCNce6H8YJszSw="
#define PRIVATE "MC4CAQAwBQYDK2VuBCIEIOCjJuRutRJpnyn4Loe08m8YXhA/s4Ef06pYOdMcW9NU"

struct opened {
    struct board board;
    int count;
    char payloads[4][32];
};

static karafka_result_t note_opened(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct opened *opened = user_data;
    size_t i;
    (void)context;
    for (i = 0; i < karafka_batch_length(batch); i++) {
        const karafka_message_t *message = karafka_batch_message(batch, i);
        int length = message->payload == NULL ? 4 : (int)message->payload_length;
        const char *text = message->payload == NULL ? "none" : (const char *)message->payload;
        CHECK(length < 32);
        TELL(&opened->board, snprintf(opened->payloads[opened->count++], 32, "%.*s", length, text));
    }
    return KARAFKA_DONE;
}

static void payloads_are_sealed_for_a_key_and_opened_for_handlers(void) {
    karafka_config_t *sealing = CONFIG("bootstrap_servers", BROKER, "encryption_keys.main", PUBLIC);
    karafka_config_t *opening = CONFIG("encryption_keys.main", PRIVATE, "encryption_keys.older", PRIVATE);
    karafka_config_t *wrong = CONFIG("bootstrap_servers", BROKER, "encryption_keys.main", PRIVATE);
    karafka_record_t records[3] = {record_of("c-sealed", "k", "one"), record_of("c-sealed", "k", NULL), record_of("c-sealed", "k", "")};
    struct opened opened = {BOARD_INIT, 0, {{0}}};
    karafka_producer_t *producer, *testing_producer;
    karafka_app_t *app = new_app("c-sealed");
    struct kept kept = {0};
    karafka_error_t *error;
    size_t count;

    create_topic("c-sealed", 1);
    records[2].payload = (const uint8_t *)"";
    OK(karafka_producer_new(sealing, &producer));
    OK(karafka_producer_produce_many_sync(producer, records, 3, NULL));
    OK(karafka_app_topic(app, KARAFKA_STRING("c-sealed"), opening, note_opened, &opened, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&opened.board, opened.count == 3);
    TEXT_IS(opened.payloads[0], "one");
    TEXT_IS(opened.payloads[1], "none");
    TEXT_IS(opened.payloads[2], "");
    OK(karafka_app_stop(app));
    OK(karafka_app_join(app, DEADLINE_S * 1000, NULL));
    /* A testing producer keeps what would be sent. */
    OK(karafka_producer_new_with(sealing, 1, NULL, NULL, NULL, NULL, NULL, NULL, &testing_producer));
    OK(karafka_producer_produce_sync(testing_producer, &records[0], NULL));
    OK(karafka_producer_recorded(testing_producer, keep, &kept, &count));
    CHECK(count == 1 && strcmp(kept.payloads[0], "one") != 0);
    error = karafka_producer_new(wrong, &producer);
    CHECK(error != NULL && strstr(karafka_error_message(error), "encryption_keys[\"main\"]: it is a private key") != NULL);
    CHECK(strstr(karafka_error_message(error), "IOCjJuRutRJpnyn4Loe0") == NULL);
    karafka_error_free(error);
    karafka_producer_free(testing_producer);
    karafka_producer_free(producer);
    karafka_app_free(app);
    karafka_config_free(wrong);
    karafka_config_free(opening);
    karafka_config_free(sealing);
}

static void a_reader_opens_what_was_sealed_and_tells_what_does_not_open(void) {
    karafka_config_t *sealing = CONFIG("bootstrap_servers", BROKER, "encryption_keys.main", PUBLIC);
    karafka_config_t *other = CONFIG("bootstrap_servers", BROKER, "encryption_keys.main", FOREIGN);
    karafka_config_t *opening = CONFIG("bootstrap_servers", BROKER, "encryption_keys.main", PRIVATE);
    karafka_selection_t selection = {KARAFKA_STRING("c-read-sealed"), NULL, 0, 0, KARAFKA_READ_EARLIEST, 0};
    karafka_record_t record = record_of("c-read-sealed", "k", "one");
    karafka_producer_t *producer, *foreign;
    karafka_reader_t *reader;
    karafka_batch_t *batch;
    karafka_error_t *error;

    create_topic("c-read-sealed", 1);
    OK(karafka_producer_new(sealing, &producer));
    OK(karafka_producer_new(other, &foreign));
    OK(karafka_producer_produce_sync(producer, &record, NULL));
    OK(karafka_producer_produce_sync(foreign, &record, NULL));
    OK(karafka_reader_new(opening, &selection, 1, &reader));
    OK(karafka_reader_next(reader, -1, &batch));
    CHECK(karafka_batch_message(batch, 0)->payload_length == 3);
    CHECK(memcmp(karafka_batch_message(batch, 0)->payload, "one", 3) == 0);
    karafka_batch_unref(batch);
    error = karafka_reader_next(reader, -1, &batch);
    CHECK(karafka_error_code(error) == KARAFKA_ERROR_DESERIALIZE);
    CHECK(strstr(karafka_error_message(error), "does not open the record") != NULL);
    karafka_error_free(error);
    OK(karafka_reader_next(reader, -1, &batch));
    CHECK(batch == NULL);
    karafka_reader_free(reader);
    karafka_producer_free(foreign);
    karafka_producer_free(producer);
    karafka_config_free(opening);
    karafka_config_free(other);
    karafka_config_free(sealing);
}

struct reminders {
    struct board board;
    int count;
    int64_t early_ms;
    int64_t at_ms;
    int was_cancelled_seen;
};

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static karafka_result_t remind(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct reminders *reminders = user_data;
    size_t i;
    (void)context;
    for (i = 0; i < karafka_batch_length(batch); i++) {
        const karafka_message_t *message = karafka_batch_message(batch, i);
        TELL(&reminders->board, {
            reminders->count++;
            reminders->early_ms = reminders->at_ms - now_ms();
            reminders->was_cancelled_seen |= message->payload_length != 3;
        });
    }
    return KARAFKA_DONE;
}

static void a_scheduled_message_comes_at_its_time_unless_it_is_cancelled(void) {
    static struct reminders reminders = {.board = BOARD_INIT};
    karafka_config_t *options = CONFIG("interval", "50"), *wrong = CONFIG("intervals", "50");
    karafka_app_t *app = new_app("later-c");
    karafka_producer_t *producer = new_producer();
    karafka_record_t tea = record_of("reminders-c", "ada", "tea"), cancelled = record_of("reminders-c", "ada", "cancelled");
    karafka_schedule_id_t id;

    create_topic("later-c", 2);
    create_topic("reminders-c", 1);
    OK(karafka_app_topic(app, KARAFKA_STRING("reminders-c"), NULL, remind, &reminders, NULL, NULL));
    FAILS(karafka_app_scheduled_messages(app, KARAFKA_STRING("later-c"), wrong), KARAFKA_ERROR_CONFIG);
    OK(karafka_app_scheduled_messages(app, KARAFKA_STRING("later-c"), options));
    FAILS(karafka_app_scheduled_messages(app, KARAFKA_STRING("later-c"), options), KARAFKA_ERROR_CONFIG);
    OK(karafka_app_start(app));
    reminders.at_ms = now_ms() + 500;
    OK(karafka_producer_schedule(producer, KARAFKA_STRING("later-c"), &cancelled, now_ms() + 400, &id));
    OK(karafka_producer_cancel(producer, KARAFKA_STRING("later-c"), id.text, strlen(id.text)));
    OK(karafka_producer_schedule(producer, KARAFKA_STRING("later-c"), &tea, reminders.at_ms, NULL));
    FAILS(karafka_producer_schedule(producer, KARAFKA_STRING("later-c"), &tea, 1700000000, NULL), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_producer_schedule(producer, KARAFKA_STRING("later-c"), NULL, now_ms(), NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_producer_cancel(producer, KARAFKA_STRING("later-c"), KARAFKA_STRING("nonsense")), KARAFKA_ERROR_CONFIG);
    WAIT(&reminders.board, reminders.count > 0);
    stop_and_free(app);
    IS(reminders.count, 1);
    CHECK(reminders.early_ms <= 0);
    CHECK(!reminders.was_cancelled_seen);
    karafka_producer_free(producer);
    karafka_config_free(options);
    karafka_config_free(wrong);
}

struct chores {
    struct board board;
    int timed;
    int triggered;
    int refused;
    int early;
    int ending;
    int destroyed;
};

static karafka_result_t do_chore(const karafka_task_run_t *run, void *user_data) {
    struct chores *chores = user_data;
    TELL(&chores->board, {
        chores->early |= run->scheduled_ms > now_ms();
        chores->ending |= karafka_task_run_should_end(run);
        if (run->task_length == 5 && memcmp(run->task, "often", 5) == 0) {
            chores->timed += run->scheduled_ms > 0 && run->scheduled_ms % 1000 == 0;
        } else {
            chores->triggered += run->scheduled_ms == -1;
        }
    });
    return KARAFKA_DONE;
}

static karafka_result_t refuse_chore(const karafka_task_run_t *run, void *user_data) {
    struct chores *chores = user_data;
    (void)run;
    TELL(&chores->board, chores->refused++);
    return KARAFKA_FAILED;
}

static void forget_chores(void *user_data) {
    struct chores *chores = user_data;
    TELL(&chores->board, chores->destroyed++);
}

static void recurring_tasks_run_at_their_times_and_on_command(void) {
    static struct chores chores = {.board = BOARD_INIT};
    karafka_config_t *options = CONFIG("interval", "50", "log_topic", "chores-log-c"), *wrong = CONFIG("intervals", "50");
    karafka_app_t *app = new_app("chores-c");
    karafka_producer_t *producer = new_producer();
    karafka_recurring_tasks_t *tasks = NULL;
    karafka_events_t *events;
    karafka_event_t *event = NULL;
    karafka_error_t *error;

    create_topic("chores-c", 1);
    create_topic("chores-log-c", 1);
    FAILS(karafka_app_recurring_tasks(app, KARAFKA_STRING("chores-c"), wrong, &tasks), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_app_recurring_tasks(app, KARAFKA_STRING("chores-c"), options, NULL), KARAFKA_ERROR_ARGUMENT);
    OK(karafka_app_recurring_tasks(app, KARAFKA_STRING("chores-c"), options, &tasks));
    OK(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("often"), KARAFKA_STRING("* * * * * *"), do_chore, &chores, forget_chores));
    OK(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("rare"), KARAFKA_STRING("0 0 29 2 *"), do_chore, &chores, forget_chores));
    OK(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("refuses"), KARAFKA_STRING("@yearly"), refuse_chore, &chores, forget_chores));
    FAILS(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("rare"), KARAFKA_STRING("@daily"), do_chore, &chores, forget_chores),
          KARAFKA_ERROR_CONFIG);
    IS(chores.destroyed, 1);
    FAILS(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("none"), KARAFKA_STRING("@daily"), NULL, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    error = karafka_recurring_tasks_add(tasks, KARAFKA_STRING("wrong"), KARAFKA_STRING("0 25 * * *"), do_chore, &chores, NULL);
    CHECK(error != NULL && strstr(karafka_error_message(error), "\"25\" is no hour") != NULL);
    karafka_error_free(error);
    OK(karafka_app_events_of(app, KARAFKA_STRING("recurring_tasks.error"), &events));
    OK(karafka_app_start(app));
    OK(karafka_producer_trigger_task(producer, KARAFKA_STRING("chores-c"), KARAFKA_STRING("rare")));
    WAIT(&chores.board, chores.timed >= 2 && chores.triggered == 1);
    OK(karafka_producer_disable_task(producer, KARAFKA_STRING("chores-c"), KARAFKA_STRING("often")));
    OK(karafka_producer_enable_task(producer, KARAFKA_STRING("chores-c"), KARAFKA_STRING("often")));
    OK(karafka_producer_trigger_task(producer, KARAFKA_STRING("chores-c"), KARAFKA_STRING("refuses")));
    FAILS(karafka_producer_trigger_task(producer, KARAFKA_STRING("chores-c"), KARAFKA_STRING("")), KARAFKA_ERROR_CONFIG);
    WAIT(&chores.board, chores.refused == 1);
    OK(karafka_events_next(events, 30000, &event));
    CHECK(event != NULL && strcmp(karafka_event_name(event), "recurring_tasks.error") == 0);
    karafka_event_free(event);
    karafka_events_free(events);
    karafka_recurring_tasks_free(tasks);
    stop_and_free(app);
    CHECK(!chores.early);
    CHECK(!karafka_task_run_should_end(NULL));
    IS(chores.triggered, 1);
    IS(chores.destroyed, 4);
    karafka_producer_free(producer);
    karafka_config_free(options);
    karafka_config_free(wrong);
}

int main(void) {
    RUN(payloads_are_sealed_for_a_key_and_opened_for_handlers);
    RUN(a_reader_opens_what_was_sealed_and_tells_what_does_not_open);
    RUN(a_testing_producer_keeps_what_it_is_given);
    RUN(the_buffer_is_flushed_in_order_and_keeps_what_failed);
    RUN(middleware_comes_before_the_partitioner);
    RUN(a_partition_key_takes_the_place_of_the_key);
    RUN(records_of_older_headers_are_read);
    RUN(a_variant_has_its_own_options_and_events_tell_of_both);
    RUN(a_scheduled_message_comes_at_its_time_unless_it_is_cancelled);
    RUN(recurring_tasks_run_at_their_times_and_on_command);
    return 0;
}
