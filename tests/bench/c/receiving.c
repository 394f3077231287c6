/* receiving: a C handler at libkarafka's defaults that notes when messages arrive, for BENCH_SECONDS after the first one.
 * BENCH_SETTINGS holds options of the app, one name=value a line. Prints one line of JSON. */
#include "app.h"
#include "arrivals.h"

static karafka_result_t handle(const karafka_batch_t *batch, karafka_context_t *context, void *user_data) {
    (void)context;
    (void)user_data;
    const karafka_message_t *messages;
    size_t length;
    must(karafka_batch_messages(batch, &messages, &length));
    for (size_t index = 0; index < length; index++)
        arrived(karafka_batch_partition(batch), messages[index].payload, messages[index].payload_length);
    return KARAFKA_DONE;
}

int main(void) {
    arrivals_begin();
    karafka_config_t *options = app_options(), *topic_options;
    settings(set_text, options);
    must(karafka_config_new(&topic_options));
    karafka_app_t *app = start(options, topic_options, handle);
    /* Looks once in 100 ms, as the reference's loop does. */
    while (now_ns() < arrivals_end())
        pause_us(100000);
    stop(app);
    arrivals_print();
    return 0;
}
