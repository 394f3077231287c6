/* reading: one measured run of a C handler. Prints one line of JSON; the environment is described in ../rust/reading.rs. */
#include "app.h"
#include <pthread.h>

static long wanted, pause_length;
static atomic_long handled, bytes, keys;
static atomic_llong began, ended;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t over = PTHREAD_COND_INITIALIZER;

static void count(long more) {
    long before = atomic_fetch_add_explicit(&handled, more, memory_order_relaxed);
    if (before < wanted && before + more >= wanted) {
        pthread_mutex_lock(&lock);
        atomic_store(&ended, now_ns());
        pthread_cond_signal(&over);
        pthread_mutex_unlock(&lock);
    }
}

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    (void)context;
    (void)user_data;
    long long none = 0;
    if (!atomic_load_explicit(&began, memory_order_relaxed))
        atomic_compare_exchange_strong(&began, &none, now_ns());
    const karafka_message_t *messages;
    size_t length;
    must(karafka_batch_messages(batch, &messages, &length));
    long payload = 0, key = 0;
    for (size_t index = 0; index < length; index++) {
        const karafka_message_t *message = &messages[index];
        payload += message->payload_length;
        key += message->key_length ? message->key[message->key_length - 1] : 0;
        if (pause_length) {
            pause_us(pause_length);
            count(1);
        }
    }
    atomic_fetch_add_explicit(&bytes, payload, memory_order_relaxed);
    atomic_fetch_add_explicit(&keys, key, memory_order_relaxed);
    if (!pause_length)
        count(length);
    return KARAFKA_DONE;
}

int main(void) {
    wanted = number("BENCH_MESSAGES");
    pause_length = number("BENCH_PAUSE_US");
    karafka_config_t *options = app_options(), *topic_options;
    set_number(options, "concurrency", number("BENCH_WORKERS"));
    must(karafka_config_new(&topic_options));
    set_text(topic_options, "virtual_partitions", text("BENCH_VIRTUAL_PARTITIONS"));
    set_number(topic_options, "max_messages", number("BENCH_MAX_MESSAGES"));
    set_number(topic_options, "virtual_partitions_per_job", number("BENCH_KEYS_PER_CALL"));
    karafka_app_t *app = start(options, topic_options, handle);
    pthread_mutex_lock(&lock);
    while (!atomic_load(&ended))
        pthread_cond_wait(&over, &lock);
    pthread_mutex_unlock(&lock);
    stop(app);
    print_run(wanted, began, ended, handled, bytes);
    return 0;
}
