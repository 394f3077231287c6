/* What the C programs share: settings from the environment (named in ../rust/reading.rs), a clock, and the end of a run. */
#ifndef BENCH_H
#define BENCH_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *text(const char *name) {
    const char *value = getenv(name);
    if (!value || !*value) {
        fprintf(stderr, "%s is not set\n", name);
        exit(2);
    }
    return value;
}

static long number(const char *name) {
    char *end;
    const char *value = text(name);
    long result = strtol(value, &end, 10);
    if (*end) {
        fprintf(stderr, "%s=%s is not a number\n", name, value);
        exit(2);
    }
    return result;
}

/* Hands on BENCH_SETTINGS, one name=value a line; none when it is empty. */
static inline void settings(void (*set)(void *, const char *, const char *), void *config) {
    const char *given = getenv("BENCH_SETTINGS");
    char *lines = strdup(given ? given : ""), *rest = NULL;
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *equals = strchr(line, '=');
        if (!equals) {
            fprintf(stderr, "BENCH_SETTINGS: no = in %s\n", line);
            exit(2);
        }
        *equals = 0;
        set(config, line, equals + 1);
    }
    free(lines);
}

/* The next of the names in BENCH_TOPIC, which have commas between them; NULL behind the last one. */
static inline const char *next_topic(size_t *length) {
    static const char *next;
    const char *name = next ? next : text("BENCH_TOPIC");
    if (!*name)
        return NULL;
    *length = strcspn(name, ",");
    next = name + *length + (name[*length] == ',');
    return name;
}

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static inline void pause_us(long microseconds) {
    struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static void print_run(long messages, int64_t began, int64_t ended, long handled, long bytes) {
    printf("{\"messages\":%ld,\"seconds\":%.6f,\"handled\":%ld,\"bytes\":%ld}\n", messages, (ended - began) / 1e9, handled,
           bytes);
    fflush(stdout);
}

#endif
