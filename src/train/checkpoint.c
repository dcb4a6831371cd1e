#include "train/checkpoint.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "base/memory.h"
#include "comm/comm.h"
#include "model/model_file.h"
#include "model/normalization.h"

/* Keras takes the reader for a file by its name: one of this form serves load_model and load_weights. */
static const char prefix[] = "checkpoint-", suffix[] = ".weights.h5";
static const char lock_name[] = ".lock";
enum { DIGITS = 12, NAME_SIZE = sizeof prefix + DIGITS + sizeof suffix, PATH_SIZE = 4096 };
static const double LOCK_SECONDS = 10; /* a killed run may take so long to leave */

static int is_checkpoint(const struct dirent *entry)
{
    const char *digits = entry->d_name + sizeof prefix - 1;
    return strlen(entry->d_name) == NAME_SIZE - 2 && !strncmp(entry->d_name, prefix, sizeof prefix - 1) &&
           strspn(digits, "0123456789") == DIGITS && !strcmp(digits + DIGITS, suffix);
}

/* What a killed run leaves: ".checkpoint-000000001000.weights.h5.tmp-4711". */
static int is_leftover(const struct dirent *entry)
{
    const char *digits = entry->d_name + sizeof prefix;
    return entry->d_name[0] == '.' && !strncmp(entry->d_name + 1, prefix, sizeof prefix - 1) &&
           strspn(digits, "0123456789") == DIGITS && !strncmp(digits + DIGITS, suffix, sizeof suffix - 1) &&
           !strncmp(digits + DIGITS + sizeof suffix - 1, ".tmp-", 5);
}

typedef struct listing {
    struct dirent **entries; /* by name, hence by step, oldest first */
    int n;
} listing;

static ls_status list(const char *directory, int (*filter)(const struct dirent *), listing *found)
{
    found->n = scandir(directory, &found->entries, filter, alphasort);
    if (found->n >= 0) return LS_OK;
    const int error = errno;
    *found = (listing){0};
    if (error == ENOENT) return LS_OK;
    return ls_fail(LS_E_INPUT, "%s: cannot list the checkpoint directory: %s", directory, strerror(error));
}

static void free_listing(listing *found)
{
    for (int i = 0; i < found->n; i++) free(found->entries[i]);
    free(found->entries);
}

static ls_status join(char *path, const char *directory, const char *name)
{
    if (snprintf(path, PATH_SIZE, "%s/%s", directory, name) < PATH_SIZE) return LS_OK;
    return ls_fail(LS_E_USAGE, "%.100s...: the name of the checkpoint directory is too long", directory);
}

/* Locks the directory for this run. A lock ends with the process that holds it, however it ends. */
static ls_status lock_directory(const char *directory, int *lock)
{
    char path[PATH_SIZE];
    LS_TRY(join(path, directory, lock_name));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0)
        return ls_fail(LS_E_OUTPUT, "%s: cannot write in the checkpoint directory: %s", directory,
                       strerror(errno));
    const struct timespec pause = {.tv_nsec = 100000000};
    for (double waited = 0; flock(*lock, LOCK_EX | LOCK_NB) != 0; waited += 0.1) {
        if (errno != EWOULDBLOCK && errno != EINTR) return LS_OK; /* a file system without locks */
        if (waited > LOCK_SECONDS) {
            ls_checkpoint_release(*lock);
            *lock = -1;
            return ls_fail(LS_E_USAGE,
                           "%s: another run is writing its checkpoints here: wait for its end, or give "
                           "another directory",
                           directory);
        }
        ls_place_at(LS_AT_START, -1);
        nanosleep(&pause, NULL);
    }
    return LS_OK;
}

void ls_checkpoint_release(int lock)
{
    if (lock >= 0) close(lock);
}

static ls_status prepare(const char *directory, bool fresh, int *lock)
{
    struct stat found;
    if (mkdir(directory, 0777) != 0 && errno != EEXIST)
        return ls_fail(LS_E_OUTPUT, "%s: cannot make the directory: %s", directory, strerror(errno));
    if (stat(directory, &found) != 0 || !S_ISDIR(found.st_mode))
        return ls_fail(LS_E_OUTPUT, "%s: is not a directory", directory);
    if (access(directory, W_OK | X_OK) != 0)
        return ls_fail(LS_E_OUTPUT, "%s: cannot write in the checkpoint directory: %s", directory,
                       strerror(errno));
    LS_TRY(lock_directory(directory, lock));
    listing present;
    LS_TRY(list(directory, is_checkpoint, &present));
    const int n_present = present.n;
    free_listing(&present);
    if (fresh && n_present > 0)
        return ls_fail(
            LS_E_USAGE,
            "%s: holds %d checkpoints of an earlier run: go on from them with --resume, or give another "
            "directory",
            directory, n_present);
    LS_TRY(list(directory, is_leftover, &present));
    ls_status status = LS_OK;
    for (int i = 0; i < present.n && status == LS_OK; i++) {
        char path[PATH_SIZE];
        status = join(path, directory, present.entries[i]->d_name);
        if (status == LS_OK) unlink(path);
    }
    free_listing(&present);
    return status;
}

