/* Producing: synchronously, with handles and with callbacks; what cannot be produced; closing. */
#include "support.h"

static void a_record_is_acknowledged(void) {
    const char *topic = "c-produce";
    karafka_producer_t *producer = new_producer();
    karafka_record_t record = record_of(topic, "key", "payload");
    karafka_delivery_report_t report;

    create_topic(topic, 2);
    OK(karafka_producer_produce_sync(producer, &record, &report));
    IS(report.offset, 0);
    CHECK(report.partition == 0 || report.partition == 1);
    /* The broker inside the process answers with a time of its own making. */
    CHECK(report.timestamp_ms > 0 && report.reserved == 0);
    record.partition = 1 - report.partition;
    OK(karafka_producer_produce_sync(producer, &record, &report));
    IS(report.partition, record.partition);
    OK(karafka_producer_produce_sync(producer, &record, NULL));
    IS(karafka_producer_in_flight(producer), 0);
    karafka_producer_free(producer);
}

static void an_app_makes_producers_for_its_brokers(void) {
    karafka_app_t *app = new_app("c-app-producer");
    karafka_record_t record = record_of("c-app-producer", NULL, "x");
    karafka_producer_t *producer;
    karafka_delivery_report_t report;

    create_topic("c-app-producer", 1);
    OK(karafka_app_producer(app, &producer));
    karafka_app_free(app);
    OK(karafka_producer_produce_sync(producer, &record, &report));
    IS(report.offset, 0);
    karafka_producer_free(producer);
}

static void a_delivery_can_be_waited_for(void) {
    const char *topic = "c-deliveries";
    enum { COUNT = 20 };
    karafka_producer_t *producer = new_producer();
    karafka_record_t records[COUNT];
    karafka_delivery_t *deliveries[COUNT], *delivery;
    karafka_delivery_report_t report;
    int i;

    create_topic(topic, 1);
    for (i = 0; i < COUNT; i++) records[i] = record_of(topic, NULL, "x");
    OK(karafka_producer_produce_many_async(producer, records, COUNT, deliveries));
    for (i = 0; i < COUNT; i++) {
        OK(karafka_delivery_wait(deliveries[i], DEADLINE_S * 1000, &report));
        IS(report.offset, i);
        OK(karafka_delivery_wait(deliveries[i], 0, NULL));
        karafka_delivery_free(deliveries[i]);
    }
    OK(karafka_producer_produce_many_async(producer, NULL, 0, NULL));
    OK(karafka_producer_produce_async(producer, records, &delivery));
    karafka_delivery_free(delivery); /* neither waits nor takes the record back */
    OK(karafka_producer_produce_sync(producer, records, &report));
    IS(report.offset, COUNT + 1);
    karafka_producer_free(producer);
}

struct told {
    struct board board;
    karafka_producer_t *producer;
    int delivered, failed, destroyed;
    karafka_error_code_t code, refused[4];
};

static void on_delivery(const karafka_error_t *error, const karafka_delivery_report_t *report, void *user_data) {
    struct told *told = user_data;
    CHECK((error == NULL) != (report == NULL));
    TELL(&told->board, if (error == NULL) told->delivered++; else {
        told->failed++;
        told->code = karafka_error_code(error);
        CHECK(strlen(karafka_error_message(error)) > 10);
    });
}

static void on_destroyed(void *user_data) {
    struct told *told = user_data;
    TELL(&told->board, told->destroyed++);
}

/* What would wait for this very thread is refused; producing more is not. */
static void on_delivery_misbehave(const karafka_error_t *error, const karafka_delivery_report_t *report, void *user_data) {
    struct told *told = user_data;
    karafka_record_t record = record_of("c-callbacks", NULL, "again");
    karafka_error_t *errors[4];
    int i;

    (void)error, (void)report;
    errors[0] = karafka_producer_flush(told->producer, 10, NULL);
    errors[1] = karafka_producer_close(told->producer);
    errors[2] = karafka_producer_produce_sync(told->producer, &record, NULL);
    errors[3] = karafka_producer_produce_many_sync(told->producer, &record, 1, NULL);
    for (i = 0; i < 4; i++) {
        told->refused[i] = karafka_error_code(errors[i]);
        karafka_error_free(errors[i]);
    }
    OK(karafka_producer_produce_with_callback(told->producer, &record, on_delivery, told, on_destroyed));
    karafka_producer_free(told->producer);
    TELL(&told->board, told->delivered++);
}

static void a_callback_is_told_once_and_its_data_destroyed_once(void) {
    const char *topic = "c-callbacks";
    struct told told = {BOARD_INIT, NULL, 0, 0, 0, KARAFKA_OK, {0}};
    karafka_record_t record = record_of(topic, NULL, "x"), wrong = record_of("no spaces", NULL, "x");
    size_t i;

    told.producer = new_producer();
    create_topic(topic, 1);
    for (i = 0; i < 10; i++)
        OK(karafka_producer_produce_with_callback(told.producer, &record, on_delivery, &told, on_destroyed));
    WAIT(&told.board, told.delivered == 10 && told.destroyed == 10);
    FAILS(karafka_producer_produce_with_callback(told.producer, &wrong, on_delivery, &told, on_destroyed),
          KARAFKA_ERROR_CONFIG);
    FAILS(karafka_producer_produce_with_callback(told.producer, &record, NULL, &told, on_destroyed),
          KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_producer_produce_with_callback(NULL, &record, on_delivery, &told, on_destroyed),
          KARAFKA_ERROR_ARGUMENT);
    IS(told.destroyed, 13);
    IS(told.failed, 0);

    OK(karafka_producer_produce_with_callback(told.producer, &record, on_delivery_misbehave, &told, on_destroyed));
    WAIT(&told.board, told.delivered == 12 && told.destroyed == 15);
    for (i = 0; i < 4; i++) IS(told.refused[i], KARAFKA_ERROR_STOPPED);
    FAILS(karafka_producer_produce_sync(told.producer, &record, NULL), KARAFKA_ERROR_ARGUMENT);
}

