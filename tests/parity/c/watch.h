/* What was recorded of a run, shared by its handlers and whoever waits for them. */
#ifndef PARITY_WATCH_H
#define PARITY_WATCH_H

#include "table.h"

#include <karafka.h>
#include <pthread.h>
#include <stdio.h>

enum { MOST_RECORDED = 2000, MOST_HOOKED = 200, PATIENCE_SECONDS = 30 };

/* One call of the handler. */
struct recorded {
    char *beginning; /* as JSON, without the closing brace */
    unsigned end;
    bool is_done, is_stuck;
    int marks[MOST_MARKS];
    size_t mark_count;
    char *sent; /* as JSON, without brackets; NULL for nothing */
};

struct watch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t begun, done, stopped, ended, count, hooked;
    unsigned tick;
    struct recorded calls[MOST_RECORDED];
    karafka_context_t *last;
    struct { const char *name; bool is_used, is_eofed, is_revoked; } hooks[MOST_HOOKED];
};

struct watch *watch_new(void);

/* Waits until a count is reached; returns whether it was in time. */
bool watch_wait(struct watch *watch, const struct goal *goal);

void watch_stopped(struct watch *watch);

struct recorded *watch_begin(struct watch *watch, const karafka_batch_t *batch, karafka_context_t *context);

void watch_end(struct watch *watch, struct recorded *call, size_t records, bool is_done);

/* A call of a hook. */
void watch_hook(struct watch *watch, const char *name, const karafka_context_t *context);

/* A run of a task, recorded as a call of a hook: whether it was triggered. */
void watch_task(struct watch *watch, const char *name, bool is_triggered);

/* Writes the calls of hooks as a JSON array. */
void watch_write_hooks(struct watch *watch, FILE *stream);

/* Writes the calls as a JSON array. */
void watch_write(struct watch *watch, FILE *stream);

#endif
