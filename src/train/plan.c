#include "lockstep/plan.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "comm/node_sum.h"
#include "data/dataset_digest.h"
#include "data/order.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "engine/evaluate.h"
#include "model/keras_h5.h"
#include "train/calibrate.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/record.h"

enum {
    READING_BYTES = 8 << 20, /* buffers of HDF5 and of the readers, of any file */
    LONG_HISTORY = 10000     /* epochs; a longer one grows as it does up to there */
};

/* Two cores of a node cannot tell each other anything faster, go and return: about what two cache lines take.
 */
static const double LEAST_EXCHANGE_SECONDS = 0.2e-6;
static const double LONE_STEP_SECONDS = 1; /* a longer step of a lone rank is not tried, only counted up */

int64_t ls_plan_rank_bytes(const ls_plan_memory *memory, bool writes)
{
    return memory->program + memory->network + memory->exchange + memory->rows +
           (writes ? memory->writing : 0);
}

static ls_order make_order(const ls_model *model, const ls_train_options *options, int64_t n_samples)
{
    ls_order order;
    ls_order_init(&order, n_samples, model->n_features, options->batch_size, ls_train_shards(options),
                  options->shuffle, options->seed);
    return order;
}

static int64_t share_begin(const ls_plan *plan, int rank)
{
    return ls_split(plan->n_shards, plan->n_ranks, rank);
}

/* A rank's share of the rows of batch k. */
static int64_t batch_share(const ls_order *order, int64_t k, int64_t begin, int64_t end)
{
    const int64_t rows = ls_order_batch_rows(order, k);
    return ls_split(rows, order->n_shards, end) - ls_split(rows, order->n_shards, begin);
}

/* Who has how many shards and rows; returns the rank with most rows of a batch. */
static int deal(ls_plan *plan, const ls_order *order)
{
    int busiest = 0;
    plan->min_rank_rows = plan->min_batch_rows = plan->min_rank_shards = INT64_MAX;
    for (int rank = 0; rank < plan->n_ranks; rank++) {
        const int64_t begin = share_begin(plan, rank), end = share_begin(plan, rank + 1),
                      batch_rows = batch_share(order, 0, begin, end),
                      rows = (order->n_batches - 1) * batch_rows +
                             batch_share(order, order->n_batches - 1, begin, end);
        if (batch_rows > plan->max_batch_rows) busiest = rank;
        if (rows < plan->min_rank_rows) plan->min_rank_rows = rows;
        if (rows > plan->max_rank_rows) plan->max_rank_rows = rows;
        if (batch_rows < plan->min_batch_rows) plan->min_batch_rows = batch_rows;
        if (batch_rows > plan->max_batch_rows) plan->max_batch_rows = batch_rows;
        if (end - begin < plan->min_rank_shards) plan->min_rank_shards = end - begin;
        if (end - begin > plan->max_rank_shards) plan->max_rank_shards = end - begin;
    }
    plan->as_fast_ranks = (int)((plan->n_shards - 1) / plan->max_rank_shards + 1);
    return busiest;
}

/* The size of a checkpoint after n_epochs epochs: typical numbers in its history, or the longest there are.
 */
static ls_status file_bytes(const ls_model *model, const ls_order *order, const ls_train_options *options,
                            int64_t n_epochs, bool longest, int64_t *bytes)
{
    const char data[LS_DATASET_DIGEST_SIZE] = "00000000000000000000000000000000";
    const ls_position position = {.epoch = n_epochs};
    const int64_t n = order->n_samples, count = longest ? n : n / 4;
    const double sum = longest ? 1.2345678901234567e-100 : 0.12345678901234567 * (double)n;
    const ls_metrics metrics = {n, sum, count, count, count, count, count, sum, sum, sum};
    ls_history history = {0};
    json_t *settings = NULL;
    char *text = NULL;
    void *image = NULL;
    size_t size = 0;
    ls_optimizer_state *optimizer = NULL;
    ls_status status = ls_alloc(&history.epochs, (size_t)n_epochs, sizeof *history.epochs, "history");
    for (; status == LS_OK && history.n_epochs < n_epochs; history.n_epochs++) {
        history.epochs[history.n_epochs].metrics = metrics;
        if (options->validation) history.epochs[history.n_epochs].validation = metrics;
    }
    if (status == LS_OK)
        status = ls_record_settings(order, model, options, data, options->validation ? data : "none",
                                    ls_engine_choose(options->engine, model), &settings);
    ls_model borrowed = *model;
    if (status == LS_OK)
        status =
            ls_optimizer_create(&borrowed, &options->optimizer, ls_train_learning_rate(options), &optimizer);
    if (status == LS_OK) {
        optimizer->iterations = order->n_batches * n_epochs;
        status = ls_record_add_optimizer(optimizer, settings);
    }
    if (status == LS_OK) status = ls_record_format(settings, &position, &history, &text);
    if (status == LS_OK) {
        const ls_training_config config = ls_optimizer_config(optimizer);
        status = ls_keras_h5_write(model, &config, text, &image, &size);
    }
    *bytes = (int64_t)size;
    ls_optimizer_destroy(optimizer);
    ls_free(image);
    ls_free(text);
    json_decref(settings);
    ls_free(history.epochs);
    return status;
}

