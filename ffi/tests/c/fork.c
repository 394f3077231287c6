/* After a fork: what the child inherited is refused, what it makes anew works, and the parent goes on. */
#include "support.h"

#include <sys/resource.h>
#include <sys/wait.h>

struct family {
    struct board board;
    karafka_config_t *config;
    karafka_app_t *app, *unstarted;
    karafka_topic_t *topic;
    karafka_producer_t *producer;
    karafka_delivery_t *delivery;
    karafka_events_t *events;
    karafka_embedded_broker_t *broker;
    karafka_error_t *error;
    karafka_completion_t *completion;
    const karafka_batch_t *batch;
    karafka_context_t *context;
    const char *address;
    int handled, destroyed;
};

static karafka_result_t keep(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct family *family = user_data;
    karafka_completion_t *completion;
    OK(karafka_context_defer(context, &completion));
    TELL(&family->board, family->batch = batch; family->context = context; family->completion = completion);
    return KARAFKA_LATER;
}

static void on_destroyed(void *user_data) {
    struct family *family = user_data;
    TELL(&family->board, family->destroyed++);
}

static int child_of(struct family *family) {
    const karafka_message_t *messages;
    karafka_event_t *event = NULL;
    karafka_record_t record = record_of("c-fork", NULL, "from the child");
    karafka_config_t *config;
    karafka_producer_t *producer;
    karafka_delivery_report_t report;
    karafka_app_t *app = NULL;
    bool flag = false;
    size_t size;

    test_name = "in the child";
    FAILS(karafka_config_set_bool(family->config, KARAFKA_STRING("x"), true), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_new(family->config, &app), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_start(family->unstarted), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_run(family->app, 0), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_stop(family->app), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_stop_within(family->app, 1), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_join(family->app, 1, &flag), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_quiet(family->app), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_resume(family->app), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_resize(family->app, 2), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_topic(family->unstarted, KARAFKA_STRING("t"), NULL, keep, NULL, NULL, NULL), KARAFKA_ERROR_FORKED);
    FAILS(karafka_app_producer(family->app, &producer), KARAFKA_ERROR_FORKED);
    IS(karafka_app_phase(family->app), KARAFKA_PHASE_STOPPED);
    FAILS(karafka_topic_set_partitioner(family->topic, NULL, NULL, NULL), KARAFKA_ERROR_ARGUMENT);
    FAILS(karafka_producer_produce_async(family->producer, &record, NULL), KARAFKA_ERROR_FORKED);
    FAILS(karafka_producer_produce_sync(family->producer, &record, NULL), KARAFKA_ERROR_FORKED);
    FAILS(karafka_producer_flush(family->producer, 1, &size), KARAFKA_ERROR_FORKED);
    FAILS(karafka_producer_close(family->producer), KARAFKA_ERROR_FORKED);
    FAILS(karafka_delivery_wait(family->delivery, 1, NULL), KARAFKA_ERROR_FORKED);
    FAILS(karafka_events_next(family->events, 1, &event), KARAFKA_ERROR_FORKED);
    FAILS(karafka_embedded_broker_create_topic(family->broker, KARAFKA_STRING("t"), 1), KARAFKA_ERROR_FORKED);
    FAILS(karafka_completion_done(family->completion), KARAFKA_ERROR_FORKED);
    FAILS(karafka_batch_messages(family->batch, &messages, &size), KARAFKA_ERROR_FORKED);
    FAILS(karafka_batch_ref(family->batch), KARAFKA_ERROR_FORKED);
    FAILS(karafka_context_mark_as_consumed(family->context, 0, &flag), KARAFKA_ERROR_FORKED);
    CHECK(karafka_context_is_revoked(family->context));
    IS(karafka_error_code(family->error), KARAFKA_ERROR_ARGUMENT);

    /* New ones work, beside what was inherited. */
    config = CONFIG("bootstrap_servers", family->address);
    OK(karafka_producer_new(config, &producer));
    OK(karafka_producer_produce_sync(producer, &record, &report));
    IS(report.offset, 1);
    karafka_producer_free(producer);
    OK(karafka_producer_reopen(family->producer, &producer));
    OK(karafka_producer_produce_sync(producer, &record, &report));
    /* The broker inside of a process is not that of its parent. */
    IS(report.offset, 0);
    karafka_producer_free(producer);
    karafka_config_free(config);

    karafka_completion_free(family->completion);
    karafka_app_free(family->app);
    karafka_app_free(family->unstarted);
    karafka_producer_free(family->producer);
    karafka_delivery_free(family->delivery);
    karafka_events_free(family->events);
    karafka_embedded_broker_free(family->broker);
    karafka_config_free(family->config);
    karafka_error_free(family->error);
    IS(family->destroyed, 0);
    return 0;
}

static void end_next(struct family *family) {
    karafka_completion_t *completion;
    pthread_mutex_lock(&family->board.lock);
    WAIT_LOCKED(&family->board, family->completion != NULL);
    completion = family->completion;
    family->completion = NULL;
    pthread_mutex_unlock(&family->board.lock);
    OK(karafka_completion_done(completion));
    karafka_completion_free(completion);
}

