/* Jobs that end later, on another thread than their handler's. */
#include "support.h"

enum { KEYS = 20 };

/* Jobs on their way from handlers to the thread that ends them. */
struct later {
    struct board board;
    struct job {
        karafka_completion_t *completion;
        const karafka_batch_t *batch;
        karafka_context_t *context;
    } jobs[64];
    int first, last, next[KEYS], handled, out_of_order, failed, freed, closed;
};

static karafka_result_t hand_over(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct later *later = user_data;
    karafka_completion_t *completion, *second = NULL;

    OK(karafka_context_defer(context, &completion));
    FAILS(karafka_context_defer(context, &second), KARAFKA_ERROR_ARGUMENT);
    CHECK(second == NULL);
    TELL(&later->board, {
        struct job job;
        job.completion = completion;
        job.batch = batch;
        job.context = context;
        CHECK(later->last - later->first < 64);
        later->jobs[later->last++ % 64] = job;
    });
    return KARAFKA_LATER;
}

/* Ends jobs: some fail at first, some are forgotten at first. */
static void *end_jobs(void *argument) {
    struct later *later = argument;
    int number;
    for (number = 0;; number++) {
        struct job job;
        const karafka_message_t *messages;
        size_t count, i;

        pthread_mutex_lock(&later->board.lock);
        WAIT_LOCKED(&later->board, later->first < later->last || later->closed);
        if (later->first == later->last) {
            pthread_mutex_unlock(&later->board.lock);
            return NULL;
        }
        job = later->jobs[later->first++ % 64];
        pthread_mutex_unlock(&later->board.lock);

        CHECK(!karafka_context_is_revoked(job.context) && !karafka_context_is_stopping(job.context));
        if (number % 5 == 1 && karafka_context_attempt(job.context) == 1) {
            OK(karafka_completion_fail(job.completion, KARAFKA_STRING("Later"), KARAFKA_STRING("not now")));
            FAILS(karafka_completion_done(job.completion), KARAFKA_ERROR_STOPPED);
            karafka_completion_free(job.completion);
            TELL(&later->board, later->failed++);
            continue;
        }
        if (number % 5 == 3 && karafka_context_attempt(job.context) == 1) {
            karafka_completion_free(job.completion);
            TELL(&later->board, later->freed++);
            continue;
        }
        OK(karafka_batch_ref(job.batch));
        OK(karafka_batch_messages(job.batch, &messages, &count));
        OK(karafka_context_acknowledge(job.context, 0, NULL));
        pthread_mutex_lock(&later->board.lock);
        for (i = 0; i < count; i++) {
            int key = number_in(messages[i].key + 1, messages[i].key_length - 1);
            later->out_of_order += later->next[key]++ != number_in(messages[i].payload, messages[i].payload_length);
        }
        pthread_mutex_unlock(&later->board.lock);
        OK(karafka_completion_done(job.completion));
        FAILS(karafka_completion_done(job.completion), KARAFKA_ERROR_STOPPED);
        FAILS(karafka_completion_fail(job.completion, NULL, 0, NULL, 0), KARAFKA_ERROR_STOPPED);
        karafka_completion_free(job.completion);
        /* The batch was kept, the context was not. */
        IS(karafka_batch_length(job.batch), count);
        CHECK(number_in(messages[0].key + 1, messages[0].key_length - 1) < KEYS);
        FAILS(karafka_context_mark_as_consumed(job.context, 0, NULL), KARAFKA_ERROR_ARGUMENT);
        karafka_batch_unref(job.batch);
        FAILS(karafka_batch_messages(job.batch, &messages, &count), KARAFKA_ERROR_ARGUMENT);
        TELL(&later->board, later->handled += (int)count);
    }
}

static void end_later(const char *topic, bool asynchronous) {
    struct later *later = calloc(1, sizeof *later);
    struct board board = BOARD_INIT;
    pthread_t thread;
    karafka_config_t *config = CONFIG("virtual_partitions", "by_key", "retry_backoff", "5ms", "max_messages", "4");
    karafka_app_t *app = new_app(topic);

    later->board = board;
    create_topic(topic, 1);
    if (asynchronous)
        OK(karafka_app_topic_asynchronous(app, KARAFKA_STRING(topic), config, hand_over, later, NULL, NULL));
    else
        OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, hand_over, later, NULL, NULL));
    karafka_config_free(config);
    IS(pthread_create(&thread, NULL, end_jobs, later), 0);
    produce_numbers(topic, 200, KEYS);
    OK(karafka_app_start(app));
    WAIT(&later->board, later->handled == 200);
    stop_and_free(app);
    TELL(&later->board, later->closed = 1);
    pthread_join(thread, NULL);
    IS(later->out_of_order, 0);
    CHECK(later->failed > 0 && later->freed > 0);
    free(later);
}

