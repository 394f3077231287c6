/*
 * Everything on the broker inside the process: produces measurements of some devices, then handles them with virtual
 * partitions by key, so that each device's measurements come in order and the devices in parallel, on one topic partition.
 * Every tenth call fails at first, and is tried again without holding up the other devices.
 *
 *     cc virtual_partitions.c -lkarafka -lpthread -o virtual_partitions && ./virtual_partitions
 */
#include <karafka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { DEVICES = 8, MEASUREMENTS = 400 };

struct device {
    int next;         /* the measurement that has to come now */
    int out_of_order; /* how often another one came */
};

struct plant {
    pthread_mutex_t lock;
    struct device devices[DEVICES];
    int handled, calls, running, most_running;
    karafka_app_t *app;
};

static void must(karafka_error_t *error) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s\n", karafka_error_name(error), karafka_error_message(error));
    exit(1);
}

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct plant *plant = user_data;
    const karafka_message_t *messages;
    size_t count, i;
    int call;
    struct timespec database = {0, 1000000};

    must(karafka_batch_messages(batch, &messages, &count));
    pthread_mutex_lock(&plant->lock);
    call = ++plant->calls;
    if (++plant->running > plant->most_running) plant->most_running = plant->running;
    pthread_mutex_unlock(&plant->lock);

    nanosleep(&database, NULL); /* a call of a database */

    pthread_mutex_lock(&plant->lock);
    plant->running--;
    if (call % 10 == 0 && karafka_context_attempt(context) == 1) {
        pthread_mutex_unlock(&plant->lock);
        must(karafka_context_fail(context, KARAFKA_STRING("DatabaseError"), KARAFKA_STRING("connection lost")));
        return KARAFKA_FAILED;
    }
    for (i = 0; i < count; i++) {
        int device = messages[i].key[0] - 'a', measurement = atoi((const char *)messages[i].payload);
        if (plant->devices[device].next != measurement) plant->devices[device].out_of_order++;
        plant->devices[device].next = measurement + 1;
    }
    plant->handled += (int)count;
    if (plant->handled == MEASUREMENTS) must(karafka_app_stop(plant->app));
    pthread_mutex_unlock(&plant->lock);
    return KARAFKA_DONE;
}

static void produce(const karafka_config_t *config) {
    karafka_producer_t *producer;
    int i;

    must(karafka_producer_new(config, &producer));
    for (i = 0; i < MEASUREMENTS; i++) {
        karafka_record_t record = KARAFKA_RECORD_INIT;
        char key = (char)('a' + i % DEVICES), payload[16];
        record.topic = "measurements";
        record.topic_length = strlen(record.topic);
        record.key = (const uint8_t *)&key;
        record.key_length = 1;
        record.payload = (const uint8_t *)payload;
        /* The terminating NUL travels along, so that the handler can read the number as a C string. */
        record.payload_length = (size_t)snprintf(payload, sizeof payload, "%d", i / DEVICES) + 1;
        must(karafka_producer_produce_async(producer, &record, NULL));
    }
    must(karafka_producer_close(producer));
    karafka_producer_free(producer);
}

int main(void) {
    struct plant plant = {PTHREAD_MUTEX_INITIALIZER, {{0, 0}}, 0, 0, 0, 0, NULL};
    karafka_embedded_broker_t *broker;
    karafka_config_t *servers, *config, *topic;
    int i, out_of_order = 0;

    must(karafka_embedded_broker_named(KARAFKA_STRING("embedded://plant"), &broker));
    must(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING("measurements"), 1));
    must(karafka_config_new(&servers));
    must(karafka_config_set_string(servers, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING("embedded://plant")));
    produce(servers);

    must(karafka_config_new(&config));
    must(karafka_config_set_string(config, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING("embedded://plant")));
    must(karafka_config_set_integer(config, KARAFKA_STRING("concurrency"), 8));
    must(karafka_config_new(&topic));
    must(karafka_config_set_string(topic, KARAFKA_STRING("virtual_partitions"), KARAFKA_STRING("by_key")));
    must(karafka_config_set_integer(topic, KARAFKA_STRING("max_messages"), 5));
    must(karafka_config_set_string(topic, KARAFKA_STRING("retry_backoff"), KARAFKA_STRING("20ms")));

    must(karafka_app_new(config, &plant.app));
    must(karafka_app_topic(plant.app, KARAFKA_STRING("measurements"), topic, handle, &plant, NULL, NULL));
    must(karafka_app_run(plant.app, KARAFKA_RUN_WITH_SIGNALS));

    for (i = 0; i < DEVICES; i++) out_of_order += plant.devices[i].out_of_order;
    printf("%d measurements of %d devices in %d calls, up to %d at once; %d out of order\n", plant.handled, DEVICES,
           plant.calls, plant.most_running, out_of_order);

    karafka_app_free(plant.app);
    karafka_config_free(topic);
    karafka_config_free(config);
    karafka_config_free(servers);
    karafka_embedded_broker_free(broker);
    return plant.handled == MEASUREMENTS && out_of_order == 0 && plant.most_running > 1 ? 0 : 1;
}
