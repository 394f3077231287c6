/* Facts as JSON, in text that grows. */
#ifndef PARITY_FACTS_H
#define PARITY_FACTS_H

#include <karafka.h>
#include <stdio.h>

/* Text of its own, to be freed by the program. */
struct facts {
    FILE *stream;
    char *text;
    size_t length;
};

void facts_open(struct facts *facts);

/* Ends the writing: `text` can be read. */
void facts_close(struct facts *facts);

/* Text in quotation marks. */
void facts_string(FILE *stream, const char *text);

/* Bytes as hex digits in quotation marks, null for none. */
void facts_octets(FILE *stream, const void *bytes, size_t length);

/* The result of a call: its value as JSON or, with an error, the kind and the message. Frees the error. */
void facts_result(FILE *stream, karafka_error_t *error, const char *value);

/* A call's value as JSON or, with an error, its kind only. Frees the error. */
void facts_short(FILE *stream, karafka_error_t *error, const char *value);

/* Ends the program with an error that no scenario expects. */
void must(karafka_error_t *error);

#endif