static void jobs_end_later_on_another_thread(void) {
    end_later("c-later", false);
}

static void jobs_of_asynchronous_topics_end_later(void) {
    end_later("c-asynchronous", true);
}

struct void_completion {
    struct board board;
    karafka_completion_t *completion;
    int calls;
};

static karafka_result_t defer_and_return_done(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct void_completion *seen = user_data;
    (void)batch;
    OK(karafka_context_defer(context, &seen->completion));
    TELL(&seen->board, seen->calls++);
    return KARAFKA_DONE;
}

static void a_completion_is_void_when_the_handler_ended_the_job(void) {
    const char *topic = "c-void";
    struct void_completion seen = {BOARD_INIT, NULL, 0};
    karafka_app_t *app = new_app(topic);

    create_topic(topic, 1);
    produce_numbers(topic, 1, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, defer_and_return_done, &seen, NULL, NULL));
    OK(karafka_app_start(app));
    WAIT(&seen.board, seen.calls == 1);
    stop_and_free(app);
    FAILS(karafka_completion_done(seen.completion), KARAFKA_ERROR_STOPPED);
    karafka_completion_free(seen.completion);
}

struct judged {
    struct board board;
    karafka_completion_t *completion;
    int calls, asked;
};

static karafka_result_t keep_completion(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct judged *judged = user_data;
    karafka_completion_t *completion;
    (void)batch;
    OK(karafka_context_defer(context, &completion));
    TELL(&judged->board, {
        judged->completion = completion;
        judged->calls++;
    });
    return KARAFKA_LATER;
}

/* Tries again once, then has the message discarded. */
static karafka_verdict_t judge(const karafka_batch_t *batch, const karafka_message_t *message, karafka_context_t *context,
                               const karafka_failure_t *failures, size_t failures_length, void *user_data) {
    struct judged *judged = user_data;
    const karafka_failure_t *last = &failures[failures_length - 1];
    const char *expected = judged->asked == 0 ? "Later" : "Dropped";
    IS(karafka_batch_length(batch), 1);
    IS(message->offset, 0);
    CHECK(!karafka_context_is_revoked(context));
    IS(failures_length, (size_t)judged->asked + 1);
    CHECK(last->error_class_length == strlen(expected) && memcmp(last->error_class, expected, strlen(expected)) == 0);
    TELL(&judged->board, judged->asked++);
    return judged->asked == 1 ? KARAFKA_VERDICT_RETRY : KARAFKA_VERDICT_DISCARD;
}

static void a_strategy_is_asked_where_a_completion_fails(void) {
    const char *topic = "c-judged";
    struct judged judged = {BOARD_INIT, NULL, 0, 0};
    karafka_config_t *config = CONFIG("dead_letter_queue_topic", "c-judged-letters",
                                      "max_messages", "1", "retry_backoff", "5ms");
    karafka_app_t *app = new_app(topic);
    karafka_topic_t *handled;

    create_topic(topic, 1);
    create_topic("c-judged-letters", 1);
    OK(karafka_config_set_bool(config, KARAFKA_STRING("dead_letter_queue_strategy"), true));
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), config, keep_completion, &judged, NULL, &handled));
    OK(karafka_topic_set_strategy(handled, judge, &judged, NULL));
    karafka_config_free(config);
    produce_numbers(topic, 2, 1);
    OK(karafka_app_start(app));
    WAIT(&judged.board, judged.calls == 1);
    OK(karafka_completion_fail(judged.completion, KARAFKA_STRING("Later"), KARAFKA_STRING("not now")));
    IS(judged.asked, 1);
    karafka_completion_free(judged.completion);
    WAIT(&judged.board, judged.calls == 2);
    karafka_completion_free(judged.completion);
    IS(judged.asked, 2);
    /* The message was discarded, and the next one is handled. */
    WAIT(&judged.board, judged.calls == 3);
    OK(karafka_completion_done(judged.completion));
    karafka_completion_free(judged.completion);
    IS(judged.asked, 2);
    stop_and_free(app);
}

int main(void) {
    RUN(jobs_end_later_on_another_thread);
    RUN(jobs_of_asynchronous_topics_end_later);
    RUN(a_completion_is_void_when_the_handler_ended_the_job);
    RUN(a_strategy_is_asked_where_a_completion_fails);
    return 0;
}
