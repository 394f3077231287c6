/* Makes, shows and deletes access rules, and feels them: rules BROKERS PREFIX GUARDED USER PASSWORD.
 * BROKERS is where everything is allowed, GUARDED where the user needs rules. */
#include <karafka.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char *prefix, *user;
static karafka_admin_t *master;

static void must(karafka_error_t *error, const char *what) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s\n", what, karafka_error_message(error));
    exit(1);
}

static void check(int truth, const char *what) {
    if (truth) return;
    fprintf(stderr, "not so: %s\n", what);
    exit(1);
}

static void in_time(const char *what) {
    static time_t since;
    struct timespec moment = {0, 50000000};
    if (since == 0) since = time(NULL);
    check(time(NULL) - since < 45, what);
    nanosleep(&moment, NULL);
}

static karafka_answer_t *ask(karafka_admin_t *admin, const char *format, ...) {
    char request[8192];
    karafka_answer_t *answer;
    va_list words;
    va_start(words, format);
    check((size_t)vsnprintf(request, sizeof request, format, words) < sizeof request, "a short request");
    va_end(words);
    must(karafka_admin_ask(admin, KARAFKA_STRING(request), 20000, &answer), request);
    return answer;
}

static const char *field(karafka_answer_t *answer, int at, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/%d/%s", at, name);
    return karafka_answer_field(answer, KARAFKA_STRING(path));
}

static int is(const char *found, const char *text) { return found != NULL && !strcmp(found, text); }

/* How many rules of nobody a filter finds; those that have not got the text there are none of it. */
static size_t found(const char *more, const char *name, const char *text) {
    karafka_answer_t *answer = ask(master, "{\"call\":\"acls\",\"filter\":{\"principal\":\"User:%s\"%s}}", prefix, more);
    size_t count = karafka_answer_count(answer, KARAFKA_STRING(""));
    for (size_t at = 0; name && at < count; at++) check(is(field(answer, (int)at, name), text), karafka_answer_text(answer));
    karafka_answer_free(answer);
    return count;
}

/* As the guarded brokers know the user. */
static karafka_config_t *guarded(char **words) {
    karafka_config_t *config;
    const char *pairs[][2] = {{"bootstrap_servers", words[3]}, {"kafka.security.protocol", "SASL_PLAINTEXT"}, {"kafka.sasl.mechanism", "SCRAM-SHA-256"},
                              {"kafka.sasl.username", words[4]}, {"kafka.sasl.password", words[5]}};
    must(karafka_config_new(&config), "a config");
    for (size_t at = 0; at < sizeof pairs / sizeof *pairs; at++)
        must(karafka_config_set_string(config, KARAFKA_STRING(pairs[at][0]), KARAFKA_STRING(pairs[at][1])), pairs[at][0]);
    return config;
}

/* Whether the user may produce. */
static int may(karafka_config_t *config, const char *topic) {
    karafka_producer_t *producer;
    karafka_record_t record = KARAFKA_RECORD_INIT;
    karafka_error_t *refused;
    int code = 0;
    must(karafka_producer_new(config, &producer), "a producer");
    record.topic = topic, record.topic_length = strlen(topic);
    record.payload = (const uint8_t *)"x", record.payload_length = 1;
    if ((refused = karafka_producer_produce_sync(producer, &record, NULL))) code = karafka_error_code(refused);
    check(!refused || code == KARAFKA_ERROR_AUTH, refused ? karafka_error_message(refused) : "");
    karafka_error_free(refused);
    karafka_producer_free(producer);
    return code == 0;
}

#define RULE "{\"resource\":\"%s\",\"name\":\"%s\",\"pattern\":\"%s\",\"principal\":\"User:%s\",\"host\":\"%s\",\"operation\":\"%s\",\"permission\":\"%s\"}"

static void make(const char *resource, const char *name, const char *pattern, const char *principal, const char *host, const char *operation,
                 const char *permission) {
    karafka_answer_t *answer =
        ask(master, "{\"call\":\"create_acls\",\"acls\":[" RULE "]}", resource, name, pattern, principal, host, operation, permission);
    check(is(field(answer, 0, "item/resource"), resource) && field(answer, 0, "error") == NULL, karafka_answer_text(answer));
    karafka_answer_free(answer);
}