ls_status ls_checkpoint_prepare(ls_session *session, const char *directory, bool fresh, int *lock)
{
    *lock = -1;
    const ls_status status =
        ls_session_agree(session, session->rank == 0 ? prepare(directory, fresh, lock) : LS_OK);
    if (status != LS_OK) {
        ls_checkpoint_release(*lock);
        *lock = -1;
    }
    return status;
}

/* Removes all but the newest `keep` checkpoints up to that of this step. What comes after it was damaged when
 * the run was resumed: it is no successor of anything. */
static ls_status prune(const char *directory, int64_t keep, int64_t iterations)
{
    char name[NAME_SIZE + 16], path[PATH_SIZE];
    listing present;
    snprintf(name, sizeof name, "%s%0*lld%s", prefix, DIGITS, (long long)iterations, suffix);
    LS_TRY(list(directory, is_checkpoint, &present));
    int n_until_now = present.n;
    while (n_until_now > 0 && strcmp(present.entries[n_until_now - 1]->d_name, name) > 0) n_until_now--;
    for (int i = 0; i < n_until_now - keep; i++)
        if (join(path, directory, present.entries[i]->d_name) == LS_OK) unlink(path);
    free_listing(&present);
    return LS_OK;
}

ls_status ls_checkpoint_prune(ls_session *session, const char *directory, int64_t keep, int64_t iterations)
{
    return ls_session_agree(session, session->rank == 0 ? prune(directory, keep, iterations) : LS_OK);
}

static ls_status write_and_prune(const char *directory, int64_t keep, const ls_model *model,
                                 const ls_training_config *config, int64_t iterations, const char *record)
{
    char name[NAME_SIZE + 16], path[PATH_SIZE];
    snprintf(name, sizeof name, "%s%0*lld%s", prefix, DIGITS, (long long)iterations, suffix);
    LS_TRY(join(path, directory, name));
    LS_TRY(ls_model_file_write(model, config, record, path));
    return prune(directory, keep, iterations);
}

ls_status ls_checkpoint_write(ls_session *session, const char *directory, int64_t keep, const ls_model *model,
                              const ls_training_config *config, int64_t iterations, const char *record)
{
    ls_place_at(LS_AT_CHECKPOINT, -1);
    const ls_status status =
        session->rank == 0 ? write_and_prune(directory, keep, model, config, iterations, record) : LS_OK;
    return ls_session_agree(session, status);
}

static ls_status other_model(const char *path, const char *item, const char *then, const char *now)
{
    return ls_fail(LS_E_USAGE,
                   "%s: %s was %s when the run began and is %s now: resume with the same, or start anew in "
                   "another checkpoint directory",
                   path, item, then, now);
}

/* "2,2", as --hidden takes it. */
static const char *hidden_units(const ls_model *model, char *text, size_t size)
{
    size_t used = 0;
    snprintf(text, size, "none");
    for (int64_t i = 0; i < model->n_layers - 1 && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? "," : "",
                                 (long long)model->layers[i].units);
    return text;
}

/* The first thing in which the models differ, both named. */
static ls_status same_layers(const char *path, const ls_model *found, const ls_model *model)
{
    char then[128], now[128];
    if (found->n_features != model->n_features) {
        snprintf(then, sizeof then, "%lld", (long long)found->n_features);
        snprintf(now, sizeof now, "%lld", (long long)model->n_features);
        return other_model(path, "n_features", then, now);
    }
    if (found->dtype != model->dtype)
        return other_model(path, "dtype", ls_dtype_name(found->dtype), ls_dtype_name(model->dtype));
    bool same = found->n_layers == model->n_layers;
    for (int64_t i = 0; same && i < model->n_layers; i++)
        same = found->layers[i].units == model->layers[i].units;
    if (!same)
        return other_model(path, "hidden", hidden_units(found, then, sizeof then),
                           hidden_units(model, now, sizeof now));
    for (int64_t i = 0; i < model->n_layers; i++)
        if (found->layers[i].activation != model->layers[i].activation)
            return other_model(path, "activation", ls_activation_name(found->layers[i].activation),
                               ls_activation_name(model->layers[i].activation));
    return LS_OK;
}

static void notice(const ls_train_observer *observer, const char *text)
{
    if (observer && observer->notice) observer->notice(observer->context, text);
}

/* The newest complete one with its configuration and its record, for the caller to free; *found is NULL if
 * there is none. */
