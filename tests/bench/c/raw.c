/* raw: the reference, a plain librdkafka batch loop on one thread. Prints one line of JSON.
 *
 * BENCH_BROKERS, BENCH_TOPIC, BENCH_GROUP, BENCH_MESSAGES as for the other programs; BENCH_SETTINGS holds librdkafka
 * settings, one name=value a line, and is empty for librdkafka's defaults. It reads what the handlers of the other programs
 * read: the payload's length and one byte of the key. */
#include "bench.h"
#include <rdkafka.h>

enum { BATCH = 1000 };

static void set(rd_kafka_conf_t *settings, const char *name, const char *value) {
    char error[512];
    if (rd_kafka_conf_set(settings, name, value, error, sizeof error) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "raw: %s=%s: %s\n", name, value, error);
        exit(2);
    }
}

static rd_kafka_t *consumer(void) {
    rd_kafka_conf_t *settings = rd_kafka_conf_new();
    set(settings, "bootstrap.servers", text("BENCH_BROKERS"));
    set(settings, "group.id", text("BENCH_GROUP"));
    set(settings, "auto.offset.reset", "earliest");
    const char *given = getenv("BENCH_SETTINGS");
    char *lines = strdup(given ? given : ""), *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        if (!equals) {
            fprintf(stderr, "raw: BENCH_SETTINGS: no = in %s\n", line);
            exit(2);
        }
        *equals = 0;
        set(settings, line, equals + 1);
    }
    free(lines);
    char error[512];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_CONSUMER, settings, error, sizeof error);
    if (!client) {
        fprintf(stderr, "raw: %s\n", error);
        exit(2);
    }
    rd_kafka_poll_set_consumer(client);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, text("BENCH_TOPIC"), RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t refused = rd_kafka_subscribe(client, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (refused) {
        fprintf(stderr, "raw: subscribe: %s\n", rd_kafka_err2str(refused));
        exit(2);
    }
    return client;
}

int main(int count, char **words) {
    if (count > 1 && !strcmp(words[1], "--version")) {
        puts(rd_kafka_version_str());
        return 0;
    }
    long wanted = number("BENCH_MESSAGES"), handled = 0, bytes = 0;
    volatile long keys = 0;
    int64_t began = 0;
    rd_kafka_t *client = consumer();
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(client);
    rd_kafka_message_t *batch[BATCH];
    while (handled < wanted) {
        ssize_t length = rd_kafka_consume_batch_queue(queue, 1000, batch, BATCH);
        if (length > 0 && !began)
            began = now_ns();
        long sum = 0;
        for (ssize_t index = 0; index < length; index++) {
            rd_kafka_message_t *message = batch[index];
            if (!message->err) {
                handled++;
                bytes += message->len;
                sum += message->key_len ? ((const unsigned char *)message->key)[message->key_len - 1] : 0;
            }
            rd_kafka_message_destroy(message);
        }
        keys += sum;
    }
    int64_t ended = now_ns();
    /* The batch that crossed the mark is counted whole: it is inside the time. */
    print_run(handled, began, ended, handled, bytes);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return 0;
}
