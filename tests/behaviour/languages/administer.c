/* Asks a real cluster what the embedded broker cannot answer: administer BROKERS PREFIX. */
#include <karafka.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static karafka_admin_t *admin;

static void must(karafka_error_t *error, const char *what) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s\n", what, karafka_error_message(error));
    exit(1);
}

static karafka_answer_t *ask(const char *format, ...) {
    char request[1024];
    karafka_answer_t *answer;
    va_list words;
    va_start(words, format);
    vsnprintf(request, sizeof request, format, words);
    va_end(words);
    must(karafka_admin_ask(admin, KARAFKA_STRING(request), 20000, &answer), request);
    return answer;
}

/* The answer has this text there; NULL is nothing. */
static void has(karafka_answer_t *answer, const char *path, const char *text) {
    const char *found = karafka_answer_field(answer, KARAFKA_STRING(path));
    if (found == NULL && text == NULL) return;
    if (found != NULL && text != NULL && strcmp(found, text) == 0) return;
    fprintf(stderr, "%s is %s, not %s, in %s\n", path, found ? found : "nothing", text ? text : "nothing", karafka_answer_text(answer));
    exit(1);
}

int main(int count, char **words) {
    char topic[256], group[256];
    karafka_config_t *config;
    karafka_producer_t *producer;
    karafka_answer_t *answer;
    karafka_error_t *refused;
    karafka_record_t record = KARAFKA_RECORD_INIT;
    int n;
    if (count != 3) return 2;
    snprintf(topic, sizeof topic, "%s-topic", words[2]);
    snprintf(group, sizeof group, "%s-group", words[2]);
    must(karafka_config_new(&config), "a config");
    must(karafka_config_set_string(config, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING(words[1])), "the brokers");
    must(karafka_admin_new(config, &admin), "an admin");
    answer = ask("{\"call\":\"create_topics\",\"topics\":[{\"name\":\"%s\",\"partitions\":2,\"replicas\":1}]}", topic);
    has(answer, "/0/error", NULL);
    karafka_answer_free(answer);
    karafka_answer_free(ask("{\"call\":\"add_partitions\",\"topic\":\"%s\",\"total\":3}", topic));
    karafka_answer_free(ask("{\"call\":\"alter_configs\",\"topic\":\"%s\",\"changes\":{\"retention.ms\":\"-1\"}}", topic));

    must(karafka_producer_new(config, &producer), "a producer");
    record.topic = topic, record.topic_length = strlen(topic), record.partition = 0;
    record.payload = (const uint8_t *)"x", record.payload_length = 1;
    for (n = 0; n < 10; n++) must(karafka_producer_produce_sync(producer, &record, NULL), "a record");
    karafka_producer_free(producer);
    answer = ask("{\"call\":\"truncate\",\"topic\":\"%s\",\"before\":[{\"partition\":0,\"offset\":4},{\"partition\":9}]}", topic);
    has(answer, "/0/value", "4");
    has(answer, "/1/item", "9");
    has(answer, "/1/value", NULL);
    karafka_answer_free(answer);

    answer = ask("{\"call\":\"seek_group\",\"group\":\"%s\",\"topic\":\"%s\",\"partitions\":[0,1],\"to\":{\"offset\":5}}", group, topic);
    has(answer, "/0/value", "5");
    has(answer, "/1/error/kind", "Config");
    karafka_answer_free(answer);
    answer = ask("{\"call\":\"lag\",\"group\":\"%s\"}", group);
    has(answer, "/0/messages", "5");
    karafka_answer_free(answer);
    answer = ask("{\"call\":\"delete_groups\",\"groups\":[\"%s\",\"%s-nowhere\"]}", group, group);
    has(answer, "/0/error", NULL);
    has(answer, "/1/error/kind", "Broker");
    karafka_answer_free(answer);

    refused = karafka_admin_ask(admin, KARAFKA_STRING("{\"call\":\"acls\"}"), -1, &answer);
    if (karafka_error_code(refused) != KARAFKA_ERROR_UNSUPPORTED) return 3;
    karafka_error_free(refused);
    answer = ask("{\"call\":\"delete_topics\",\"names\":[\"%s\"]}", topic);
    has(answer, "/0/error", NULL);
    karafka_answer_free(answer);
    karafka_admin_free(admin);
    karafka_config_free(config);
    return 0;
}