/* The record does not grow with the network, so files of the narrow one tell the sizes. */
static ls_status find_file_sizes(ls_plan *plan, const ls_model *model, const ls_model *narrow,
                                 const ls_order *order, const ls_train_options *options)
{
    const int64_t epochs = options->epochs < LONG_HISTORY ? options->epochs : LONG_HISTORY;
    const int64_t wider = (model->n_parameters - narrow->n_parameters) * (int64_t)ls_dtype_size(model->dtype);
    LS_TRY(file_bytes(narrow, order, options, 1, false, &plan->checkpoint_bytes));
    LS_TRY(file_bytes(narrow, order, options, epochs, epochs > 1, &plan->last_checkpoint_bytes));
    plan->checkpoint_bytes += wider;
    plan->last_checkpoint_bytes += wider;
    if (options->epochs > epochs) /* nothing else grows */
        plan->last_checkpoint_bytes =
            plan->checkpoint_bytes +
            (int64_t)((double)(plan->last_checkpoint_bytes - plan->checkpoint_bytes) *
                      ((double)options->epochs / (double)epochs));
    return LS_OK;
}

/* What is resident of this process beside the blocks that the library knows of. */
static int64_t program_bytes(void)
{
    long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) return 0;
    if (fscanf(file, "%lld %lld", &pages, &resident) != 2) resident = 0;
    fclose(file);
    return resident * sysconf(_SC_PAGESIZE) - ls_alloc_live_bytes();
}

/* What data/feed and train/batches hold of a rank's rows if they keep all of them, and what they need at
 * least. */
static int64_t all_rows_bytes(const ls_plan *plan, const ls_order *order, const ls_model *model,
                              const ls_calibration *calibration, int64_t *least)
{
    const ls_targets targets = ls_engine_targets(model);
    const int64_t row =
        (model->n_features + ls_targets_row_values(&targets)) * (int64_t)ls_dtype_size(model->dtype);
    *least = calibration->packed_bytes + plan->max_batch_rows * row;
    if (!order->shuffle) return order->n_batches * calibration->packed_bytes;
    const int64_t shard_rows = plan->max_rank_rows / plan->max_rank_shards + 1,
                  window = shard_rows < order->window_rows ? shard_rows : order->window_rows;
    *least += (plan->max_rank_shards + 1) * window * row + order->window_rows * (int64_t)sizeof(uint32_t);
    return *least + plan->max_rank_rows * row;
}

/* Counts the rows that the model is measured on after each epoch, kept by evaluation as a whole if at all, in
 * what the others have left of the memory. */
static void find_validation_rows(ls_plan *plan, const ls_model *model, const ls_train_options *options)
{
    const ls_targets targets = ls_engine_targets(model);
    const int64_t n = ls_dataset_n_samples(options->validation), n_leaves = ls_evaluation_leaves(n),
                  rows = ((n_leaves - 1) / plan->n_ranks + 1) * ((n - 1) / n_leaves + 1),
                  size = (int64_t)ls_dtype_size(model->dtype),
                  bytes = rows * (model->n_features + ls_targets_row_values(&targets)) * size,
                  stored = ls_dataset_stored_bytes(options->validation);
    plan->first_epoch_bytes += stored;
    if (bytes <= options->memory - plan->memory.rows) {
        plan->memory.rows += bytes;
    } else if (rows * model->n_features * size > LS_ROW_READER_BYTES) {
        plan->epoch_bytes += stored;
    }
}

