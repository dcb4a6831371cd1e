#include "model/model_file.h"

#include <string.h>

#include "base/memory.h"
#include "base/output_file.h"
#include "comm/comm.h"
#include "model/file_digest.h"
#include "model/keras_h5.h"
#include "model/normalization.h"
#include "model/whole_file.h"

ls_status ls_model_file_read(const char *path, ls_model **model, ls_training_config *config, char **record)
{
    *model = NULL;
    if (record) *record = NULL;
    void *bytes;
    size_t size;
    bool ours;
    LS_TRY(ls_whole_file_read(path, &bytes, &size));
    ls_status status = ls_file_digest_check(path, bytes, size, &ours);
    if (status == LS_OK) status = ls_keras_h5_read(path, bytes, size, ours, model, config, record);
    ls_free(bytes);
    return status;
}

ls_status ls_model_file_write(const ls_model *model, const ls_training_config *config, const char *record,
                              const char *path)
{
    void *bytes;
    size_t size;
    LS_TRY(ls_keras_h5_write(model, config, record, &bytes, &size));
    ls_file_digest_stamp(bytes, size);
    const ls_status status = ls_output_file_put(path, bytes, size);
    ls_free(bytes);
    return status;
}

/* What the other ranks need to make the same model. */
typedef struct outline {
    int64_t dtype;
    int64_t n_features;
    int64_t n_layers;
    int64_t names_size; /* bytes of all names with their ends */
    int64_t loss;
    double label_smoothing, huber_delta;
    int64_t normalizes;
    ls_training_config config;
} outline;

typedef struct layer_outline {
    int64_t units;
    int64_t activation;
    double l1, l2;
    double dropout;
} layer_outline;

static size_t names_size(const ls_model *model)
{
    size_t size = 0;
    for (int64_t i = 0; i < model->n_layers; i++) size += strlen(model->layers[i].name) + 1;
    return size;
}

/* Rank 0 fills layers and names from its model. */
static void describe_layers(const ls_model *model, layer_outline *layers, char *names)
{
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        const size_t size = strlen(layer->name) + 1;
        layers[i] = (layer_outline){layer->units, layer->activation, layer->l1, layer->l2, layer->dropout};
        memcpy(names, layer->name, size);
        names += size;
    }
}

static ls_status make_from_outline(const outline *shared, const layer_outline *layers, const char *names,
                                   ls_model **model)
{
    ls_layer_plan *plan;
    LS_TRY(ls_alloc(&plan, (size_t)shared->n_layers, sizeof *plan, "plan of the layers"));
    for (int64_t i = 0; i < shared->n_layers; i++) {
        plan[i] = (ls_layer_plan){names,        layers[i].units, (ls_activation)layers[i].activation,
                                  layers[i].l1, layers[i].l2,    layers[i].dropout};
        names += strlen(names) + 1;
    }
    const ls_status status =
        ls_model_create_layers((ls_dtype)shared->dtype, shared->n_features, plan, shared->n_layers, model);
    ls_free(plan);
    LS_TRY(status);
    (*model)->loss = (ls_loss)shared->loss;
    (*model)->label_smoothing = shared->label_smoothing;
    (*model)->huber_delta = shared->huber_delta;
    return LS_OK;
}

/* Gives rank 0's model to the others, whose *model is NULL. */
static ls_status share(ls_session *session, outline *shared, ls_model **model)
{
    const bool reads = session->rank == 0;
    LS_TRY(ls_broadcast(session, shared, sizeof *shared));
    layer_outline *layers = NULL;
    char *names = NULL;
    ls_status status = ls_alloc(&layers, (size_t)shared->n_layers, sizeof *layers, "outline of the model");
    if (status == LS_OK) status = ls_alloc(&names, (size_t)shared->names_size, 1, "names of the layers");
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        if (reads) describe_layers(*model, layers, names);
        status = ls_broadcast(session, layers, (size_t)shared->n_layers * sizeof *layers);
    }
    if (status == LS_OK) status = ls_broadcast(session, names, (size_t)shared->names_size);
    if (status == LS_OK)
        status = ls_session_agree(session, reads ? LS_OK : make_from_outline(shared, layers, names, model));
    ls_free(names);
    ls_free(layers);
    LS_TRY(status);
    if (shared->normalizes) LS_TRY(ls_model_share_normalization(session, *model));
    return ls_broadcast(session, (*model)->parameters,
                        (size_t)(*model)->n_parameters * ls_dtype_size((*model)->dtype));
}

/* Gives rank 0's slots to the others; shared->config is the same on all ranks but for the slots, of which
 * only rank 0 has any. */
static ls_status share_slots(ls_session *session, const ls_model *model, ls_training_config *config)
{
    const int64_t n = ls_optimizer_n_slots(&config->optimizer) * model->n_parameters;
    int64_t present = config->slots != NULL;
    LS_TRY(ls_broadcast(session, &present, sizeof present));
    if (!present) return LS_OK;
    const size_t size = ls_dtype_size(model->dtype);
    LS_TRY(ls_session_agree(
        session,
        session->rank == 0 ? LS_OK : ls_alloc(&config->slots, (size_t)n, size, "state of the optimizer")));
    return ls_broadcast(session, config->slots, (size_t)n * size);
}

ls_status ls_model_load(ls_session *session, const char *path, ls_model **model, ls_training_config *config)
{
    *model = NULL;
    ls_status status = LS_OK;
    outline shared = {0};
    if (session->rank == 0) {
        status = ls_model_file_read(path, model, config ? &shared.config : NULL, NULL);
        if (status == LS_OK) {
            shared.dtype = (*model)->dtype;
            shared.n_features = (*model)->n_features;
            shared.n_layers = (*model)->n_layers;
            shared.loss = (*model)->loss;
            shared.label_smoothing = (*model)->label_smoothing;
            shared.huber_delta = (*model)->huber_delta;
            shared.normalizes = (*model)->mean != NULL;
            shared.names_size = (int64_t)names_size(*model);
        }
    }
    LS_TRY(ls_session_agree(session, status));
    void *slots = shared.config.slots; /* of rank 0 */
    status = share(session, &shared, model);
    shared.config.slots = slots;
    if (status == LS_OK && config) status = share_slots(session, *model, &shared.config);
    if (status != LS_OK) {
        ls_model_free(*model);
        *model = NULL;
    } else if (config) {
        *config = shared.config;
        return LS_OK;
    }
    ls_training_config_clear(&shared.config);
    return status;
}

ls_status ls_model_save(ls_session *session, const ls_model *model, const ls_training_config *config,
                        const char *path)
{
    return ls_session_agree(session,
                            session->rank == 0 ? ls_model_file_write(model, config, NULL, path) : LS_OK);
}
