/* What calls outside of any run return, or how they are refused. */
#include "calls.h"
#include "facts.h"

#include <stdlib.h>

static void set(karafka_config_t *config, const struct option *option) {
    const char *name = option->name.bytes, *value = option->value.bytes;
    size_t length = option->name.length;

    if (strcmp(option->kind, "string") == 0) {
        must(karafka_config_set_string(config, name, length, value, option->value.length));
    } else if (strcmp(option->kind, "integer") == 0) {
        must(karafka_config_set_integer(config, name, length, strtoll(value, NULL, 10)));
    } else if (strcmp(option->kind, "float") == 0) {
        must(karafka_config_set_float(config, name, length, strtod(value, NULL)));
    } else {
        must(karafka_config_set_bool(config, name, length, strcmp(value, "true") == 0));
    }
}

karafka_config_t *config_of(const char *scope, const struct options *below, const struct options *above) {
    const struct options *layers[] = {below, above};
    karafka_config_t *config;
    size_t layer, i;

    must(karafka_config_new(&config));
    for (layer = 0; layer < 2; layer++) {
        for (i = 0; layers[layer] != NULL && i < layers[layer]->count; i++) {
            if (strcmp(layers[layer]->list[i].scope, scope) == 0) set(config, &layers[layer]->list[i]);
        }
    }
    if (strcmp(scope, "topic") != 0 && strcmp(scope, "beside") != 0) {
        must(karafka_config_set_string(config, KARAFKA_STRING("bootstrap_servers"), KARAFKA_STRING(BROKER)));
    }
    return config;
}

static karafka_result_t ignore(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    (void)batch, (void)context, (void)user_data;
    return KARAFKA_DONE;
}

static karafka_error_t *reading(karafka_app_t *app, const char *name, size_t length, const karafka_config_t *config) {
    return karafka_app_topic(app, name, length, config, ignore, NULL, NULL, NULL);
}

void step(FILE *stream, const char *name, karafka_app_t *app,
          void (*write)(FILE *stream, karafka_error_t *error, const char *value)) {
    static const char *const phases[] = {"\"initialized\"", "\"running\"",  "\"quieting\"",
                                         "\"quiet\"",       "\"stopping\"", "\"stopped\""};
    karafka_error_t *error = NULL;
    const char *value = "null";

    if (strcmp(name, "phase") == 0) {
        value = phases[karafka_app_phase(app)];
    } else if (strcmp(name, "start") == 0) {
        error = karafka_app_start(app);
    } else if (strcmp(name, "quiet") == 0) {
        error = karafka_app_quiet(app);
    } else if (strcmp(name, "resume") == 0) {
        error = karafka_app_resume(app);
    } else if (strcmp(name, "topic") == 0) {
        error = reading(app, KARAFKA_STRING("another"), NULL);
    } else if (strcmp(name, "stop") == 0) {
        error = karafka_app_stop(app);
    } else if (strcmp(name, "join") == 0) {
        bool stopped = false;
        error = karafka_app_join(app, PATIENCE_MS, &stopped);
        value = stopped ? "true" : "false";
    } else {
        table_wrong(name);
    }
    write(stream, error, value);
}

static karafka_app_t *default_app(void) {
    karafka_app_t *app;
    must(karafka_app_new(NULL, &app));
    return app;
}

/* A name is text and how often it is repeated; "orders" if nothing is said. */
static char *repeated(const struct call *call) {
    const char *text = call->text.bytes != NULL ? call->text.bytes : "orders";
    char *name = calloc(strlen(text) * call->times + 1, 1);
    size_t i;

    for (i = 0; i < call->times; i++) strcat(name, text);
    return name;
}

