/* The C handler: counts flights and adds up delays for every airport, as aggregate.rb does.
 *
 * A process of its own. Ends when its standard input does, and then writes what it has. */

#include <karafka.h>

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_AIRPORTS = 1024, CODE_LENGTH = 4, FIELDS = 5 };

struct airport {
    char code[CODE_LENGTH];
    int64_t sums[5]; /* flights; arrived, their delays in minutes; those of them that left in rain, their delays */
};

struct state {
    pthread_mutex_t lock; /* guards the list of airports and the journal, not an airport's sums */
    struct airport airports[MOST_AIRPORTS];
    size_t count;
    FILE *journal;
    uint64_t calls;
};

struct field {
    const char *text;
    size_t length;
};

static void check(karafka_error_t *error)
{
    if (error == NULL)
        return;
    fprintf(stderr, "aggregate: %s\n", karafka_error_message(error));
    exit(1);
}

static const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL) {
        fprintf(stderr, "aggregate: %s is not set\n", name);
        exit(1);
    }
    return value;
}

/* Splits "row<tab>destination<tab>name<tab>delay<tab>rain". */
static bool split(const karafka_message_t *message, struct field fields[FIELDS])
{
    const char *at = (const char *)message->payload;
    const char *end = at + message->payload_length;
    for (int number = 0; number < FIELDS; number++) {
        if (at == NULL || at > end)
            return false;
        const char *tab = memchr(at, '\t', (size_t)(end - at));
        fields[number].text = at;
        fields[number].length = (size_t)((tab == NULL ? end : tab) - at);
        at = tab == NULL ? NULL : tab + 1;
    }
    return at == NULL;
}

static bool is(struct field field, const char *text)
{
    return field.length == strlen(text) && memcmp(field.text, text, field.length) == 0;
}

/* The airport of this code, a new one if there is none yet; NULL when there are too many. Needs the lock. */
static struct airport *find(struct state *state, struct field code)
{
    if (code.length >= CODE_LENGTH)
        return NULL;
    for (size_t number = 0; number < state->count; number++)
        if (is(code, state->airports[number].code))
            return &state->airports[number];
    if (state->count == MOST_AIRPORTS)
        return NULL;
    struct airport *airport = &state->airports[state->count++];
    memcpy(airport->code, code.text, code.length);
    return airport;
}

static karafka_result_t fail(karafka_context_t *context, const char *message)
{
    check(karafka_context_fail(context, "BadFlight", 9, message, strlen(message)));
    return KARAFKA_FAILED;
}

static karafka_result_t aggregate(const karafka_batch_t *batch, karafka_context_t *context, void *user_data)
{
    struct state *state = user_data;
    const karafka_message_t *messages;
    size_t length;
    struct field fields[FIELDS];
    check(karafka_batch_messages(batch, &messages, &length));

    for (size_t number = 0; number < length; number++)
        if (!split(&messages[number], fields))
            return fail(context, "a flight has five fields");

    pthread_mutex_lock(&state->lock);
    uint64_t call = ++state->calls;
    fprintf(state->journal, "+ %" PRIu64, call);
    for (size_t number = 0; number < length; number++) {
        split(&messages[number], fields);
        fprintf(state->journal, " %.*s", (int)fields[0].length, fields[0].text);
    }
    fputc('\n', state->journal);
    struct airport *airport = find(state, fields[1]);
    pthread_mutex_unlock(&state->lock);
    if (airport == NULL)
        return fail(context, "no room for this airport");

    for (size_t number = 0; number < length; number++) {
        /* One airport is one key, and so never on two threads: its sums need no lock. A call has one key. */
        split(&messages[number], fields);
        airport->sums[0]++;
        if (is(fields[3], "NA"))
            continue;
        long delay = strtol(fields[3].text, NULL, 10);
        airport->sums[1]++;
        airport->sums[2] += delay;
        if (!is(fields[4], "1"))
            continue;
        airport->sums[3]++;
        airport->sums[4] += delay;
    }

    pthread_mutex_lock(&state->lock);
    fprintf(state->journal, "- %" PRIu64 "\n", call);
    pthread_mutex_unlock(&state->lock);
    return KARAFKA_DONE;
}

static void flush(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    fflush(state->journal);
    pthread_mutex_unlock(&state->lock);
}

/* Lets the app run until the standard input ends; what handlers saw is on disk every tenth of a second. */
static void wait_for_end_of_input(struct state *state)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char ignored[64];
    for (;;) {
        if (poll(&input, 1, 100) > 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0)
            return;
        flush(state);
    }
}

static void write_result(const struct state *state, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    fputc('{', file);
    for (size_t number = 0; number < state->count; number++) {
        const struct airport *airport = &state->airports[number];
        fprintf(file, "%s\"%s\": [", number == 0 ? "" : ", ", airport->code);
        for (int sum = 0; sum < 5; sum++)
            fprintf(file, "%s%" PRId64, sum == 0 ? "" : ", ", airport->sums[sum]);
        fputc(']', file);
    }
    fputs("}\n", file);
    if (fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void set(karafka_config_t *config, const char *name, const char *value)
{
    check(karafka_config_set_string(config, name, strlen(name), value, strlen(value)));
}

int main(void)
{
    static struct state state = {.lock = PTHREAD_MUTEX_INITIALIZER};
    const char *topic = setting("DEMO_ENRICHED");
    state.journal = fopen(setting("DEMO_JOURNAL"), "w");
    if (state.journal == NULL) {
        perror(setting("DEMO_JOURNAL"));
        return 1;
    }

    karafka_config_t *config;
    karafka_app_t *app;
    check(karafka_config_new(&config));
    set(config, "bootstrap_servers", setting("DEMO_BROKERS"));
    set(config, "group", setting("DEMO_GROUP"));
    check(karafka_app_new(config, &app));
    karafka_config_free(config);

    check(karafka_config_new(&config));
    set(config, "virtual_partitions", "by_key");
    check(karafka_app_topic(app, topic, strlen(topic), config, aggregate, &state, NULL, NULL));
    karafka_config_free(config);

    check(karafka_app_start(app));
    wait_for_end_of_input(&state);
    check(karafka_app_stop(app));
    check(karafka_app_join(app, -1, NULL));
    karafka_app_free(app);

    flush(&state);
    write_result(&state, setting("DEMO_RESULT"));
    return fclose(state.journal) == 0 ? 0 : 1;
}
