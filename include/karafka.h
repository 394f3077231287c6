/*
 * libkarafka 0.1.0: process Apache Kafka topics in parallel, in order per key, losing nothing.
 *
 * This file is generated from ffi/src; change it there.
 *
 *
 * The life of a program
 * ---------------------
 * 1. `karafka_config_new` and `karafka_config_set_...` gather options, by the names of docs/configuration.md.
 * 2. `karafka_app_new` checks them, all at once, and makes an app. Nothing is started yet.
 * 3. `karafka_app_topic` registers a topic, its options and the handler of its messages; once for each topic.
 * 4. `karafka_app_run` starts the threads and waits until the app has stopped; or `karafka_app_start`, and later
 *    `karafka_app_join`.
 * 5. Handlers get batches of messages and return `KARAFKA_DONE`, `KARAFKA_FAILED` or, with a completion, `KARAFKA_LATER`.
 * 6. `karafka_app_stop`, from anywhere, lets running handlers finish, commits what is done and leaves the groups.
 * 7. `karafka_app_free` frees the app; `karafka_config_free` the options, at any time after step 3.
 *
 * At least once: a message is committed only after its handler succeeded or marked it. In order: messages of one virtual
 * partition are handled one after another. Owned: nothing is marked or committed for a partition that went elsewhere.
 *
 *
 * Strings
 * -------
 * Strings that go in are a pointer and a length in bytes, UTF-8, without NUL at their end; NULL is a string of length 0.
 * `KARAFKA_STRING(text)` makes both arguments of a C string. They are copied before the call returns. Strings that come out as
 * `const char *` end with NUL. Payloads, keys and headers are bytes with lengths; NULL there means that there is none, which is
 * not the same as an empty one.
 *
 *
 * Ownership
 * ---------
 * A `_new` or another function that says so gives a handle to be freed by the `_free` of its type, once; every `_free` takes
 * NULL. Handles look like pointers and are numbers: never follow one. A handle that is NULL, was freed, is of another type or
 * was never a handle is found out, and the call fails with `KARAFKA_ERROR_ARGUMENT`; so is a handle freed twice. Leak checkers
 * therefore do not see handles that were not freed: `karafka_handle_count` does.
 *
 * `const karafka_message_t *` and the other structs and texts are views: real pointers into memory that belongs to the handle
 * that gave them, gone when that is gone. Views of a batch live as long as the job, longer with `karafka_batch_ref`. A view that
 * outlived its batch cannot be found out.
 *
 * `user_data` belongs to the library from the call that takes it on, also if that call fails. Its destructor runs exactly once.
 *
 *
 * Threads
 * -------
 * Every function may be called on any thread, on the same handle by several at once. A handle that is freed while another
 * thread uses it lives until that call returns.
 *
 *   thread             | how many                       | calls the program
 *   -------------------|--------------------------------|------------------------------------
 *   karafka-poll       | one an app                     | never
 *   karafka-work-n     | the option `concurrency`       | handlers and partitioners
 *   karafka-slots      | one, for asynchronous topics   | their handlers and partitioners
 *   karafka-produce    | one, while there are producers | never
 *   karafka-deliver    | one a producer with callbacks  | delivery callbacks
 *   karafka-signals    | one, in `karafka_app_run`      | never
 *   librdkafka's own   | several a client               | never
 *
 * Functions that block say so. What may be called inside a callback is said where its type is declared; what would wait there
 * for its own thread is refused with `KARAFKA_ERROR_STOPPED`. Polling never depends on handlers: one may run for an hour.
 *
 *
 * Errors
 * ------
 * Calls that can fail return `karafka_error_t *`: NULL is success, anything else is to be freed by `karafka_error_free`. It has a
 * code for programs, a message for people, and says whether to try again. Results go where the last parameters say, and are
 * written only on success. A place for a result must be a valid address or, where the function says so, NULL.
 *
 * Functions that return something else fail only when they are misused: they return what their comment says, and a line on the
 * standard error stream tells what was wrong.
 *
 * No panic of the library leaves it; nothing of the program may unwind into it: no C++ exception and no longjmp may leave a
 * callback.
 *
 *
 * Fork
 * ----
 * An app does nothing before its start, producers and embedded brokers from the beginning on: fork before. Handles of the parent
 * are refused in the child with `KARAFKA_ERROR_FORKED`; their `_free` does nothing there; their destructors do not run there.
 * New handles work in the child, also beside inherited ones.
 *
 *
 * Versioning
 * ----------
 * The library's file name carries the number of the ABI, `libkarafka.so.0`. While it is the same, functions, numbers and the
 * layout of structs stay as they are; new functions may come. New fields of `karafka_record_t` come at its end, which
 * `struct_size` tells apart. Numbers of enums are never used again for something else, and new ones may come: expect unknown
 * ones. Before version 1.0 the number may change with each minor version.
 */


#ifndef KARAFKA_H
#define KARAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header. */
#define KARAFKA_VERSION "0.1.0"
#define KARAFKA_VERSION_MAJOR 0
#define KARAFKA_VERSION_MINOR 1
#define KARAFKA_VERSION_PATCH 0

/** The two arguments, pointer and length, of a string that ends with NUL. Looks at `text` twice. */
#define KARAFKA_STRING(text) (text), strlen(text)

/** A record for nowhere, to begin with: `karafka_record_t record = KARAFKA_RECORD_INIT;` */
#define KARAFKA_RECORD_INIT {sizeof(karafka_record_t), NULL, 0, NULL, 0, NULL, 0, NULL, 0, -1, -1, 0, NULL, 0, NULL, 0}

/**
 * The number of the ABI, as in the file name libkarafka.so.0. Programs work with every library of the same number that is
 * not older than the header they were compiled with.
 */
#define KARAFKA_ABI_VERSION 0

/**
 * `offset` of `karafka_context_seek`: the oldest message that is still there.
 */
#define KARAFKA_OFFSET_EARLIEST -2

/**
 * `offset` of `karafka_context_seek`: the end, only what arrives from now on.
 */
#define KARAFKA_OFFSET_LATEST -1

/**
 * For `karafka_app_run`: SIGTERM, SIGINT and SIGQUIT stop the app, a second one ends the wait for running handlers; SIGTSTP has
 * it quiet, SIGCONT goes on; SIGTTIN writes what every worker does to the standard error stream.
 */
#define KARAFKA_RUN_WITH_SIGNALS 1

/**
 * Begins with the oldest record that is there. For `karafka_selection_t`.
 */
#define KARAFKA_READ_EARLIEST 0

/**
 * Begins at the end: only what comes from now on. For `karafka_selection_t`.
 */
#define KARAFKA_READ_LATEST 1

/**
 * Begins with the record of an offset, or the first after it; a negative one counts from the end. For `karafka_selection_t`.
 */
#define KARAFKA_READ_OFFSET 2

/**
 * Begins with the first record that is not older than a time, in milliseconds since 1970-01-01 UTC; at the end where there is
 * none. For `karafka_selection_t`.
 */
#define KARAFKA_READ_TIME 3

/**
 * Begins so many offsets before the end of each partition. For `karafka_selection_t`.
 */
#define KARAFKA_READ_LAST 4

/**
 * What went wrong. The numbers never change and are never used again. The same words name Ruby's and Python's errors.
 */
enum karafka_error_code_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nothing: the code of NULL.
     */
    KARAFKA_OK = 0,
    /**
     * A setting is unknown, out of range or contradicts another; the message lists every problem. Nothing was started.
     */
    KARAFKA_ERROR_CONFIG = 1,
    /**
     * A broker answered with an error, or none could be reached.
     */
    KARAFKA_ERROR_BROKER = 2,
    /**
     * Authentication or authorisation failed.
     */
    KARAFKA_ERROR_AUTH = 3,
    /**
     * Something did not happen within its time.
     */
    KARAFKA_ERROR_TIMEOUT = 4,
    /**
     * Another member or producer has taken this one's place.
     */
    KARAFKA_ERROR_FENCED = 5,
    /**
     * The partition is no longer assigned to this process.
     */
    KARAFKA_ERROR_NOT_OWNED = 6,
    /**
     * User code failed.
     */
    KARAFKA_ERROR_HANDLER = 7,
    /**
     * Bytes could not be turned into a value.
     */
    KARAFKA_ERROR_DESERIALIZE = 8,
    /**
     * A transaction could not be begun, committed or aborted.
     */
    KARAFKA_ERROR_TRANSACTION = 9,
    /**
     * A local queue is full.
     */
    KARAFKA_ERROR_QUEUE_FULL = 10,
    /**
     * The app or producer is stopped, or is not in a state that allows the call.
     */
    KARAFKA_ERROR_STOPPED = 11,
    /**
     * The handle belongs to the parent of this forked process.
     */
    KARAFKA_ERROR_FORKED = 12,
    /**
     * The broker or the build cannot do this.
     */
    KARAFKA_ERROR_UNSUPPORTED = 13,
    /**
     * A defect of libkarafka. Please report it.
     */
    KARAFKA_ERROR_INTERNAL = 14,
    /**
     * Only in C: an argument is NULL, a freed or foreign handle, not UTF-8, or out of range. A defect of the calling
     * program; the call did nothing.
     */
    KARAFKA_ERROR_ARGUMENT = 100,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum karafka_error_code_t karafka_error_code_t;
#else
typedef uint32_t karafka_error_code_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Who set a message's timestamp.
 */
enum karafka_timestamp_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Nobody: the topic is of a very old broker.
     */
    KARAFKA_TIMESTAMP_NONE = 0,
    /**
     * The producer.
     */
    KARAFKA_TIMESTAMP_CREATE_TIME = 1,
    /**
     * The broker, when it appended the message.
     */
    KARAFKA_TIMESTAMP_LOG_APPEND_TIME = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum karafka_timestamp_kind_t karafka_timestamp_kind_t;
#else
typedef uint32_t karafka_timestamp_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What a handler returns.
 */
enum karafka_result_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The messages are handled: they are marked as consumed, unless the topic's offsets are managed by hand.
     */
    KARAFKA_DONE = 0,
    /**
     * The handler failed: what it did not mark is tried again after the back-off. So does any value not listed here.
     */
    KARAFKA_FAILED = 1,
    /**
     * The completion that the handler took ends the job. Without one, the job has failed.
     */
    KARAFKA_LATER = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum karafka_result_t karafka_result_t;
#else
typedef uint32_t karafka_result_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where an app is in its life.
 */
enum karafka_phase_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Configured, nothing started.
     */
    KARAFKA_PHASE_INITIALIZED = 0,
    /**
     * Polling and handling.
     */
    KARAFKA_PHASE_RUNNING = 1,
    /**
     * No new calls of handlers; some still run.
     */
    KARAFKA_PHASE_QUIETING = 2,
    /**
     * No handler runs; partitions are kept; `karafka_app_resume` goes on.
     */
    KARAFKA_PHASE_QUIET = 3,
    /**
     * Ending: handlers finish, offsets are committed, the groups are left.
     */
    KARAFKA_PHASE_STOPPING = 4,
    /**
     * Ended. An app does not start again.
     */
    KARAFKA_PHASE_STOPPED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum karafka_phase_t karafka_phase_t;
#else
typedef uint32_t karafka_phase_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What is to happen with a message that failed.
 */
enum karafka_verdict_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The topic's options decide.
     */
    KARAFKA_VERDICT_OPTIONS = 0,
    /**
     * Try again, however often it failed.
     */
    KARAFKA_VERDICT_RETRY = 1,
    /**
     * Give it up now: it goes to the dead letter queue, or is discarded where the topic skips it.
     */
    KARAFKA_VERDICT_DEAD_LETTER = 2,
    /**
     * It counts as done; an event says so.
     */
    KARAFKA_VERDICT_DISCARD = 3,
    /**
     * The program is at its end: nothing is marked or counted, and the app stops gracefully.
     */
    KARAFKA_VERDICT_CRITICAL = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum karafka_verdict_t karafka_verdict_t;
