/* The record of a training in a checkpoint. */
#include <string.h>

#include "fuzz.h"
#include "train/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t live = ls_alloc_live();
    char *text = fuzz_text(data, size);
    json_t *settings = json_pack("{s:i, s:s, s:b, s:f}", "batch_size", 8, "engine", "reference", "shuffle", 1,
                                 "learning_rate", 0.25);
    ls_position position = {0};
    ls_history history = {0};
    const ls_status status = ls_record_parse("input", text, settings, &position, &history);
    FUZZ_ASSERT_TOLD(status);
    if (status == LS_OK) {
        FUZZ_ASSERT(position.epoch == history.n_epochs && position.step >= 0);
        /* What could be read is written so that it is read the same. */
        ls_position position_again = {0};
        ls_history history_again = {0};
        char *first, *second;
        FUZZ_ASSERT(ls_record_format(settings, &position, &history, &first) == LS_OK);
        FUZZ_ASSERT(ls_record_parse("again", first, settings, &position_again, &history_again) == LS_OK);
        FUZZ_ASSERT(ls_record_format(settings, &position_again, &history_again, &second) == LS_OK);
        FUZZ_ASSERT(strcmp(first, second) == 0);
        ls_free(first);
        ls_free(second);
        ls_history_clear(&history_again);
    }
    ls_history_clear(&history);
    json_decref(settings);
    free(text);
    FUZZ_ASSERT(ls_alloc_live() == live);
    return 0;
}