/* Their memory, and what of the file is read again in every epoch. */
static void find_rows(ls_plan *plan, const ls_order *order, const ls_model *model,
                      const ls_train_options *options, const ls_calibration *calibration)
{
    int64_t least;
    const int64_t all = all_rows_bytes(plan, order, model, calibration, &least);
    plan->memory.rows = all <= options->memory ? all : options->memory > least ? options->memory : least;
    const double kept = all <= options->memory    ? 1
                        : options->memory > least ? (double)(options->memory - least) / (double)(all - least)
                                                  : 0;
    plan->epoch_bytes = (int64_t)((1 - kept) * (double)plan->first_epoch_bytes);
    if (options->validation) find_validation_rows(plan, model, options);
}

static ls_status exchange_bytes(const ls_plan *plan, const ls_model *model, int busiest, int64_t *bytes)
{
    int64_t *begins;
    ls_message_layout layout;
    const ls_targets targets = ls_engine_targets(model);
    ls_step_layout(model, &targets, model->n_parameters, 0, &layout);
    *bytes = (int64_t)layout.size;
    if (plan->n_ranks == 1) return LS_OK; /* its message is the sum */
    const int n = plan->ranks_per_node, first = busiest / n * n,
              n_here = plan->n_ranks - first < n ? plan->n_ranks - first : n;
    LS_TRY(ls_alloc(&begins, (size_t)n_here + 1, sizeof *begins, "plan"));
    for (int i = 0; i <= n_here; i++) begins[i] = share_begin(plan, first + i);
    if (plan->n_ranks == n_here) *bytes = 0; /* otherwise that is what comes from another node */
    *bytes += (int64_t)ls_node_sum_memory(&layout, plan->n_shards, begins, n_here, busiest - first);
    ls_free(begins);
    return LS_OK;
}

/* Seconds of a step on n ranks: the measured ones on 1 and on n_ranks, between them by the busiest rank's
 * shards. */
static double step_seconds(const ls_plan *plan, int n)
{
    const double all = (double)plan->n_shards, most = (double)plan->max_rank_shards,
                 shards = (double)((plan->n_shards + n - 1) / n),
                 here = all > most ? (shards - most) / (all - most) : 1;
    return plan->compute_seconds + (plan->lone_seconds - plan->compute_seconds) * here +
           (n > 1 ? plan->exchange_seconds : 0);
}

static void find_better(ls_plan *plan)
{
    plan->step_seconds = step_seconds(plan, plan->n_ranks);
    plan->better_ranks = plan->n_ranks;
    plan->better_seconds = plan->step_seconds;
    for (int n = plan->n_ranks - 1; n >= 1; n--) {
        const double seconds = step_seconds(plan, n);
        if (seconds < 0.9 * plan->step_seconds && seconds < plan->better_seconds) {
            plan->better_ranks = n;
            plan->better_seconds = seconds;
        }
    }
}

/* Every rank of the session does what the busiest of n_ranks does, or its own share if it is one of them, at
 * the same time: they compete for memory as they will. */
static ls_status measure_compute(ls_session *session, const ls_model *model, const ls_train_options *options,
                                 ls_dataset *rows, int busiest, ls_plan *plan, ls_calibration *calibration)
{
    ls_calibration own, lone;
    const bool is_real = session->size == plan->n_ranks;
    ls_status status =
        ls_calibrate_compute(model, options, rows, plan->n_ranks, is_real ? session->rank : busiest, &own);
    LS_TRY(ls_session_agree(session, status));
    /* The other parts of it are the same on all ranks, or greatest on the busiest. */
    const double mine[3] = {own.seconds, (double)own.engine_bytes, (double)own.packed_bytes};
    double most[3];
    LS_TRY(ls_mpi_check(MPI_Allreduce(mine, most, 3, MPI_DOUBLE, MPI_MAX, session->comm), "MPI_Allreduce"));
    *calibration = (ls_calibration){most[0], own.rows, own.rows_tried, (int64_t)most[1], (int64_t)most[2]};
    plan->compute_seconds = plan->lone_seconds = most[0];
    if (plan->n_ranks > 1) {
        plan->lone_seconds *= (double)plan->n_shards / (double)plan->max_rank_shards;
        if (plan->lone_seconds < LONE_STEP_SECONDS) {
            if (session->rank == 0) {
                status = ls_calibrate_compute(model, options, rows, 1, 0, &lone);
                plan->lone_seconds = lone.seconds;
            }
            LS_TRY(ls_session_agree(session, status));
        }
    }
    return LS_OK;
}