/* Settings of librdkafka are checked at the start. */
static void app(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("app", &call->options, NULL), *options = config_of("topic", &call->options, NULL);
    karafka_app_t *app = NULL;
    karafka_error_t *error = karafka_app_new(config, &app);

    if (error == NULL) error = reading(app, KARAFKA_STRING("orders"), options);
    if (error == NULL) error = karafka_app_start(app);
    if (error == NULL) must(karafka_app_stop(app));
    if (error == NULL) must(karafka_app_join(app, PATIENCE_MS, NULL));
    facts_result(stream, error, "null");
    karafka_app_free(app);
    karafka_config_free(options);
    karafka_config_free(config);
}

static void topic(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("topic", &call->options, NULL);
    karafka_app_t *app = default_app();
    char *name = repeated(call);

    facts_result(stream, reading(app, name, strlen(name), config), "null");
    free(name);
    karafka_app_free(app);
    karafka_config_free(config);
}

static void produce(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("producer", &call->options, NULL);
    karafka_record_t record = KARAFKA_RECORD_INIT;
    karafka_delivery_report_t report = {0};
    karafka_producer_t *producer = NULL;
    char *name = repeated(call), *payload = malloc(call->payload), value[64];
    karafka_error_t *error = karafka_producer_new(config, &producer);

    memset(payload, 'x', call->payload);
    record.topic = name;
    record.topic_length = strlen(name);
    record.payload = (const uint8_t *)payload;
    record.payload_length = call->payload;
    record.partition = call->partition;
    if (error == NULL && strcmp(call->name, "produce") == 0) {
        error = karafka_producer_produce_sync(producer, &record, &report);
        snprintf(value, sizeof value, "[%d, %lld]", report.partition, (long long)report.offset);
    } else {
        strcpy(value, "null");
    }
    facts_result(stream, error, value);
    karafka_producer_free(producer);
    karafka_config_free(config);
    free(payload);
    free(name);
}

static void testing_producer(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("producer", &call->options, NULL);
    karafka_producer_t *producer = NULL;

    facts_result(stream, karafka_producer_new_with(config, 1, NULL, NULL, NULL, NULL, NULL, NULL, &producer), "null");
    karafka_producer_free(producer);
    karafka_config_free(config);
}

static void transactional_producer(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("producer", &call->options, NULL);
    karafka_transactional_producer_t *producer = NULL;

    facts_result(stream, karafka_transactional_producer_new(config, &producer), "null");
    karafka_transactional_producer_free(producer);
    karafka_config_free(config);
}

static void create_topic(FILE *stream, const struct call *call) {
    karafka_embedded_broker_t *broker;
    char *name = repeated(call);

    must(karafka_embedded_broker_named(KARAFKA_STRING(BROKER), &broker));
    facts_result(stream, karafka_embedded_broker_create_topic(broker, name, strlen(name), call->partitions), "null");
    karafka_embedded_broker_free(broker);
    free(name);
}

/* The name is the request. */
static void admin(FILE *stream, const struct call *call) {
    karafka_config_t *config = config_of("admin", NULL, NULL);
    karafka_answer_t *answer = NULL;
    karafka_admin_t *admin;

    must(karafka_admin_new(config, &admin));
    facts_result(stream, karafka_admin_ask(admin, call->text.bytes, call->text.length, PATIENCE_MS, &answer), "null");
    karafka_answer_free(answer);
    karafka_admin_free(admin);
    karafka_config_free(config);
}

static void unstarted(FILE *stream, const struct call *call) {
    karafka_app_t *app = default_app();
    size_t i;

    must(reading(app, KARAFKA_STRING("orders"), NULL));
    fputs("{\"value\": [", stream);
    for (i = 0; i < call->step_count; i++) {
        if (i > 0) fputs(", ", stream);
        step(stream, call->steps[i], app, facts_short);
    }
    fputs("]}", stream);
    karafka_app_free(app);
}

