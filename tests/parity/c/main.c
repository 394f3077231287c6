/*
 * The C runner of the scenario table: `run-c scenarios.txt [words]` prints, for each scenario whose name contains the words,
 * one line of JSON with what happened. What should have happened is judged elsewhere (judge.py).
 *
 * The handler records each call when it begins and when it ends, on the worker's thread or, for scenarios of later completion,
 * on a thread of the call's own; main waits for what was recorded.
 */
#include "apart.h"
#include "calls.h"
#include "facts.h"
#include "table.h"
#include "watch.h"

#include <stdlib.h>

/* What a handler needs; kept until the program ends, since handlers may be left behind. */
struct script {
    const struct scenario *scenario;
    const struct run *run;
    struct watch *watch;
    karafka_producer_t *producer;
};

/* One call of the handler. */
struct work {
    const struct script *script;
    const karafka_batch_t *batch;
    karafka_context_t *context;
    karafka_completion_t *completion;
    struct recorded *call;
};

static bool has_key(const karafka_message_t *message, const struct octets *key) {
    if (key->bytes == NULL || message->key == NULL || message->key_length != key->length) return false;
    return memcmp(message->key, key->bytes, key->length) == 0;
}

/* Whether a rule is about this call: one of its messages has the rule's key, or the rule names none. */
static bool is_about(const struct octets *key, const karafka_batch_t *batch) {
    const karafka_message_t *messages;
    size_t count, i;

    if (key->bytes == NULL) return true;
    must(karafka_batch_messages(batch, &messages, &count));
    for (i = 0; i < count; i++) {
        if (has_key(&messages[i], key)) return true;
    }
    return false;
}

static void mark(const struct run *run, const struct work *work) {
    const karafka_message_t *messages;
    size_t count, i, message;

    must(karafka_batch_messages(work->batch, &messages, &count));
    for (i = 0; i < run->mark_count; i++) {
        for (message = 0; message < count; message++) {
            bool owned = false;
            if (messages[message].offset != run->marks[i].offset) continue;
            if (strcmp(run->marks[i].extent, "prefix") == 0) {
                must(karafka_context_mark_as_consumed(work->context, message, &owned));
            } else if (strcmp(run->marks[i].extent, "single") == 0) {
                must(karafka_context_acknowledge(work->context, message, &owned));
            } else {
                must(karafka_context_mark_as_consumed_sync(work->context, message, PATIENCE_MS, &owned));
            }
            work->call->marks[work->call->mark_count++] = owned;
        }
    }
}

/* Sends the records that are due in this attempt, and records with which kinds of errors they were refused. */
static void send(const struct work *work) {
    const struct run *run = work->script->run;
    karafka_record_t record = KARAFKA_RECORD_INIT;
    struct facts facts;
    size_t i, sent = 0;

    facts_open(&facts);
    for (i = 0; i < run->send_count; i++) {
        if (run->sends[i].attempt != karafka_context_attempt(work->context)) continue;
        record.topic = run->sends[i].topic;
        record.topic_length = strlen(record.topic);
        record.payload = (const uint8_t *)"sent";
        record.payload_length = 4;
        if (sent++ > 0) fputs(", ", facts.stream);
        facts_short(facts.stream, karafka_producer_produce_sync(work->script->producer, &record, NULL), "null");
    }
    facts_close(&facts);
    work->call->sent = facts.text;
}

/* What the run's rules say; returns whether the call succeeded. */
static bool act(const struct work *work) {
    const struct run *run = work->script->run;
    struct watch *watch = work->script->watch;
    bool has_failed;

    if (run->holds && is_about(&run->hold_key, work->batch)) work->call->is_stuck = !watch_wait(watch, &run->hold);
    mark(run, work);
    if (run->send_count > 0) send(work);
    has_failed = run->fails && is_about(&run->fail_key, work->batch) &&
                 karafka_context_attempt(work->context) <= run->attempts;
    watch_end(watch, work->call, karafka_batch_length(work->batch), !has_failed);
    return !has_failed;
}

