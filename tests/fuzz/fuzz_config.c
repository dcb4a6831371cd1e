/* Keras' JSON: model_config and training_config. */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "model/keras_model.h"
#include "model/keras_training.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t live = ls_alloc_live();
    char *text = fuzz_text(data, size);
    ls_keras_model *keras;
    ls_status status = ls_keras_model_parse("input", text, &keras);
    FUZZ_ASSERT_TOLD(status);
    FUZZ_ASSERT((status == LS_OK) == (keras != NULL));
    if (status == LS_OK) {
        FUZZ_ASSERT(keras->n_layers >= 1 && keras->n_features >= 0);
        for (int64_t i = 0; i < keras->n_layers; i++) {
            const ls_layer_plan *plan = &keras->plan[i];
            FUZZ_ASSERT(plan->l1 >= 0 && plan->l2 >= 0);
            FUZZ_ASSERT(plan->units >= 1 && (!plan->name || (plan->name[0] && !strchr(plan->name, '/'))));
        }
    }
    ls_keras_model_free(keras);
    for (int exact = 0; exact < 2; exact++) {
        ls_keras_loss loss;
        ls_training_config config;
        status = ls_keras_training_parse("input", text, exact, &loss, &config);
        FUZZ_ASSERT_TOLD(status);
        FUZZ_ASSERT(status != LS_OK || isfinite(config.learning_rate));
        FUZZ_ASSERT(status != LS_OK || (loss.label_smoothing >= 0 && loss.label_smoothing <= 1));
        FUZZ_ASSERT(status != LS_OK || ls_optimizer_check(&config.optimizer) == LS_OK);
    }
    free(text);
    FUZZ_ASSERT(ls_alloc_live() == live);
    return 0;
}