#else
typedef uint32_t karafka_verdict_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Asks a cluster about itself, and changes what it keeps.
 *
 * Owned by whoever made it, freed by `karafka_admin_free`. May be used on any thread, by several at once.
 */
typedef struct karafka_admin_t karafka_admin_t;

/**
 * What an admin answered: lists, maps and values, read by paths.
 *
 * Owned by whoever got it, freed by `karafka_answer_free`. May be read on any thread.
 */
typedef struct karafka_answer_t karafka_answer_t;

/**
 * An app: topics with handlers, and the threads that serve them.
 *
 * Owned by whoever made it, freed by `karafka_app_free`. May be used on any thread.
 */
typedef struct karafka_app_t karafka_app_t;

/**
 * The messages of one call of a handler, or of one read: of one partition, each virtual partition's in order.
 *
 * What a reader gave belongs to whoever got it, and is given back by `karafka_batch_unref`. Else it belongs to the job: with the
 * job's end it is gone, and with it everything that was read from it, unless `karafka_batch_ref` kept it. May be read on any thread.
 */
typedef struct karafka_batch_t karafka_batch_t;

/**
 * The duty to end a job, taken by `karafka_context_defer`.
 *
 * Owned by whoever took it; used once by `karafka_completion_done` or `karafka_completion_fail`, freed by
 * `karafka_completion_free`. May be used on any thread.
 */
typedef struct karafka_completion_t karafka_completion_t;

/**
 * Options for an app, a topic or a producer, by the names of docs/configuration.md.
 *
 * Owned by whoever made it, freed by `karafka_config_free`. It is read, not kept, by the functions that take it: one may
 * serve several times. May be used on any thread.
 */
typedef struct karafka_config_t karafka_config_t;

/**
 * What a handler may know and do beside its messages.
 *
 * Belongs to the job and is gone with its end: when the handler has returned or, if it took a completion, when that was
 * used. May be used on any thread until then.
 */
typedef struct karafka_context_t karafka_context_t;

/**
 * A record on its way.
 *
 * Owned by whoever got it, freed by `karafka_delivery_free`, which neither waits nor takes the record back. May be used on
 * any thread.
 */
typedef struct karafka_delivery_t karafka_delivery_t;

/**
 * A record that middleware may replace, by `karafka_draft_set`.
 *
 * Belongs to the library, and is gone when the middleware returns.
 */
typedef struct karafka_draft_t karafka_draft_t;

/**
 * A broker inside the process: in memory, for trying things out and for tests. It knows no transactions, no access control,
 * no administration and no offsets by time, and keeps at most 5 MiB of each partition.
 *
 * Owned by whoever made it, freed by `karafka_embedded_broker_free`. May be used on any thread.
 */
typedef struct karafka_embedded_broker_t karafka_embedded_broker_t;

/**
 * Why a call failed.
 *
 * Owned by whoever got it, unless a function says otherwise; freed by `karafka_error_free`. May be read on any thread.
 */
typedef struct karafka_error_t karafka_error_t;

/**
 * One event: a dotted name, and fields of text.
 *
 * Owned by whoever got it, freed by `karafka_event_free`. May be read on any thread.
 */
typedef struct karafka_event_t karafka_event_t;

/**
 * A subscription to what happens in an app.
 *
 * Owned by whoever made it, freed by `karafka_events_free`, before or after the app. May be read on any thread.
 */
typedef struct karafka_events_t karafka_events_t;

/**
 * Sends records to topics.
 *
 * Owned by whoever made it, freed by `karafka_producer_free`. May be used on any thread, by several at once.
 */
typedef struct karafka_producer_t karafka_producer_t;

/**
 * Reads topics without a group.
 *
 * Owned by whoever made it, freed by `karafka_reader_free`. Read by one thread at a time.
 */
typedef struct karafka_reader_t karafka_reader_t;

/**
 * The recurring tasks of a topic.
 *
 * Owned by whoever got it, freed by `karafka_recurring_tasks_free`, also while the app runs.
 */
typedef struct karafka_recurring_tasks_t karafka_recurring_tasks_t;

/**
 * A topic of an app. Belongs to the app and is freed with it.
 */
typedef struct karafka_topic_t karafka_topic_t;

/**
 * An open transaction.
 *
 * Owned by whoever began it, freed by `karafka_transaction_free`, which aborts what was not committed. May be used on any
 * thread, by several at once.
 */
typedef struct karafka_transaction_t karafka_transaction_t;

/**
 * Produces in transactions: their records become visible together, or not at all.
 *
 * Owned by whoever made it, freed by `karafka_transactional_producer_free`. May be used on any thread, by several at once; one
 * transaction is open at a time.
 */
typedef struct karafka_transactional_producer_t karafka_transactional_producer_t;

/**
 * One message: a view that lives as long as its batch. The struct's layout never changes.
 */
typedef struct karafka_message_t {
    /**
     * The payload; NULL for a tombstone, which is not the same as an empty payload.
     */
    const uint8_t *payload;
    /**
     * The payload's length in bytes.
     */
    size_t payload_length;
    /**
     * The key; NULL for no key, which is not the same as an empty one.
     */
    const uint8_t *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
    /**
     * The message's offset in its partition.
     */
    int64_t offset;
    /**
     * Milliseconds since 1970-01-01 UTC; -1 without a timestamp.
     */
    int64_t timestamp_ms;
    /**
     * The virtual partition: its number in fixed mode, the key's hash by key, 0 when off.
     */
    uint64_t virtual_partition;
    /**
     * The message's index in its batch, from 0.
     */
    uint32_t index;
    /**
     * Who set the timestamp.
     */
    karafka_timestamp_kind_t timestamp_kind;
} karafka_message_t;

/**
 * A header of a message, read or to be produced. The struct's layout never changes.
 */
typedef struct karafka_header_t {
    /**
     * The name, without NUL at its end; any bytes but NUL.
     */
    const char *name;
    /**
     * The name's length in bytes.
     */
    size_t name_length;
    /**
     * The value; NULL for none, which is not the same as an empty one.
     */
    const uint8_t *value;
    /**
     * The value's length in bytes.
     */
    size_t value_length;
} karafka_header_t;

/**
 * Handles one message of a batch, for `karafka_context_each`.
 *
 * Thread, and what may be called inside: as in the handler that called it.
 *
 * @param message The message.
 * @param context The handler's.
 * @param user_data As given to `karafka_context_each`.
 * Returns: `KARAFKA_DONE`; everything else is a failure.
 */
typedef karafka_result_t (*karafka_each_t)(const struct karafka_message_t *message,
                                           struct karafka_context_t *context,
                                           void *user_data);

/**
 * What is known of a batch beside its messages, at the moment of asking. The struct's layout never changes.
 */
typedef struct karafka_batch_metadata_t {
    /**
     * The first message's offset.
     */
    int64_t first_offset;
    /**
     * The last message's offset.
     */
    int64_t last_offset;
    /**
     * How many messages there are.
     */
    uint64_t messages;
    /**
     * Bytes of their keys and payloads.
     */
    uint64_t bytes;
    /**
     * When the last message was made or appended: milliseconds since 1970-01-01 UTC; -1 without a timestamp.
     */
    int64_t created_ms;
    /**
     * When the batch was put together, in the same unit.
     */
    int64_t scheduled_ms;
    /**
     * How old the last message is, in milliseconds; -1 without a timestamp.
     */
    int64_t consumption_lag_ms;
    /**
     * How long ago the batch was put together, in milliseconds.
     */
    int64_t processing_lag_ms;
    /**
     * How many offsets lie behind the last message, as far as the last fetch told; -1 when none told it yet.
     */
    int64_t offset_lag;
} karafka_batch_metadata_t;

/**
 * Handles the messages of one job.
 *
 * Thread: one of the app's worker threads, several at once; never two at once for the same virtual partition. Handlers of an
 * asynchronous topic run one after another on one thread, and must not block.
 *
 * Inside: everything of batch, context, producers and other handles may be called; of the app `karafka_app_stop`, `_quiet`,
 * `_resume`, `_resize` and `_phase`. `karafka_app_run` and `karafka_app_join` are refused there; `karafka_app_free` works,
 * but does not wait. It must not unwind (no C++ exception, no longjmp) and must not end its thread.
 *
 * @param batch The messages; gone when the job ends, unless kept by `karafka_batch_ref`.
 * @param context What else there is to know and to do; gone when the job ends.
 * @param user_data As given with the handler.
 */
typedef karafka_result_t (*karafka_handler_t)(const struct karafka_batch_t *batch,
                                              struct karafka_context_t *context,
                                              void *user_data);

/**
 * Frees `user_data`. Runs exactly once, on any thread, after the last call of the function that the data was given for; also
 * when the call that took it failed. It may call what a handler may call, and must not unwind. May be NULL.
 */
typedef void (*karafka_destructor_t)(void *user_data);

/**
 * Names the virtual partition of a message, for topics with `virtual_partitions` set to "callback": messages of one topic
 * partition with equal keys are handled in order.
 *
 * Thread, and what may be called inside: as in handlers. A partitioner that fails sends the fetched messages to one virtual
 * partition and is reported in an event.
 *
 * @param batch The batch of the message, for reading its headers.
 * @param message The message.
 * @param key Where to write the key's start: in the message, or in memory that stays as it is until the next call on the
 *   same thread, or of static life. Without it the key is empty.
 * @param key_length Where to write the key's length in bytes.
 * @param user_data As given with the partitioner.
 * Returns: `KARAFKA_DONE`; everything else is a failure.
 */
typedef karafka_result_t (*karafka_partitioner_t)(const struct karafka_batch_t *batch,
                                                  const struct karafka_message_t *message,
                                                  const uint8_t **key,
                                                  size_t *key_length,
                                                  void *user_data);

/**
 * A failure of a message, as a strategy sees it. The struct's layout never changes.
 */
typedef struct karafka_failure_t {
    /**
     * The kind of error. UTF-8, without NUL at its end.
     */
    const char *error_class;
    /**
     * Its length in bytes.
     */
    size_t error_class_length;
    /**
     * What happened. UTF-8, without NUL at its end.
     */
    const char *message;
    /**
     * Its length in bytes.
     */
    size_t message_length;
} karafka_failure_t;

/**
 * Decides about a message that failed, for topics with `dead_letter_queue_strategy`. Returns what is to happen; any other
 * number has the message tried again. For another topic than `dead_letter_queue_topic` it calls `karafka_context_verdict` and
 * returns `KARAFKA_VERDICT_OPTIONS`.
 *
 * Thread, and what may be called inside: as in handlers. Where a completion fails the job, on the thread that does.
 *
 * @param batch The batch, which holds this message only.
 * @param message The message.
 * @param context The context of the call that failed.
 * @param failures Its failures since this process has the partition, the latest last; at most 101.
 * @param failures_length How many there are; at least 1.
 * @param user_data As given with the strategy.
 */
typedef karafka_verdict_t (*karafka_strategy_t)(const struct karafka_batch_t *batch,
                                                const struct karafka_message_t *message,
                                                struct karafka_context_t *context,
                                                const struct karafka_failure_t *failures,
                                                size_t failures_length,
                                                void *user_data);

/**
 * Says whether a message is handled, for topics with `filter` set to "true". What it skips counts as finished. Asked before
 * partitioner and handler, once for each message in an ownership of its partition.
 *
 * Thread, and what may be called inside: as in handlers. A message at which a filter fails is handled, and an event tells of
 * it.
 *
 * @param batch The batch of the message, for reading its headers.
 * @param message The message.
 * @param keep Where to write whether the message is handled; true unless written.
 * @param user_data As given with the filter.
 * Returns: `KARAFKA_DONE`; everything else is a failure.
 */
