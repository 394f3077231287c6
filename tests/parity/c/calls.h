/* Calls outside of any run, and what runs share with them. */
#ifndef PARITY_CALLS_H
#define PARITY_CALLS_H

#include "table.h"

#include <karafka.h>
#include <stdio.h>

#define BROKER "embedded://parity-c"
#define PATIENCE_MS 30000

/* Options of one scope, later layers on top; to be freed by `karafka_config_free`. Layers may be NULL. */
karafka_config_t *config_of(const char *scope, const struct options *below, const struct options *above);

/* One call on an app that is not running: writes its result whole, or only its value or kind of error. */
void step(FILE *stream, const char *name, karafka_app_t *app,
          void (*write)(FILE *stream, karafka_error_t *error, const char *value));

/* Does one call of the table and writes its result. */
void call(FILE *stream, const struct call *call);

#endif