int main(int count, char **words) {
    static const char *kinds[][2] = {{"topic", "read"}, {"group", "describe"}, {"transactional_id", "write"}};
    static const char *patterns[] = {"literal", "prefixed"}, *permissions[] = {"allow", "deny"};
    char topic[200], name[256], filter[300];
    karafka_config_t *plain, *config;
    karafka_admin_t *admin;
    karafka_answer_t *answer;
    karafka_error_t *refused;
    if (count != 6) return 2;
    prefix = words[2], user = words[4];
    snprintf(topic, sizeof topic, "%s-topic", prefix);
    must(karafka_config_new(&plain), "a config");
    must(karafka_config_set_string(plain, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING(words[1])), "the brokers");
    must(karafka_admin_new(plain, &master), "an admin");
    config = guarded(words);

    /* Every resource, pattern and permission. */
    for (int kind = 0; kind < 3; kind++)
        for (int pattern = 0; pattern < 2; pattern++)
            for (int permission = 0; permission < 2; permission++) {
                snprintf(name, sizeof name, "%s-%s", prefix, kinds[kind][0]);
                make(kinds[kind][0], name, patterns[pattern], prefix, "*", kinds[kind][1], permissions[permission]);
            }
    make("cluster", "kafka-cluster", "literal", prefix, "*", "alter_configs", "allow");
    make("topic", "*", "literal", prefix, "10.0.0.1", "all", "deny");
    answer = ask(master, "{\"call\":\"create_acls\",\"acls\":[{\"resource\":\"topic\",\"name\":\"a\",\"pattern\":\"literal\",\"principal\":\"nobody\","
                         "\"host\":\"*\",\"operation\":\"read\",\"permission\":\"allow\"}]}");
    check(is(field(answer, 0, "item/principal"), "nobody") && field(answer, 0, "error/text"), "a rule is refused by itself");
    karafka_answer_free(answer);
    while (found("", NULL, NULL) != 14) in_time("all of them");
    check(found(",\"resource\":\"topic\"", "resource", "topic") == 5, "of topics");
    check(found(",\"resource\":\"group\"", "resource", "group") == 4, "of groups");
    check(found(",\"resource\":\"transactional_id\"", "resource", "transactional_id") == 4, "of transactional ids");
    check(found(",\"resource\":\"cluster\"", "operation", "alter_configs") == 1, "of the cluster");
    check(found(",\"pattern\":\"prefixed\"", "pattern", "prefixed") == 6, "by their beginning");
    check(found(",\"permission\":\"deny\"", "permission", "deny") == 7, "that deny");
    check(found(",\"host\":\"10.0.0.1\"", "name", "*") == 1, "of a host");
    /* What applies to a topic whose name begins so: the prefixed ones, and the one for all. */
    snprintf(filter, sizeof filter, ",\"resource\":\"topic\",\"pattern\":\"match\",\"name\":\"%s-1\"", topic);
    check(found(filter, NULL, NULL) == 3, "that apply");
    refused = karafka_admin_ask(master, KARAFKA_STRING("{\"call\":\"acls\",\"filter\":{\"resource\":\"user\"}}"), -1, &answer);
    check(karafka_error_code(refused) == KARAFKA_ERROR_CONFIG, "a resource that there is none of");
    karafka_error_free(refused);

    /* They are obeyed. */
    karafka_answer_free(ask(master, "{\"call\":\"create_topics\",\"topics\":[{\"name\":\"%s\",\"partitions\":1,\"replicas\":1}]}", topic));
    check(!may(config, topic), "refused");
    snprintf(name, sizeof name, "%s-t", prefix);
    make("topic", name, "prefixed", user, "*", "write", "allow");
    while (!may(config, topic)) in_time("the right to write");
    make("topic", topic, "literal", user, "*", "write", "deny");
    while (may(config, topic)) in_time("the denial");
    must(karafka_admin_new(config, &admin), "an admin who may nothing");
    answer = ask(admin, "{\"call\":\"create_acls\",\"acls\":[" RULE "]}", "topic", topic, "literal", user, "*", "all", "allow");
    check(is(field(answer, 0, "error/kind"), "Auth") && !strstr(karafka_answer_text(answer), words[5]), "rules are not for everybody");
    karafka_answer_free(answer);
    karafka_admin_free(admin);

    /* And deleted, those that match and no others. */
    answer = ask(master, "{\"call\":\"delete_acls\",\"filter\":{\"principal\":\"User:%s\",\"permission\":\"deny\"}}", prefix);
    check(karafka_answer_count(answer, KARAFKA_STRING("")) == 7 && is(field(answer, 6, "item/permission"), "deny"), karafka_answer_text(answer));
    karafka_answer_free(answer);
    while (found("", NULL, NULL) != 7) in_time("the others");
    check(found("", "permission", "allow") == 7, "those that allow");
    karafka_answer_free(ask(master, "{\"call\":\"delete_acls\",\"filter\":{\"principal\":\"User:%s\"}}", prefix));
    karafka_answer_free(ask(master, "{\"call\":\"delete_acls\",\"filter\":{\"resource\":\"topic\",\"name\":\"%s\"}}", topic));
    karafka_answer_free(ask(master, "{\"call\":\"delete_acls\",\"filter\":{\"resource\":\"topic\",\"name\":\"%s\"}}", name));
    while (found("", NULL, NULL)) in_time("none");
    karafka_answer_free(ask(master, "{\"call\":\"delete_topics\",\"names\":[\"%s\"]}", topic));
    karafka_admin_free(master);
    karafka_config_free(config);
    karafka_config_free(plain);
    return 0;
}
