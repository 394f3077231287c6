/* Apps: start, quiet, resume, resize, stop, signals, freeing; and what is refused in between. */
#include "support.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>

struct counter {
    struct board board;
    int count, calls, held, release;
    karafka_app_t *app;
    karafka_error_code_t join_code, run_code;
};

#define COUNTER {BOARD_INIT, 0, 0, 0, 0, NULL, KARAFKA_OK, KARAFKA_OK}

static karafka_result_t count_messages(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct counter *counter = user_data;
    (void)context;
    TELL(&counter->board, counter->count += (int)karafka_batch_length(batch); counter->calls++);
    return KARAFKA_DONE;
}

static void an_app_goes_through_its_phases(void) {
    const char *topic = "c-phases";
    struct counter counter = COUNTER;
    karafka_app_t *app = new_app(topic);
    karafka_events_t *events;
    karafka_event_t *event = NULL;
    bool stopped = true;

    create_topic(topic, 1);
    OK(karafka_app_events(app, &events));
    IS(karafka_app_phase(app), KARAFKA_PHASE_INITIALIZED);
    FAILS(karafka_app_start(app), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_app_quiet(app), KARAFKA_ERROR_STOPPED);
    FAILS(karafka_app_resume(app), KARAFKA_ERROR_STOPPED);
    OK(karafka_events_next(events, 0, &event));
    CHECK(event == NULL);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, count_messages, &counter, NULL, NULL));
    OK(karafka_app_start(app));
    IS(karafka_app_phase(app), KARAFKA_PHASE_RUNNING);
    FAILS(karafka_app_start(app), KARAFKA_ERROR_STOPPED);
    FAILS(karafka_app_topic(app, KARAFKA_STRING("other"), NULL, count_messages, NULL, NULL, NULL), KARAFKA_ERROR_STOPPED);
    OK(karafka_app_join(app, 0, &stopped));
    CHECK(!stopped);
    produce_numbers(topic, 5, 1);
    WAIT(&counter.board, counter.count == 5);

    OK(karafka_app_quiet(app));
    karafka_event_free(event_named(events, "app.quiet"));
    IS(karafka_app_phase(app), KARAFKA_PHASE_QUIET);
    produce_numbers(topic, 5, 1);
    IS(counter.count, 5);
    OK(karafka_app_resume(app));
    WAIT(&counter.board, counter.count == 10);

    OK(karafka_app_resize(app, 1));
    OK(karafka_app_resize(app, 9));
    FAILS(karafka_app_resize(app, 0), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_app_resize(app, 4097), KARAFKA_ERROR_CONFIG);
    produce_numbers(topic, 5, 1);
    WAIT(&counter.board, counter.count == 15);

    OK(karafka_app_stop(app));
    OK(karafka_app_join(app, -1, NULL));
    IS(karafka_app_phase(app), KARAFKA_PHASE_STOPPED);
    OK(karafka_app_stop(app));
    OK(karafka_app_stop_within(app, 0));
    FAILS(karafka_app_start(app), KARAFKA_ERROR_STOPPED);
    FAILS(karafka_app_run(app, 0), KARAFKA_ERROR_STOPPED);
    FAILS(karafka_app_quiet(app), KARAFKA_ERROR_STOPPED);
    karafka_event_free(event_named(events, "app.stopped"));
    FAILS(karafka_events_next(events, -1, &event), KARAFKA_ERROR_STOPPED);
    karafka_app_free(app);
    karafka_events_free(events);
}

static void an_app_that_never_ran_is_stopped_at_once(void) {
    karafka_app_t *app = new_app("c-never");
    bool stopped = false;
    OK(karafka_app_stop(app));
    OK(karafka_app_join(app, -1, &stopped));
    CHECK(stopped);
    FAILS(karafka_app_start(app), KARAFKA_ERROR_STOPPED);
    karafka_app_free(app);
}

