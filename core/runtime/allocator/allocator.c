/* allocator.c: where librdkafka's memory comes from: mimalloc, or libc where its errors are to be seen.
 *
 * Called by librdkafka on any thread, when it was compiled with the flags of .cargo/config.toml. The names are visible inside
 * the library only; nothing of the host process is replaced. Memory that librdkafka hands to its caller goes back through
 * rd_kafka_mem_free and its other functions, never through the caller's free.
 */
#include <stddef.h>

#ifdef KARAFKA_MIMALLOC
#include <mimalloc.h>
#define ALLOCATOR(name) mi_##name
#else
#include <stdlib.h>
#include <string.h>
#define ALLOCATOR(name) name
#endif

void *karafka_malloc(size_t size) { return ALLOCATOR(malloc)(size); }
void *karafka_calloc(size_t count, size_t size) { return ALLOCATOR(calloc)(count, size); }
void *karafka_realloc(void *block, size_t size) { return ALLOCATOR(realloc)(block, size); }
void karafka_free(void *block) { ALLOCATOR(free)(block); }
char *karafka_strdup(const char *text) { return ALLOCATOR(strdup)(text); }
char *karafka_strndup(const char *text, size_t most) { return ALLOCATOR(strndup)(text, most); }
