/* sleeping: BENCH_WORKERS threads that only sleep BENCH_PAUSE_US, until they have slept BENCH_MESSAGES times: what timers and
 * scheduler of this machine give to handlers that wait, without any Kafka. Prints one line of JSON. */
#include "bench.h"
#include <pthread.h>

static long wanted, pause_length;
static atomic_long slept;
static atomic_llong began, ended;

static void *worker(void *unused) {
    (void)unused;
    long long none = 0;
    atomic_compare_exchange_strong(&began, &none, now_ns());
    while (atomic_load_explicit(&slept, memory_order_relaxed) < wanted) {
        pause_us(pause_length);
        if (atomic_fetch_add_explicit(&slept, 1, memory_order_relaxed) + 1 == wanted)
            atomic_store(&ended, now_ns());
    }
    return NULL;
}

int main(void) {
    long workers = number("BENCH_WORKERS");
    wanted = number("BENCH_MESSAGES");
    pause_length = number("BENCH_PAUSE_US");
    pthread_t *threads = calloc(workers, sizeof *threads);
    for (long index = 0; index < workers; index++)
        if (pthread_create(&threads[index], NULL, worker, NULL)) {
            fprintf(stderr, "sleeping: no thread %ld\n", index);
            return 2;
        }
    for (long index = 0; index < workers; index++)
        pthread_join(threads[index], NULL);
    print_run(wanted, began, ended, wanted, 0);
    free(threads);
    return 0;
}
