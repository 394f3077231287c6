/* raw: the reference, a plain librdkafka batch loop on one thread. Prints one line of JSON.
 *
 * BENCH_MESSAGES as for the other programs, the rest in raw.h. It reads what the handlers of the other programs read: the
 * payload's length and one byte of the key. */
#include "raw.h"

enum { BATCH = 1000 };

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
