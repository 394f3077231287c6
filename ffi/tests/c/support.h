/*
 * What the C tests share: checks, waiting with a deadline, and the way from settings to a running app.
 *
 * A test is a function that returns when it has passed; a check that fails ends the program. Each test has a topic and a
 * group of its own on one broker inside the process.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <karafka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BROKER "embedded://c"
/* Long enough for valgrind on a busy machine; nothing waits that long unless it fails. */
#define DEADLINE_S 60

static const char *test_name = "set-up";

/* Unused in some programs. */
#define SHARED __attribute__((unused)) static

SHARED void failed(const char *file, int line, const char *what, const char *detail) {
    printf("FAILED: %s: %s:%d: %s%s%s\n", test_name, file, line, what, detail ? ": " : "", detail ? detail : "");
    fflush(stdout);
    _exit(1);
}

#define CHECK(condition)                                                 \
    do {                                                                 \
        if (!(condition)) failed(__FILE__, __LINE__, #condition, NULL);  \
    } while (0)

#define IS(actual, expected)                                                       \
    do {                                                                           \
        long long is_actual = (long long)(actual), is_expected = (long long)(expected); \
        char is_detail[64];                                                        \
        snprintf(is_detail, sizeof is_detail, "%lld, not %lld", is_actual, is_expected); \
        if (is_actual != is_expected) failed(__FILE__, __LINE__, #actual, is_detail); \
    } while (0)

#define TEXT_IS(actual, expected)                                                        \
    do {                                                                                 \
        const char *text_actual = (actual);                                              \
        if (text_actual == NULL || strcmp(text_actual, expected) != 0)                   \
            failed(__FILE__, __LINE__, #actual, text_actual ? text_actual : "NULL");     \
    } while (0)

/* The call succeeds. */
#define OK(call)                                                                                   \
    do {                                                                                           \
        karafka_error_t *ok_error = (call);                                                        \
        if (ok_error != NULL) failed(__FILE__, __LINE__, #call, karafka_error_message(ok_error));  \
    } while (0)

/* The call fails with this code, and says something. */
#define FAILS(call, expected)                                                                           \
    do {                                                                                                \
        karafka_error_t *fails_error = (call);                                                          \
        if (fails_error == NULL) failed(__FILE__, __LINE__, #call, "succeeded");                        \
        if (karafka_error_code(fails_error) != (expected))                                              \
            failed(__FILE__, __LINE__, #call, karafka_error_message(fails_error));                      \
        if (strlen(karafka_error_message(fails_error)) < 10) failed(__FILE__, __LINE__, #call, "mute"); \
        karafka_error_free(fails_error);                                                                \
    } while (0)

/* What handlers on other threads tell the test. */
struct board {
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

#define BOARD_INIT {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER}

SHARED struct timespec deadline(void) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += DEADLINE_S;
    return at;
}

/* Waits, with the board locked, until the condition holds. */
#define WAIT_LOCKED(board, condition)                                                      \
    do {                                                                                   \
        struct timespec wait_until = deadline();                                           \
        while (!(condition))                                                               \
            if (pthread_cond_timedwait(&(board)->changed, &(board)->lock, &wait_until) == ETIMEDOUT) \
                failed(__FILE__, __LINE__, #condition, "did not come to be");              \
    } while (0)

#define WAIT(board, condition)                     \
    do {                                           \
        pthread_mutex_lock(&(board)->lock);        \
        WAIT_LOCKED(board, condition);             \
        pthread_mutex_unlock(&(board)->lock);      \
    } while (0)

/* Changes something on the board and tells whoever waits. */
#define TELL(board, change)                        \
    do {                                           \
        pthread_mutex_lock(&(board)->lock);        \
        change;                                    \
        pthread_cond_broadcast(&(board)->changed); \
        pthread_mutex_unlock(&(board)->lock);      \
    } while (0)

SHARED void set(karafka_config_t *config, const char *name, const char *value) {
    if (value[0] != '\0' && value[strspn(value, "0123456789")] == '\0')
        OK(karafka_config_set_integer(config, KARAFKA_STRING(name), atoll(value)));
    else
        OK(karafka_config_set_string(config, KARAFKA_STRING(name), KARAFKA_STRING(value)));
}

/* Names and values, ended by NULL, as a config. */
SHARED karafka_config_t *config_of(const char *const *settings) {
    karafka_config_t *config;
    OK(karafka_config_new(&config));
    for (; settings[0] != NULL; settings += 2) set(config, settings[0], settings[1]);
    return config;
}

#define CONFIG(...) config_of((const char *const[]){__VA_ARGS__, NULL})

SHARED void create_topic(const char *name, int partitions) {
    karafka_embedded_broker_t *broker;
    OK(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &broker));
    OK(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING(name), partitions));
    karafka_embedded_broker_free(broker);
}

SHARED karafka_app_t *new_app(const char *group) {
    karafka_config_t *config = CONFIG("bootstrap_servers", BROKER, "group", group, "concurrency", "5");
    karafka_app_t *app;
    OK(karafka_app_new(config, &app));
    karafka_config_free(config);
    return app;
}

SHARED karafka_producer_t *new_producer(void) {
    karafka_config_t *config = CONFIG("bootstrap_servers", BROKER);
    karafka_producer_t *producer;
    OK(karafka_producer_new(config, &producer));
    karafka_config_free(config);
    return producer;
}

SHARED karafka_record_t record_of(const char *topic, const char *key, const char *payload) {
    karafka_record_t record = KARAFKA_RECORD_INIT;
    record.topic = topic;
    record.topic_length = strlen(topic);
    record.key = (const uint8_t *)key;
    record.key_length = key ? strlen(key) : 0;
    record.payload = (const uint8_t *)payload;
    record.payload_length = payload ? strlen(payload) : 0;
    return record;
}

/* Produces `count` messages: keys "k0" to "k<keys - 1>" in turn, payloads "0", "1", ... for each key. */
SHARED void produce_numbers(const char *topic, int count, int keys) {
    karafka_producer_t *producer = new_producer();
    int i;
    size_t remaining;
    for (i = 0; i < count; i++) {
        char key[16], payload[16];
        karafka_record_t record;
        snprintf(key, sizeof key, "k%d", i % keys);
        snprintf(payload, sizeof payload, "%d", i / keys);
        record = record_of(topic, key, payload);
        OK(karafka_producer_produce_async(producer, &record, NULL));
    }
    OK(karafka_producer_flush(producer, DEADLINE_S * 1000, &remaining));
    IS(remaining, 0);
    karafka_producer_free(producer);
}

/* The number in a text that does not end with NUL. */
SHARED int number_in(const uint8_t *start, size_t length) {
    int number = 0;
    for (; length > 0 && *start >= '0' && *start <= '9'; start++, length--) number = number * 10 + (*start - '0');
    return number;
}

/* The next event with this name, throwing others away. */
SHARED karafka_event_t *event_named(karafka_events_t *events, const char *name) {
    karafka_event_t *event = NULL;
    for (;;) {
        OK(karafka_events_next(events, DEADLINE_S * 1000, &event));
        if (event == NULL) failed(__FILE__, __LINE__, name, "was not published");
        if (strcmp(karafka_event_name(event), name) == 0) return event;
        karafka_event_free(event);
    }
}

SHARED void stop_and_free(karafka_app_t *app) {
    bool stopped = false;
    OK(karafka_app_stop(app));
    OK(karafka_app_join(app, DEADLINE_S * 1000, &stopped));
    CHECK(stopped);
    karafka_app_free(app);
}

/* Handles that another thread is about to give back; nothing tells when it has. */
SHARED void wait_for_handle_count(size_t count) {
    struct timespec end = deadline(), now, pause = {0, 1000000};
    do {
        if (karafka_handle_count() == count) return;
        nanosleep(&pause, NULL);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (now.tv_sec < end.tv_sec);
    IS(karafka_handle_count(), count);
}

/* A destructor that counts. */
SHARED void count_destroyed(void *user_data) {
    __atomic_add_fetch((int *)user_data, 1, __ATOMIC_SEQ_CST);
}

#define DESTROYED(count) __atomic_load_n(&(count), __ATOMIC_SEQ_CST)

/* Runs a test, and looks whether it freed all of its handles. */
#define RUN(test)                                              \
    do {                                                       \
        size_t handles = karafka_handle_count();               \
        test_name = #test;                                     \
        test();                                                \
        IS(karafka_handle_count(), handles);                   \
        printf("ok: %s\n", test_name);                         \
        fflush(stdout);                                        \
    } while (0)

#endif
