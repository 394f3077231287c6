/* What an app tells of itself: events by name, statistics, signals and the status of a forced end; subscribers that hang. */
#include "support.h"

#include <signal.h>

struct gate {
    struct board board;
    int running, open;
};

#define GATE {BOARD_INIT, 0, 0}

static karafka_result_t wait_for_gate(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    struct gate *gate = user_data;
    (void)batch, (void)context;
    TELL(&gate->board, gate->running++);
    WAIT(&gate->board, gate->open);
    return KARAFKA_DONE;
}

static long number(const karafka_event_t *event, const char *name) {
    const char *text = karafka_event_field(event, name, strlen(name));
    CHECK(text != NULL);
    return strtol(text, NULL, 10);
}

static void events_of_single_calls_come_to_who_names_them(void) {
    const char *topic = "c-calls";
    struct gate gate = {BOARD_INIT, 0, 1};
    karafka_app_t *app = new_app(topic);
    karafka_events_t *calls, *hanging, *none;
    karafka_event_t *event;

    create_topic(topic, 1);
    produce_numbers(topic, 3, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, wait_for_gate, &gate, NULL, NULL));
    FAILS(karafka_app_events_of(app, KARAFKA_STRING("consumer.consumd"), &none), KARAFKA_ERROR_CONFIG);
    OK(karafka_app_events_of(app, KARAFKA_STRING("consumer.consume, consumer.consumed"), &calls));
    /* Nobody ever reads it. */
    OK(karafka_app_events_of(app, KARAFKA_STRING("*"), &hanging));
    OK(karafka_app_start(app));
    OK(karafka_events_next(calls, 30000, &event));
    TEXT_IS(karafka_event_name(event), "consumer.consume");
    TEXT_IS(karafka_event_field(event, KARAFKA_STRING("topic")), topic);
    IS(number(event, "offset"), 0);
    IS(number(event, "attempt"), 1);
    karafka_event_free(event);
    event = event_named(calls, "consumer.consumed");
    TEXT_IS(karafka_event_field(event, KARAFKA_STRING("succeeded")), "true");
    CHECK(number(event, "messages") >= 1);
    CHECK(karafka_event_field(event, KARAFKA_STRING("time_taken_ms")) != NULL);
    karafka_event_free(event);
    stop_and_free(app);
    karafka_events_free(calls);
    karafka_events_free(hanging);
}

static void statistics_go_on_while_a_handler_blocks(void) {
    const char *topic = "c-statistics";
    struct gate gate = GATE;
    karafka_config_t *config;
    karafka_app_t *app;
    karafka_events_t *told;
    karafka_event_t *event = NULL;
    bool lagging = false;

    config = CONFIG("bootstrap_servers", BROKER, "group", topic, "statistics_interval", "100ms");
    OK(karafka_app_new(config, &app));
    karafka_config_free(config);
    create_topic(topic, 1);
    produce_numbers(topic, 10, 1);
    OK(karafka_app_topic(app, KARAFKA_STRING(topic), NULL, wait_for_gate, &gate, NULL, NULL));
    FAILS(karafka_app_statistics(app, 1000, &event), KARAFKA_ERROR_STOPPED);
    OK(karafka_app_events_of(app, KARAFKA_STRING("statistics.emitted"), &told));
    OK(karafka_app_start(app));
    WAIT(&gate.board, gate.running == 1);
    while (!lagging) {
        event = event_named(told, "statistics.emitted");
        lagging = number(event, "workers_busy") == 1 &&
                  strstr(karafka_event_field(event, KARAFKA_STRING("clients")), "\"lag\":10") != NULL;
        karafka_event_free(event);
    }
    OK(karafka_app_statistics(app, 10000, &event));
    TEXT_IS(karafka_event_name(event), "statistics.emitted");
    CHECK(strstr(karafka_event_field(event, KARAFKA_STRING("calls")), "\"topic\":\"c-statistics\"") != NULL);
    karafka_event_free(event);
    TELL(&gate.board, gate.open = 1);
    stop_and_free(app);
    karafka_events_free(told);
}

struct run {
    karafka_app_t *app;
    karafka_error_code_t code;
    int exit_code;
};

static void *run_with_signals(void *argument) {
    struct run *run = argument;
    karafka_error_t *error = karafka_app_run(run->app, KARAFKA_RUN_WITH_SIGNALS);
    run->code = karafka_error_code(error);
    run->exit_code = karafka_error_exit_code(error);
    karafka_error_free(error);
    return NULL;
}

