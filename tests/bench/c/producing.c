/* producing: what producing_raw does, through libkarafka: asynchronously, with no handle kept, and a flush at the end. */
#include "bench.h"
#include <karafka.h>

enum { PAYLOAD = 100, KEYS = 1000 };

static void must(karafka_error_t *error) {
    if (!error) return;
    fprintf(stderr, "producing: %s\n", karafka_error_message(error));
    exit(2);
}

int main(void) {
    long wanted = number("BENCH_MESSAGES");
    const char *brokers = text("BENCH_BROKERS"), *topic = text("BENCH_TOPIC");
    static uint8_t payload[PAYLOAD];
    char keys[KEYS][9];
    karafka_config_t *config;
    karafka_producer_t *producer;
    karafka_record_t record = KARAFKA_RECORD_INIT;
    size_t left;
    must(karafka_config_new(&config));
    must(karafka_config_set_string(config, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING(brokers)));
    must(karafka_config_set_string(config, KARAFKA_STRING("queue_full_timeout"), KARAFKA_STRING("60s")));
    must(karafka_producer_new(config, &producer));
    for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "key-%04d", i);
    record.topic = topic;
    record.topic_length = strlen(topic);
    record.payload = payload;
    record.payload_length = PAYLOAD;
    record.key = (const uint8_t *)keys[0];
    record.key_length = 8;
    must(karafka_producer_produce_sync(producer, &record, NULL));
    int64_t began = now_ns();
    for (long sent = 0; sent < wanted; sent++) {
        record.key = (const uint8_t *)keys[sent * 387 % KEYS];
        must(karafka_producer_produce_async(producer, &record, NULL));
    }
    must(karafka_producer_flush(producer, 120000, &left));
    int64_t ended = now_ns();
    /* Closing tells of whatever was not acknowledged. */
    must(karafka_producer_close(producer));
    print_run(wanted, began, ended, wanted - (long)left, (wanted - (long)left) * PAYLOAD);
    karafka_producer_free(producer);
    karafka_config_free(config);
    return 0;
}
