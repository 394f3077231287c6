/* polling: the reference for latency and rebalances, a plain librdkafka loop that polls message by message for BENCH_SECONDS
 * after the first one. Prints one line of JSON; the rest of the environment is in raw.h. */
#include "arrivals.h"
#include "raw.h"

int main(void) {
    arrivals_begin();
    rd_kafka_t *client = consumer();
    while (now_ns() < arrivals_end()) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(client, 100);
        if (!message)
            continue;
        if (!message->err)
            arrived(message->partition, message->payload, message->len);
        rd_kafka_message_destroy(message);
    }
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    arrivals_print();
    return 0;
}