static ls_status find_newest(const char *directory, const ls_train_observer *observer, ls_model **found,
                             ls_training_config *config, char **text, char *path)
{
    listing present;
    *found = NULL;
    LS_TRY(list(directory, is_checkpoint, &present));
    ls_status status = LS_OK;
    for (int i = present.n - 1; i >= 0 && !*found; i--) {
        status = join(path, directory, present.entries[i]->d_name);
        if (status == LS_OK) status = ls_model_file_read(path, found, config, text);
        if (status == LS_OK && !*text) {
            status = ls_fail(LS_E_INPUT, "%s: has no record of a training: it is no checkpoint", path);
            ls_training_config_clear(config);
            ls_model_free(*found);
            *found = NULL;
        }
        if (status != LS_E_INPUT) break;
        notice(observer, ls_error_message());
    }
    free_listing(&present);
    return status;
}

static ls_status read_newest(const char *directory, ls_model *model, ls_optimizer_state *optimizer,
                             const ls_train_observer *observer, char **text, char *path)
{
    ls_training_config config = {0};
    ls_model *found;
    ls_status status = find_newest(directory, observer, &found, &config, text, path);
    if (!found) return status;
    status = same_layers(path, found, model);
    if (status == LS_OK)
        memcpy(model->parameters, found->parameters,
               (size_t)model->n_parameters * ls_dtype_size(model->dtype));
    /* Another optimizer is another setting, which the record tells. */
    if (status == LS_OK && optimizer) ls_optimizer_continue(optimizer, &config);
    ls_training_config_clear(&config);
    if (status == LS_OK) {
        model->best_parameters = found->best_parameters;
        found->best_parameters = NULL;
    }
    ls_model_free(found);
    return status;
}

/* What is wrong with the files is told when they are read to be gone on with. */
static ls_status adopt_normalization(const char *directory, ls_model *model, bool *adopted)
{
    char path[PATH_SIZE];
    ls_training_config config = {0};
    ls_model *found;
    char *text = NULL;
    ls_status status = find_newest(directory, NULL, &found, &config, &text, path);
    if (status == LS_E_INPUT) status = LS_OK;
    if (found && found->mean && found->n_features == model->n_features && found->dtype == model->dtype) {
        status = ls_model_set_normalization(model, found->mean, found->variance, path);
        *adopted = status == LS_OK;
    }
    if (found) ls_training_config_clear(&config);
    ls_model_free(found);
    ls_free(text);
    return status;
}

ls_status ls_checkpoint_adopt_normalization(ls_session *session, const char *directory, ls_model *model,
                                            bool *adopted)
{
    *adopted = false;
    LS_TRY(ls_session_agree(session,
                            session->rank == 0 ? adopt_normalization(directory, model, adopted) : LS_OK));
    LS_TRY(ls_broadcast(session, adopted, sizeof *adopted));
    return *adopted ? ls_model_share_normalization(session, model) : LS_OK;
}

/* Gives rank 0's state to the others. */
static ls_status share_optimizer(ls_session *session, ls_optimizer_state *optimizer)
{
    int64_t iterations = optimizer->iterations;
    LS_TRY(ls_broadcast(session, &iterations, sizeof iterations));
    if (optimizer->n_slots > 0)
        LS_TRY(ls_broadcast(session, optimizer->slots, ls_optimizer_slots_size(optimizer)));
    ls_optimizer_restore(optimizer, iterations, optimizer->slots);
    return LS_OK;
}

/* Gives the weights that rank 0 has read to the others. */
static ls_status share_weights(ls_session *session, ls_model *model)
{
    const size_t size = (size_t)model->n_parameters * ls_dtype_size(model->dtype);
    bool has_best = model->best_parameters;
    LS_TRY(ls_broadcast(session, model->parameters, size));
    LS_TRY(ls_broadcast(session, &has_best, sizeof has_best));
    if (!has_best) return LS_OK;
    LS_TRY(ls_session_agree(session, session->rank == 0 ? LS_OK
                                                        : ls_alloc(&model->best_parameters, 1, size,
                                                                   "weights of the best epoch")));
    return ls_broadcast(session, model->best_parameters, size);
}

ls_status ls_checkpoint_read_newest(ls_session *session, const char *directory, ls_model *model,
                                    ls_optimizer_state *optimizer, const ls_train_observer *observer,
                                    char **text, char *name, size_t size)
{
    char path[PATH_SIZE] = "";
    *text = NULL;
    ls_status status =
        session->rank == 0 ? read_newest(directory, model, optimizer, observer, text, path) : LS_OK;
    status = ls_session_agree(session, status);
    uint64_t length = *text ? strlen(*text) + 1 : 0;
    if (status == LS_OK) status = ls_broadcast(session, &length, sizeof length);
    if (status == LS_OK && length > 0) {
        if (session->rank != 0) status = ls_alloc(text, length, 1, "record of the training");
        status = ls_session_agree(session, status);
        if (status == LS_OK) status = ls_broadcast(session, *text, length);
        if (status == LS_OK) status = share_weights(session, model);
        if (status == LS_OK && optimizer) status = share_optimizer(session, optimizer);
        if (status == LS_OK) status = ls_broadcast(session, path, sizeof path);
        snprintf(name, size, "%s", path);
    }
    if (status != LS_OK) {
        ls_free(*text);
        *text = NULL;
    }
    return status;
}
