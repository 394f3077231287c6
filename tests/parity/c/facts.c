/* Writes JSON. */
#include "facts.h"

#include <stdlib.h>

void facts_open(struct facts *facts) {
    facts->text = NULL;
    facts->length = 0;
    facts->stream = open_memstream(&facts->text, &facts->length);
}

void facts_close(struct facts *facts) {
    fclose(facts->stream);
}

void facts_string(FILE *stream, const char *text) {
    putc('"', stream);
    for (; *text != 0; text++) {
        if (*text == '"' || *text == '\\') {
            fprintf(stream, "\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            fprintf(stream, "\\u%04x", (unsigned char)*text);
        } else {
            putc(*text, stream);
        }
    }
    putc('"', stream);
}

void facts_octets(FILE *stream, const void *bytes, size_t length) {
    const unsigned char *byte = bytes;

    if (bytes == NULL) {
        fputs("null", stream);
        return;
    }
    putc('"', stream);
    while (length-- > 0) fprintf(stream, "%02x", *byte++);
    putc('"', stream);
}

void facts_result(FILE *stream, karafka_error_t *error, const char *value) {
    if (error == NULL) {
        fprintf(stream, "{\"value\": %s}", value);
        return;
    }
    fputs("{\"error\": ", stream);
    facts_string(stream, karafka_error_name(error));
    fputs(", \"message\": ", stream);
    facts_string(stream, karafka_error_message(error));
    putc('}', stream);
    karafka_error_free(error);
}

void facts_short(FILE *stream, karafka_error_t *error, const char *value) {
    if (error == NULL) {
        fputs(value, stream);
        return;
    }
    facts_string(stream, karafka_error_name(error));
    karafka_error_free(error);
}

void must(karafka_error_t *error) {
    if (error == NULL) return;
    fprintf(stderr, "%s: %s\n", karafka_error_name(error), karafka_error_message(error));
    exit(1);
}
