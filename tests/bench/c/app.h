/* What the C programs that use libkarafka share: options by name, and an app with one topic. */
#ifndef APP_H
#define APP_H

#include "bench.h"
#include <karafka.h>
#include <stdbool.h>

static void must(karafka_error_t *error) {
    if (error) {
        fprintf(stderr, "%s: %s\n", karafka_error_name(error), karafka_error_message(error));
        exit(1);
    }
}

static void set_text(void *config, const char *name, const char *value) {
    must(karafka_config_set_string(config, name, strlen(name), value, strlen(value)));
}

static inline void set_number(karafka_config_t *config, const char *name, long value) {
    must(karafka_config_set_integer(config, name, strlen(name), value));
}

/* Options of an app for BENCH_BROKERS and BENCH_GROUP, everything else at its default. */
static karafka_config_t *app_options(void) {
    karafka_config_t *options;
    must(karafka_config_new(&options));
    set_text(options, "bootstrap_servers", text("BENCH_BROKERS"));
    set_text(options, "group", text("BENCH_GROUP"));
    return options;
}

/* Starts an app for the topics in BENCH_TOPIC. Both options are freed. */
static karafka_app_t *start(karafka_config_t *options, karafka_config_t *topic_options, karafka_handler_t handler) {
    karafka_app_t *app;
    const char *topic;
    must(karafka_app_new(options, &app));
    for (size_t length; (topic = next_topic(&length));)
        must(karafka_app_topic(app, topic, length, topic_options, handler, NULL, NULL, NULL));
    must(karafka_app_start(app));
    karafka_config_free(topic_options);
    karafka_config_free(options);
    return app;
}

/* Stops in order, everything committed. */
static void stop(karafka_app_t *app) {
    bool stopped;
    must(karafka_app_stop(app));
    must(karafka_app_join(app, -1, &stopped));
    karafka_app_free(app);
}

#endif