static void what_is_given_up_is_told(void) {
    struct told told = {BOARD_INIT, NULL, 0, 0, 0, KARAFKA_OK, {0}};
    karafka_config_t *config = CONFIG("bootstrap_servers", "127.0.0.1:1", "delivery_timeout", "300ms", "close_timeout", "10ms");
    karafka_record_t record = record_of("nowhere", NULL, "x");
    karafka_producer_t *producer;
    karafka_delivery_t *delivery;
    size_t remaining = 0;

    OK(karafka_producer_new(config, &producer));
    karafka_config_free(config);
    OK(karafka_producer_produce_async(producer, &record, &delivery));
    FAILS(karafka_delivery_wait(delivery, 0, NULL), KARAFKA_ERROR_TIMEOUT);
    OK(karafka_producer_flush(producer, 0, &remaining));
    IS(remaining, 1);
    FAILS(karafka_delivery_wait(delivery, -1, NULL), KARAFKA_ERROR_TIMEOUT);
    karafka_delivery_free(delivery);
    OK(karafka_producer_produce_with_callback(producer, &record, on_delivery, &told, on_destroyed));
    FAILS(karafka_producer_close(producer), KARAFKA_ERROR_TIMEOUT);
    WAIT(&told.board, told.failed == 1 && told.destroyed == 1);
    CHECK(told.code != KARAFKA_OK);
    karafka_producer_free(producer);
}

static void a_record_that_can_never_be_sent_is_refused(void) {
    karafka_producer_t *producer = new_producer();
    karafka_header_t header = {"a\0b", 3, NULL, 0}, nameless = {NULL, 4, NULL, 0}, *many;
    karafka_record_t record;
    size_t i;

#define REFUSED(change, code)                                                       \
    do {                                                                            \
        record = record_of("c-refused", NULL, "x");                                 \
        change;                                                                     \
        FAILS(karafka_producer_produce_async(producer, &record, NULL), code);       \
    } while (0)

    REFUSED(record.struct_size = 0, KARAFKA_ERROR_ARGUMENT);
    REFUSED(record.struct_size += 8, KARAFKA_ERROR_ARGUMENT);
    REFUSED(memset(&record, 0, sizeof record), KARAFKA_ERROR_ARGUMENT);
    REFUSED(record.partition = -2, KARAFKA_ERROR_ARGUMENT);
    REFUSED(record.timestamp_ms = -2, KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.payload = NULL, record.payload_length = 1), KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.key = NULL, record.key_length = 1), KARAFKA_ERROR_ARGUMENT);
    REFUSED(record.payload_length = SIZE_MAX, KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.headers = NULL, record.header_count = 1), KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.headers = &header, record.header_count = SIZE_MAX), KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.headers = &nameless, record.header_count = 1), KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.headers = &header, record.header_count = 1), KARAFKA_ERROR_CONFIG);
    REFUSED(record.topic = NULL, KARAFKA_ERROR_ARGUMENT);
    REFUSED(record.topic_length = 0, KARAFKA_ERROR_CONFIG);
    REFUSED(record.topic = "\xff\xff\xff\xff\xff\xff\xff\xff\xff", KARAFKA_ERROR_ARGUMENT);
    REFUSED((record.topic = "a\0b", record.topic_length = 3), KARAFKA_ERROR_CONFIG);
    REFUSED(record.payload_length = (size_t)2 << 30, KARAFKA_ERROR_CONFIG);

    many = calloc(100000, sizeof *many);
    for (i = 0; i < 100000; i++) many[i].name = "n", many[i].name_length = 1;
    REFUSED((record.headers = many, record.header_count = 100000), KARAFKA_ERROR_CONFIG);
    free(many);

    FAILS(karafka_producer_produce_async(producer, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_producer_produce_sync(producer, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_producer_produce_many_sync(producer, NULL, 1, NULL), KARAFKA_ERROR_ARGUMENT);
    IS(karafka_producer_in_flight(producer), 0);
    karafka_producer_free(producer);
}

static void a_closed_producer_sends_nothing(void) {
    karafka_producer_t *producer = new_producer();
    karafka_record_t record = record_of("c-closed", NULL, "x");
    karafka_delivery_t *delivery = NULL;

    create_topic("c-closed", 1);
    OK(karafka_producer_produce_async(producer, &record, &delivery));
    OK(karafka_producer_close(producer));
    OK(karafka_delivery_wait(delivery, 0, NULL));
    karafka_delivery_free(delivery);
    OK(karafka_producer_close(producer));
    FAILS(karafka_producer_produce_async(producer, &record, NULL), KARAFKA_ERROR_STOPPED);
    FAILS(karafka_producer_produce_sync(producer, &record, NULL), KARAFKA_ERROR_STOPPED);
    OK(karafka_producer_flush(producer, 0, NULL));
    karafka_producer_free(producer);
}

int main(void) {
    RUN(a_record_is_acknowledged);
    RUN(an_app_makes_producers_for_its_brokers);
    RUN(a_delivery_can_be_waited_for);
    RUN(a_callback_is_told_once_and_its_data_destroyed_once);
    RUN(what_is_given_up_is_told);
    RUN(a_record_that_can_never_be_sent_is_refused);
    RUN(a_closed_producer_sends_nothing);
    return 0;
}
