/* What the C examples of these pages share, so that each shows what it is about. All of it is public API; a program of yours has
 * its own way to report errors. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <karafka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BROKERS
#define BROKERS "embedded://"
#endif

/* Ends the program with what an error says. */
static inline void must(karafka_error_t *error) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s\n", karafka_error_name(error), karafka_error_message(error));
    exit(1);
}

/* Ends the program unless a thing that has to be true is. */
static inline void expect(int is_true, const char *what) {
    if (is_true) return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static inline karafka_config_t *config(void) {
    karafka_config_t *made;
    must(karafka_config_new(&made));
    return made;
}

static inline void set_text(karafka_config_t *config, const char *name, const char *value) {
    must(karafka_config_set_string(config, name, strlen(name), value, strlen(value)));
}

static inline void set_integer(karafka_config_t *config, const char *name, int64_t value) {
    must(karafka_config_set_integer(config, name, strlen(name), value));
}

static inline void set_boolean(karafka_config_t *config, const char *name, int value) {
    must(karafka_config_set_bool(config, name, strlen(name), value));
}

/* An app on the broker inside this process. */
static inline karafka_app_t *app_of(const char *group) {
    karafka_config_t *options = config();
    karafka_app_t *app;
    set_text(options, "bootstrap_servers", BROKERS);
    set_text(options, "group", group);
    must(karafka_app_new(options, &app));
    karafka_config_free(options);
    return app;
}

/* Sends one record made at this time (-1: now), and returns when the broker has it. */
static inline void produce_at(const char *topic, const char *key, const char *payload, int64_t timestamp_ms) {
    static karafka_producer_t *producer;
    karafka_record_t record = KARAFKA_RECORD_INIT;
    if (producer == NULL) {
        karafka_config_t *options = config();
        set_text(options, "bootstrap_servers", BROKERS);
        must(karafka_producer_new(options, &producer));
        karafka_config_free(options);
    }
    record.topic = topic;
    record.topic_length = strlen(topic);
    record.key = (const uint8_t *)key;
    record.key_length = strlen(key);
    record.payload = (const uint8_t *)payload;
    record.payload_length = strlen(payload);
    record.timestamp_ms = timestamp_ms;
    must(karafka_producer_produce_sync(producer, &record, NULL));
}

/* Sends one record, and returns when the broker has it. */
static inline void produce(const char *topic, const char *key, const char *payload) {
    produce_at(topic, key, payload, -1);
}

/* Creates a topic; one that is only used comes into being with four partitions, when it is first produced to. */
static inline void create_topic(const char *name, int32_t partitions) {
    karafka_embedded_broker_t *broker;
    must(karafka_embedded_broker_named(BROKERS, strlen(BROKERS), &broker));
    must(karafka_embedded_broker_create_topic(broker, name, strlen(name), partitions));
    karafka_embedded_broker_free(broker);
}

/* Whether a record's payload is this text. */
static inline int says(const karafka_message_t *message, const char *text) {
    return message->payload_length == strlen(text) && memcmp(message->payload, text, message->payload_length) == 0;
}

#endif
