#include "train/monitor.h"

#include <math.h>
#include <string.h>

#include "base/fail.h"

static const char validation_prefix[] = "val_";
static const double PLATEAU_MIN_DELTA = 1e-4; /* Keras' default; that of EarlyStopping is 0 */

void ls_monitor_init(ls_monitor *monitor)
{
    *monitor = (ls_monitor){.reduction = 1};
}

static bool keeps_best(const ls_train_options *options)
{
    return options->early_stopping >= 0 || options->restore_best;
}

bool ls_monitor_exists(const ls_train_options *options)
{
    return keeps_best(options) || options->reduce_lr > 0 || options->save_best;
}

/* The measure without the prefix of those of the validation data. */
static const char *measure_of(const ls_train_options *options, bool *of_validation)
{
    const char *name = options->monitor;
    const size_t length = sizeof validation_prefix - 1;
    *of_validation = strncmp(name, validation_prefix, length) == 0;
    return *of_validation ? name + length : name;
}

static bool is_known(const char *measure, ls_loss loss)
{
    const char *names[LS_MAX_MEASURES];
    const int n = ls_metrics_names(loss, names);
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], measure) == 0) return true;
    return false;
}

static ls_status check_measure(const ls_train_options *options, ls_loss loss)
{
    bool of_validation;
    const char *measure = measure_of(options, &of_validation);
    if (!is_known(measure, loss)) {
        char list[256] = "";
        const char *names[LS_MAX_MEASURES];
        const int n = ls_metrics_names(loss, names);
        for (int i = 0; i < n; i++) {
            if (i > 0) strcat(list, i < n - 1 ? ", " : " and ");
            strcat(list, names[i]);
        }
        return ls_fail(LS_E_USAGE, "monitor is %.100s: there are %s, and the same with %s of validation data",
                       options->monitor, list, validation_prefix);
    }
    if (of_validation && !options->validation)
        return ls_fail(LS_E_USAGE,
                       "%s cannot be monitored without validation data: set some aside by "
                       "--validation-split, or use --monitor %s",
                       options->monitor, measure);
    return LS_OK;
}

ls_status ls_monitor_check(const ls_train_options *options, ls_loss loss)
{
    if (!(options->reduce_lr >= 0) || options->reduce_lr >= 1)
        return ls_fail(LS_E_USAGE, "reduce_lr is %g: it must be a factor below 1", options->reduce_lr);
    if (options->reduce_lr > 0 && (options->optimizer.schedule.kind != LS_SCHEDULE_CONSTANT ||
                                   options->optimizer.schedule.warmup_steps > 0))
        return ls_fail(LS_E_USAGE, "reduce_lr needs a constant learning rate: leave the schedule or it out");
    if (options->min_delta < 0 || isinf(options->min_delta))
        return ls_fail(LS_E_USAGE, "min_delta is %g: it must not be negative", options->min_delta);
    if (!(options->min_lr >= 0) || isinf(options->min_lr))
        return ls_fail(LS_E_USAGE, "min_lr is %g: it must not be negative", options->min_lr);
    if (options->reduce_lr_patience < 0 || options->cooldown < 0)
        return ls_fail(LS_E_USAGE, "reduce_lr_patience and cooldown must not be negative");
    return ls_monitor_exists(options) ? check_measure(options, loss) : LS_OK;
}

/* Keras compares numbers of its floatx: what differs less is no improvement. */
static double rounded(double value, ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? (double)(float)value : value;
}

/* Notes a value that is better than the best one by more than min_delta. */
static bool improves(ls_best *best, double value, bool rises, double min_delta, int64_t epoch, ls_dtype dtype)
{
    const double reached = rounded(rises ? value - min_delta : value + min_delta, dtype),
                 known = rounded(best->value, dtype);
    if (best->found && (rises ? reached <= known : reached >= known)) return false;
    *best = (ls_best){true, value, epoch, 0};
    return true;
}

/* Keras' EarlyStopping. */
static void look_for_stop(ls_monitor *monitor, const ls_train_options *options, ls_dtype dtype, int64_t epoch,
                          double value, bool rises, ls_decision *decision)
{
    const double min_delta = isnan(options->min_delta) ? 0 : options->min_delta;
    monitor->stopping.wait++;
    decision->keep =
        improves(&monitor->stopping, value, rises, min_delta, epoch, dtype) && options->restore_best;
    if (options->early_stopping < 0 || monitor->stopping.wait == 0) return;
    decision->stopped = monitor->stopped = monitor->stopping.wait >= options->early_stopping && epoch > 0;
}

