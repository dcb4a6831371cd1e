#include "model/keras_h5_optimizer.h"

#include <inttypes.h>
#include <string.h>

static ls_status read_scalar(const ls_h5_reader *in, hid_t root, const char *path, const char *place,
                             int64_t *value)
{
    hid_t dataset;
    LS_TRY(ls_h5_open_object(in, root, path, place, &dataset));
    const hid_t space = H5Iget_type(dataset) == H5I_DATASET ? H5Dget_space(dataset) : -1;
    ls_status status = LS_OK;
    if (space < 0 || H5Sget_simple_extent_npoints(space) != 1)
        status = ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is not one number", in->file, place);
    else if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0)
        status = ls_h5_fail(LS_E_INPUT, in->file, place, "the optimizer's iteration cannot be read");
    if (space >= 0) H5Sclose(space);
    H5Oclose(dataset);
    if (status == LS_OK && *value < 0)
        status =
            ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is %" PRId64, in->file, place, *value);
    return status;
}

/* Keras 2 and 3 list "sgd/iteration", "SGD/iter:0" or "iteration:0" among the optimizer's weights. */
static bool is_iteration(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;
    const size_t length = strcspn(last, ":");
    return (length == 4 && strncmp(last, "iter", 4) == 0) ||
           (length == 9 && strncmp(last, "iteration", 9) == 0);
}

ls_status ls_keras_h5_read_optimizer(const ls_h5_reader *in, hid_t root, int64_t *iterations)
{
    bool found;
    LS_TRY(ls_h5_has_link(in, root, "/", "optimizer", &found));
    if (found) return read_scalar(in, root, "optimizer/vars/0", "/optimizer/vars/0", iterations);
    LS_TRY(ls_h5_has_link(in, root, "/", "optimizer_weights", &found));
    if (!found) return LS_OK;
    const char *place = "/optimizer_weights";
    hid_t group;
    LS_TRY(ls_h5_open_object(in, root, "optimizer_weights", place, &group));
    ls_h5_strings names = {0};
    ls_status status = ls_h5_read_names(in, group, "weight_names", place, &names);
    for (int64_t i = 0; i < names.n && status == LS_OK; i++) {
        if (!is_iteration(names.items[i])) continue;
        status = read_scalar(in, group, names.items[i], place, iterations);
        break;
    }
    ls_h5_free_strings(&names);
    H5Oclose(group);
    return status;
}
