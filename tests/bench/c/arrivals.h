/* When messages arrive: what `bench-fill --feed` sends is noted, and latencies and pauses are reported at the end.
 *
 * Payloads begin with the time of sending and the record's number in its partition. The first second counts for nothing:
 * it holds what waited while the member joined. A partition is noted by one thread at a time; different ones at once. */
#ifndef ARRIVALS_H
#define ARRIVALS_H

#include "bench.h"

enum { PARTITIONS = 5 };
static const int64_t SECOND = INT64_C(1000000000);

static struct {
    long messages, bytes, missing;
    uint64_t next;
    int64_t last, longest;
    long latencies, room;
    int64_t *latency;
} partitions[PARTITIONS];

static atomic_llong first_arrival;
static int64_t duration;

static int64_t arrivals_end(void) {
    int64_t first = atomic_load_explicit(&first_arrival, memory_order_relaxed);
    return first ? first + duration : INT64_MAX;
}

static void arrivals_begin(void) { duration = number("BENCH_SECONDS") * SECOND; }

/* A handler or loop has the message in its hands. The first arrival is told by a line, for a driver that waits for it. */
static void arrived(int32_t partition, const void *payload, size_t length) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    int64_t arrival = now_ns(), wall = time.tv_sec * SECOND + time.tv_nsec, sent;
    uint64_t record;
    long long none = 0;
    if (!atomic_load_explicit(&first_arrival, memory_order_relaxed) &&
        atomic_compare_exchange_strong(&first_arrival, &none, arrival)) {
        puts("receiving");
        fflush(stdout);
    }
    if (arrival > arrivals_end() || partition < 0 || partition >= PARTITIONS || length < 16)
        return;
    memcpy(&sent, payload, 8);
    memcpy(&record, (const char *)payload + 8, 8);
    __typeof__(partitions[0]) *here = &partitions[partition];
    if (here->messages && record != here->next)
        here->missing++;
    if (here->messages && arrival - first_arrival > SECOND) {
        if (arrival - here->last > here->longest)
            here->longest = arrival - here->last;
        if (here->latencies == here->room)
            here->latency = realloc(here->latency, (here->room = here->room * 2 + 1000) * sizeof *here->latency);
        here->latency[here->latencies++] = wall - sent;
    }
    here->messages++;
    here->bytes += length;
    here->next = record + 1;
    here->last = arrival;
}

static int by_size(const void *left, const void *right) {
    int64_t one = *(const int64_t *)left, other = *(const int64_t *)right;
    return (one > other) - (one < other);
}

/* A partition stays if it is still read at the end; a pause is the time between two of its messages. */
static void arrivals_print(void) {
    long messages = 0, bytes = 0, missing = 0, stayed = 0, count = 0;
    int64_t longest = 0, *all = NULL;
    for (int index = 0; index < PARTITIONS; index++) {
        messages += partitions[index].messages;
        bytes += partitions[index].bytes;
        missing += partitions[index].missing;
        if (partitions[index].last > arrivals_end() - SECOND) {
            stayed++;
            if (partitions[index].longest > longest)
                longest = partitions[index].longest;
        }
        all = realloc(all, (count + partitions[index].latencies + 1) * sizeof *all);
        for (long one = 0; one < partitions[index].latencies; one++)
            all[count++] = partitions[index].latency[one];
    }
    qsort(all, count, sizeof *all, by_size);
    printf("{\"messages\":%ld,\"seconds\":%.6f,\"handled\":%ld,\"bytes\":%ld,\"missing\":%ld,\"stayed\":%ld,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"pause_ms\":%.3f}\n",
           messages, duration / 1e9, messages, bytes, missing, stayed, count ? all[count / 2] / 1e3 : 0,
           count ? all[count * 99 / 100] / 1e3 : 0, longest / 1e6);
    fflush(stdout);
}

#endif