static void a_child_is_refused_what_it_inherited_and_the_parent_goes_on(void) {
    const char *topic = "c-fork";
    struct family family = {BOARD_INIT, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0};
    karafka_record_t record = record_of(topic, NULL, "from the parent");
    int status = -1;
    pid_t child;
    bool owned = false;

    create_topic(topic, 1);
    family.config = CONFIG("group", topic);
    family.app = new_app(topic);
    family.unstarted = new_app("c-fork-2");
    family.producer = new_producer();
    OK(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &family.broker));
    family.address = karafka_embedded_broker_bootstrap_servers(family.broker);
    OK(karafka_app_events(family.app, &family.events));
    family.error = karafka_config_new(NULL);
    OK(karafka_app_topic(family.app, KARAFKA_STRING(topic), NULL, keep, &family, on_destroyed, &family.topic));
    OK(karafka_app_start(family.app));
    OK(karafka_producer_produce_async(family.producer, &record, &family.delivery));
    OK(karafka_delivery_wait(family.delivery, DEADLINE_S * 1000, NULL));
    WAIT(&family.board, family.completion != NULL);

    fflush(stdout);
    child = fork();
    if (child == 0) exit(child_of(&family));
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    IS(WEXITSTATUS(status), 0);

    OK(karafka_context_mark_as_consumed(family.context, 0, &owned));
    CHECK(owned);
    end_next(&family);
    /* The child's record comes next. */
    end_next(&family);
    OK(karafka_producer_produce_sync(family.producer, &record, NULL));
    WAIT(&family.board, family.completion != NULL);
    karafka_delivery_free(family.delivery);
    karafka_producer_free(family.producer);
    OK(karafka_app_stop_within(family.app, 10));
    karafka_app_free(family.app);
    karafka_completion_free(family.completion);
    karafka_app_free(family.unstarted);
    karafka_events_free(family.events);
    karafka_embedded_broker_free(family.broker);
    karafka_config_free(family.config);
    karafka_error_free(family.error);
    /* A job was left behind, so that threads may outlive the app by a moment. */
    WAIT(&family.board, family.destroyed == 1);
}

static karafka_result_t count_message(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct family *family = user_data;
    (void)context;
    TELL(&family->board, family->handled += (int)karafka_batch_length(batch));
    return KARAFKA_DONE;
}

/* Until its start an app has done nothing native: the library may be loaded and used, and the process forked. */
static void a_child_runs_an_app_of_its_own(void) {
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct family family = {BOARD_INIT, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0};
        karafka_app_t *app = new_app("c-child");
        test_name = "in the child";
        create_topic("c-child", 1);
        produce_numbers("c-child", 5, 1);
        OK(karafka_app_topic(app, KARAFKA_STRING("c-child"), NULL, count_message, &family, NULL, NULL));
        OK(karafka_app_start(app));
        WAIT(&family.board, family.handled == 5);
        stop_and_free(app);
        exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    IS(WEXITSTATUS(status), 0);
}

/* A system that gives no more threads ends the app that was about to start; nobody waits for one that cannot work. */
static void an_app_without_its_threads_ends(void) {
    int status = -1;
    pid_t child;

    /* Only a user of its own has a number of threads that nobody else adds to; root is not limited at all. */
    if (geteuid() != 0) return;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        struct rlimit few = {150, 150};
        struct family family = {BOARD_INIT, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0};
        karafka_config_t *config = CONFIG("bootstrap_servers", BROKER, "group", "c-threads", "concurrency", "1000");
        karafka_app_t *app;
        bool stopped = false;
        test_name = "in the child";
        /* First: the C library tells all threads of it by a signal, which librdkafka's mock cluster takes for its end. */
        CHECK(setuid(1000000 + (uid_t)getpid()) == 0);
        create_topic("c-threads", 1);
        OK(karafka_app_new(config, &app));
        OK(karafka_app_topic(app, KARAFKA_STRING("c-threads"), NULL, count_message, &family, NULL, NULL));
        CHECK(setrlimit(RLIMIT_NPROC, &few) == 0);
        FAILS(karafka_app_start(app), KARAFKA_ERROR_INTERNAL);
        FAILS(karafka_app_join(app, DEADLINE_S * 1000, &stopped), KARAFKA_ERROR_INTERNAL);
        IS(karafka_app_phase(app), KARAFKA_PHASE_STOPPED);
        FAILS(karafka_app_start(app), KARAFKA_ERROR_STOPPED);
        karafka_app_free(app);
        exit(0);
    }
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    IS(WEXITSTATUS(status), 0);
}

int main(void) {
    RUN(a_child_is_refused_what_it_inherited_and_the_parent_goes_on);
    RUN(a_child_runs_an_app_of_its_own);
    RUN(an_app_without_its_threads_ends);
    return 0;
}
