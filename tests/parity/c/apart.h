/* What an app of the table has beside its handlers: scheduled messages and recurring tasks. */
#ifndef PARITY_APART_H
#define PARITY_APART_H

#include "table.h"
#include "watch.h"

#include <karafka.h>

/* A record of the table for a topic, with room for its headers. */
karafka_record_t record_of(const struct record *record, const char *topic, karafka_header_t *headers);

/* Before the first run: schedules and cancels, and gives commands. */
void apart_prepare(const struct scenario *scenario, const char *name, karafka_embedded_broker_t *broker,
                   karafka_producer_t *producer);

/* Before an app's start: has it send what is scheduled, and run the tasks, which are recorded as calls of hooks. */
void apart_add(const struct scenario *scenario, const char *name, karafka_app_t *app, struct watch *watch);

#endif
