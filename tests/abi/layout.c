/* The layout of public structs and the numbers of enums: part of the ABI, so that a change here breaks programs. */
#include <karafka.h>
#include <karafka.h> /* a second time does nothing */

#include <stddef.h>
#include <stdio.h>

static int failures = 0;

static void is(const char *what, unsigned long actual, unsigned long expected) {
    if (actual != expected) {
        printf("  %s is %lu, not %lu\n", what, actual, expected);
        failures++;
    }
}

#define SIZE(type, size) is("sizeof(" #type ")", (unsigned long)sizeof(type), size)
#define FIELD(type, field, offset) is(#type "." #field, (unsigned long)offsetof(type, field), offset)
#define NUMBER(name, number) is(#name, (unsigned long)(name), number)

int main(void) {
    karafka_record_t record = KARAFKA_RECORD_INIT;

    SIZE(karafka_message_t, 64);
    FIELD(karafka_message_t, payload, 0);
    FIELD(karafka_message_t, payload_length, 8);
    FIELD(karafka_message_t, key, 16);
    FIELD(karafka_message_t, key_length, 24);
    FIELD(karafka_message_t, offset, 32);
    FIELD(karafka_message_t, timestamp_ms, 40);
    FIELD(karafka_message_t, virtual_partition, 48);
    FIELD(karafka_message_t, index, 56);
    FIELD(karafka_message_t, timestamp_kind, 60);

    SIZE(karafka_candidate_t, 56);
    SIZE(karafka_header_t, 32);
    FIELD(karafka_header_t, name, 0);
    FIELD(karafka_header_t, name_length, 8);
    FIELD(karafka_header_t, value, 16);
    FIELD(karafka_header_t, value_length, 24);

    SIZE(karafka_record_t, 120);
    FIELD(karafka_record_t, struct_size, 0);
    FIELD(karafka_record_t, topic, 8);
    FIELD(karafka_record_t, topic_length, 16);
    FIELD(karafka_record_t, key, 24);
    FIELD(karafka_record_t, key_length, 32);
    FIELD(karafka_record_t, payload, 40);
    FIELD(karafka_record_t, payload_length, 48);
    FIELD(karafka_record_t, headers, 56);
    FIELD(karafka_record_t, header_count, 64);
    FIELD(karafka_record_t, timestamp_ms, 72);
    FIELD(karafka_record_t, partition, 80);
    FIELD(karafka_record_t, reserved, 84);
    FIELD(karafka_record_t, partition_key, 88);
    FIELD(karafka_record_t, partition_key_length, 96);
    FIELD(karafka_record_t, label, 104);
    FIELD(karafka_record_t, label_length, 112);

    SIZE(karafka_selection_t, 48);
    FIELD(karafka_selection_t, topic, 0);
    FIELD(karafka_selection_t, topic_length, 8);
    FIELD(karafka_selection_t, partitions, 16);
    FIELD(karafka_selection_t, partition_count, 24);
    FIELD(karafka_selection_t, number, 32);
    FIELD(karafka_selection_t, from, 40);
    SIZE(karafka_place_t, 40);
    FIELD(karafka_place_t, topic, 0);
    FIELD(karafka_place_t, start, 8);
    FIELD(karafka_place_t, next, 16);
    FIELD(karafka_place_t, end, 24);
    FIELD(karafka_place_t, partition, 32);
    FIELD(karafka_place_t, is_done, 36);

    SIZE(karafka_schedule_id_t, 64);
    SIZE(karafka_task_run_t, 32);
    FIELD(karafka_task_run_t, task, 0);
    FIELD(karafka_task_run_t, task_length, 8);
    FIELD(karafka_task_run_t, scheduled_ms, 16);
    SIZE(karafka_delivery_report_t, 24);
    FIELD(karafka_delivery_report_t, offset, 0);
    FIELD(karafka_delivery_report_t, timestamp_ms, 8);
    FIELD(karafka_delivery_report_t, partition, 16);
    FIELD(karafka_delivery_report_t, reserved, 20);

    is("record.struct_size", (unsigned long)record.struct_size, sizeof(karafka_record_t));
    is("record.partition", (unsigned long)(record.partition + 1), 0);
    is("record.timestamp_ms", (unsigned long)(record.timestamp_ms + 1), 0);

    SIZE(karafka_error_code_t, 4);
    SIZE(karafka_result_t, 4);
    SIZE(karafka_phase_t, 4);
    SIZE(karafka_timestamp_kind_t, 4);

    NUMBER(KARAFKA_OK, 0);
    NUMBER(KARAFKA_ERROR_CONFIG, 1);
    NUMBER(KARAFKA_ERROR_BROKER, 2);
    NUMBER(KARAFKA_ERROR_AUTH, 3);
    NUMBER(KARAFKA_ERROR_TIMEOUT, 4);
    NUMBER(KARAFKA_ERROR_FENCED, 5);
    NUMBER(KARAFKA_ERROR_NOT_OWNED, 6);
    NUMBER(KARAFKA_ERROR_HANDLER, 7);
    NUMBER(KARAFKA_ERROR_DESERIALIZE, 8);
    NUMBER(KARAFKA_ERROR_TRANSACTION, 9);
    NUMBER(KARAFKA_ERROR_QUEUE_FULL, 10);
    NUMBER(KARAFKA_ERROR_STOPPED, 11);
    NUMBER(KARAFKA_ERROR_FORKED, 12);
    NUMBER(KARAFKA_ERROR_UNSUPPORTED, 13);
    NUMBER(KARAFKA_ERROR_INTERNAL, 14);
    NUMBER(KARAFKA_ERROR_ARGUMENT, 100);
    NUMBER(KARAFKA_DONE, 0);
    NUMBER(KARAFKA_FAILED, 1);
    NUMBER(KARAFKA_LATER, 2);
    NUMBER(KARAFKA_PHASE_INITIALIZED, 0);
    NUMBER(KARAFKA_PHASE_RUNNING, 1);
    NUMBER(KARAFKA_PHASE_QUIETING, 2);
    NUMBER(KARAFKA_PHASE_QUIET, 3);
    NUMBER(KARAFKA_PHASE_STOPPING, 4);
    NUMBER(KARAFKA_PHASE_STOPPED, 5);
    NUMBER(KARAFKA_TIMESTAMP_NONE, 0);
    NUMBER(KARAFKA_TIMESTAMP_CREATE_TIME, 1);
    NUMBER(KARAFKA_TIMESTAMP_LOG_APPEND_TIME, 2);
    NUMBER(KARAFKA_RUN_WITH_SIGNALS, 1);

    if (karafka_abi_version() != KARAFKA_ABI_VERSION || strcmp(karafka_version(), KARAFKA_VERSION) != 0) {
        printf("  the library is %s, ABI %u; the header %s\n", karafka_version(), (unsigned)karafka_abi_version(),
               KARAFKA_VERSION);
        failures++;
    }
    return failures == 0 ? 0 : 1;
}