typedef karafka_result_t (*karafka_filter_t)(const struct karafka_batch_t *batch,
                                             const struct karafka_message_t *message,
                                             bool *keep,
                                             void *user_data);

/**
 * A hook: a call beside the messages. See `karafka_topic_set_tick`, `_set_eofed`, `_set_revoked` and `_set_shutdown`.
 *
 * Thread, and what may be called inside: as in handlers. With virtual partitions off or fixed, hooks never overlap a call of
 * the same virtual partition; in all other modes, never one of the partition. Of an asynchronous topic, it may take a
 * completion.
 *
 * @param context The partition, without messages; gone when the call ends.
 * @param user_data As given with the hook.
 * Returns: `KARAFKA_DONE`; everything else is a failure, which is told in an event and not retried.
 */
typedef karafka_result_t (*karafka_hook_t)(struct karafka_context_t *context, void *user_data);

/**
 * A virtual partition that waits for its turn. Gone when the call ends.
 */
typedef struct karafka_candidate_t {
    /**
     * The topic's name, not ended by a zero.
     */
    const char *topic;
    /**
     * Its length in bytes.
     */
    size_t topic_length;
    /**
     * Its name inside the partition.
     */
    uint64_t virtual_partition;
    /**
     * How long its partition has waited for its turn, in nanoseconds.
     */
    uint64_t waited_ns;
    /**
     * What a message of the topic takes, in nanoseconds; 0 while nothing was measured.
     */
    uint64_t cost_ns;
    /**
     * The partition's number.
     */
    int32_t partition;
    /**
     * The topic's `priority`.
     */
    int32_t priority;
    /**
     * How many of its messages wait.
     */
    uint32_t messages;
} karafka_candidate_t;

/**
 * Decides whose turn it is when more work waits than may run at once.
 *
 * Thread: one of the library's for this alone, one call at a time. Nobody waits for it but for a few milliseconds. Inside, what
 * may be called in handlers may be.
 *
 * @param candidates Who waits, in no order.
 * @param count How many.
 * @param order Where to write places in `candidates`, the best one first; room for `count` of them. Candidates that are not
 *   named come later.
 * @param chosen Where to write how many were named; 0 before.
 * @param user_data As given with the function.
 * Returns: `KARAFKA_DONE`; everything else is a failure, which an event reports.
 */
typedef karafka_result_t (*karafka_scheduler_t)(const struct karafka_candidate_t *candidates,
                                                size_t count,
                                                uint32_t *order,
                                                size_t *chosen,
                                                void *user_data);

/**
 * A record to produce; begin with `KARAFKA_RECORD_INIT` and set what is wanted. Everything it points to is copied by the call.
 */
typedef struct karafka_record_t {
    /**
     * The struct's size, by which the library knows the header that the program was compiled with.
     */
    size_t struct_size;
    /**
     * The topic's name. UTF-8.
     */
    const char *topic;
    /**
     * The name's length in bytes.
     */
    size_t topic_length;
    /**
     * The key; NULL for no key, which is not the same as an empty one.
     */
    const uint8_t *key;
    /**
     * The key's length in bytes.
     */
    size_t key_length;
    /**
     * The payload; NULL for a tombstone, which is not the same as an empty payload.
     */
    const uint8_t *payload;
    /**
     * The payload's length in bytes.
     */
    size_t payload_length;
    /**
     * The headers, in their order; names may repeat. NULL for none.
     */
    const struct karafka_header_t *headers;
    /**
     * How many headers there are.
     */
    size_t header_count;
    /**
     * Milliseconds since 1970-01-01 UTC, from 1; -1 for now.
     */
    int64_t timestamp_ms;
    /**
     * The partition; -1 lets the producer's partitioner choose, else `partition_key`, else the key (murmur2, as Java's producer
     * does).
     */
    int32_t partition;
    /**
     * Always 0.
     */
    uint32_t reserved;
    /**
     * What chooses the partition in place of the key; NULL for nothing. Not sent.
     */
    const uint8_t *partition_key;
    /**
     * The partition key's length in bytes.
     */
    size_t partition_key_length;
    /**
     * Kept with the delivery, and named in its errors and events; NULL for none. UTF-8. Not sent.
     */
    const char *label;
    /**
     * The label's length in bytes.
     */
    size_t label_length;
} karafka_record_t;

/**
 * Where a record was appended. The struct's layout never changes.
 */
typedef struct karafka_delivery_report_t {
    /**
     * The record's offset; -1 when the broker did not tell.
     */
    int64_t offset;
    /**
     * The record's timestamp in milliseconds since 1970-01-01 UTC; -1 when unknown.
     */
    int64_t timestamp_ms;
    /**
     * The partition's number.
     */
    int32_t partition;
    /**
     * Always 0.
     */
    uint32_t reserved;
} karafka_delivery_report_t;

/**
 * Told once what became of a record.
 *
 * Thread: one of the producer's own, one call after another, so that a slow one delays the others of its producer. Inside: everything but what waits
 * (`karafka_producer_flush`, `_close`, `_produce_sync`, `_produce_many_sync`, `karafka_delivery_wait`, `karafka_app_run`,
 * `karafka_app_join`), which is refused. It must not unwind and must not end its thread.
 *
 * @param error NULL when the record was acknowledged; else why it was given up. Belongs to the library, and is gone when the
 *   callback returns: do not free it.
 * @param report Where the record was appended; NULL with an error. Gone when the callback returns.
 * @param user_data As given with the callback.
 */
typedef void (*karafka_delivery_callback_t)(const struct karafka_error_t *error,
                                            const struct karafka_delivery_report_t *report,
                                            void *user_data);

/**
 * Chooses the partition of a record that names none.
 *
 * Thread: the one that produces, perhaps several at once. Inside: everything, also producing with another producer. It must not
 * unwind.
 *
 * @param record The record, after all middleware. Gone when the callback returns.
 * @param partition_count How many partitions the topic has; asked from a broker at most once a minute.
 * @param user_data As given with the callback.
 * @return A partition below the count; -1 to leave the choice to the record's partition key and key.
 */
typedef int32_t (*karafka_producer_partitioner_t)(const struct karafka_record_t *record,
                                                  size_t partition_count,
                                                  void *user_data);

/**
 * Changes or refuses a record before it is looked at and sent.
 *
 * Thread and what may be called inside: as for `karafka_producer_partitioner_t`.
 *
 * @param record The record as it is. Gone when the callback returns.
 * @param draft Takes a record in its place, by `karafka_draft_set`.
 * @param user_data As given with the callback.
 * @return True to go on; false refuses the record: the call that produces returns `KARAFKA_ERROR_HANDLER`.
 */
typedef bool (*karafka_producer_middleware_t)(const struct karafka_record_t *record,
                                              struct karafka_draft_t *draft,
                                              void *user_data);

/**
 * Is shown a record that a testing producer was given.
 *
 * Thread: the one that asks. It must not unwind.
 *
 * @param record The record, after all middleware. Gone when the callback returns.
 * @param report Where it would be. Gone when the callback returns.
 * @param user_data As given with the callback.
 */
typedef void (*karafka_recorded_callback_t)(const struct karafka_record_t *record,
                                            const struct karafka_delivery_report_t *report,
                                            void *user_data);

/**
 * What of a topic is read. The struct's layout never changes.
 */
typedef struct karafka_selection_t {
    /**
     * The topic's name: UTF-8, not ended by NUL.
     */
    const char *topic;
    /**
     * The name's length in bytes.
     */
    size_t topic_length;
    /**
     * The partitions' numbers; NULL for all of them.
     */
    const int32_t *partitions;
    /**
     * How many numbers there are; 0 for all partitions.
     */
    size_t partition_count;
    /**
     * The offset, time or count that `from` speaks of; else 0.
     */
    int64_t number;
    /**
     * Where reading begins: one of `KARAFKA_READ_EARLIEST` and those beside it.
     */
    uint32_t from;
    /**
     * Always 0.
     */
    uint32_t reserved;
} karafka_selection_t;

/**
 * How far one partition is read. The struct's layout never changes.
 */
typedef struct karafka_place_t {
    /**
     * The topic's name: ends with NUL, and lives as long as the reader.
     */
    const char *topic;
    /**
     * Where reading began.
     */
    int64_t start;
    /**
     * The offset of the next record at the earliest.
     */
    int64_t next;
    /**
     * Where the log ended when the reader was opened.
     */
    int64_t end;
    /**
     * The partition's number.
     */
    int32_t partition;
    /**
     * 1 when everything that was asked for is read, else 0.
     */
    uint32_t is_done;
} karafka_place_t;

/**
 * The id of a scheduled message. The struct's layout never changes.
 */
typedef struct karafka_schedule_id_t {
    /**
     * The id, in ASCII; ends with NUL.
     */
    char text[64];
} karafka_schedule_id_t;

/**
 * A run of a task. The struct's layout never changes.
 */
typedef struct karafka_task_run_t {
    /**
     * The task's name: UTF-8, not ended by NUL.
     */
    const char *task;
    /**
     * The name's length in bytes.
     */
    size_t task_length;
    /**
     * The time that the run is for, in milliseconds since 1970-01-01 UTC: the last one that has come; -1 when it was triggered.
     */
    int64_t scheduled_ms;
    /**
     * The run itself, for `karafka_task_run_should_end`.
     */
    const void *inner;
} karafka_task_run_t;

/**
 * A recurring task.
 *
 * Thread: one of the app's worker threads; of the tasks of one topic, one runs at a time. Inside: as in handlers. It must not unwind
 * and must not end its thread.
 *
 * A run that takes longer than its task's times are apart holds up its next one, and the other tasks of the topic meanwhile.
 *
 * @param run What runs, and for which time. Gone when the call ends.
 * @param user_data As given with the task.
 * Returns: `KARAFKA_DONE`; everything else is a failure, which is told by the event `recurring_tasks.error` and in the log, and not
 * repeated: the next run is at the next time.
 */
