/* A plain librdkafka consumer in a group: BENCH_BROKERS, BENCH_TOPIC (names with commas between them), BENCH_GROUP, and
 * BENCH_SETTINGS with librdkafka settings, one name=value a line, empty for librdkafka's defaults. */
#ifndef RAW_H
#define RAW_H

#include "bench.h"
#include <rdkafka.h>

static void set(void *config, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(config, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "raw: %s=%s: %s\n", name, value, error);
        exit(2);
    }
}

static rd_kafka_t *consumer(void) {
    rd_kafka_conf_t *config = rd_kafka_conf_new();
    set(config, "bootstrap.servers", text("BENCH_BROKERS"));
    set(config, "group.id", text("BENCH_GROUP"));
    set(config, "auto.offset.reset", "earliest");
    settings(set, config);
    char error[512];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, config, error, sizeof error);
    if (!client) {
        fprintf(stderr, "raw: %s\n", error);
        exit(2);
    }
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    const char *name;
    for (size_t length; (name = next_topic(&length));) {
        char topic[256];
        snprintf(topic, sizeof topic, "%.*s", (int)length, name);
        rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    }
    rd_kafka_resp_err_t refused = rd_kafka_subscribe(client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (refused) {
        fprintf(stderr, "raw: subscribe: %s\n", rd_kafka_err2str(refused));
        exit(2);
    }
    return client;
}

#endif
