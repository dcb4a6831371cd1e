#include "engine/engine.h"

#include "base/memory.h"
#include "data/dataset.h"

const ls_engine_kind *ls_engine_choose(ls_engine_choice choice, const ls_model *model)
{
    switch (choice) {
    case LS_ENGINE_SIMD:
        return &ls_engine_simd;
    case LS_ENGINE_BLAS:
        return &ls_engine_blas;
    case LS_ENGINE_REFERENCE:
        return &ls_engine_reference;
    case LS_ENGINE_AUTO:
        break;
    }
    /* Where the kernels have vectors with a fused multiply-add they are faster than BLAS at every width. The
     * portable ones are not; but what is chosen must not depend on the processor, for the bits do. */
    (void)model;
    return &ls_engine_simd;
}

int64_t ls_measured_rows(const ls_model *model, int64_t rows)
{
    enum { MAX_OUTPUTS = 1 << 22 };
    while (rows > LS_MEASURED_BATCH && rows * ls_model_n_outputs(model) > MAX_OUTPUTS) rows /= 2;
    return rows;
}

ls_targets ls_engine_targets(const ls_model *model)
{
    return (ls_targets){.n_columns = ls_loss_is_categorical(model->loss) ? 1 : ls_model_n_outputs(model)};
}

bool ls_engine_is_plain(const ls_model *model, const ls_targets *targets)
{
    return model->loss == LS_BINARY_CROSSENTROPY && ls_model_n_outputs(model) == 1 &&
           model->label_smoothing == 0 && !targets->weighted;
}

void ls_step_layout(const ls_model *model, const ls_targets *targets, int64_t n_reals, int n_extra,
                    ls_message_layout *layout)
{
    ls_message_layout_init(layout, model->dtype, n_reals,
                           ls_engine_is_plain(model, targets) ? LS_STEP_PLAIN_DOUBLES : LS_STEP_DOUBLES,
                           LS_STEP_INTS + n_extra);
}

ls_status ls_engine_create(const ls_engine_kind *kind, const ls_model *model, const ls_engine_plan *plan,
                           ls_engine **result)
{
    ls_engine *engine;
    *result = NULL;
    LS_TRY(ls_alloc(&engine, 1, sizeof *engine, "engine"));
    engine->kind = kind;
    engine->model = model;
    engine->targets = plan->targets.n_columns > 0 ? plan->targets : ls_engine_targets(model);
    engine->is_plain = ls_engine_is_plain(model, &engine->targets);
    engine->batch_size = plan->batch_size;
    engine->n_shards = plan->n_shards;
    engine->dropout_seed = plan->seed;
    ls_step_layout(model, &engine->targets, model->n_parameters, plan->n_extra, &engine->layout);
    const ls_status status = kind->create(engine);
    if (status != LS_OK) {
        ls_engine_destroy(engine);
        return status;
    }
    *result = engine;
    return LS_OK;
}

void ls_engine_destroy(ls_engine *engine)
{
    if (!engine) return;
    engine->kind->destroy(engine);
    ls_free(engine);
}

ls_status ls_engine_check_features(const ls_model *model, ls_dataset *dataset)
{
    if (ls_dataset_n_features(dataset) != model->n_features)
        return ls_fail(LS_E_INPUT,
                       "%s: has %lld features, but the model takes %lld: use the data or the model that fit",
                       ls_dataset_x_name(dataset), (long long)ls_dataset_n_features(dataset),
                       (long long)model->n_features);
    if (!ls_dataset_has_y(dataset)) return LS_OK;
    const ls_target_kind kind = model->loss == LS_BINARY_CROSSENTROPY ? LS_TARGET_LABELS
                                : ls_loss_is_categorical(model->loss) ? LS_TARGET_CLASSES
                                                                      : LS_TARGET_NUMBERS;
    return ls_dataset_expect_targets(dataset, kind, ls_model_n_outputs(model));
}
