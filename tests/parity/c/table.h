/*
 * The scenario table in lines, as `judge.py flat` writes it: a word, then arguments without blanks. Bytes are hex digits
 * after an `x`, `-` stands for none.
 */
#ifndef PARITY_TABLE_H
#define PARITY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MOST_OPTIONS = 16, MOST_RECORDS = 400, MOST_HEADERS = 8, MOST_RUNS = 4, MOST_MARKS = 8, MOST_SENDS = 8, MOST_STEPS = 12, MOST_CALLS = 12, MOST_TRIGGERS = 8 };

/* Bytes and a NUL after them; NULL for none. */
struct octets {
    char *bytes;
    size_t length;
};

struct option {
    char scope[12], kind[12];
    struct octets name, value;
};

struct options {
    struct option list[MOST_OPTIONS];
    size_t count;
};

struct record {
    struct octets key, payload, names[MOST_HEADERS], values[MOST_HEADERS];
    size_t headers;
    int partition;
    int64_t timestamp_ms;
};

struct records {
    struct record *list;
    size_t count;
};

/* What a count has to reach. */
struct goal {
    char what[12];
    size_t count;
};

struct run {
    struct options options;
    struct records records;
    struct goal until, hold, joined;
    bool is_joined, holds, fails, forgets;
    struct octets hold_key, fail_key;
    unsigned attempts;
    struct { char extent[12]; int64_t offset; } marks[MOST_MARKS];
    /* The attempt in which the handler sends a record to a topic. */
    struct { unsigned attempt; char topic[32]; } sends[MOST_SENDS];
    size_t mark_count, step_count, send_count;
    char steps[MOST_STEPS][16];
};

struct call {
    char name[24];
    struct options options;
    struct octets text;
    size_t times, payload, step_count;
    int partition, partitions;
    char steps[MOST_STEPS][16];
};

struct scenario {
    int number, partitions;
    struct octets name;
    bool later, pattern, has_beside, has_hooks, hooks_fail;
    /* Bytes of the payload that name a virtual partition; -1 for a partitioner that fails, 0 for none. */
    int prefix;
    /* Bytes of the payload that no two messages may share that are handled at once; 0 for none. */
    int unique;
    /* Keys of messages that the filter skips, and at which it fails; no bytes: no filter, and at none. */
    struct octets skips, fails;
    struct options options;
    struct records records, beside, scheduled;
    /* What is scheduled so many milliseconds ahead, and the payload of what is cancelled again. */
    bool has_scheduled;
    int64_t scheduled_in;
    struct octets cancelled;
    /* Tasks that are to be run at once, in this order. */
    char triggers[MOST_TRIGGERS][16];
    size_t trigger_count;
    struct run runs[MOST_RUNS];
    struct call calls[MOST_CALLS];
    size_t run_count, call_count;
};

/* Calls `play` with every scenario whose name contains the words. The scenario is gone afterwards. */
void table_each(const char *path, const char *words, void (*play)(struct scenario *));

/* Ends the program: the table is not what this runner knows. */
_Noreturn void table_wrong(const char *what);

#endif
