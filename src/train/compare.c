#include "train/compare.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "model/normalization.h"
#include "model/optimizer.h"

static void describe_optimizer(const ls_train_options *options, char *text, size_t size)
{
    const ls_optimizer *optimizer = &options->optimizer;
    const ls_schedule *schedule = &optimizer->schedule;
    size_t used = (size_t)snprintf(
        text, size,
        "optimizer %d\nnesterov %d\ncentered %d\nschedule %d\ndecay_steps %lld\ndecay_rate %.17g\n"
        "alpha %.17g\nwarmup_steps %lld\ninitial iterations %lld",
        optimizer->kind, optimizer->nesterov, optimizer->centered, schedule->kind,
        (long long)schedule->decay_steps, schedule->decay_rate, schedule->alpha,
        (long long)schedule->warmup_steps, (long long)(options->start ? options->start->iterations : 0));
    for (int i = 0; i < schedule->n_boundaries && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "\nboundary %lld, factor %.17g",
                                 (long long)schedule->boundaries[i], schedule->factors[i]);
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name && used < size; m++)
        used += (size_t)snprintf(text + used, size - used, "\n%s %.17g", m->name,
                                 ls_optimizer_value(optimizer, m));
}

static ls_status compare_arguments(ls_session *session, const ls_model *model,
                                   const ls_train_options *options)
{
    char text[5120], optimizer[2048];
    XXH64_hash_t layers = 0;
    for (int64_t i = 0; i < model->n_layers; i++) {
        const double layer[4] = {(double)model->layers[i].units, model->layers[i].activation,
                                 model->layers[i].l1, model->layers[i].l2};
        layers = XXH3_64bits_withSeed(layer, sizeof layer, layers);
    }
    const uint64_t weights = ls_model_weights_digest(model);
    const XXH64_hash_t directory =
        options->checkpoint_dir ? XXH3_64bits(options->checkpoint_dir, strlen(options->checkpoint_dir)) : 0;
    describe_optimizer(options, optimizer, sizeof optimizer);
    snprintf(
        text, sizeof text,
        "model of %lld features, %lld layers, %lld parameters in %s\nlayers with the digest %016llx\n"
        "initial weights with the digest %016llx\nepochs %lld\nbatch_size %lld\nlearning_rate %.17g\n"
        "seed %llu\nshuffle %d\nn_shards %lld\nreduction %d\nengine %d\nmemory %lld\nverify_every %lld\n"
        "validation data %lld rows\nnormalize %d\nmonitor %.64s, min_delta %.17g\n"
        "early_stopping %lld, restore_best %d\nreduce_lr %.17g, reduce_lr_patience %lld, cooldown %lld, "
        "min_lr %.17g\nsave_best %d\noutput %d\ncheckpoint_dir with the digest "
        "%016llx\ncheckpoint_every_steps %lld\n"
        "checkpoint_every_epochs %lld\ncheckpoint_every_seconds %.17g\ncheckpoint_keep %lld\nresume %d\n"
        "allow_other_cpu %d\n%s",
        (long long)model->n_features, (long long)model->n_layers, (long long)model->n_parameters,
        ls_dtype_name(model->dtype), (unsigned long long)layers, (unsigned long long)weights,
        (long long)options->epochs, (long long)options->batch_size, ls_train_learning_rate(options),
        (unsigned long long)options->seed, options->shuffle, (long long)options->n_shards, options->reduction,
        options->engine, (long long)options->memory, (long long)options->verify_every,
        (long long)(options->validation ? ls_dataset_n_samples(options->validation) : 0), options->normalize,
        options->monitor, options->min_delta, (long long)options->early_stopping, options->restore_best,
        options->reduce_lr, (long long)options->reduce_lr_patience, (long long)options->cooldown,
        options->min_lr, options->save_best != NULL, options->output != NULL, (unsigned long long)directory,
        (long long)options->checkpoint_every_steps, (long long)options->checkpoint_every_epochs,
        options->checkpoint_every_seconds, (long long)options->checkpoint_keep, options->resume,
        options->allow_other_cpu, optimizer);
    return ls_session_compare(session, text, "call ls_train with the same model and options on all ranks");
}

ls_status ls_train_compare(ls_session *session, const ls_model *model, const ls_train_options *options,
                           const ls_engine_kind *engine, const ls_train_observer *observer)
{
    char text[128];
    LS_TRY(compare_arguments(session, model, options));
    engine->arithmetic(text, sizeof text);
    const ls_status status = ls_session_compare(
        session, text,
        options->allow_other_cpu ? "allowed, so the last bits of the model depend on the number of ranks"
                                 : "run on nodes of one kind, or allow by --allow-other-cpu that the last "
                                   "bits of the model depend on the "
                                   "number of ranks");
    if (status != LS_E_DIFFER || !options->allow_other_cpu) return status;
    if (session->rank == 0 && observer && observer->notice)
        observer->notice(observer->context, ls_error_message());
    return LS_OK;
}