static void *act_later(void *data) {
    struct work *work = data;

    if (act(work)) {
        must(karafka_completion_done(work->completion));
    } else if (!work->script->run->forgets) {
        must(karafka_completion_fail(work->completion, KARAFKA_STRING("Unlucky"), KARAFKA_STRING("not yet")));
    }
    karafka_completion_free(work->completion);
    free(work);
    return NULL;
}

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    const struct script *script = user_data;
    struct work work = {script, batch, context, NULL, watch_begin(script->watch, batch, context)};
    struct work *later;
    pthread_t thread;

    if (!script->scenario->later) {
        if (act(&work)) return KARAFKA_DONE;
        must(karafka_context_fail(context, KARAFKA_STRING("Unlucky"), KARAFKA_STRING("not yet")));
        return KARAFKA_FAILED;
    }
    must(karafka_context_defer(context, &work.completion));
    later = malloc(sizeof *later);
    *later = work;
    pthread_create(&thread, NULL, act_later, later);
    pthread_detach(thread);
    return KARAFKA_LATER;
}

static karafka_result_t partition(const karafka_batch_t *batch, const karafka_message_t *message, const uint8_t **key,
                                  size_t *key_length, void *user_data) {
    const struct script *script = user_data;

    (void)batch;
    if (script->scenario->prefix < 0) return KARAFKA_FAILED;
    *key = message->payload;
    *key_length = (size_t)script->scenario->prefix;
    return KARAFKA_DONE;
}

static karafka_result_t unique(const karafka_batch_t *batch, const karafka_message_t *message, const uint8_t **value,
                               size_t *length, void *user_data) {
    const struct script *script = user_data;

    (void)batch;
    *value = message->payload;
    *length = (size_t)script->scenario->unique;
    return KARAFKA_DONE;
}

static karafka_result_t filter(const karafka_batch_t *batch, const karafka_message_t *message, bool *keep, void *user_data) {
    const struct script *script = user_data;

    (void)batch;
    if (has_key(message, &script->scenario->fails)) return KARAFKA_FAILED;
    *keep = !has_key(message, &script->scenario->skips);
    return KARAFKA_DONE;
}

static karafka_result_t hook(const char *name, karafka_context_t *context, const struct script *script) {
    watch_hook(script->watch, name, context);
    if (!script->scenario->hooks_fail) return KARAFKA_DONE;
    must(karafka_context_fail(context, KARAFKA_STRING("Unlucky"), KARAFKA_STRING("not this")));
    return KARAFKA_FAILED;
}

static karafka_result_t tick(karafka_context_t *context, void *user_data) {
    return hook("tick", context, user_data);
}

static karafka_result_t eofed(karafka_context_t *context, void *user_data) {
    return hook("eofed", context, user_data);
}

static karafka_result_t revoked(karafka_context_t *context, void *user_data) {
    return hook("revoked", context, user_data);
}

static karafka_result_t shutdown(karafka_context_t *context, void *user_data) {
    return hook("shutdown", context, user_data);
}

struct listener {
    karafka_events_t *events;
    struct facts facts;
};

/* Writes every event as JSON until the app has stopped. */
static void *listen(void *data) {
    struct listener *listener = data;
    FILE *stream = listener->facts.stream;
    karafka_event_t *event = NULL;
    const char *before = "";
    karafka_error_t *end;
    size_t i;

    while ((end = karafka_events_next(listener->events, -1, &event)) == NULL) {
        if (event == NULL) continue;
        fprintf(stream, "%s{\"name\": \"%s\", \"fields\": {", before, karafka_event_name(event));
        for (i = 0; i < karafka_event_field_count(event); i++) {
            if (i > 0) fputs(", ", stream);
            facts_string(stream, karafka_event_field_name(event, i));
            fputs(": ", stream);
            facts_string(stream, karafka_event_field_value(event, i));
        }
        fputs("}}", stream);
        before = ", ";
        karafka_event_free(event);
    }
    karafka_error_free(end);
    return NULL;
}

karafka_record_t record_of(const struct record *record, const char *topic, karafka_header_t *headers) {
    karafka_record_t filled = KARAFKA_RECORD_INIT;
    size_t header;

    filled.topic = topic;
    filled.topic_length = strlen(topic);
    filled.key = (const uint8_t *)record->key.bytes;
    filled.key_length = record->key.length;
    filled.payload = (const uint8_t *)record->payload.bytes;
    filled.payload_length = record->payload.length;
    filled.partition = record->partition;
    filled.timestamp_ms = record->timestamp_ms;
    filled.headers = headers;
    filled.header_count = record->headers;
    for (header = 0; header < record->headers; header++) {
        headers[header].name = record->names[header].bytes;
        headers[header].name_length = record->names[header].length;
        headers[header].value = (const uint8_t *)record->values[header].bytes;
        headers[header].value_length = record->values[header].length;
    }
    return filled;
}

