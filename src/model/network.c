/* From the targets of a set to the network that learns them. */
#include <math.h>

#include "comm/comm.h"
#include "data/dataset.h"
#include "lockstep/model.h"

/* Whole numbers are taken for classes as long as they are few; said to be classes, there may be more. */
enum { MAX_GUESSED = 10000, MAX_CLASSES = 1000000, MAX_LABEL = 255 };

static ls_status fail_labels(const ls_dataset *dataset, const ls_target_range *range, const char *what)
{
    return ls_fail(LS_E_INPUT, "%s: the values lie between %g and %g: %s", ls_dataset_y_name(dataset),
                   range->minimum, range->maximum, what);
}

/* Keras' rules of thumb. Numbers that might be classes as well are not guessed at. */
static ls_status choose_loss(const ls_dataset *dataset, const ls_target_range *range, ls_loss *loss)
{
    const bool is_binary = range->is_whole && range->minimum >= 0 && range->maximum <= 1;
    *loss = LS_MEAN_SQUARED_ERROR;
    if (range->n_columns > 1) {
        if (is_binary) *loss = range->is_one_hot ? LS_CATEGORICAL_CROSSENTROPY : LS_BINARY_CROSSENTROPY;
    } else if (is_binary) {
        *loss = LS_BINARY_CROSSENTROPY;
    } else if (range->is_integer) {
        *loss = LS_SPARSE_CATEGORICAL_CROSSENTROPY;
        if (range->minimum < 0)
            return fail_labels(
                dataset, range,
                "classes are numbers from 0 on; to predict the numbers themselves say so with the loss "
                "mean_squared_error");
        if (range->maximum >= MAX_GUESSED)
            return fail_labels(dataset, range,
                               "so many classes, or quantities: say which with the loss "
                               "sparse_categorical_crossentropy or mean_squared_error");
    } else if (range->is_whole && range->minimum >= 0 && range->maximum <= MAX_LABEL) {
        return fail_labels(dataset, range,
                           "whole numbers may be classes or quantities: say which with the loss "
                           "sparse_categorical_crossentropy or mean_squared_error");
    }
    return LS_OK;
}

ls_status ls_network_fit_targets(ls_session *session, ls_dataset *dataset, bool loss_given,
                                 ls_network *network)
{
    ls_target_range range;
    network->n_outputs = ls_dataset_target_columns(dataset);
    if (loss_given && network->loss == LS_BINARY_CROSSENTROPY) return LS_OK;
    LS_TRY(ls_dataset_scan_targets(session, dataset, &range));
    if (!loss_given) LS_TRY(choose_loss(dataset, &range, &network->loss));
    if (network->loss == LS_BINARY_CROSSENTROPY) return LS_OK;
    if (!ls_loss_is_categorical(network->loss) || range.n_columns > 1) return LS_OK;
    if (!range.is_whole || range.minimum < 0 || range.maximum >= MAX_CLASSES)
        return fail_labels(dataset, &range, "classes are whole numbers from 0 on, below a million");
    network->loss = LS_SPARSE_CATEGORICAL_CROSSENTROPY;
    network->n_outputs = range.maximum < 1 ? 2 : (int64_t)range.maximum + 1;
    return LS_OK;
}