static void destructors_run_once_with_the_app(void) {
    const char *topic = "c-destructors";
    struct counter counter = COUNTER;
    int handler_data = 0, partitioner_data = 0, refused = 0;
    karafka_app_t *app = new_app(topic);
    karafka_topic_t *handle = NULL, *untouched = NULL;

    create_topic(topic, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, count_messages, &counter, NULL, &handle));
    OK(karafka_app_topic(app, KARAFKA_STRING("c-destructors-2"), NULL, count_messages, &handler_data, count_destroyed, NULL));
    FAILS(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, count_messages, &refused, count_destroyed, &untouched),
          KARAFKA_ERROR_CONFIG);
    IS(DESTROYED(refused), 1);
    FAILS(karafka_app_topic(app, KARAFKA_STRING("x"), NULL, NULL, &refused, count_destroyed, &untouched),
          KARAFKA_ERROR_ARGUMENT);
    IS(DESTROYED(refused), 2);
    FAILS(karafka_topic_set_partitioner(handle, NULL, &partitioner_data, count_destroyed), KARAFKA_ERROR_ARGUMENT);
    IS(DESTROYED(partitioner_data), 1);
    CHECK(untouched == NULL);
    IS(DESTROYED(handler_data), 0);
    produce_numbers(topic, 3, 1);
    OK(karafka_app_start(app));
    WAIT(&counter.board, counter.count == 3);
    /* Freed while it runs: it stops first. */
    karafka_app_free(app);
    IS(DESTROYED(handler_data), 1);
}

static karafka_result_t no_key(const karafka_batch_t *batch, const karafka_message_t *message, const uint8_t **key,
                               size_t *length, void *user_data) {
    (void)batch, (void)message, (void)key, (void)length, (void)user_data;
    return KARAFKA_DONE;
}

static void an_option_that_asks_for_a_function_gets_it_before_the_start(void) {
    const char *options[] = {"unique_by", "filter", "dead_letter_queue_strategy"};
    const char *calls[] = {"karafka_topic_set_unique_by", "karafka_topic_set_filter", "karafka_topic_set_strategy"};
    const char *topic = "c-lacks";
    struct counter counter = COUNTER;
    karafka_config_t *config = CONFIG("unique_by", "callback");
    karafka_topic_t *handle = NULL;
    karafka_app_t *app;
    size_t i;

    create_topic(topic, 1);
    for (i = 0; i < 3; i++) {
        karafka_config_t *lacks = i == 0 ? config : CONFIG("dead_letter_queue_topic", "c-lacks-letters");
        karafka_error_t *error;
        if (i > 0) OK(karafka_config_set_bool(lacks, KARAFKA_STRING(options[i]), true));
        app = new_app(topic);
        OK(karafka_app_topic(app, KARAFKA_STRING(topic), lacks, count_messages, &counter, NULL, NULL));
        error = karafka_app_start(app);
        IS(karafka_error_code(error), KARAFKA_ERROR_CONFIG);
        CHECK(strstr(karafka_error_message(error), options[i]) != NULL);
        CHECK(strstr(karafka_error_message(error), calls[i]) != NULL);
        CHECK(strstr(karafka_error_message(error), topic) != NULL);
        karafka_error_free(error);
        karafka_app_free(app);
        if (i > 0) karafka_config_free(lacks);
    }
    app = new_app(topic);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, count_messages, &counter, NULL, &handle));
    karafka_config_free(config);
    FAILS(karafka_app_start(app), KARAFKA_ERROR_CONFIG);
    OK(karafka_topic_set_unique_by(handle, no_key, NULL, NULL));
    produce_numbers(topic, 3, 1);
    OK(karafka_app_start(app));
    WAIT(&counter.board, counter.count == 3);
    karafka_app_free(app);
}

static karafka_result_t misbehave(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct counter *counter = user_data;
    karafka_error_t *join = karafka_app_join(counter->app, -1, NULL), *run = karafka_app_run(counter->app, 0);
    counter->join_code = karafka_error_code(join);
    counter->run_code = karafka_error_code(run);
    karafka_error_free(join);
    karafka_error_free(run);
    karafka_app_free(counter->app);
    FAILS(karafka_app_stop(counter->app), KARAFKA_ERROR_ARGUMENT);
    IS(karafka_batch_length(batch), 1);
    CHECK(!karafka_context_is_revoked(context));
    TELL(&counter->board, counter->calls++);
    return KARAFKA_DONE;
}