static void produce(karafka_producer_t *producer, const char *topic, const struct records *records) {
    karafka_record_t *list = calloc(records->count + 1, sizeof *list);
    karafka_header_t *headers = calloc((records->count + 1) * MOST_HEADERS, sizeof *headers);
    size_t i;

    for (i = 0; i < records->count; i++) list[i] = record_of(&records->list[i], topic, &headers[i * MOST_HEADERS]);
    must(karafka_producer_produce_many_sync(producer, list, records->count, NULL));
    free(headers);
    free(list);
}

static karafka_app_t *make_app(const struct script *script, const char *name) {
    const struct scenario *scenario = script->scenario;
    karafka_config_t *config = config_of("app", &scenario->options, &script->run->options);
    karafka_config_t *of_topic = config_of("topic", &scenario->options, &script->run->options);
    karafka_topic_t *topic;
    karafka_app_t *app;
    char read[300];

    snprintf(read, sizeof read, "%s%s", scenario->pattern ? "^" : "", name);
    must(karafka_config_set_string(config, KARAFKA_STRING("group"), KARAFKA_STRING(name)));
    must(karafka_app_new(config, &app));
    if (scenario->later) {
        must(karafka_app_topic_asynchronous(app, KARAFKA_STRING(read), of_topic, handle, (void *)script, NULL, &topic));
    } else {
        must(karafka_app_topic(app, KARAFKA_STRING(read), of_topic, handle, (void *)script, NULL, &topic));
    }
    if (scenario->prefix != 0) must(karafka_topic_set_partitioner(topic, partition, (void *)script, NULL));
    if (scenario->unique != 0) must(karafka_topic_set_unique_by(topic, unique, (void *)script, NULL));
    if (scenario->has_beside) {
        karafka_config_t *of_beside = config_of("beside", &scenario->options, NULL);
        char beside[300];
        snprintf(beside, sizeof beside, "%s-beside", name);
        must(karafka_app_topic(app, beside, strlen(beside), of_beside, handle, (void *)script, NULL, NULL));
        karafka_config_free(of_beside);
    }
    if (scenario->has_hooks) {
        must(karafka_topic_set_tick(topic, tick, (void *)script, NULL));
        must(karafka_topic_set_eofed(topic, eofed, (void *)script, NULL));
        must(karafka_topic_set_revoked(topic, revoked, (void *)script, NULL));
        must(karafka_topic_set_shutdown(topic, shutdown, (void *)script, NULL));
    }
    if (scenario->skips.bytes != NULL) must(karafka_topic_set_filter(topic, filter, (void *)script, NULL));
    karafka_config_free(of_topic);
    karafka_config_free(config);
    return app;
}

static karafka_result_t take(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    (void)batch, (void)context, (void)user_data;
    return KARAFKA_DONE;
}

/* Another member of the group, which handles what it gets and records nothing. */
static karafka_app_t *join(const struct script *script, const char *name) {
    karafka_config_t *config = config_of("app", &script->scenario->options, &script->run->options);
    karafka_config_t *of_topic = config_of("topic", &script->scenario->options, &script->run->options);
    karafka_app_t *app;

    watch_wait(script->watch, &script->run->joined);
    must(karafka_config_set_string(config, KARAFKA_STRING("group"), KARAFKA_STRING(name)));
    must(karafka_app_new(config, &app));
    must(karafka_app_topic(app, KARAFKA_STRING(name), of_topic, take, NULL, NULL, NULL));
    must(karafka_app_start(app));
    karafka_config_free(of_topic);
    karafka_config_free(config);
    return app;
}

/* One call on an app that has stopped, or on the last context that its handler saw. */
static void afterwards(FILE *stream, const char *name, karafka_app_t *app, struct watch *watch) {
    karafka_error_t *error = NULL;
    bool owned = false;

    if (strcmp(name, "mark") == 0) {
        error = karafka_context_mark_as_consumed(watch->last, 0, &owned);
    } else if (strcmp(name, "acknowledge") == 0) {
        error = karafka_context_acknowledge(watch->last, 0, &owned);
    } else if (strcmp(name, "mark_and_wait") == 0) {
        error = karafka_context_mark_as_consumed_sync(watch->last, 0, PATIENCE_MS, &owned);
    } else {
        step(stream, name, app, facts_result);
        return;
    }
    facts_result(stream, error, owned ? "true" : "false");
}

