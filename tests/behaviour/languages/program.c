/* A member of a group that tells what its handler and the app do; see languages.rs for its words. */
#include <karafka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static long work_ms;
static const char *fail_key = "";

static void must(karafka_error_t *error) {
    if (error) {
        fprintf(stderr, "%s\n", karafka_error_message(error));
        exit(karafka_error_exit_code(error));
    }
}

static void set(karafka_config_t *config, const char *name, const char *value) {
    char *end;
    long long number = strtoll(value, &end, 10);
    if (*value && !*end && strncmp(name, "kafka.", 6)) {
        must(karafka_config_set_integer(config, name, strlen(name), number));
    } else {
        must(karafka_config_set_string(config, name, strlen(name), value, strlen(value)));
    }
}

static void tell(const char *what, const karafka_message_t *message) {
    printf("%s %.*s\n", what, (int)message->key_length, (const char *)message->key);
    fflush(stdout);
}

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *data) {
    (void)context, (void)data;
    for (size_t at = 0; at < karafka_batch_length(batch); at++) {
        const karafka_message_t *message = karafka_batch_message(batch, at);
        struct timespec left = {work_ms / 1000, work_ms % 1000 * 1000000};
        tell("began", message);
        while (nanosleep(&left, &left) != 0) continue;
        if (message->key_length == strlen(fail_key) && !memcmp(message->key, fail_key, message->key_length)) return KARAFKA_FAILED;
        tell("finished", message);
    }
    return KARAFKA_DONE;
}

static void *watch(void *events) {
    karafka_event_t *event;
    while (!karafka_events_next(events, -1, &event)) {
        puts(karafka_event_text(event)), fflush(stdout);
        karafka_event_free(event);
    }
    return NULL;
}

int main(int count, char **words) {
    karafka_config_t *app_options, *topic_options;
    karafka_app_t *app;
    karafka_events_t *events;
    pthread_t thread;
    must(karafka_config_new(&app_options));
    must(karafka_config_new(&topic_options));
    for (int at = 4; at < count; at++) {
        char *value = strchr(words[at], '=');
        *value++ = 0;
        if (!strncmp(words[at], "topic.", 6)) set(topic_options, words[at] + 6, value);
        else set(app_options, words[at], value);
    }
    work_ms = atol(words[2]), fail_key = words[3];
    must(karafka_app_new(app_options, &app));
    must(karafka_app_topic(app, words[1], strlen(words[1]), topic_options, handle, NULL, NULL, NULL));
    must(karafka_app_events(app, &events));
    pthread_create(&thread, NULL, watch, events);
    must(karafka_app_run(app, KARAFKA_RUN_WITH_SIGNALS));
    pthread_join(thread, NULL);
    return 0;
}