static void closed_producer(FILE *stream) {
    karafka_config_t *config = config_of("producer", NULL, NULL);
    karafka_record_t record = KARAFKA_RECORD_INIT;
    karafka_producer_t *producer;
    karafka_error_t *error;
    size_t remaining = 99;
    char value[24];

    record.topic = "never";
    record.topic_length = strlen(record.topic);
    must(karafka_producer_new(config, &producer));
    fputs("{\"value\": [", stream);
    facts_short(stream, karafka_producer_close(producer), "null, ");
    facts_short(stream, karafka_producer_close(producer), "null, ");
    facts_short(stream, karafka_producer_produce_sync(producer, &record, NULL), "null");
    error = karafka_producer_flush(producer, PATIENCE_MS, &remaining);
    snprintf(value, sizeof value, "%zu", remaining);
    fputs(", ", stream);
    facts_short(stream, error, value);
    fputs("]}", stream);
    karafka_producer_free(producer);
    karafka_config_free(config);
}

static void start_without_topic(FILE *stream) {
    karafka_app_t *app = default_app();
    facts_result(stream, karafka_app_start(app), "null");
    karafka_app_free(app);
}

static void same_topic_twice(FILE *stream) {
    karafka_app_t *app = default_app();
    must(reading(app, KARAFKA_STRING("orders"), NULL));
    facts_result(stream, reading(app, KARAFKA_STRING("orders"), NULL), "null");
    karafka_app_free(app);
}

/* C has the names as constants: `KARAFKA_ERROR_NOT_OWNED` for "NotOwned". They are sorted as the words are. */
static void error_kinds(FILE *stream) {
#define KIND(name) {KARAFKA_ERROR_##name, #name}
    static const struct { karafka_error_code_t code; const char *name; } kinds[] = {
        KIND(AUTH),      KIND(BROKER),     KIND(CONFIG),  KIND(DESERIALIZE), KIND(FENCED),      KIND(FORKED),
        KIND(HANDLER),   KIND(INTERNAL),   KIND(NOT_OWNED), KIND(QUEUE_FULL), KIND(STOPPED),    KIND(TIMEOUT),
        KIND(TRANSACTION), KIND(UNSUPPORTED),
    };
    size_t i;

    fputs("{\"value\": [", stream);
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *letter;
        bool is_first = true;
        fputs(i == 0 ? "\"" : ", \"", stream);
        for (letter = kinds[i].name; *letter != 0; letter++) {
            if (*letter != '_') putc(is_first ? *letter : *letter + 'a' - 'A', stream);
            is_first = *letter == '_';
        }
        putc('"', stream);
    }
    fputs("]}", stream);
}

void call(FILE *stream, const struct call *call) {
    if (strcmp(call->name, "app") == 0) {
        app(stream, call);
    } else if (strcmp(call->name, "topic") == 0) {
        topic(stream, call);
    } else if (strcmp(call->name, "producer") == 0 || strcmp(call->name, "produce") == 0) {
        produce(stream, call);
    } else if (strcmp(call->name, "testing_producer") == 0) {
        testing_producer(stream, call);
    } else if (strcmp(call->name, "transactional_producer") == 0) {
        transactional_producer(stream, call);
    } else if (strcmp(call->name, "create_topic") == 0) {
        create_topic(stream, call);
    } else if (strcmp(call->name, "admin") == 0) {
        admin(stream, call);
    } else if (strcmp(call->name, "unstarted") == 0) {
        unstarted(stream, call);
    } else if (strcmp(call->name, "closed_producer") == 0) {
        closed_producer(stream);
    } else if (strcmp(call->name, "start_without_topic") == 0) {
        start_without_topic(stream);
    } else if (strcmp(call->name, "same_topic_twice") == 0) {
        same_topic_twice(stream);
    } else if (strcmp(call->name, "error_kinds") == 0) {
        error_kinds(stream);
    } else if (strcmp(call->name, "versions") == 0) {
        fprintf(stream, "{\"value\": [\"%s\", \"%s\"]}", karafka_version(), karafka_librdkafka_version());
    } else {
        table_wrong(call->name);
    }
}
