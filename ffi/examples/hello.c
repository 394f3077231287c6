/*
 * Handles the messages of a topic, in order for each key and all keys in parallel.
 *
 *     cc hello.c -lkarafka -o hello && ./hello localhost:9092 orders
 *
 * Ctrl-C stops it: running handlers finish, and what is done is committed.
 */
#include <karafka.h>

#include <stdio.h>
#include <stdlib.h>

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    const karafka_message_t *messages;
    size_t count;
    (void)context, (void)user_data;
    if (karafka_batch_messages(batch, &messages, &count) != NULL) return KARAFKA_FAILED;
    for (size_t i = 0; i < count; i++)
        printf("%.*s at %lld: %.*s\n", (int)messages[i].key_length, (const char *)messages[i].key,
               (long long)messages[i].offset, (int)messages[i].payload_length, (const char *)messages[i].payload);
    return KARAFKA_DONE;
}

static void must(karafka_error_t *error) {
    if (error == NULL) return;
    fprintf(stderr, "%s\n", karafka_error_message(error));
    exit(1);
}

int main(int argc, char **argv) {
    const char *brokers = argc > 1 ? argv[1] : "localhost:9092", *name = argc > 2 ? argv[2] : "orders";
    karafka_config_t *config, *topic;
    karafka_app_t *app;

    must(karafka_config_new(&config));
    must(karafka_config_set_string(config, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING(brokers)));
    must(karafka_config_set_string(config, KARAFKA_STRING("group"), KARAFKA_STRING("billing")));
    must(karafka_config_new(&topic));
    must(karafka_config_set_string(topic, KARAFKA_STRING("virtual_partitions"), KARAFKA_STRING("by_key")));

    must(karafka_app_new(config, &app));
    must(karafka_app_topic(app, KARAFKA_STRING(name), topic, handle, NULL, NULL, NULL));
    must(karafka_app_run(app, KARAFKA_RUN_WITH_SIGNALS));

    karafka_app_free(app);
    karafka_config_free(topic);
    karafka_config_free(config);
    return 0;
}
