/* Reads the table, one scenario at a time. Every argument is checked for its place only: judge.py wrote it. */
#include "table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_wrong(const char *what) {
    fprintf(stderr, "the table: %s\n", what);
    exit(2);
}

static char *next(void) {
    char *word = strtok(NULL, " \n");
    if (word == NULL) table_wrong("a line is too short");
    return word;
}

static void word(char *place, size_t size) {
    const char *given = next();
    if (strlen(given) >= size) table_wrong(given);
    strcpy(place, given);
}

static long long number(void) {
    return strtoll(next(), NULL, 10);
}

static struct octets octets(void) {
    const char *digits = next();
    struct octets octets = {NULL, 0};
    size_t i;

    if (digits[0] == '-') return octets;
    octets.length = strlen(digits + 1) / 2;
    octets.bytes = calloc(octets.length + 1, 1);
    for (i = 0; i < octets.length; i++) {
        char byte[3] = {digits[1 + 2 * i], digits[2 + 2 * i], 0};
        octets.bytes[i] = (char)strtoul(byte, NULL, 16);
    }
    return octets;
}

static size_t room(size_t *count, size_t most) {
    if (*count == most) table_wrong("there is more of something than this runner has room for");
    return (*count)++;
}

static void option(struct options *options) {
    struct option *option = &options->list[room(&options->count, MOST_OPTIONS)];

    word(option->scope, sizeof option->scope);
    option->name = octets();
    word(option->kind, sizeof option->kind);
    if (strcmp(option->kind, "string") == 0) {
        option->value = octets();
    } else {
        option->value.bytes = strdup(next());
    }
}

static void record(struct records *records) {
    struct record *record;

    if (records->list == NULL) records->list = calloc(MOST_RECORDS, sizeof *records->list);
    record = &records->list[room(&records->count, MOST_RECORDS)];
    record->key = octets();
    record->payload = octets();
    record->partition = (int)number();
    record->timestamp_ms = number();
}

static void header(struct records *records) {
    struct record *record = &records->list[records->count - 1];
    size_t i = room(&record->headers, MOST_HEADERS);

    record->names[i] = octets();
    record->values[i] = octets();
}

static void goal(struct goal *goal) {
    word(goal->what, sizeof goal->what);
    goal->count = (size_t)number();
}

static void of_run(struct run *run, const char *what) {
    if (strcmp(what, "until") == 0) {
        goal(&run->until);
    } else if (strcmp(what, "joined") == 0) {
        run->is_joined = true;
        goal(&run->joined);
    } else if (strcmp(what, "hold") == 0) {
        run->holds = true;
        run->hold_key = octets();
        goal(&run->hold);
    } else if (strcmp(what, "mark") == 0) {
        size_t i = room(&run->mark_count, MOST_MARKS);
        word(run->marks[i].extent, sizeof run->marks[i].extent);
        run->marks[i].offset = number();
    } else if (strcmp(what, "send") == 0) {
        size_t i = room(&run->send_count, MOST_SENDS);
        run->sends[i].attempt = (unsigned)number();
        word(run->sends[i].topic, sizeof run->sends[i].topic);
    } else if (strcmp(what, "fail") == 0) {
        run->fails = true;
        run->fail_key = octets();
        run->attempts = (unsigned)number();
        run->forgets = strcmp(next(), "forget") == 0;
    } else if (strcmp(what, "after") == 0) {
        word(run->steps[room(&run->step_count, MOST_STEPS)], sizeof run->steps[0]);
    } else {
        table_wrong(what);
    }
}

static void of_call(struct call *call, const char *what) {
    if (strcmp(what, "name") == 0) {
        call->text = octets();
        call->times = (size_t)number();
    } else if (strcmp(what, "payload") == 0) {
        call->payload = (size_t)number();
    } else if (strcmp(what, "partition") == 0) {
        call->partition = (int)number();
    } else if (strcmp(what, "partitions") == 0) {
        call->partitions = (int)number();
    } else if (strcmp(what, "step") == 0) {
        word(call->steps[room(&call->step_count, MOST_STEPS)], sizeof call->steps[0]);
    } else {
        table_wrong(what);
    }
}

/* A line of a scenario: about its last call, else about its last run, else about all of it. */
static void of_scenario(struct scenario *scenario, const char *what) {
    struct call *call = scenario->call_count > 0 ? &scenario->calls[scenario->call_count - 1] : NULL;
    struct run *run = scenario->run_count > 0 ? &scenario->runs[scenario->run_count - 1] : NULL;
    struct records *apart = scenario->has_scheduled ? &scenario->scheduled : scenario->has_beside ? &scenario->beside : NULL;
    struct records *records = run != NULL ? &run->records : apart != NULL ? apart : &scenario->records;

    if (strcmp(what, "run") == 0) {
        room(&scenario->run_count, MOST_RUNS);
    } else if (strcmp(what, "call") == 0) {
        call = &scenario->calls[room(&scenario->call_count, MOST_CALLS)];
        word(call->name, sizeof call->name);
        call->partition = -1;
        call->times = call->payload = 1;
    } else if (strcmp(what, "option") == 0) {
        option(call != NULL ? &call->options : run != NULL ? &run->options : &scenario->options);
    } else if (call != NULL) {
        of_call(call, what);
    } else if (strcmp(what, "record") == 0) {
        record(records);
    } else if (strcmp(what, "header") == 0) {
        header(records);
    } else if (run != NULL) {
        of_run(run, what);
    } else if (strcmp(what, "partitions") == 0) {
        scenario->partitions = (int)number();
    } else if (strcmp(what, "later") == 0) {
        scenario->later = true;
    } else if (strcmp(what, "pattern") == 0) {
        scenario->pattern = true;
    } else if (strcmp(what, "hooks") == 0) {
        scenario->has_hooks = true;
        scenario->hooks_fail = strcmp(next(), "fail") == 0;
    } else if (strcmp(what, "partitioner") == 0) {
        const char *answer = next();
        scenario->prefix = strcmp(answer, "fails") == 0 ? -1 : atoi(answer);
    } else if (strcmp(what, "unique") == 0) {
        scenario->unique = (int)number();
    } else if (strcmp(what, "scheduled") == 0) {
        scenario->has_scheduled = true;
        scenario->scheduled_in = number();
        scenario->cancelled = octets();
    } else if (strcmp(what, "trigger") == 0) {
        word(scenario->triggers[room(&scenario->trigger_count, MOST_TRIGGERS)], sizeof scenario->triggers[0]);
    } else if (strcmp(what, "beside") == 0) {
        scenario->has_beside = true;
    } else if (strcmp(what, "filter") == 0) {
        scenario->skips = octets();
        scenario->fails = octets();
    } else {
        table_wrong(what);
    }
}

void table_each(const char *path, const char *words, void (*play)(struct scenario *)) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    struct scenario *scenario = NULL;

    if (file == NULL) table_wrong(path);
    while (getline(&line, &size, file) != -1) {
        const char *what = strtok(line, " \n");
        if (strcmp(what, "scenario") == 0) {
            /* A scenario's memory is kept: handlers that were left behind may still look at it. */
            scenario = calloc(1, sizeof *scenario);
            scenario->number = (int)number();
            scenario->name = octets();
        } else if (scenario == NULL) {
            table_wrong(what);
        } else if (strcmp(what, "end") == 0) {
            if (strstr(scenario->name.bytes, words) != NULL) play(scenario);
            scenario = NULL;
        } else {
            of_scenario(scenario, what);
        }
    }
    free(line);
    fclose(file);
}
