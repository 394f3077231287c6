#include "apart.h"
#include "calls.h"
#include "facts.h"

#include <time.h>

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void apart_prepare(const struct scenario *scenario, const char *name, karafka_embedded_broker_t *broker,
                   karafka_producer_t *producer) {
    int64_t at = now_ms() + scenario->scheduled_in;
    char topic[48];
    size_t i;

    if (scenario->has_scheduled) {
        snprintf(topic, sizeof topic, "%s-later", name);
        must(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING(topic), 1));
        for (i = 0; i < scenario->scheduled.count; i++) {
            const struct octets *payload = &scenario->scheduled.list[i].payload, *cancelled = &scenario->cancelled;
            karafka_header_t headers[MOST_HEADERS];
            karafka_record_t record = record_of(&scenario->scheduled.list[i], name, headers);
            karafka_schedule_id_t id;
            must(karafka_producer_schedule(producer, KARAFKA_STRING(topic), &record, at, &id));
            if (payload->bytes != NULL && strcmp(payload->bytes, cancelled->bytes) == 0) {
                must(karafka_producer_cancel(producer, KARAFKA_STRING(topic), id.text, strlen(id.text)));
            }
        }
    }
    if (scenario->trigger_count > 0) {
        snprintf(topic, sizeof topic, "%s-tasks", name);
        must(karafka_embedded_broker_create_topic(broker, KARAFKA_STRING(topic), 1));
        for (i = 0; i < scenario->trigger_count; i++) {
            must(karafka_producer_trigger_task(producer, KARAFKA_STRING(topic), KARAFKA_STRING(scenario->triggers[i])));
        }
    }
}

static karafka_result_t report(const karafka_task_run_t *run, void *watch) {
    watch_task(watch, "report", run->scheduled_ms == -1);
    return KARAFKA_DONE;
}

static karafka_result_t broken(const karafka_task_run_t *run, void *watch) {
    watch_task(watch, "broken", run->scheduled_ms == -1);
    return KARAFKA_FAILED;
}

void apart_add(const struct scenario *scenario, const char *name, karafka_app_t *app, struct watch *watch) {
    karafka_recurring_tasks_t *tasks;
    karafka_config_t *config;
    char topic[48];

    must(karafka_config_new(&config));
    must(karafka_config_set_integer(config, KARAFKA_STRING("interval"), 100));
    if (scenario->has_scheduled) {
        snprintf(topic, sizeof topic, "%s-later", name);
        must(karafka_app_scheduled_messages(app, KARAFKA_STRING(topic), config));
    }
    if (scenario->trigger_count > 0) {
        snprintf(topic, sizeof topic, "%s-tasks", name);
        must(karafka_app_recurring_tasks(app, KARAFKA_STRING(topic), config, &tasks));
        must(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("broken"), KARAFKA_STRING("@yearly"), broken, watch, NULL));
        must(karafka_recurring_tasks_add(tasks, KARAFKA_STRING("report"), KARAFKA_STRING("@yearly"), report, watch, NULL));
        karafka_recurring_tasks_free(tasks);
    }
    karafka_config_free(config);
}