typedef karafka_result_t (*karafka_task_t)(const struct karafka_task_run_t *run, void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library that is loaded, such as "0.1.0"; `KARAFKA_VERSION` is that of the header.
 *
 * Returns: text that ends with NUL, is never freed and always valid.
 */
const char *karafka_version(void);

/**
 * The ABI number of the library that is loaded; `KARAFKA_ABI_VERSION` is that of the header.
 */
uint32_t karafka_abi_version(void);

/**
 * The version of librdkafka that is linked in, such as "2.12.1".
 *
 * Returns: text that ends with NUL, is never freed and always valid.
 */
const char *karafka_librdkafka_version(void);

/**
 * How many objects exist that the program has to free: for tests that look for leaks, which leak checkers cannot see, since
 * handles are not addresses. Topics are not counted; batches are, while their jobs run or `karafka_batch_ref` keeps them.
 */
size_t karafka_handle_count(void);

/**
 * The kind of error, as a number for programs.
 *
 * Returns: the code; `KARAFKA_OK` for NULL, `KARAFKA_ERROR_ARGUMENT` for a value that is no error.
 */
karafka_error_code_t karafka_error_code(const struct karafka_error_t *error);

/**
 * The kind of error as a word, such as "Timeout": the same in every language.
 *
 * Returns: text that is never freed and always valid; "Ok" for NULL.
 */
const char *karafka_error_name(const struct karafka_error_t *error);

/**
 * What was tried, on what, what happened and what to do; for people. A configuration's problems are on lines of their own.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the error; "success" for NULL.
 */
const char *karafka_error_message(const struct karafka_error_t *error);

/**
 * Whether the same call may succeed later.
 *
 * Returns: false for NULL and for a value that is no error.
 */
bool karafka_error_is_retriable(const struct karafka_error_t *error);

/**
 * Whether the handle that the call was made on cannot be used any more.
 *
 * Returns: false for NULL and for a value that is no error.
 */
bool karafka_error_is_fatal(const struct karafka_error_t *error);

/**
 * Kafka's own number of the error: positive as in the protocol, negative for errors of the client library.
 *
 * Returns: 0 when there is none, and for NULL.
 */
int32_t karafka_error_kafka_code(const struct karafka_error_t *error);

/**
 * The status with which a program should end that ends with this error.
 *
 * Returns: 0 for NULL, 2 when the stop was forced, 3 when the parent of the process is gone, else 1.
 */
int karafka_error_exit_code(const struct karafka_error_t *error);

/**
 * Frees an error and its texts. Takes NULL.
 */
void karafka_error_free(struct karafka_error_t *error);

/**
 * Makes a config without options: each has its default until it is set.
 *
 * @param config Gets the config, to be freed by `karafka_config_free`.
 * Errors: `ARGUMENT`.
 */
struct karafka_error_t *karafka_config_new(struct karafka_config_t **config);

/**
 * Frees a config. Takes NULL. Apps and producers that were made from it are not affected.
 */
void karafka_config_free(struct karafka_config_t *config);

/**
 * Sets an option to text: a name, a word, or a quantity with its unit, such as "250ms" or "64MiB".
 *
 * A name that begins with "kafka." sets one of librdkafka's own settings: "kafka.security.protocol". Setting an option again
 * replaces it. Whether the option exists and takes the value is told when the config is used.
 *
 * @param name UTF-8, not ended by NUL.
 * @param value UTF-8, not ended by NUL.
 * Errors: `ARGUMENT`.
 */
struct karafka_error_t *karafka_config_set_string(struct karafka_config_t *config,
                                                  const char *name,
                                                  size_t name_length,
                                                  const char *value,
                                                  size_t value_length);

/**
 * Sets an option to a whole number. For a time: milliseconds. For a size: bytes. Otherwise as `karafka_config_set_string`.
 */
struct karafka_error_t *karafka_config_set_integer(struct karafka_config_t *config,
                                                   const char *name,
                                                   size_t name_length,
                                                   int64_t value);

/**
 * Sets an option to a number with a fraction. Otherwise as `karafka_config_set_string`.
 */
struct karafka_error_t *karafka_config_set_float(struct karafka_config_t *config,
                                                 const char *name,
                                                 size_t name_length,
                                                 double value);

/**
 * Sets an option to true or false. Otherwise as `karafka_config_set_string`.
 */
struct karafka_error_t *karafka_config_set_bool(struct karafka_config_t *config,
                                                const char *name,
                                                size_t name_length,
                                                bool value);

/**
 * How many messages there are; never 0 in a handler.
 *
 * Returns: the count; 0 for a value that is no batch.
 */
size_t karafka_batch_length(const struct karafka_batch_t *batch);

/**
 * All messages, in order, as one array of `karafka_batch_length` views. Nothing is copied but pointers and numbers, once for
 * each batch: this is the fast way to read.
 *
 * @param messages Gets the array. It lives as long as the batch.
 * @param length Gets the number of messages. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_batch_messages(const struct karafka_batch_t *batch,
                                               const struct karafka_message_t **messages,
                                               size_t *length);

/**
 * One message by its index, from 0. See `karafka_batch_messages` for reading all.
 *
 * Returns: a view that lives as long as the batch; NULL for an index beyond the last and for a value that is no batch.
 */
const struct karafka_message_t *karafka_batch_message(const struct karafka_batch_t *batch, size_t index);

/**
 * The headers of a message, in their order; names may repeat. Read from the message at the first look.
 *
 * @param index The message's index in the batch, from 0.
 * @param headers Gets the array, which lives as long as the batch.
 * @param length Gets the number of headers.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_batch_headers(const struct karafka_batch_t *batch,
                                              size_t index,
                                              const struct karafka_header_t **headers,
                                              size_t *length);

/**
 * The topic's name.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the batch; NULL for a value that is no batch.
 */
const char *karafka_batch_topic(const struct karafka_batch_t *batch);

/**
 * The partition's number.
 *
 * Returns: -1 for a value that is no batch.
 */
int32_t karafka_batch_partition(const struct karafka_batch_t *batch);

/**
 * Keeps a batch, and everything read from it, beyond its job: for reading only, the context ends with the job. Each
 * `karafka_batch_ref` needs one `karafka_batch_unref`. Kept batches hold memory, outside the app's memory budget.
 *
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_batch_ref(const struct karafka_batch_t *batch);

/**
 * Gives back what `karafka_batch_ref` kept. Takes NULL.
 */
void karafka_batch_unref(const struct karafka_batch_t *batch);

/**
 * Marks a message, and everything before it in its virtual partition, as consumed. The commit follows within
 * `commit_interval`. Marking twice is no error.
 *
 * @param index The message's index in the batch.
 * @param owned Gets whether the partition is still owned; false means that nothing was marked, and that another process
 *   handles the message. May be NULL.
 * Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
 */
struct karafka_error_t *karafka_context_mark_as_consumed(struct karafka_context_t *context, size_t index, bool *owned);

/**
 * Marks one message and no other. Otherwise as `karafka_context_mark_as_consumed`.
 */
struct karafka_error_t *karafka_context_acknowledge(struct karafka_context_t *context, size_t index, bool *owned);

/**
 * Marks the message at an offset, and everything that was handled before it in its virtual partition; of an earlier call in this
 * ownership of the partition, too: for hooks and handlers that write away what they gathered.
 *
 * @param offset The message's offset; one that was not handed out in this ownership marks nothing.
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
 */
struct karafka_error_t *karafka_context_mark_offset(struct karafka_context_t *context,
                                                    int64_t offset,
                                                    bool *owned);

/**
 * Marks as `karafka_context_mark_as_consumed`, and returns when the broker has what may be committed: a fence before effects
 * that must not happen twice. Blocks.
 *
 * @param timeout_ms Milliseconds; -1 for no limit.
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `TIMEOUT` (retriable) when no broker answered in time; `STOPPED` when the app ended meanwhile; `ARGUMENT`,
 * `FORKED`.
 */
struct karafka_error_t *karafka_context_mark_as_consumed_sync(struct karafka_context_t *context,
                                                              size_t index,
                                                              int64_t timeout_ms,
                                                              bool *owned);

/**
 * Names the error that the handler is about to return `KARAFKA_FAILED` for. It is shown in the event
 * "consumer.consume.error". By itself it fails nothing.
 *
 * @param error_class A short name of the kind of error, such as "DatabaseError". UTF-8.
 * @param message What happened. UTF-8.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_fail(struct karafka_context_t *context,
                                             const char *error_class,
                                             size_t error_class_length,
                                             const char *message,
                                             size_t message_length);

/**
 * Takes the duty to end the job: the handler returns `KARAFKA_LATER`, and the job ends when the completion is used, on any
 * thread. Batch and context live until then. A job has one completion.
 *
 * If the handler returns anything else all the same, that ends the job, and the completion is void.
 *
 * @param completion Gets the completion, to be freed by `karafka_completion_free`.
 * Errors: `ARGUMENT`, also for a second completion and after the job's end; `FORKED`.
 */
struct karafka_error_t *karafka_context_defer(struct karafka_context_t *context,
                                              struct karafka_completion_t **completion);

/**
 * The topic's name.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the context; NULL for a value that is no context.
 */
const char *karafka_context_topic(const struct karafka_context_t *context);

/**
 * The partition's number.
 *
 * Returns: -1 for a value that is no context.
 */
int32_t karafka_context_partition(const struct karafka_context_t *context);

/**
 * The consumer group.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the context; NULL for a value that is no context.
 */
const char *karafka_context_group(const struct karafka_context_t *context);

/**
 * Which attempt at the first message this call is, from 1.
 *
 * Returns: 0 for a value that is no context.
 */
uint32_t karafka_context_attempt(const struct karafka_context_t *context);

/**
 * Whether the end of the partition was reached behind the last message of this call, as far as is known; or the call tells of
 * it. For topics with `eofed`.
 *
 * Returns: false for a value that is no context.
 */
bool karafka_context_is_eofed(const struct karafka_context_t *context);

/**
 * Whether the consumer was given messages in this ownership, in this call or before. For hooks.
 *
 * Returns: false for a value that is no context.
 */
bool karafka_context_is_used(const struct karafka_context_t *context);

/**
 * Whether the partition went to another member of the group: from then on nothing of it can be marked or committed here, and
 * the handler may end early.
 *
 * Returns: true for a value that is no context.
 */
bool karafka_context_is_revoked(const struct karafka_context_t *context);

/**
 * Whether the app was asked to stop; long handlers may end early then.
 *
 * Returns: true for a value that is no context.
 */
bool karafka_context_is_stopping(const struct karafka_context_t *context);

/**
 * Marks as `karafka_context_mark_as_consumed`, and stores a text with the offset, which whoever is assigned the partition
 * next reads by `karafka_context_offset_metadata`. Which of several texts is stored is decided by
 * `offset_metadata_strategy`. A text that does not fit into the 4096 bytes that brokers take is not stored, which a warning
 * tells; it is never cut.
 *
 * @param index The message's index in the batch.
 * @param metadata The text, UTF-8; an empty one is none.
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
 */
struct karafka_error_t *karafka_context_mark_as_consumed_with(struct karafka_context_t *context,
                                                              size_t index,
                                                              const char *metadata,
                                                              size_t metadata_length,
                                                              bool *owned);

/**
 * Stores a text with the offset from the next commit on, without marking anything.
 *
 * @param metadata The text, UTF-8; an empty one removes it.
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_store_offset_metadata(struct karafka_context_t *context,
                                                              const char *metadata,
                                                              size_t metadata_length,
                                                              bool *owned);

/**
 * The text that was stored with the partition's offset when it was assigned, or the last one given here since.
 *
 * Returns: UTF-8 text that ends with NUL, empty when there is none, and lives until the next call of this function for the
 * same context or the context's end; NULL when the partition is no longer owned, and for a value that is no context.
 */
const char *karafka_context_offset_metadata(const struct karafka_context_t *context);

/**
 * Commits what is marked now instead of at the next `commit_interval`, and returns at once.
 *
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_commit_offsets(struct karafka_context_t *context, bool *owned);

/**
 * Commits what is marked, and returns when the broker has it: a fence before effects that must not happen twice. Blocks.
 *
 * @param timeout_ms Milliseconds; -1 for no limit.
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `TIMEOUT` (retriable) when no broker answered in time; `STOPPED` when the app ended meanwhile; `ARGUMENT`,
 * `FORKED`.
 */
struct karafka_error_t *karafka_context_commit_offsets_sync(struct karafka_context_t *context,
                                                            int64_t timeout_ms,
                                                            bool *owned);

/**
 * Hands out no more messages of the partition for a time, or until `karafka_context_resume`. Running calls go on, and nothing
 * that was fetched is thrown away. What this call has not marked when it returns is not marked by returning: it comes again
 * when the pause is over. A later pause takes the place of an earlier one; a pause ends with the ownership of the partition.
 *
 * @param time_ms Milliseconds; -1 for until resumed.
 * @param owned Gets whether the partition is still owned; false means that nothing was paused. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_pause(struct karafka_context_t *context,
                                              int64_t time_ms,
                                              bool *owned);

/**
 * Ends a pause, whoever paused.
 *
 * @param owned Gets whether the partition is still owned. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_resume(struct karafka_context_t *context, bool *owned);

/**
 * Moves the partition: the next message that is handed out is at the target, forwards or backwards. Messages that wait are
 * dropped; what running calls mark from then on does not count, nor what this call has not marked. The new position is
 * committed, also where it lies below the old one. A target that the log does not hold is decided by `initial_offset`.
 * Blocks where a broker is asked.
 *
 * @param offset The offset, `KARAFKA_OFFSET_EARLIEST` or `KARAFKA_OFFSET_LATEST`.
 * @param timeout_ms Milliseconds; -1 for no limit.
 * @param owned Gets whether the partition is still owned; false means that nothing was moved. May be NULL.
 * Errors: after each of them the partition goes on where it was. `CONFIG` for what is no offset; `TIMEOUT` (retriable);
 * `BROKER`; `STOPPED` when the app ended meanwhile; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_context_seek(struct karafka_context_t *context,
                                             int64_t offset,
                                             int64_t timeout_ms,
                                             bool *owned);

/**
 * Moves the partition to the first message that is not older than a time. Otherwise as `karafka_context_seek`.
 *
 * @param time_ms Milliseconds since 1970-01-01 UTC.
 * Errors: as `karafka_context_seek`; `CONFIG` too for a time after the newest message, `UNSUPPORTED` on the embedded broker.
 */
struct karafka_error_t *karafka_context_seek_to_time(struct karafka_context_t *context,
                                                     int64_t time_ms,
                                                     int64_t timeout_ms,
                                                     bool *owned);

/**
 * Calls a function with one message of the batch after the other, and marks each when it returned `KARAFKA_DONE`. Ends with
 * the first that fails: only its message and those behind it are tried again. Ends early, too, when the partition is lost.
 *
 * @param each The function.
 * @param user_data Handed to it.
 * Returns: what the handler is to return: `KARAFKA_DONE` or `KARAFKA_FAILED`, the latter for wrong arguments, too.
 */
karafka_result_t karafka_context_each(struct karafka_context_t *context,
                                      karafka_each_t each,
                                      void *user_data);

/**
 * Offsets, sizes, times and lags of a batch, as of now.
 *
 * @param metadata Gets them.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_batch_metadata(const struct karafka_batch_t *batch,
                                               struct karafka_batch_metadata_t *metadata);

/**
 * Ends the job with success: its messages are marked as consumed, unless the topic's offsets are managed by hand.
 *
 * Errors: `STOPPED` when the job has ended already; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_completion_done(struct karafka_completion_t *completion);

/**
 * Ends the job with a failure: what it did not mark is tried again after the back-off. A topic's strategy is asked before this
 * returns, on the thread that calls it.
 *
 * @param error_class A short name of the kind of error. UTF-8. NULL and 0 for none.
 * @param message What happened. UTF-8. NULL and 0 for none.
 * Errors: `STOPPED` when the job has ended already; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_completion_fail(struct karafka_completion_t *completion,
                                                const char *error_class,
                                                size_t error_class_length,
                                                const char *message,
                                                size_t message_length);

/**
 * Frees a completion. Takes NULL. One that was not used fails its job, as `karafka_completion_fail` would: nothing is lost by
 * forgetting.
 */
void karafka_completion_free(struct karafka_completion_t *completion);

/**
 * Says what is to happen with the message for which the handler is about to return `KARAFKA_FAILED`. By itself it fails
 * nothing. In a call with several messages that are not marked, it counts as soon as the message fails alone: until it is
 * found, they are tried again one by one.
 *
 * @param verdict A `karafka_verdict_t`.
 * @param topic For `KARAFKA_VERDICT_DEAD_LETTER`: another topic than `dead_letter_queue_topic`. UTF-8. NULL and 0 for none.
 * Errors: `ARGUMENT`, also for an unknown verdict; `FORKED`.
 */
struct karafka_error_t *karafka_context_verdict(struct karafka_context_t *context,
                                                uint32_t verdict,
                                                const char *topic,
                                                size_t topic_length);

/**
 * Which attempt at a message the call is, from 1, since this process has its partition.
 *
 * @param index The message's index in the batch.
 * Returns: 0 for a value that is no batch, or an index beyond it.
 */
uint32_t karafka_batch_attempt(const struct karafka_batch_t *batch, size_t index);

/**
 * Makes an app. Starts nothing and connects to nothing: a process may fork until the start.
 *
 * @param config The app's options; NULL for defaults. Read, not kept.
 * @param app Gets the app, to be freed by `karafka_app_free`.
 * Errors: `CONFIG` with every problem of the configuration; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_new(const struct karafka_config_t *config, struct karafka_app_t **app);

/**
 * Frees an app, and its topics with it. Takes NULL.
 *
 * One that runs is stopped first, and waited for as by `karafka_app_stop` and `karafka_app_join`: afterwards no handler runs
 * and the destructors have run, unless a handler did not end within `shutdown_timeout`. Inside a callback it only asks for the
 * stop. In a forked child it frees nothing and returns at once.
 */
void karafka_app_free(struct karafka_app_t *app);

/**
 * Starts the app's threads and returns at once. An app starts once.
 *
 * Errors: `CONFIG` without a topic, when a setting is refused, or when an option asks for a function that the topic was not
 * given; `STOPPED` when it was started before; `BROKER` for an embedded broker that cannot be started; `ARGUMENT`, `FORKED`.
 * Brokers that cannot be reached are events, not errors here.
 */
struct karafka_error_t *karafka_app_start(struct karafka_app_t *app);

/**
 * Starts the app and waits until it has stopped. Blocks.
 *
 * @param options 0, or `KARAFKA_RUN_WITH_SIGNALS`, which only one app of a process may use at a time; the former handlers
 *   of the signals are put back at the end.
 * Errors: as `karafka_app_start` and `karafka_app_join`; `STOPPED` inside a callback.
 */
struct karafka_error_t *karafka_app_run(struct karafka_app_t *app,
                                        uint32_t options);

/**
 * Asks the app to stop within its `shutdown_timeout`, and returns at once. Works in any phase, on any thread, in a handler, and
 * more than once.
 *
 * Stopping lets running handlers finish, commits what is done, and leaves the groups. An app that was never started is
 * stopped at once.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_stop(struct karafka_app_t *app);

/**
 * Asks the app to stop within this time, and returns at once. A second call shortens the time.
 *
 * @param timeout_ms Milliseconds for running handlers to finish; -1 for no limit.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_stop_within(struct karafka_app_t *app, int64_t timeout_ms);

/**
 * Waits until the app has stopped. Blocks. Everybody who asks gets the same answer, also the second time.
 *
 * @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
 * @param stopped Gets whether the app has stopped. May be NULL.
 * Errors: what the app ended with: `TIMEOUT` when handlers had to be left behind, or a client's fatal error; `STOPPED`
 * inside a callback, and without a limit for an app that was not started; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_join(struct karafka_app_t *app, int64_t timeout_ms, bool *stopped);

/**
 * Starts no more calls of handlers; those that run go on, and partitions are kept. `karafka_app_resume` undoes it.
 *
 * Errors: `STOPPED` unless the app runs; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_quiet(struct karafka_app_t *app);

/**
 * Calls handlers again after `karafka_app_quiet`.
 *
 * Errors: `STOPPED` unless the app runs; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_resume(struct karafka_app_t *app);

/**
 * Changes how many handlers run at once, also while the app runs. Threads too many end when they are idle.
 *
 * @param concurrency 1 to 4096.
 * Errors: `CONFIG` outside that range; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_resize(struct karafka_app_t *app, uint32_t concurrency);

/**
 * Where the app is in its life.
 *
 * Returns: the phase; `KARAFKA_PHASE_STOPPED` for a value that is no app.
 */
karafka_phase_t karafka_app_phase(const struct karafka_app_t *app);

/**
 * Registers a topic and the handler of its messages, before the app is started.
 *
 * @param name The topic's name or, with "^" before it, a pattern of names. UTF-8.
 * @param config The topic's options; NULL for defaults. Read, not kept.
 * @param handler Called on the app's worker threads; see `karafka_handler_t`.
 * @param user_data Handed to the handler. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * @param topic Gets the topic, which belongs to the app. May be NULL.
 * Errors: `CONFIG` with every problem of name and options, or when the group reads the topic already; `STOPPED` once the app
 * was started; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_topic(struct karafka_app_t *app,
                                          const char *name,
                                          size_t name_length,
                                          const struct karafka_config_t *config,
                                          karafka_handler_t handler,
                                          void *user_data,
                                          karafka_destructor_t destructor,
                                          struct karafka_topic_t **topic);

/**
 * Registers a topic whose handler takes a completion and returns at once, such as one that hands its messages to an event
 * loop. All its calls come on one thread, one after another, and up to `async_concurrency` jobs are open at once; no thread waits
 * for them. Otherwise as `karafka_app_topic`.
 */
struct karafka_error_t *karafka_app_topic_asynchronous(struct karafka_app_t *app,
                                                       const char *name,
                                                       size_t name_length,
                                                       const struct karafka_config_t *config,
                                                       karafka_handler_t handler,
                                                       void *user_data,
                                                       karafka_destructor_t destructor,
                                                       struct karafka_topic_t **topic);

/**
 * Gives a topic the function that says what no two messages may have in common that are handled at the same time in this
 * process, over all topics, before the app is started: for topics with `unique_by` set to "callback".
 *
 * @param unique_by Called on the app's worker threads with what a partitioner gets; what it writes as the key is the value. An
 *   empty one does not limit the message. When it fails, no two of the fetched messages are handled at once, and an event
 *   reports it.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is one already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_unique_by(struct karafka_topic_t *topic,
                                                    karafka_partitioner_t unique_by,
                                                    void *user_data,
                                                    karafka_destructor_t destructor);

/**
 * Gives a topic its partitioner, before the app is started: for topics with `virtual_partitions` set to "callback".
 *
 * @param partitioner Called on the app's worker threads; see `karafka_partitioner_t`.
 * @param user_data Handed to the partitioner. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a partitioner already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_partitioner(struct karafka_topic_t *topic,
                                                      karafka_partitioner_t partitioner,
                                                      void *user_data,
                                                      karafka_destructor_t destructor);

/**
 * Gives a topic its strategy, before the app is started: for topics with `dead_letter_queue_strategy` set to true.
 *
 * @param strategy Called on the app's worker threads; see `karafka_strategy_t`.
 * @param user_data Handed to the strategy. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a strategy already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_strategy(struct karafka_topic_t *topic,
                                                   karafka_strategy_t strategy,
                                                   void *user_data,
                                                   karafka_destructor_t destructor);

/**
 * Gives a topic its filter, before the app is started: for topics with `filter` set to "true".
 *
 * @param filter Called on the app's worker threads; see `karafka_filter_t`.
 * @param user_data Handed to the filter. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is a filter already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_filter(struct karafka_topic_t *topic,
                                                 karafka_filter_t filter,
                                                 void *user_data,
                                                 karafka_destructor_t destructor);

/**
 * Gives a topic with `periodic` its hook for ticks, before the app is started: called when nothing happened for
 * `periodic_interval`, also when there never was a message.
 *
 * @param function Called on the app's worker threads; see `karafka_hook_t`.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_tick(struct karafka_topic_t *topic,
                                               karafka_hook_t function,
                                               void *user_data,
                                               karafka_destructor_t destructor);

/**
 * Gives a topic with `eofed` its hook for the end of a partition, before the app is started: called when the end was reached
 * and no messages came along. Else `karafka_context_is_eofed` of their call tells.
 *
 * @param function Called on the app's worker threads; see `karafka_hook_t`.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_eofed(struct karafka_topic_t *topic,
                                                karafka_hook_t function,
                                                void *user_data,
                                                karafka_destructor_t destructor);

/**
 * Gives a topic its hook for revocations, before the app is started: called once for each consumer that had messages or a tick
 * when its partition goes to another member, after the running calls, so that what is marked there still counts. For a
 * partition that was lost, `karafka_context_is_revoked` is true then, and nothing counts. Topics with
 * `long_running_job` are called at once, beside their running calls.
 *
 * @param function Called on the app's worker threads; see `karafka_hook_t`.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_revoked(struct karafka_topic_t *topic,
                                                  karafka_hook_t function,
                                                  void *user_data,
                                                  karafka_destructor_t destructor);

/**
 * Gives a topic its hook for the app's stop, before the app is started: called once for each consumer that had messages or a
 * tick, after the running calls, in the place of the hook for revocations. What is marked there still counts.
 *
 * @param function Called on the app's worker threads; see `karafka_hook_t`.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `STOPPED` once the app was started; `ARGUMENT`, also when there is such a hook already; `FORKED`.
 */
struct karafka_error_t *karafka_topic_set_shutdown(struct karafka_topic_t *topic,
                                                   karafka_hook_t function,
                                                   void *user_data,
                                                   karafka_destructor_t destructor);

/**
 * Has a function decide whose turn it is when more work waits than may run at once, before the app is started. It is advice: the
 * app's `scheduling` decides while there is no answer within 5 milliseconds, for a second after a failure, and for one call in
 * sixteen.
 *
 * @param scheduler See `karafka_scheduler_t`.
 * @param user_data Handed to the function. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `CONFIG` when there is one already; `STOPPED` once the app was started; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_set_scheduler(struct karafka_app_t *app,
                                                  karafka_scheduler_t scheduler,
                                                  void *user_data,
                                                  karafka_destructor_t destructor);

/**
 * Subscribes to an app's events from now on; before the start, to miss none.
 *
 * Without any subscription, errors and warnings go to the standard error stream.
 *
 * @param events Gets the subscription, to be freed by `karafka_events_free`.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_events(struct karafka_app_t *app, struct karafka_events_t **events);

/**
 * Subscribes to these events only, from now on: those of single calls of handlers (`consumer.consumed`) are told to nobody
 * else.
 *
 * @param names Names of docs/events.md, separated by commas or spaces; `rebalance.*` stands for all that begin so, `*` for
 *   all. Empty is `karafka_app_events`.
 * @param events Gets the subscription, to be freed by `karafka_events_free`.
 * Errors: `CONFIG` for a name that no event has; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_events_of(struct karafka_app_t *app,
                                              const char *names,
                                              size_t names_length,
                                              struct karafka_events_t **events);

/**
 * Tells how an app does now, as a `statistics.emitted` event: gauges of the app, and the calls that run; of clients, brokers
 * and lags only where `statistics_interval` is set or somebody subscribed to that event before the start.
 *
 * @param timeout_ms Milliseconds to wait for the answer, which takes microseconds unless the machine is very busy.
 * @param event Gets the event, to be freed by `karafka_event_free`. Its fields `calls` and `clients` are JSON.
 * Errors: `STOPPED` unless the app runs; `TIMEOUT`; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_statistics(struct karafka_app_t *app,
                                               int64_t timeout_ms,
                                               struct karafka_event_t **event);

/**
 * Waits for the next event. Blocks.
 *
 * @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
 * @param event Gets the event, to be freed by `karafka_event_free`, or NULL when none came in time.
 * Errors: `STOPPED` when the app has stopped and every event was read; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_events_next(struct karafka_events_t *events,
                                            int64_t timeout_ms,
                                            struct karafka_event_t **event);

/**
 * Ends a subscription. Takes NULL. A `karafka_events_next` that waits on another thread ends with `KARAFKA_ERROR_ARGUMENT`.
 */
void karafka_events_free(struct karafka_events_t *events);

/**
 * The event's dotted name, such as "rebalance.partitions_assigned": the same in every language.
 *
 * Returns: text that ends with NUL and lives as long as the event; NULL for a value that is no event.
 */
const char *karafka_event_name(const struct karafka_event_t *event);

/**
 * The whole event on one line, for logs: its name, then its fields.
 *
 * Returns: text that ends with NUL and lives as long as the event; NULL for a value that is no event.
 */
const char *karafka_event_text(const struct karafka_event_t *event);

/**
 * A field of the event by its name, such as "topic", as text. Partitions are `orders/0 orders/1`, lists and maps are JSON.
 *
 * Returns: text that ends with NUL and lives as long as the event; NULL when the event has no such field.
 */
const char *karafka_event_field(const struct karafka_event_t *event,
                                const char *name,
                                size_t name_length);

/**
 * How many fields the event has.
 *
 * Returns: 0 for a value that is no event.
 */
size_t karafka_event_field_count(const struct karafka_event_t *event);

/**
 * The name of a field by its index, from 0.
 *
 * Returns: text that ends with NUL and lives as long as the event; NULL for an index beyond the last.
 */
const char *karafka_event_field_name(const struct karafka_event_t *event, size_t index);

/**
 * The value of a field by its index, from 0.
 *
 * Returns: text that ends with NUL and lives as long as the event; NULL for an index beyond the last.
 */
const char *karafka_event_field_value(const struct karafka_event_t *event, size_t index);

/**
 * Frees an event and its texts. Takes NULL.
 */
void karafka_event_free(struct karafka_event_t *event);

/**
 * Makes a producer. Connects in the background.
 *
 * @param config The producer's options; NULL for defaults. Read, not kept.
 * @param producer Gets the producer, to be freed by `karafka_producer_free`.
 * Errors: `CONFIG` with every problem of the configuration; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_new(const struct karafka_config_t *config,
                                             struct karafka_producer_t **producer);

/**
 * Makes a producer for the brokers of an app, with its `client_id` and security settings; other options have their defaults. It
 * does not belong to the app: it may be used before the start and after the stop, and is freed by itself.
 *
 * @param producer Gets the producer, to be freed by `karafka_producer_free`.
 * Errors: `CONFIG` when a setting is refused; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_producer(const struct karafka_app_t *app,
                                             struct karafka_producer_t **producer);

/**
 * Closes a producer as `karafka_producer_close` does, and frees it. Takes NULL. Inside a delivery callback it returns at once
 * and closes the producer meanwhile. In a forked child it frees nothing.
 */
void karafka_producer_free(struct karafka_producer_t *producer);

/**
 * Sends a record and returns at once, with a handle that tells later what became of it. When the local queue is full, waits
 * for room until `queue_full_timeout`.
 *
 * @param delivery Gets the delivery, to be freed by `karafka_delivery_free`. May be NULL: then nobody is told when the record
 *   is given up.
 * Errors: `QUEUE_FULL` (retriable) when there was no room in time; `CONFIG` for a record that can never be sent; `STOPPED` after
 * closing; `FENCED` and other fatal errors; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_produce_async(struct karafka_producer_t *producer,
                                                       const struct karafka_record_t *record,
                                                       struct karafka_delivery_t **delivery);

/**
 * Sends a record and returns at once; `callback` is told what became of it. Otherwise as `karafka_producer_produce_async`.
 *
 * @param callback See `karafka_delivery_callback_t`. Called once, or never when this call fails.
 * @param user_data Handed to the callback. Belongs to the library from now on, also when this call fails.
 * @param destructor Frees `user_data`, once, after the callback; may be NULL.
 */
struct karafka_error_t *karafka_producer_produce_with_callback(struct karafka_producer_t *producer,
                                                               const struct karafka_record_t *record,
                                                               karafka_delivery_callback_t callback,
                                                               void *user_data,
                                                               karafka_destructor_t destructor);

/**
 * Sends a record and waits until it was acknowledged, at most `delivery_timeout`. Blocks.
 *
 * @param report Gets where the record was appended. May be NULL.
 * Errors: as `karafka_producer_produce_async` and `karafka_delivery_wait`; `STOPPED` inside a delivery callback.
 */
struct karafka_error_t *karafka_producer_produce_sync(struct karafka_producer_t *producer,
                                                      const struct karafka_record_t *record,
                                                      struct karafka_delivery_report_t *report);

/**
 * Sends many records, in order, and returns at once with a handle for each.
 *
 * @param records An array of `count` records.
 * @param deliveries An array with room for `count` deliveries, each to be freed by `karafka_delivery_free`. May be NULL.
 * Errors: as `karafka_producer_produce_async`, for the first record that was not sent: those before it are on their way all
 * the same, and `deliveries` is not written.
 */
struct karafka_error_t *karafka_producer_produce_many_async(struct karafka_producer_t *producer,
                                                            const struct karafka_record_t *records,
                                                            size_t count,
                                                            struct karafka_delivery_t **deliveries);

/**
 * Sends many records, in order, and waits until all were acknowledged, at most `delivery_timeout`. Blocks.
 *
 * @param records An array of `count` records.
 * @param reports An array with room for `count` reports, in the order of the records. May be NULL.
 * Errors: as `karafka_producer_produce_sync`, for the first record that failed; `reports` is not written then.
 */
struct karafka_error_t *karafka_producer_produce_many_sync(struct karafka_producer_t *producer,
                                                           const struct karafka_record_t *records,
                                                           size_t count,
                                                           struct karafka_delivery_report_t *reports);

/**
 * Waits until nothing is on its way any more. Blocks. Records that linger are sent at once.
 *
 * @param timeout_ms Milliseconds; -1 for no limit, 0 to only look.
 * @param remaining Gets how many records are still on their way. May be NULL.
 * Errors: `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`. Records that were given up are no error here: their
 * deliveries tell.
 */
struct karafka_error_t *karafka_producer_flush(struct karafka_producer_t *producer,
                                               int64_t timeout_ms,
                                               size_t *remaining);

/**
 * How many records are on their way.
 *
 * Returns: 0 for a value that is no producer.
 */
size_t karafka_producer_in_flight(const struct karafka_producer_t *producer);

/**
 * Waits for what is on its way until `close_timeout`, gives the rest up (each delivery is told), and ends the producer; the
 * handle stays to be freed. Blocks. Closing twice is no error.
 *
 * Errors: `TIMEOUT` when records were given up; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_close(struct karafka_producer_t *producer);

/**
 * Waits until the record was acknowledged or given up. Blocks. May be called again, and by several threads.
 *
 * @param timeout_ms Milliseconds; -1 for no limit (the record is given up after `delivery_timeout` in any case), 0 to only look.
 * @param report Gets where the record was appended. May be NULL.
 * Errors: `TIMEOUT` (retriable) when neither happened in time, the record may still be delivered; else why it was given up.
 * `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_delivery_wait(struct karafka_delivery_t *delivery,
                                              int64_t timeout_ms,
                                              struct karafka_delivery_report_t *report);

/**
 * Frees a delivery. Takes NULL. The record goes its way all the same.
 */
void karafka_delivery_free(struct karafka_delivery_t *delivery);

/**
 * Makes a producer that asks the program about its records, or one for tests. Otherwise as `karafka_producer_new`.
 *
 * @param testing_partitions 0 for a producer that sends. Else nothing is sent: the producer keeps its records
 *   (`karafka_producer_recorded`) and acknowledges them at once; every topic has so many partitions.
 * @param partitioner See `karafka_producer_partitioner_t`; NULL for none.
 * @param partitioner_data Handed to the partitioner. Belongs to the library from now on, also when this call fails.
 * @param partitioner_destructor Frees it, once, after the last call; may be NULL.
 * @param middleware See `karafka_producer_middleware_t`; NULL for none.
 * @param middleware_data Handed to the middleware, and owned as the partitioner's.
 * @param middleware_destructor Frees it; may be NULL.
 * Errors: as `karafka_producer_new`.
 */
struct karafka_error_t *karafka_producer_new_with(const struct karafka_config_t *config,
                                                  uint32_t testing_partitions,
                                                  karafka_producer_partitioner_t partitioner,
                                                  void *partitioner_data,
                                                  karafka_destructor_t partitioner_destructor,
                                                  karafka_producer_middleware_t middleware,
                                                  void *middleware_data,
                                                  karafka_destructor_t middleware_destructor,
                                                  struct karafka_producer_t **producer);

/**
 * Puts a record in the place of the one that middleware was called with. Copies it.
 *
 * @param draft As given to the middleware.
 * @param record The record; may point into the one that the middleware was called with.
 * Errors: `ARGUMENT`.
 */
struct karafka_error_t *karafka_draft_set(struct karafka_draft_t *draft, const struct karafka_record_t *record);

/**
 * Keeps records, in order, or none of them, until `karafka_producer_flush_buffer` or `karafka_producer_close`. Copies them.
 *
 * @param records An array of `count` records.
 * Errors: `CONFIG` for a record that can never be sent; `STOPPED` after closing; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_buffer(struct karafka_producer_t *producer,
                                                const struct karafka_record_t *records,
                                                size_t count);

/**
 * How many records are in the buffer.
 *
 * Returns: 0 for a value that is no producer.
 */
size_t karafka_producer_buffered(const struct karafka_producer_t *producer);

/**
 * Sends what is in the buffer, in order. What could not be sent, and all behind it, stays in the buffer.
 *
 * @param wait Whether to wait until all of it was acknowledged, at most `delivery_timeout`. Blocks then, and is refused inside a
 *   delivery callback.
 * @param sent Gets how many records were sent. May be NULL.
 * Errors: as `karafka_producer_produce_many_async`, or with `wait` as `karafka_producer_produce_many_sync`.
 */
struct karafka_error_t *karafka_producer_flush_buffer(struct karafka_producer_t *producer,
                                                      bool wait,
                                                      size_t *sent);

/**
 * Throws away what is in the buffer.
 *
 * @param cleared Gets how many records that was. May be NULL.
 * Errors: `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_clear_buffer(struct karafka_producer_t *producer, size_t *cleared);

/**
 * Shows what a testing producer was given until now, in order.
 *
 * @param callback Called for each record before this function returns; NULL to only count.
 * @param user_data Handed to the callback; stays the program's.
 * @param count Gets how many records there are. May be NULL.
 * Errors: `UNSUPPORTED` for a producer that sends; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_recorded(struct karafka_producer_t *producer,
                                                  karafka_recorded_callback_t callback,
                                                  void *user_data,
                                                  size_t *count);

/**
 * Makes a testing producer forget what it was given.
 *
 * Errors: as `karafka_producer_recorded`.
 */
struct karafka_error_t *karafka_producer_forget_recorded(struct karafka_producer_t *producer);

/**
 * Makes the next record that a testing producer is given fail; several calls line up.
 *
 * @param code One of `karafka_error_code_t`, but for 0 and `KARAFKA_ERROR_ARGUMENT`.
 * @param message What the error is to say. UTF-8.
 * Errors: as `karafka_producer_recorded`.
 */
struct karafka_error_t *karafka_producer_fail_next(struct karafka_producer_t *producer,
                                                   uint32_t code,
                                                   const char *message,
                                                   size_t message_length);

/**
 * A producer with other options than this one's: acknowledgements, compression, timeouts. It has connections of its own, is made
 * once for the same options, and closes with this one.
 *
 * @param config The options that differ. Read, not kept.
 * @param variant Gets the producer, to be freed by `karafka_producer_free`.
 * Errors: `CONFIG` with every problem of the options; `STOPPED` after closing; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_variant(struct karafka_producer_t *producer,
                                                 const struct karafka_config_t *config,
                                                 struct karafka_producer_t **variant);

/**
 * A new producer with the options and callbacks of this one: for a forked child, where this one refuses to work, or after a fatal
 * error. This one is not touched, and is freed by itself; where callbacks have destructors, both hold them.
 *
 * @param reopened Gets the producer, to be freed by `karafka_producer_free`.
 * Errors: `CONFIG` when a setting is refused; `ARGUMENT`.
 */
struct karafka_error_t *karafka_producer_reopen(const struct karafka_producer_t *producer,
                                                struct karafka_producer_t **reopened);

/**
 * How many partitions a topic has, asked from a broker; an answer is kept for a minute. Blocks.
 *
 * @param topic The topic's name. UTF-8.
 * @param timeout_ms Milliseconds; -1 for no limit.
 * @param count Gets the number.
 * Errors: `BROKER` for a topic that is not there; `TIMEOUT`, `STOPPED`, `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_partitions(struct karafka_producer_t *producer,
                                                    const char *topic,
                                                    size_t topic_length,
                                                    int64_t timeout_ms,
                                                    size_t *count);

/**
 * Subscribes to a producer's events from now on. The subscription ends when the producer has closed.
 *
 * @param names Names of docs/events.md, separated by commas or spaces; `message.*` stands for all that begin so. Empty for all
 *   but those of single records.
 * @param events Gets the subscription, to be freed by `karafka_events_free`.
 * Errors: `CONFIG` for a name that no event has; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_producer_events(struct karafka_producer_t *producer,
                                                const char *names,
                                                size_t names_length,
                                                struct karafka_events_t **events);

/**
 * Makes a producer of transactions. It connects with its first one, and registers its `transactional_id` then: an earlier
 * producer of the same id is fenced by that, and what it left open is aborted.
 *
 * @param config The producer's options; `transactional_id` is needed. Read, not kept.
 * @param producer Gets the producer, to be freed by `karafka_transactional_producer_free`.
 * Errors: `CONFIG` with every problem of the configuration; `UNSUPPORTED` for the embedded broker, which keeps no transactions;
 * `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_transactional_producer_new(const struct karafka_config_t *config,
                                                           struct karafka_transactional_producer_t **producer);

/**
 * Closes a producer: waits for an open transaction, at most `transaction_timeout`, and disconnects. Blocks. Closing twice is no
 * error.
 *
 * Errors: `TIMEOUT` when a transaction is still open; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_transactional_producer_close(struct karafka_transactional_producer_t *producer);

/**
 * Frees a producer. Takes NULL. An open transaction goes on, and ends as its owner says; the connection ends after it, without
 * being waited for. In a forked child it frees nothing.
 */
void karafka_transactional_producer_free(struct karafka_transactional_producer_t *producer);

/**
 * Begins a transaction, to be ended by `karafka_transaction_commit` or `_abort`. Waits until an open one of another thread has
 * ended, and for brokers where the producer has to register first. Blocks, at most `transaction_timeout` for each.
 *
 * @param transaction Gets the transaction, to be freed by `karafka_transaction_free`.
 * Errors: `TIMEOUT` (retriable); `TRANSACTION` when this thread has one open already; `FENCED` (fatal) when another producer of
 * the same `transactional_id` has taken over; `UNSUPPORTED` for an embedded broker; `AUTH`; `STOPPED` after closing and inside a
 * delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_transactional_producer_begin(struct karafka_transactional_producer_t *producer,
                                                             struct karafka_transaction_t **transaction);

/**
 * Begins a transaction in a handler: what is produced by it and what the call marks while it is open become visible together
 * when it is committed, or not at all. End it before the call ends: what it marks does not count later. Waits for brokers where
 * a producer has to register first. Blocks, at most `transaction_timeout`.
 *
 * Marks of `karafka_context_mark_as_consumed` and `karafka_context_acknowledge` belong to the open transaction, too.
 *
 * @param transaction Gets the transaction, to be freed by `karafka_transaction_free`.
 * Errors: `NOT_OWNED` when the partition is lost; `TRANSACTION` when the call has one open; `UNSUPPORTED` for the embedded broker,
 * which keeps no transactions, and for topics with `assign`; `TIMEOUT` (retriable), `AUTH`; `ARGUMENT`, also when the job has
 * ended; `FORKED`.
 */
struct karafka_error_t *karafka_context_begin_transaction(struct karafka_context_t *context,
                                                          struct karafka_transaction_t **transaction);

/**
 * Marks a message of the handler's call, and everything before it in its virtual partition, as part of the transaction that the
 * call has open: it counts when the transaction is committed.
 *
 * @param index The message's index in the batch.
 * Errors: `NOT_OWNED` when the partition is lost: the commit will abort; `TRANSACTION` when the transaction has ended, or is none of
 * a handler; `ARGUMENT`, `FORKED`. The commit fails for an index that is not in the batch.
 */
struct karafka_error_t *karafka_transaction_mark_as_consumed(struct karafka_transaction_t *transaction,
                                                             size_t index);

/**
 * Marks one message and no other. Otherwise as `karafka_transaction_mark_as_consumed`.
 */
struct karafka_error_t *karafka_transaction_acknowledge(struct karafka_transaction_t *transaction, size_t index);

/**
 * Sends a record as part of the transaction, and returns at once. When the local queue is full, waits for room until
 * `queue_full_timeout`. The commit waits for the acknowledgement, and aborts without it.
 *
 * @param delivery Gets the delivery, to be freed by `karafka_delivery_free`. May be NULL.
 * Errors: `TRANSACTION` when it has ended; as `karafka_producer_produce_async`.
 */
struct karafka_error_t *karafka_transaction_produce_async(struct karafka_transaction_t *transaction,
                                                          const struct karafka_record_t *record,
                                                          struct karafka_delivery_t **delivery);

/**
 * Waits until everything that was produced is acknowledged, and commits: it becomes visible together. Blocks, at most
 * `transaction_timeout`.
 *
 * Errors: the transaction was aborted: `TRANSACTION` or `TIMEOUT` (retriable: do the whole again), `FENCED` (fatal): another
 * producer of the same `transactional_id` has taken over. `TRANSACTION` with "unknown" in its message, never retriable: the
 * answer got lost, so it may have been committed; only the topics can tell. `TRANSACTION` when it has ended before; `STOPPED`
 * inside a delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_transaction_commit(struct karafka_transaction_t *transaction);

/**
 * Aborts: nothing of the transaction will ever be visible. Blocks, at most `transaction_timeout`.
 *
 * Errors: `TRANSACTION` when it has ended before; `STOPPED` inside a delivery callback; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_transaction_abort(struct karafka_transaction_t *transaction);

/**
 * Frees a transaction. Takes NULL. What was neither committed nor aborted is aborted, which blocks; inside a delivery callback
 * that happens meanwhile. In a forked child it frees nothing.
 */
void karafka_transaction_free(struct karafka_transaction_t *transaction);

/**
 * Makes a reader: finds out where everything begins and ends, and begins to fetch. Blocks, at most the option `timeout`.
 *
 * @param config The reader's options; NULL for defaults. Read, not kept.
 * @param selections An array of `count` selections: what is read.
 * @param reader Gets the reader, to be freed by `karafka_reader_free`.
 * Errors: `CONFIG` for a bad option or selection, a partition that does not exist or an offset beyond the end of its log; `BROKER`
 * when a topic does not exist; `AUTH` without the right to read it; `TIMEOUT` when no broker answered; `UNSUPPORTED` for a time on
 * an embedded broker; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_reader_new(const struct karafka_config_t *config,
                                           const struct karafka_selection_t *selections,
                                           size_t count,
                                           struct karafka_reader_t **reader);

/**
 * Waits for the next records: of one partition, in order. Blocks.
 *
 * @param timeout_ms Milliseconds; 0 to only look. -1 waits as the options say: at most `timeout` without a record, or, with `until`
 *   "forever", as long as it takes.
 * @param batch Gets the batch, to be given back by `karafka_batch_unref`; NULL when everything was read. It may be kept longer
 *   than the reader, and holds memory until then.
 * Errors: the reader can be asked again after each of them. `TIMEOUT` (retriable) when nothing came in time; `BROKER` when records were
 * deleted before they were read (reading goes on with the oldest that is left) or a broker refuses; `AUTH` when the right was taken
 * away; `DESERIALIZE` for a record that is encrypted and does not open, which is passed over; `STOPPED` (retriable) after `karafka_reader_interrupt`, and when another thread reads; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_reader_next(struct karafka_reader_t *reader,
                                            int64_t timeout_ms,
                                            struct karafka_batch_t **batch);

/**
 * Lets the running `karafka_reader_next`, or the next one, return at once with `STOPPED`. On any thread; not in a signal handler.
 */
void karafka_reader_interrupt(struct karafka_reader_t *reader);

/**
 * Reads no more of a partition; what was fetched of it already is dropped.
 *
 * @param topic UTF-8, not ended by NUL.
 * @param was_read Gets whether it was being read. May be NULL.
 * Errors: `STOPPED` when another thread reads; `INTERNAL`, `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_reader_stop_partition(struct karafka_reader_t *reader,
                                                      const char *topic,
                                                      size_t topic_length,
                                                      int32_t partition,
                                                      bool *was_read);

/**
 * How many partitions were selected.
 *
 * Returns: 0 for a value that is no reader.
 */
size_t karafka_reader_place_count(const struct karafka_reader_t *reader);

/**
 * Where a partition is: what is read, and what is left.
 *
 * @param index From 0, below `karafka_reader_place_count`.
 * @param place Gets the place, as of now.
 * Errors: `STOPPED` when another thread reads; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_reader_place(const struct karafka_reader_t *reader,
                                             size_t index,
                                             struct karafka_place_t *place);

/**
 * Ends a reader. Takes NULL. Waits a moment for its connection to end. A `karafka_reader_next` that waits on another thread ends
 * with `STOPPED`.
 */
void karafka_reader_free(struct karafka_reader_t *reader);

/**
 * Connects to a cluster, and waits for its first answer. Blocks, at most the option `timeout`.
 *
 * @param config The admin's options; NULL for defaults. Read, not kept.
 * @param admin Gets the admin, to be freed by `karafka_admin_free`.
 * Errors: `CONFIG` for a bad option; `AUTH` when the cluster does not let us in; `BROKER` when nobody answers in time; `ARGUMENT`,
 * `FORKED`.
 */
struct karafka_error_t *karafka_admin_new(const struct karafka_config_t *config,
                                          struct karafka_admin_t **admin);

/**
 * Asks the cluster something, or has it do something: all calls and their arguments are listed in docs/admin/topics.md. Blocks.
 *
 * What is done to several items is answered by a list with an entry for each: its `item`, and its `value`, or its `error` with `kind`,
 * `text` and `code`. The other items are done all the same.
 *
 * @param request An object of JSON, not ended by NUL: `{"call": "topic", "name": "orders"}`.
 * @param timeout_ms Milliseconds; -1 for the option `timeout`.
 * @param answer Gets the answer, to be freed by `karafka_answer_free`.
 * Errors: `CONFIG` for a request that is none; `BROKER`, `AUTH`; `TIMEOUT` (retriable) when nobody answers in time; `UNSUPPORTED` for
 * what an embedded broker cannot do; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_admin_ask(struct karafka_admin_t *admin,
                                          const char *request,
                                          size_t request_length,
                                          int64_t timeout_ms,
                                          struct karafka_answer_t **answer);

/**
 * Disconnects. Takes NULL. Calls that run on other threads end first.
 */
void karafka_admin_free(struct karafka_admin_t *admin);

/**
 * The whole answer, as JSON.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the answer; NULL for a value that is no answer.
 */
const char *karafka_answer_text(const struct karafka_answer_t *answer);

/**
 * What is at a path, such as "/0/partitions/1/leader": numbers count the values of a list from 0, names are those of a map (RFC 6901).
 * Texts are as they are, numbers and truths as JSON writes them, lists and maps are JSON.
 *
 * Returns: UTF-8 text that ends with NUL and lives as long as the answer; NULL where there is nothing, or null.
 */
const char *karafka_answer_field(const struct karafka_answer_t *answer,
                                 const char *path,
                                 size_t path_length);

/**
 * How many values the list or map at a path has.
 *
 * @param path As for `karafka_answer_field`; an empty one is the whole answer.
 * Returns: 0 where there is neither a list nor a map.
 */
size_t karafka_answer_count(const struct karafka_answer_t *answer, const char *path, size_t path_length);

/**
 * Frees an answer and its texts. Takes NULL.
 */
void karafka_answer_free(struct karafka_answer_t *answer);

/**
 * Sends the messages of a topic of scheduled messages on when their time has come, before the app is started. The start checks
 * that the topic is there and compacted.
 *
 * @param topic The topic's name. UTF-8.
 * @param config The options `interval`, how often is looked for what is due (1s), and `group`, the consumer group (the app's).
 *   NULL for defaults. Read, not kept.
 * Errors: `CONFIG` for name and options, or when the group reads the topic already; `STOPPED` once the app was started;
 * `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_scheduled_messages(struct karafka_app_t *app,
                                                       const char *topic,
                                                       size_t topic_length,
                                                       const struct karafka_config_t *config);

/**
 * Has a record produced at a time: puts it into `topic`, from which an app with `karafka_app_scheduled_messages` sends it on. Waits
 * until it is acknowledged.
 *
 * @param topic The topic in which the message waits. UTF-8.
 * @param record The message, with the topic that it goes to. Copied.
 * @param at_ms When: milliseconds since 1970-01-01 UTC. A time that has passed means at once.
 * @param id Gets the message's id, by which it can be cancelled. May be NULL.
 * Errors: `CONFIG` for a time that is none, or a record that can never be sent; `BROKER` when `topic` is not there; else as
 * `karafka_producer_produce_sync`. When the acknowledgement is what failed, the message may wait all the same.
 */
struct karafka_error_t *karafka_producer_schedule(struct karafka_producer_t *producer,
                                                  const char *topic,
                                                  size_t topic_length,
                                                  const struct karafka_record_t *record,
                                                  int64_t at_ms,
                                                  struct karafka_schedule_id_t *id);

/**
 * Takes a scheduled message back, and waits until that is acknowledged. When it is before the message's time, by the clock of the
 * app that would send it, the message is not sent; one that was sent or cancelled already is no error.
 *
 * @param topic The topic in which the message waits. UTF-8.
 * @param id Its id. UTF-8.
 * Errors: `CONFIG` for an id that `karafka_producer_schedule` has not given; else as `karafka_producer_produce_sync`.
 */
struct karafka_error_t *karafka_producer_cancel(struct karafka_producer_t *producer,
                                                const char *topic,
                                                size_t topic_length,
                                                const char *id,
                                                size_t id_length);

/**
 * Keeps recurring tasks in a topic, before the app is started: declare them by `karafka_recurring_tasks_add`. Of all members of the
 * group one runs them. The start checks that the topic is there and compacted, and that the log's is there.
 *
 * @param topic The topic's name. UTF-8.
 * @param config The options `interval`, how often is looked for what is due (1s), `group`, the consumer group (the app's), `log_topic`,
 *   a topic that gets a record for each run (none), `time_zone`, that of the patterns (UTC), and `catch_up`, whether one run makes up
 *   for times that were missed (true). NULL for defaults. Read, not kept.
 * @param tasks Gets the tasks, to be freed by `karafka_recurring_tasks_free`.
 * Errors: `CONFIG` for names, options and a time zone that is not there, or when the group reads the topic already; `STOPPED` once the app was started;
 * `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_app_recurring_tasks(struct karafka_app_t *app,
                                                    const char *topic,
                                                    size_t topic_length,
                                                    const struct karafka_config_t *config,
                                                    struct karafka_recurring_tasks_t **tasks);

/**
 * Declares a task: a function that runs at the times of a cron pattern, before the app is started.
 *
 * @param name The task's name, 1 to 200 bytes. UTF-8.
 * @param cron The pattern: "minute hour day month weekday", with seconds before them where wanted, or "@hourly" and the like.
 * @param task Called on the app's worker threads; see `karafka_task_t`.
 * @param user_data Handed to the task. Belongs to the app from now on, also when this call fails.
 * @param destructor Frees `user_data`, once; may be NULL.
 * Errors: `CONFIG` for a name that is taken, or a pattern that is none, with the field that is wrong; `STOPPED` once the app was
 * started; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_recurring_tasks_add(struct karafka_recurring_tasks_t *tasks,
                                                    const char *name,
                                                    size_t name_length,
                                                    const char *cron,
                                                    size_t cron_length,
                                                    karafka_task_t task,
                                                    void *user_data,
                                                    karafka_destructor_t destructor);

/**
 * Whether a run should end early: the app was asked to stop, or another member of the group has the tasks now. On any thread, until
 * the call of the task ends. NULL is none, and false.
 */
bool karafka_task_run_should_end(const struct karafka_task_run_t *run);

/**
 * Frees the handle; the tasks stay the app's. Takes NULL.
 */
void karafka_recurring_tasks_free(struct karafka_recurring_tasks_t *tasks);

/**
 * Has a task of a topic of recurring tasks run at its times again, from now on. Waits until the command is acknowledged; it is
 * carried out within the `interval` of the app that runs the tasks.
 *
 * @param topic The topic of the tasks. UTF-8.
 * @param task The task's name; "*" for all. UTF-8.
 * Errors: `CONFIG` for an empty name; `BROKER` when the topic is not there; else as `karafka_producer_produce_sync`.
 */
struct karafka_error_t *karafka_producer_enable_task(struct karafka_producer_t *producer,
                                                     const char *topic,
                                                     size_t topic_length,
                                                     const char *task,
                                                     size_t task_length);

/**
 * Has a task not run at its times any more, until it is enabled; otherwise as `karafka_producer_enable_task`.
 */
struct karafka_error_t *karafka_producer_disable_task(struct karafka_producer_t *producer,
                                                      const char *topic,
                                                      size_t topic_length,
                                                      const char *task,
                                                      size_t task_length);

/**
 * Has a task run once, now, also where it is disabled; otherwise as `karafka_producer_enable_task`.
 */
struct karafka_error_t *karafka_producer_trigger_task(struct karafka_producer_t *producer,
                                                      const char *topic,
                                                      size_t topic_length,
                                                      const char *task,
                                                      size_t task_length);

/**
 * From now on, what this thread produces counts for this call, where its topic declares what it `produces`. In the handler it
 * does so anyway: this is for calls that end later, on other threads.
 *
 * @param context NULL: what this thread produces counts for no call any more. Say so before the thread does something else.
 * Errors: `ARGUMENT`, also when the job has ended; `FORKED`.
 */
struct karafka_error_t *karafka_context_count_outputs(struct karafka_context_t *context);

/**
 * The broker behind an address that begins with "embedded://"; it is started if it is not there. Apps and producers whose
 * `bootstrap_servers` is the same address use the same broker, which lives as long as the process.
 *
 * @param address UTF-8, not ended by NUL: "embedded://" and any name, or none.
 * @param broker Gets the broker, to be freed by `karafka_embedded_broker_free`.
 * Errors: `CONFIG` for another kind of address; `INTERNAL` when it cannot be started; `ARGUMENT`.
 */
struct karafka_error_t *karafka_embedded_broker_named(const char *address,
                                                      size_t address_length,
                                                      struct karafka_embedded_broker_t **broker);

/**
 * Creates a topic. Topics that are only used come into being with four partitions.
 *
 * @param name UTF-8, not ended by NUL.
 * @param partitions 1 or more.
 * Errors: `CONFIG` for a wrong name or number; `BROKER` when the topic exists; `ARGUMENT`, `FORKED`.
 */
struct karafka_error_t *karafka_embedded_broker_create_topic(struct karafka_embedded_broker_t *broker,
                                                             const char *name,
                                                             size_t name_length,
                                                             int32_t partitions);

/**
 * The address by which other processes of this machine reach the broker, such as "127.0.0.1:41237".
 *
 * Returns: text that ends with NUL and lives as long as the handle; NULL for a value that is no broker.
 */
const char *karafka_embedded_broker_bootstrap_servers(const struct karafka_embedded_broker_t *broker);

/**
 * Frees the handle. Takes NULL. The broker itself lives as long as the process.
 */
void karafka_embedded_broker_free(struct karafka_embedded_broker_t *broker);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KARAFKA_H */
