/* producing_raw: the reference for producers, a plain librdkafka loop on one thread: produce, and count delivery reports by the
 * callback between. Prints one line of JSON when all are acknowledged.
 *
 * BENCH_MESSAGES as for the other programs, BENCH_BROKERS and BENCH_TOPIC. Its settings are those that libkarafka's producers
 * have. */
#include "bench.h"
#include <rdkafka.h>

enum { PAYLOAD = 100, KEYS = 1000 };

static long handled, bytes;

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    (void)client, (void)opaque;
    if (message->err) {
        fprintf(stderr, "not delivered: %s\n", rd_kafka_err2str(message->err));
        exit(2);
    }
    handled++;
    bytes += message->len;
}

int main(void) {
    static const char *const settings[][2] = {
        {"partitioner", "murmur2_random"}, {"socket.nagle.disable", "true"}, {"linger.ms", "5"},
        {"enable.idempotence", "true"},    {"acks", "all"},                  {"message.max.bytes", "1000012"}};
    long wanted = number("BENCH_MESSAGES");
    char error[512], payload[PAYLOAD] = {0}, keys[KEYS][9];
    rd_kafka_conf_t *config = rd_kafka_conf_new();
    rd_kafka_conf_set(config, "bootstrap.servers", text("BENCH_BROKERS"), error, sizeof error);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(config, settings[i][0], settings[i][1], error, sizeof error) != RD_KAFKA_CONF_OK) {
            fprintf(stderr, "producing_raw: %s\n", error);
            return 2;
        }
    rd_kafka_conf_set_dr_msg_cb(config, delivered);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, config, error, sizeof error);
    rd_kafka_topic_t *topic = client ? rd_kafka_topic_new(client, text("BENCH_TOPIC"), NULL) : NULL;
    if (!topic) {
        fprintf(stderr, "producing_raw: %s\n", error);
        return 2;
    }
    for (int i = 0; i < KEYS; i++) snprintf(keys[i], sizeof keys[i], "key-%04d", i);
    /* The first record waits for connections and metadata. */
    rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, PAYLOAD, keys[0], 8, NULL);
    rd_kafka_flush(client, 30000);
    handled = bytes = 0;
    int64_t began = now_ns();
    for (long sent = 0; sent < wanted; sent++) {
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, PAYLOAD, keys[sent * 387 % KEYS], 8,
                                NULL) == -1) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                fprintf(stderr, "producing_raw: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
                return 2;
            }
            rd_kafka_poll(client, 100);
        }
        rd_kafka_poll(client, 0);
    }
    rd_kafka_flush(client, 120000);
    print_run(wanted, began, now_ns(), handled, bytes);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return 0;
}
