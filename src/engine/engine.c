#include "engine/engine.h"

#include "base/memory.h"

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

ls_status ls_engine_create(const ls_engine_kind *kind, const ls_model *model, int64_t batch_size,
                           int64_t n_shards, int n_extra, ls_engine **result)
{
    ls_engine *engine;
    *result = NULL;
    LS_TRY(ls_alloc(&engine, 1, sizeof *engine, "engine"));
    engine->kind = kind;
    engine->model = model;
    engine->batch_size = batch_size;
    engine->n_shards = n_shards;
    ls_message_layout_init(&engine->layout, model->dtype, model->n_parameters, LS_STEP_DOUBLES,
                           LS_STEP_INTS + n_extra);
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

ls_status ls_engine_check_features(const ls_model *model, const ls_dataset *dataset)
{
    if (ls_dataset_n_features(dataset) == model->n_features) return LS_OK;
    return ls_fail(
        LS_E_INPUT, "%s: has %lld features, but the model takes %lld: use the data or the model that fit",
        ls_dataset_x_name(dataset), (long long)ls_dataset_n_features(dataset), (long long)model->n_features);
}