static void a_handler_may_free_its_app_but_not_wait_for_it(void) {
    const char *topic = "c-inside";
    struct counter counter = COUNTER;
    static int destroyed;
    karafka_app_t *app = new_app(topic);
    karafka_events_t *events;

    counter.app = app;
    create_topic(topic, 1);
    produce_numbers(topic, 1, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, misbehave, &counter, NULL, NULL));
    OK(karafka_app_topic(app, KARAFKA_STRING("c-inside-2"), NULL, misbehave, &destroyed, count_destroyed, NULL));
    OK(karafka_app_events(app, &events));
    OK(karafka_app_start(app));
    karafka_event_free(event_named(events, "app.stopped"));
    WAIT(&counter.board, counter.calls == 1);
    karafka_events_free(events);
    IS(counter.join_code, KARAFKA_ERROR_STOPPED);
    IS(counter.run_code, KARAFKA_ERROR_STOPPED);
    FAILS(karafka_app_stop(app), KARAFKA_ERROR_ARGUMENT);
}

static karafka_result_t hold(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct counter *counter = user_data;
    (void)batch, (void)context;
    pthread_mutex_lock(&counter->board.lock);
    counter->held++;
    pthread_cond_broadcast(&counter->board.changed);
    WAIT_LOCKED(&counter->board, counter->release);
    pthread_mutex_unlock(&counter->board.lock);
    return KARAFKA_DONE;
}

static void a_stop_has_a_deadline(void) {
    const char *topic = "c-deadline";
    /* Outlives the test: the handler that is left behind still uses it. */
    static struct counter counter = COUNTER;
    size_t handles = karafka_handle_count();
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 1);
    produce_numbers(topic, 1, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, hold, &counter, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&counter.board, counter.held == 1);
    OK(karafka_app_stop_within(app, 50));
    FAILS(karafka_app_join(app, -1, NULL), KARAFKA_ERROR_TIMEOUT);
    IS(karafka_app_phase(app), KARAFKA_PHASE_STOPPED);
    TELL(&counter.board, counter.release = 1);
    karafka_app_free(app);
    /* Its thread returns on its own, after the app is gone. */
    wait_for_handle_count(handles);
}

struct waiter {
    karafka_events_t *events;
    karafka_error_code_t code;
    pthread_t thread;
};

static void *wait_for_event(void *argument) {
    struct waiter *waiter = argument;
    karafka_event_t *event = NULL;
    karafka_error_t *error = karafka_events_next(waiter->events, -1, &event);
    CHECK(event == NULL);
    waiter->code = karafka_error_code(error);
    karafka_error_free(error);
    return NULL;
}

static void whoever_waits_for_events_is_told_of_their_end(void) {
    karafka_app_t *app = new_app("c-waiters");
    karafka_events_t *events;
    struct waiter waiters[3];
    int i;

    OK(karafka_app_events(app, &events));
    for (i = 0; i < 3; i++) {
        waiters[i].events = events;
        IS(pthread_create(&waiters[i].thread, NULL, wait_for_event, &waiters[i]), 0);
    }
    karafka_events_free(events);
    for (i = 0; i < 3; i++) {
        pthread_join(waiters[i].thread, NULL);
        IS(waiters[i].code, KARAFKA_ERROR_ARGUMENT);
    }
    karafka_app_free(app);
}

static void *run_with_signals(void *app) {
    OK(karafka_app_run(app, KARAFKA_RUN_WITH_SIGNALS));
    return NULL;
}

static volatile sig_atomic_t own_signals;

static void on_own_signal(int number) {
    (void)number;
    /* Threads are interrupted at once. */
    __atomic_fetch_add(&own_signals, 1, __ATOMIC_RELAXED);
}