static void play_run(FILE *stream, const struct scenario *scenario, const struct run *run, const char *name,
                     karafka_producer_t *producer) {
    struct script *script = malloc(sizeof *script);
    struct watch *watch = watch_new();
    struct listener listener;
    struct goal all_ended = {"ended", 0};
    bool in_time, stopped = false;
    karafka_app_t *app, *other = NULL;
    pthread_t thread;
    size_t i;

    *script = (struct script){scenario, run, watch, producer};
    app = make_app(script, name);
    apart_add(scenario, name, app, watch);
    facts_open(&listener.facts);
    must(karafka_app_events(app, &listener.events));
    pthread_create(&thread, NULL, listen, &listener);
    must(karafka_app_start(app));
    if (run->is_joined) other = join(script, name);
    in_time = watch_wait(watch, &run->until);
    must(karafka_app_stop(app));
    fprintf(stream, "{\"in_time\": %s, \"joined\": ", in_time ? "true" : "false");
    {
        karafka_error_t *error = karafka_app_join(app, PATIENCE_MS, &stopped);
        facts_result(stream, error, stopped ? "true" : "false");
    }
    if (other != NULL) {
        must(karafka_app_stop(other));
        must(karafka_app_join(other, PATIENCE_MS, NULL));
        karafka_app_free(other);
    }
    watch_stopped(watch);
    all_ended.count = watch->count;
    watch_wait(watch, &all_ended);
    pthread_join(thread, NULL);
    facts_close(&listener.facts);
    fprintf(stream, ", \"events\": [%s], \"after\": {", listener.facts.text);
    for (i = 0; i < run->step_count; i++) {
        fprintf(stream, "%s\"%s\": ", i == 0 ? "" : ", ", run->steps[i]);
        afterwards(stream, run->steps[i], app, watch);
    }
    fputs("}, \"hooks\": ", stream);
    watch_write_hooks(watch, stream);
    fputs(", \"calls\": ", stream);
    watch_write(watch, stream);
    putc('}', stream);
    free(listener.facts.text);
    karafka_events_free(listener.events);
    karafka_app_free(app);
}

static void play_runs(FILE *stream, struct scenario *scenario, const char *name) {
    karafka_config_t *config = config_of("producer", &scenario->options, NULL);
    karafka_embedded_broker_t *broker;
    karafka_producer_t *producer;
    size_t i;

    must(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &broker));
    must(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING(name), scenario->partitions));
    must(karafka_producer_new(config, &producer));
    produce(producer, name, &scenario->records);
    if (scenario->has_beside) {
        char beside[40];
        snprintf(beside, sizeof beside, "%s-beside", name);
        must(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING(beside), scenario->partitions));
        produce(producer, beside, &scenario->beside);
    }
    apart_prepare(scenario, name, broker, producer);
    for (i = 0; i < scenario->run_count; i++) {
        if (i > 0) fputs(", ", stream);
        produce(producer, name, &scenario->runs[i].records);
        play_run(stream, scenario, &scenario->runs[i], name, producer);
    }
    karafka_producer_free(producer);
    karafka_embedded_broker_free(broker);
    karafka_config_free(config);
}

static void play(struct scenario *scenario) {
    char name[32];
    size_t i;

    snprintf(name, sizeof name, "scenario-%d", scenario->number);
    fputs("{\"scenario\": ", stdout);
    facts_string(stdout, scenario->name.bytes);
    fputs(", \"runs\": [", stdout);
    if (scenario->run_count > 0) play_runs(stdout, scenario, name);
    fputs("], \"calls\": [", stdout);
    for (i = 0; i < scenario->call_count; i++) {
        if (i > 0) fputs(", ", stdout);
        call(stdout, &scenario->calls[i]);
    }
    puts("]}");
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count < 2) table_wrong("run-c TABLE [WORDS]");
    table_each(arguments[1], count > 2 ? arguments[2] : "", play);
    return 0;
}