/* What was measured of the narrow network, as the model itself would show it. */
static void widen(const ls_model *model, const ls_model *narrow, ls_plan *plan, ls_calibration *calibration)
{
    const double parameters = (double)model->n_parameters / (double)narrow->n_parameters,
                 features = (double)model->n_features / (double)narrow->n_features;
    plan->tried_parameters = narrow->n_parameters;
    plan->tried_share = (double)calibration->rows_tried / (double)calibration->rows;
    plan->compute_seconds *= parameters;
    plan->lone_seconds *= parameters;
    if (plan->exchange_ranks) plan->exchange_seconds *= parameters;
    calibration->engine_bytes = (int64_t)((double)calibration->engine_bytes * parameters);
    calibration->packed_bytes = (int64_t)((double)calibration->packed_bytes * features);
}

static ls_status measure(ls_session *session, const ls_model *model, const ls_model *narrow,
                         const ls_train_options *options, int busiest, ls_plan *plan,
                         ls_calibration *calibration)
{
    ls_dataset *rows;
    LS_TRY(ls_calibrate_open(session, narrow, plan->n_samples, &rows));
    const ls_status status = measure_compute(session, narrow, options, rows, busiest, plan, calibration);
    ls_dataset_close(rows);
    LS_TRY(status);
    if (plan->n_ranks > 1) plan->exchange_seconds = LEAST_EXCHANGE_SECONDS;
    if (session->size > 1) {
        plan->exchange_ranks = session->size;
        LS_TRY(ls_calibrate_exchange(session, narrow, options, &plan->exchange_seconds));
    }
    widen(model, narrow, plan, calibration);
    find_better(plan);
    return LS_OK;
}

static ls_status find_memory(ls_session *session, const ls_model *model, const ls_order *order,
                             const ls_train_options *options, int busiest, const ls_calibration *calibration,
                             ls_plan *plan)
{
    malloc_trim(0); /* what the measurements have left */
    const int64_t mine = program_bytes();
    int64_t most;
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(&mine, &most, 1, MPI_INT64_T, MPI_MAX, session->comm), "MPI_Allreduce"));
    plan->memory = (ls_plan_memory){.program = most + READING_BYTES,
                                    .network = model->n_parameters * (int64_t)ls_dtype_size(model->dtype) +
                                               ls_optimizer_bytes(model, &options->optimizer) +
                                               calibration->engine_bytes,
                                    /* HDF5 makes the file in memory, and gives a copy of it. */
                                    .writing = 2 * plan->last_checkpoint_bytes};
    find_rows(plan, order, model, options, calibration);
    plan->node_memory = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    return ls_session_agree(session, exchange_bytes(plan, model, busiest, &plan->memory.exchange));
}

ls_status ls_plan_training(ls_session *session, const ls_model *model, ls_dataset *dataset,
                           const ls_train_options *options, int n_ranks, ls_plan *plan)
{
    ls_calibration calibration;
    const int n_processors = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (n_ranks == 0) n_ranks = session->size;
    LS_TRY(ls_train_check_options(model, dataset, options, n_ranks));
    const ls_order order = make_order(model, options, ls_dataset_n_samples(dataset));
    *plan = (ls_plan){.n_ranks = n_ranks,
                      .ranks_per_node = n_ranks < n_processors ? n_ranks : n_processors,
                      .n_samples = order.n_samples,
                      .batch_size = options->batch_size,
                      .n_shards = order.n_shards,
                      .n_steps = order.n_batches,
                      .first_epoch_bytes = ls_dataset_stored_bytes(dataset)};
    if (__builtin_mul_overflow(order.n_batches, options->epochs, &plan->n_all_steps))
        plan->n_all_steps = INT64_MAX;
    plan->max_ranks = order.n_shards < options->batch_size ? order.n_shards : options->batch_size;
    if (plan->max_ranks > order.n_samples) plan->max_ranks = order.n_samples;
    if (session->size == n_ranks) plan->ranks_per_node = session->node_size;
    const int busiest = deal(plan, &order);
    ls_model *narrow;
    LS_TRY(ls_session_agree(session, ls_calibrate_narrow(model, &narrow)));
    ls_status status = measure(session, model, narrow, options, busiest, plan, &calibration);
    if (status == LS_OK)
        status = ls_session_agree(
            session, session->rank == 0 ? find_file_sizes(plan, model, narrow, &order, options) : LS_OK);
    ls_model_free(narrow);
    LS_TRY(status);
    return find_memory(session, model, &order, options, busiest, &calibration, plan);
}