static void signals_have_an_app_quiet_and_the_second_to_stop_forces_it(void) {
    const char *topic = "c-obeys";
    struct gate gate = GATE;
    struct run run = {NULL, KARAFKA_OK, -1};
    karafka_events_t *events;
    pthread_t thread;

    run.app = new_app(topic);
    create_topic(topic, 1);
    OK(karafka_app_topic(run.app, KARAFKA_STRING(topic), NULL, wait_for_gate, &gate, NULL, NULL));
    OK(karafka_app_events(run.app, &events));
    IS(pthread_create(&thread, NULL, run_with_signals, &run), 0);
    karafka_event_free(event_named(events, "rebalance.partitions_assigned"));
    kill(getpid(), SIGTSTP);
    karafka_event_free(event_named(events, "app.quiet"));
    kill(getpid(), SIGCONT);
    karafka_event_free(event_named(events, "app.running"));
    produce_numbers(topic, 1, 1);
    WAIT(&gate.board, gate.running == 1);
    kill(getpid(), SIGTTIN);
    karafka_event_free(event_named(events, "process.notice_signal"));
    kill(getpid(), SIGTERM);
    karafka_event_free(event_named(events, "app.stopping"));
    kill(getpid(), SIGINT);
    pthread_join(thread, NULL);
    IS(run.code, KARAFKA_ERROR_TIMEOUT);
    IS(run.exit_code, 2);
    IS(karafka_error_exit_code(NULL), 0);
    TELL(&gate.board, gate.open = 1);
    karafka_app_free(run.app);
    karafka_events_free(events);
    /* The handler that was left behind is on its way back. */
    while (karafka_handle_count() > 0) usleep(1000);
}

static karafka_answer_t *ask(karafka_admin_t *admin, const char *request) {
    karafka_answer_t *answer;
    OK(karafka_admin_ask(admin, KARAFKA_STRING(request), -1, &answer));
    return answer;
}

static void a_cluster_is_asked_and_answers_by_paths(void) {
    karafka_config_t *config = CONFIG("bootstrap_servers", BROKER);
    karafka_admin_t *admin;
    karafka_answer_t *answer;

    OK(karafka_admin_new(config, &admin));
    karafka_config_free(config);
    answer = ask(admin, "{\"call\": \"create_topics\", \"topics\": [{\"name\": \"c-made\", \"partitions\": 2}]}");
    IS(karafka_answer_count(answer, NULL, 0), 1);
    TEXT_IS(karafka_answer_field(answer, KARAFKA_STRING("/0/item")), "c-made");
    CHECK(karafka_answer_field(answer, KARAFKA_STRING("/0/error")) == NULL);
    karafka_answer_free(answer);

    answer = ask(admin, "{\"call\": \"create_topics\", \"topics\": [{\"name\": \"c-made\"}, {\"name\": \"c-other\"}]}");
    TEXT_IS(karafka_answer_field(answer, KARAFKA_STRING("/0/error/kind")), "Broker");
    TEXT_IS(karafka_answer_field(answer, KARAFKA_STRING("/0/error/code")), "36");
    CHECK(karafka_answer_field(answer, KARAFKA_STRING("/1/error")) == NULL);
    karafka_answer_free(answer);

    answer = ask(admin, "{\"call\": \"topic\", \"name\": \"c-made\"}");
    IS(karafka_answer_count(answer, KARAFKA_STRING("/partitions")), 2);
    TEXT_IS(karafka_answer_field(answer, KARAFKA_STRING("/partitions/1/partition")), "1");
    CHECK(karafka_answer_field(answer, KARAFKA_STRING("/partitions/2")) == NULL);
    CHECK(karafka_answer_field(answer, KARAFKA_STRING("partitions")) == NULL);
    CHECK(strstr(karafka_answer_text(answer), "\"c-made\"") != NULL);
    CHECK(karafka_answer_text(answer) == karafka_answer_text(answer));
    karafka_answer_free(answer);
    CHECK(karafka_answer_text(answer) == NULL);

    FAILS(karafka_admin_ask(admin, KARAFKA_STRING("{\"call\": \"groups\"}"), 5000, &answer), KARAFKA_ERROR_UNSUPPORTED);
    FAILS(karafka_admin_ask(admin, KARAFKA_STRING("{\"call\": \"nonsense\"}"), -1, &answer), KARAFKA_ERROR_CONFIG);
    FAILS(karafka_admin_ask(admin, KARAFKA_STRING("{}"), -2, &answer), KARAFKA_ERROR_ARGUMENT);
    karafka_admin_free(admin);
}

int main(void) {
    RUN(events_of_single_calls_come_to_who_names_them);
    RUN(statistics_go_on_while_a_handler_blocks);
    RUN(signals_have_an_app_quiet_and_the_second_to_stop_forces_it);
    RUN(a_cluster_is_asked_and_answers_by_paths);
    return 0;
}