/* Keras' ReduceLROnPlateau. */
static void look_for_plateau(ls_monitor *monitor, const ls_train_options *options, ls_dtype dtype,
                             int64_t epoch, double value, bool rises, ls_decision *decision)
{
    const double min_delta = isnan(options->min_delta) ? PLATEAU_MIN_DELTA : options->min_delta;
    const double least = options->min_lr / ls_train_learning_rate(options);
    if (monitor->cooldown > 0) {
        monitor->cooldown--;
        monitor->plateau.wait = 0;
    }
    if (improves(&monitor->plateau, value, rises, min_delta, epoch, dtype) || monitor->cooldown > 0) return;
    monitor->plateau.wait++;
    if (monitor->plateau.wait < options->reduce_lr_patience || monitor->reduction <= least) return;
    monitor->reduction = fmax(monitor->reduction * options->reduce_lr, least);
    monitor->cooldown = options->cooldown;
    monitor->plateau.wait = 0;
    decision->reduced = true;
}

ls_decision ls_monitor_epoch(ls_monitor *monitor, const ls_train_options *options, ls_dtype dtype,
                             int64_t epoch, const ls_metrics *training, const ls_metrics *validation)
{
    ls_decision decision = {0};
    if (!ls_monitor_exists(options)) return decision;
    bool of_validation;
    const char *measure = measure_of(options, &of_validation);
    const double value = ls_metrics_value(of_validation ? validation : training, measure);
    const bool rises = ls_metrics_rises(measure);
    if (keeps_best(options)) look_for_stop(monitor, options, dtype, epoch, value, rises, &decision);
    if (options->reduce_lr > 0) look_for_plateau(monitor, options, dtype, epoch, value, rises, &decision);
    decision.save = improves(&monitor->saved, value, rises, 0, epoch, dtype) && options->save_best;
    return decision;
}

ls_status ls_monitor_add_settings(const ls_train_options *options, json_t *settings)
{
    /* NaN, for "as each of them has it", is no number of JSON. */
    json_t *min_delta = isnan(options->min_delta) ? json_string("default") : json_real(options->min_delta);
    json_t *more = json_pack("{s:s, s:o, s:I, s:b, s:f, s:I, s:I, s:f}", "monitor", options->monitor,
                             "min_delta", min_delta, "early_stopping", (json_int_t)options->early_stopping,
                             "restore_best", (int)options->restore_best, "reduce_lr", options->reduce_lr,
                             "reduce_lr_patience", (json_int_t)options->reduce_lr_patience, "cooldown",
                             (json_int_t)options->cooldown, "min_lr", options->min_lr);
    const bool added = more && json_object_update(settings, more) == 0;
    json_decref(more);
    return added ? LS_OK : ls_fail(LS_E_MEMORY, "settings of the run: no memory");
}

/* [value, epoch, wait], [] before there is one */
static json_t *best_json(const ls_best *best)
{
    return best->found ? json_pack("[f, I, I]", best->value, (json_int_t)best->epoch, (json_int_t)best->wait)
                       : json_array();
}

json_t *ls_monitor_json(const ls_monitor *monitor)
{
    return json_pack("{s:o, s:o, s:o, s:b, s:I, s:f}", "stopping", best_json(&monitor->stopping), "plateau",
                     best_json(&monitor->plateau), "saved", best_json(&monitor->saved), "stopped",
                     (int)monitor->stopped, "cooldown", (json_int_t)monitor->cooldown, "reduction",
                     monitor->reduction);
}

static bool parse_best(json_t *json, int64_t n_epochs, ls_best *best)
{
    json_int_t epoch, wait;
    *best = (ls_best){0};
    if (!json_is_array(json)) return false;
    if (json_array_size(json) == 0) return true;
    if (json_unpack(json, "[F, I, I!]", &best->value, &epoch, &wait) != 0) return false;
    best->found = true;
    best->epoch = epoch;
    best->wait = wait;
    return isfinite(best->value) && epoch >= 0 && epoch < n_epochs && wait >= 0 && wait < n_epochs;
}

bool ls_monitor_parse(json_t *json, int64_t n_epochs, ls_monitor *monitor)
{
    json_t *stopping, *plateau, *saved;
    int stopped;
    json_int_t cooldown;
    ls_monitor_init(monitor);
    if (json_unpack(json, "{s:o, s:o, s:o, s:b, s:I, s:F}", "stopping", &stopping, "plateau", &plateau,
                    "saved", &saved, "stopped", &stopped, "cooldown", &cooldown, "reduction",
                    &monitor->reduction) != 0)
        return false;
    monitor->stopped = stopped;
    monitor->cooldown = cooldown;
    return parse_best(stopping, n_epochs, &monitor->stopping) &&
           parse_best(plateau, n_epochs, &monitor->plateau) && parse_best(saved, n_epochs, &monitor->saved) &&
           cooldown >= 0 && monitor->reduction >= 0 && monitor->reduction <= 1;
}