static void signals_stop_a_running_app(void) {
    const char *topic = "c-signals";
    struct counter counter = COUNTER;
    struct sigaction own, now;
    karafka_app_t *app = new_app(topic), *second = new_app("c-signals-2");
    pthread_t thread;

    memset(&own, 0, sizeof own);
    own.sa_handler = on_own_signal;
    sigaction(SIGTERM, &own, NULL);
    create_topic(topic, 1);
    produce_numbers(topic, 1, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, count_messages, &counter, NULL, NULL));
    OK(karafka_app_topic(second, KARAFKA_STRING("c-signals-2"), NULL, count_messages, &counter, NULL, NULL));
    FAILS(karafka_app_run(app, 2), KARAFKA_ERROR_ARGUMENT);
    IS(pthread_create(&thread, NULL, run_with_signals, app), 0);
    WAIT(&counter.board, counter.count == 1);
    FAILS(karafka_app_run(second, KARAFKA_RUN_WITH_SIGNALS), KARAFKA_ERROR_STOPPED);
    kill(getpid(), SIGTERM);
    pthread_join(thread, NULL);
    IS(karafka_app_phase(app), KARAFKA_PHASE_STOPPED);
    IS(own_signals, 0);
    sigaction(SIGTERM, NULL, &now);
    CHECK(now.sa_handler == on_own_signal);
    raise(SIGTERM);
    IS(own_signals, 1);
    sigaction(SIGINT, NULL, &now);
    CHECK(now.sa_handler == SIG_DFL);

    /* The second app is not stopped by what came for the first one; more signals than one are no harm. */
    create_topic("c-signals-2", 1);
    produce_numbers("c-signals-2", 1, 1);
    IS(pthread_create(&thread, NULL, run_with_signals, second), 0);
    WAIT(&counter.board, counter.count == 2);
    /* The handler has counted and may still be on its way back: a second signal would leave it behind. */
    OK(karafka_app_quiet(second));
    while (karafka_app_phase(second) != KARAFKA_PHASE_QUIET) usleep(1000);
    kill(getpid(), SIGINT);
    kill(getpid(), SIGQUIT);
    kill(getpid(), SIGTERM);
    pthread_join(thread, NULL);
    karafka_app_free(app);
    karafka_app_free(second);
}

/* Interrupts every thread of the process: the library's, librdkafka's and the broker's. */
static void interrupt_all_threads(int number) {
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *task;
    CHECK(tasks != NULL);
    while ((task = readdir(tasks)) != NULL)
        if (task->d_name[0] != '.') syscall(SYS_tgkill, (long)getpid(), atol(task->d_name), (long)number);
    closedir(tasks);
}

static void signals_on_any_thread_are_no_harm(void) {
    const char *topic = "c-interrupted";
    struct counter counter = COUNTER;
    struct sigaction own;
    karafka_app_t *app = new_app(topic);
    int round;

    memset(&own, 0, sizeof own);
    own.sa_handler = on_own_signal;
    sigaction(SIGUSR1, &own, NULL);
    create_topic(topic, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, count_messages, &counter, NULL, NULL));
    OK(karafka_app_start(app));
    for (round = 1; round <= 5; round++) {
        interrupt_all_threads(SIGUSR1);
        produce_numbers(topic, 2, 1);
        WAIT(&counter.board, counter.count == 2 * round);
    }
    stop_and_free(app);
}

int main(void) {
    RUN(an_app_goes_through_its_phases);
    RUN(an_app_that_never_ran_is_stopped_at_once);
    RUN(destructors_run_once_with_the_app);
    RUN(an_option_that_asks_for_a_function_gets_it_before_the_start);
    RUN(a_handler_may_free_its_app_but_not_wait_for_it);
    RUN(a_stop_has_a_deadline);
    RUN(whoever_waits_for_events_is_told_of_their_end);
    RUN(signals_stop_a_running_app);
    RUN(signals_on_any_thread_are_no_harm);
    return 0;
}
