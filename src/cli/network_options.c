#include "network_options.h"

#include <string.h>

void cli_network_defaults(cli_network *n)
{
    *n = (cli_network){.activation = "tanh", .loss = "auto", .initializer = "glorot_uniform"};
}

int cli_network_list(cli_network *n, cli_option *rows)
{
    const cli_option options[] = {
        {"hidden", 0, CLI_INTS, &n->hidden, "U,U,...", "units of the hidden layers; \"\" for none",
         .shown_default = "none: one layer"},
        {"activation", 0, CLI_TEXT, &n->activation, "NAME",
         "of the hidden layers: tanh, relu, sigmoid, linear, elu, selu, gelu, softplus or leaky_relu",
         .given = &n->activation_given},
        {"loss", 0, CLI_TEXT, &n->loss, "NAME",
         "binary_crossentropy, sparse_categorical_crossentropy, categorical_crossentropy, "
         "mean_squared_error, "
         "mean_absolute_error or huber; auto takes the one for the labels"},
        {"dropout", 0, CLI_DOUBLE, &n->dropout, "R", "share of each hidden layer's outputs that a step drops",
         .shown_default = "0, or that of --init", .given = &n->dropout_given},
        {"label-smoothing", 0, CLI_DOUBLE, &n->label_smoothing, "R",
         "of cross-entropies: this much of a label is spread over all classes",
         .shown_default = "0, or that of --init", .given = &n->smoothing_given},
        {"kernel-initializer", 0, CLI_TEXT, &n->initializer, "NAME",
         "glorot_uniform, glorot_normal, he_uniform, he_normal, lecun_uniform or lecun_normal"},
        {"class-weight", 0, CLI_DOUBLES, &n->class_weight, "W,W,...",
         "how much samples of class 0, 1, ... count", .shown_default = "1 each"},
        {"sample-weight", 0, CLI_TEXT, &n->sample_weight, "[FILE:]/PATH",
         "array of how much each sample counts", .shown_default = "/train/sample_weight, if there is one"},
    };
    memcpy(rows, options, sizeof options);
    return (int)(sizeof options / sizeof options[0]);
}

ls_status cli_network_describe(ls_session *session, const cli_network *n, ls_dtype dtype, ls_dataset *dataset,
                               ls_network *network, ls_initializer *initializer)
{
    *network = (ls_network){.dtype = dtype,
                            .n_features = ls_dataset_n_features(dataset),
                            .hidden = n->hidden.values,
                            .n_hidden = n->hidden.n,
                            .dropout = n->dropout,
                            .label_smoothing = n->label_smoothing};
    const bool loss_given = strcmp(n->loss, "auto") != 0;
    ls_status status = ls_activation_parse(n->activation, &network->activation);
    if (status == LS_OK) status = ls_initializer_parse(n->initializer, initializer);
    if (status == LS_OK && loss_given) status = ls_loss_parse(n->loss, &network->loss);
    return status == LS_OK ? ls_network_fit_targets(session, dataset, loss_given, network) : status;
}

ls_status cli_network_make(ls_session *session, const cli_network *n, ls_dtype dtype, uint64_t seed,
                           ls_dataset *dataset, ls_model **model)
{
    ls_network network;
    ls_initializer initializer;
    ls_status status = cli_network_describe(session, n, dtype, dataset, &network, &initializer);
    if (status == LS_OK) status = ls_session_agree(session, ls_model_create_network(&network, model));
    if (status == LS_OK) ls_model_init(*model, initializer, seed);
    return status;
}

ls_status cli_network_apply(const cli_network *n, const char *file, ls_model *model)
{
    char layers[256] = "";
    size_t used = 0;
    ls_activation activation;
    ls_status status = ls_activation_parse(n->activation, &activation);
    if (status != LS_OK) return status;
    bool same = !n->hidden.given || n->hidden.n == model->n_layers - 1;
    for (int64_t i = 0; i < model->n_layers - 1; i++) {
        ls_layer *layer = &model->layers[i];
        if (n->hidden.given && i < n->hidden.n && n->hidden.values[i] != layer->units) same = false;
        if (n->activation_given && activation != layer->activation) same = false;
        if (used < sizeof layers)
            used += (size_t)snprintf(layers + used, sizeof layers - used, " %lld %s", (long long)layer->units,
                                     ls_activation_name(layer->activation));
    }
    if (!same)
        return ls_fail(LS_E_USAGE,
                       "%s: its hidden layers are%s: leave --hidden and --activation out, or say the same",
                       file, layers[0] ? layers : " none");
    ls_loss loss = model->loss;
    if (strcmp(n->loss, "auto") != 0) status = ls_loss_parse(n->loss, &loss);
    if (status == LS_OK && loss != model->loss &&
        !(ls_loss_is_categorical(loss) && ls_loss_is_categorical(model->loss)) &&
        !(ls_loss_is_regression(loss) && ls_loss_is_regression(model->loss)))
        return ls_fail(LS_E_USAGE, "%s: its outputs are those of %s: %s needs another model", file,
                       ls_loss_name(model->loss), ls_loss_name(loss));
    model->loss = loss;
    if (status == LS_OK && n->smoothing_given)
        status = ls_model_set_label_smoothing(model, n->label_smoothing);
    if (status == LS_OK && n->dropout_given) status = ls_model_set_dropout(model, n->dropout);
    return status;
}

ls_status cli_network_weigh(const cli_network *n, ls_loss loss, int64_t n_outputs, ls_dataset *dataset)
{
    if (!n->class_weight.given || n->class_weight.n == 0) return LS_OK;
    const int64_t n_classes = loss == LS_BINARY_CROSSENTROPY ? 2 : n_outputs;
    if (ls_loss_is_regression(loss))
        return ls_fail(LS_E_USAGE, "--class-weight is for classes: %s has none", ls_loss_name(loss));
    if (loss == LS_BINARY_CROSSENTROPY && n_outputs > 1)
        return ls_fail(LS_E_USAGE,
                       "--class-weight is for one label, the model has %lld: give each sample a weight, "
                       "/train/sample_weight",
                       (long long)n_outputs);
    if (n->class_weight.n != n_classes)
        return ls_fail(LS_E_USAGE, "--class-weight has %lld numbers: there are %lld classes",
                       (long long)n->class_weight.n, (long long)n_classes);
    return ls_dataset_set_class_weights(dataset, n->class_weight.values, n_classes);
}

void cli_network_free(cli_network *n)
{
    cli_ints_free(&n->hidden);
    cli_doubles_free(&n->class_weight);
}
