/* Records calls under a lock; whoever waits is told of every change. */
#include "watch.h"
#include "facts.h"

#include <stdlib.h>
#include <time.h>

struct watch *watch_new(void) {
    struct watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t attributes;

    pthread_mutex_init(&watch->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->changed, &attributes);
    return watch;
}

static size_t counted(const struct watch *watch, const char *what) {
    if (strcmp(what, "begun") == 0) return watch->begun;
    if (strcmp(what, "done") == 0) return watch->done;
    if (strcmp(what, "stopped") == 0) return watch->stopped;
    if (strcmp(what, "ended") == 0) return watch->ended;
    if (strcmp(what, "hooked") == 0) return watch->hooked;
    table_wrong(what);
}

bool watch_wait(struct watch *watch, const struct goal *goal) {
    struct timespec deadline;
    bool is_reached, is_late = false;

    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += PATIENCE_SECONDS;
    pthread_mutex_lock(&watch->lock);
    while (!(is_reached = counted(watch, goal->what) >= goal->count) && !is_late) {
        is_late = pthread_cond_timedwait(&watch->changed, &watch->lock, &deadline) != 0;
    }
    pthread_mutex_unlock(&watch->lock);
    return is_reached;
}

void watch_stopped(struct watch *watch) {
    pthread_mutex_lock(&watch->lock);
    watch->stopped = 1;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

static void describe(FILE *stream, const karafka_batch_t *batch, const karafka_message_t *message) {
    const karafka_header_t *headers;
    size_t count, i;

    fprintf(stream, "{\"partition\": %d, \"offset\": %lld, \"tombstone\": %s, ", karafka_batch_partition(batch),
            (long long)message->offset, message->payload == NULL ? "true" : "false");
    if (message->timestamp_kind == KARAFKA_TIMESTAMP_NONE) {
        fputs("\"timestamp\": null, \"key\": ", stream);
    } else {
        fprintf(stream, "\"timestamp\": %lld, \"key\": ", (long long)message->timestamp_ms);
    }
    facts_octets(stream, message->key, message->key_length);
    fputs(", \"payload\": ", stream);
    facts_octets(stream, message->payload, message->payload_length);
    fputs(", \"headers\": [", stream);
    must(karafka_batch_headers(batch, message->index, &headers, &count));
    for (i = 0; i < count; i++) {
        fputs(i == 0 ? "[" : ", [", stream);
        facts_octets(stream, headers[i].name, headers[i].name_length);
        fputs(", ", stream);
        facts_octets(stream, headers[i].value, headers[i].value_length);
        putc(']', stream);
    }
    fputs("]}", stream);
}

struct recorded *watch_begin(struct watch *watch, const karafka_batch_t *batch, karafka_context_t *context) {
    unsigned attempt = karafka_context_attempt(context);
    const karafka_message_t *messages;
    struct recorded *call;
    struct facts facts;
    size_t count, i;

    must(karafka_batch_messages(batch, &messages, &count));
    facts_open(&facts);
    fprintf(facts.stream, "\"attempt\": %u, \"retrying\": %s, \"virtual_partitions\": [", attempt,
            attempt > 1 ? "true" : "false");
    for (i = 0; i < count; i++) {
        if (i > 0 && messages[i].virtual_partition == messages[i - 1].virtual_partition) continue;
        fprintf(facts.stream, "%s%llu", i == 0 ? "" : ", ", (unsigned long long)messages[i].virtual_partition);
    }
    fputs("], \"records\": [", facts.stream);
    for (i = 0; i < count; i++) {
        if (i > 0) fputs(", ", facts.stream);
        describe(facts.stream, batch, &messages[i]);
    }
    pthread_mutex_lock(&watch->lock);
    if (watch->count == MOST_RECORDED) table_wrong("there are more calls than this runner has room for");
    call = &watch->calls[watch->count++];
    watch->begun += count;
    watch->last = context;
    fprintf(facts.stream, "], \"begin\": %u", ++watch->tick);
    facts_close(&facts);
    call->beginning = facts.text;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
    return call;
}

void watch_end(struct watch *watch, struct recorded *call, size_t records, bool is_done) {
    pthread_mutex_lock(&watch->lock);
    call->end = ++watch->tick;
    call->is_done = is_done;
    watch->done += is_done ? records : 0;
    watch->ended++;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

void watch_hook(struct watch *watch, const char *name, const karafka_context_t *context) {
    pthread_mutex_lock(&watch->lock);
    if (watch->hooked == MOST_HOOKED) table_wrong("there are more calls of hooks than this runner has room for");
    watch->hooks[watch->hooked].name = name;
    watch->hooks[watch->hooked].is_used = karafka_context_is_used(context);
    watch->hooks[watch->hooked].is_eofed = karafka_context_is_eofed(context);
    watch->hooks[watch->hooked].is_revoked = karafka_context_is_revoked(context);
    watch->hooked++;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

void watch_task(struct watch *watch, const char *name, bool is_triggered) {
    pthread_mutex_lock(&watch->lock);
    if (watch->hooked == MOST_HOOKED) table_wrong("there are more runs of tasks than this runner has room for");
    watch->hooks[watch->hooked].name = name;
    watch->hooks[watch->hooked++].is_used = is_triggered;
    pthread_cond_broadcast(&watch->changed);
    pthread_mutex_unlock(&watch->lock);
}

void watch_write_hooks(struct watch *watch, FILE *stream) {
    size_t i;

    pthread_mutex_lock(&watch->lock);
    putc('[', stream);
    for (i = 0; i < watch->hooked; i++) {
        fprintf(stream, "%s[\"%s\", %s, %s, %s]", i == 0 ? "" : ", ", watch->hooks[i].name,
                watch->hooks[i].is_used ? "true" : "false", watch->hooks[i].is_eofed ? "true" : "false",
                watch->hooks[i].is_revoked ? "true" : "false");
    }
    putc(']', stream);
    pthread_mutex_unlock(&watch->lock);
}

void watch_write(struct watch *watch, FILE *stream) {
    size_t i, mark;

    pthread_mutex_lock(&watch->lock);
    putc('[', stream);
    for (i = 0; i < watch->count; i++) {
        struct recorded *call = &watch->calls[i];
        fprintf(stream, "%s{%s, \"stuck\": %s, \"marks\": [", i == 0 ? "" : ", ", call->beginning,
                call->is_stuck ? "true" : "false");
        for (mark = 0; mark < call->mark_count; mark++) {
            fprintf(stream, "%s%s", mark == 0 ? "" : ", ", call->marks[mark] ? "true" : "false");
        }
        fprintf(stream, "], \"sent\": [%s", call->sent ? call->sent : "");
        if (call->end == 0) {
            fputs("], \"end\": null, \"outcome\": null}", stream);
        } else {
            fprintf(stream, "], \"end\": %u, \"outcome\": \"%s\"}", call->end, call->is_done ? "done" : "failed");
        }
        free(call->beginning);
        free(call->sent);
    }
    putc(']', stream);
    pthread_mutex_unlock(&watch->lock);
}
