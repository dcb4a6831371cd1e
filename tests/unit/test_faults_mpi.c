/* Thousands of runs of the public operations, each with a failure on purpose on one rank: of memory, a file,
 * HDF5 or a thread, at a random place, once or from then on. Whatever happens, all ranks return the same code
 * and the same message, no memory, HDF5 object or descriptor is left open, no output is half written, and a
 * training can be gone on with. LOCKSTEP_FAULT_SEEDS=FIRST-LAST runs other seeds than the usual ones. */
#include <fcntl.h>
#include <hdf5.h>
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/fault.h"
#include "data/dataset.h"
#include "dataset_unit.h"
#include "lockstep/lockstep.h"
#include "model/model_file.h"
#include "random/philox.h"

enum {
    SEEDS = 2500,
    PERIOD_OF_RESUME = 8, /* how often a failed training is gone on with */
    HANG_SECONDS = 120,
    MAX_FILES = 32,
    MAX_RANKS = 16,
    EPOCHS = 2,
    BATCH = 8
};

static ls_dataset *train_set, *test_set;
static ls_model *model; /* as it is before training */
static ls_history history;
static uint64_t result; /* digest of what an operation returned on this rank */

/* ---- the operations; each leaves its files in work/ ---- */

static void take_result(const void *data, size_t size)
{
    result = XXH3_64bits(data, size);
}

static ls_status generate_by(ls_rng rng)
{
    ls_generate_options options = {
        .dtype = LS_FLOAT64, .train_size = 0.75, .split_random_state = 1, .rng = rng};
    ls_make_classification_defaults(&options.data);
    options.data.n_samples = 64;
    options.data.n_features = 3;
    options.data.n_redundant = 1;
    return ls_generate(session, &options, path_of("work/out.h5"));
}

static ls_status generate(void)
{
    return generate_by(LS_RNG_MT19937);
}

static ls_status generate_by_philox(void)
{
    return generate_by(LS_RNG_PHILOX);
}

static ls_status split(void)
{
    const ls_dataset_source source = {.file = path_of("data.h5"), .set = "train"};
    return ls_dataset_split(session, &source, 0.5, 3, LS_FLOAT32, NULL, path_of("work/out.h5"));
}

static ls_status open_set(void)
{
    const ls_dataset_source source = {.file = path_of("data.h5"), .set = "test"};
    ls_dataset *dataset;
    bool exists;
    ls_status status = ls_dataset_exists(session, &source, &exists);
    if (status != LS_OK) return status;
    status = ls_dataset_open(session, &source, &dataset);
    const int64_t shape[3] = {exists, status == LS_OK ? ls_dataset_n_samples(dataset) : 0,
                              status == LS_OK ? ls_dataset_n_features(dataset) : 0};
    take_result(shape, sizeof shape);
    ls_dataset_close(dataset);
    return status;
}

/* Of the model with 3 features and 4 units. */
static double adam_slots[2 * (3 * 4 + 4 + 4 + 1)] = {1, 2, 3};

static ls_status load(void)
{
    ls_model *loaded;
    ls_training_config config;
    const ls_status status = ls_model_load(session, path_of("model.h5"), &loaded, &config);
    if (status == LS_OK) {
        take_result(loaded->parameters, (size_t)loaded->n_parameters * ls_dtype_size(loaded->dtype));
        result ^= (uint64_t)config.iterations;
        take_result(config.slots, sizeof adam_slots);
        ls_training_config_clear(&config);
    }
    ls_model_free(loaded);
    return status;
}

static ls_status save(void)
{
    const ls_training_config config = {
        .learning_rate = 0.1, .iterations = 7, .optimizer = {.kind = LS_ADAM}, .slots = adam_slots};
    return ls_model_save(session, model, &config, path_of("work/out.h5"));
}

static ls_status train_with(ls_train_options *options)
{
    const int64_t hidden[] = {3, 2};
    ls_model *trained;
    ls_history epochs = {0};
    options->epochs = options->save_best ? 1 : EPOCHS; /* each epoch may write another best one */
    options->batch_size = BATCH;
    options->seed = 5;
    options->learning_rate = 0.2;
    options->output = path_of("work/out.h5");
    ls_status status = ls_session_agree(
        session, ls_model_create(LS_FLOAT32, model->n_features, hidden, 2, LS_TANH, &trained));
    if (status == LS_OK) {
        ls_model_init_glorot_uniform(trained, 5);
        status = ls_train(session, trained, train_set, options, NULL, &epochs);
    }
    if (status == LS_OK)
        take_result(trained->parameters, (size_t)trained->n_parameters * ls_dtype_size(trained->dtype));
    ls_history_clear(&epochs);
    ls_model_free(trained);
    return status;
}

static ls_status train(void)
{
    ls_train_options options;
    ls_train_defaults(&options);
    options.verify_every = 2;
    ls_optimizer_defaults(LS_ADAM, &options.optimizer);
    options.optimizer.clipnorm = 1;
    return train_with(&options);
}

/* Rows are read in the steps. */
static ls_status train_from_stream(void)
{
    ls_train_options options;
    ls_train_defaults(&options);
    options.memory = 0;
    options.shuffle = false;
    options.normalize = true;
    return train_with(&options);
}

static ls_status train_and_keep(int64_t keep, bool resume)
{
    ls_train_options options;
    ls_train_defaults(&options);
    options.memory = 0;
    options.checkpoint_dir = path_of("work");
    options.checkpoint_every_epochs = 0;
    options.checkpoint_every_steps = 5;
    options.checkpoint_keep = keep;
    options.resume = resume;
    options.validation = test_set;
    options.restore_best = true;
    options.reduce_lr = 0.5;
    return train_with(&options);
}

static ls_status train_with_checkpoints(void)
{
    return train_and_keep(2, false);
}

static ls_status train_keeping_all(void)
{
    return train_and_keep(MAX_FILES, false);
}

static ls_status resume(void)
{
    return train_and_keep(2, true);
}

static ls_status train_saving_the_best(void)
{
    ls_train_options options;
    ls_train_defaults(&options);
    options.validation = test_set;
    options.save_best = path_of("work/best.h5");
    return train_with(&options);
}

static ls_status evaluate(void)
{
    ls_scores scores;
    const ls_status status = ls_evaluate_scores(session, model, test_set, true, NULL, &scores);
    if (status == LS_OK) {
        take_result(&scores.metrics, sizeof scores.metrics);
        take_result(&scores.roc_auc, sizeof scores.roc_auc);
    }
    ls_scores_clear(&scores);
    return status;
}

static ls_status predict(void)
{
    ls_dataset *const sets[] = {train_set, test_set};
    const char *const names[] = {"train", "test"};
    return ls_predict(session, model, sets, names, 2, NULL, path_of("work/out.h5"));
}

static ls_status write_csv(void)
{
    return ls_history_write_csv(session, &history, path_of("work/out.h5"));
}

static ls_status write_times(void)
{
    const ls_train_times times = {.n_ranks = 1, .seconds = 1};
    return ls_train_times_write_json(session, &times, path_of("work/out.h5"));
}

static ls_status probe(void)
{
    return ls_session_check_output(session, path_of("work/out.h5"));
}

static ls_status open_session(void)
{
    ls_session *second;
    ls_status status = ls_session_open(&second);
    if (status == LS_OK) status = ls_session_watch(second, 1000);
    ls_session_close(second);
    return status;
}

typedef struct operation {
    const char *name;
    ls_status (*run)(void);
    bool trains; /* and can be gone on with */
    bool begun;  /* starts from the first checkpoint */
    /* Of a run in which nothing fails: */
    uint64_t result;
    int64_t asked[MAX_RANKS][LS_FAULT_SITES + 1]; /* questions on each rank, by site and in all */
    int n_failed;
} operation;

static operation operations[] = {
    {"generate", generate},
    {"split", split},
    {"open", open_set},
    {"load", load},
    {"save", save},
    {"train", train},
    {"train with checkpoints", train_with_checkpoints, .trains = true},
    {"resume", resume, .trains = true, .begun = true},
    {"evaluate", evaluate},
    {"predict", predict},
    {"history", write_csv},
    {"check output", probe},
    {"open session", open_session},
    {"generate by philox", generate_by_philox},
    {"times", write_times},
    {"train from a stream", train_from_stream},
    {"train saving the best", train_saving_the_best},
};
enum { N_OPERATIONS = sizeof operations / sizeof operations[0] };

/* ---- files, all on rank 0 ---- */

typedef struct content {
    char name[64];
    size_t size;
    char *bytes;
} content;

typedef struct contents {
    int n;
    content files[MAX_FILES];
} contents;

static const char old_output[] = "what was here before";
static contents finished[N_OPERATIONS]; /* work/ after a run in which nothing failed */
static contents checkpoints;            /* every one that training ever writes, and its output */

static content *find(contents *all, const char *name)
{
    for (int i = 0; i < all->n; i++)
        if (strcmp(all->files[i].name, name) == 0) return &all->files[i];
    return NULL;
}

static void forget(contents *all)
{
    for (int i = 0; i < all->n; i++) free(all->files[i].bytes);
    all->n = 0;
}

static void take(contents *all)
{
    DIR *listing = opendir(path_of("work"));
    forget(all);
    for (const struct dirent *entry; (entry = readdir(listing));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char path[1024];
        struct stat status;
        content *file = &all->files[all->n++];
        assert_true(all->n <= MAX_FILES);
        snprintf(file->name, sizeof file->name, "%.63s", entry->d_name);
        snprintf(path, sizeof path, "%s/%s", path_of("work"), entry->d_name);
        const int descriptor = open(path, O_RDONLY);
        assert_true(descriptor >= 0 && fstat(descriptor, &status) == 0);
        file->size = (size_t)status.st_size;
        file->bytes = malloc(file->size + 1);
        assert_int_equal(read(descriptor, file->bytes, file->size), file->size);
        close(descriptor);
    }
    closedir(listing);
}

static void put(const char *name, const void *bytes, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", path_of("work"), name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void clear_work(void)
{
    DIR *listing = opendir(path_of("work"));
    for (const struct dirent *entry; (entry = readdir(listing));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", path_of("work"), entry->d_name);
        if (entry->d_name[0] != '.' || strlen(entry->d_name) > 2) unlink(path);
    }
    closedir(listing);
}

static const content *first_checkpoint(void)
{
    const content *first = NULL;
    for (int i = 0; i < checkpoints.n; i++) {
        const content *file = &checkpoints.files[i];
        if (strncmp(file->name, "checkpoint-", 11) == 0 && (!first || strcmp(file->name, first->name) < 0))
            first = file;
    }
    return first;
}

static void prepare_work(const operation *op, bool with_old)
{
    barrier();
    if (session->rank == 0) {
        clear_work();
        if (with_old) put("out.h5", old_output, sizeof old_output);
        if (op->begun) put(first_checkpoint()->name, first_checkpoint()->bytes, first_checkpoint()->size);
    }
    barrier();
}

static bool equal(const content *file, const content *wanted)
{
    return wanted && file->size == wanted->size && memcmp(file->bytes, wanted->bytes, file->size) == 0;
}

/* NULL, or what is wrong with the files that a run has left. */
static const char *judge_files(const operation *op, bool with_old, bool complete)
{
    static contents found;
    static char text[256];
    contents *done = &finished[op - operations];
    take(&found);
    int n_equal = 0;
    for (int i = 0; i < found.n; i++) {
        const content *file = &found.files[i];
        const bool old = with_old && strcmp(file->name, "out.h5") == 0 && file->size == sizeof old_output &&
                         memcmp(file->bytes, old_output, file->size) == 0;
        const bool whole = equal(file, find(done, file->name));
        n_equal += whole;
        if (whole || (old && (!complete || !find(done, "out.h5")))) continue;
        /* Older ones stay if a run failed to remove them; the next one that writes removes them. */
        if (op->trains && equal(file, find(&checkpoints, file->name))) continue;
        snprintf(text, sizeof text, "work/%s (%zu bytes) is neither as before nor complete", file->name,
                 file->size);
        return text;
    }
    if (!complete || n_equal == done->n) return NULL;
    snprintf(text, sizeof text, "%d of %d files are complete, although nothing failed", n_equal, done->n);
    return text;
}

/* ---- what must not be left ---- */

typedef struct leftovers {
    int64_t blocks, descriptors, hdf5;
} leftovers;

static leftovers count_leftovers(void)
{
    static const H5I_type_t types[] = {H5I_FILE,    H5I_GROUP, H5I_DATATYPE,   H5I_DATASPACE,
                                       H5I_DATASET, H5I_ATTR,  H5I_GENPROP_LST};
    leftovers n = {.blocks = ls_alloc_live()};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        hsize_t members = 0;
        H5Inmembers(types[i], &members);
        n.hdf5 += (int64_t)members;
    }
    DIR *listing = opendir("/proc/self/fd");
    while (readdir(listing)) n.descriptors++;
    closedir(listing);
    return n;
}

/* ---- the runs ---- */

static char current[160]; /* for the report of a hang */

static void report_hang(int signal_number)
{
    (void)signal_number;
    char text[256];
    const int length =
        snprintf(text, sizeof text, "rank %d hangs: %s: %s\n", session->rank, current, ls_error_message());
    if (write(STDERR_FILENO, text, (size_t)length) >= 0) _exit(1);
    _exit(2);
}

static bool parsing;

static void *json_malloc_or_fault(size_t size)
{
    return !parsing && ls_fault(LS_FAULT_ALLOC) ? NULL : malloc(size);
}

/* The linker puts this in the place of json_loads, which aborts when it has no memory for its own buffers
 * (jansson 2.14, an assertion in lex_unget_unsave): it fails as a whole or not at all. */
json_t *__real_json_loads(const char *text, size_t flags, json_error_t *error);
json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error);

json_t *__wrap_json_loads(const char *text, size_t flags, json_error_t *error)
{
    memset(error, 0, sizeof *error);
    if (ls_fault(LS_FAULT_ALLOC)) return NULL;
    parsing = true;
    json_t *root = __real_json_loads(text, flags, error);
    parsing = false;
    return root;
}

typedef struct outcome {
    int64_t status;
    uint64_t message;
    leftovers left;
} outcome;

/* Runs op; the ranks' outcomes must be the same. */
static ls_status run(const operation *op, const leftovers *before)
{
    outcome mine, all[MAX_RANKS];
    result = 0;
    alarm(HANG_SECONDS);
    const ls_status status = op->run();
    ls_fault_plan(LS_FAULT_SITES, 0, 0);
    memset(&mine, 0, sizeof mine);
    mine.status = status;
    if (status != LS_OK) mine.message = XXH3_64bits(ls_error_message(), strlen(ls_error_message()));
    MPI_Allgather(&mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, session->comm);
    const leftovers after = count_leftovers();
    for (int i = 1; i < session->size; i++)
        if (memcmp(&all[i], &all[0], sizeof mine) != 0)
            fail_msg("%s: rank %d: code %d, message \"%s\"; rank %d returned %lld", current, session->rank,
                     (int)status, ls_error_message(), i, (long long)all[i].status);
    if (status != LS_OK && !ls_error_message()[0]) fail_msg("%s: no message", current);
    if (before && memcmp(&after, before, sizeof after) != 0)
        fail_msg("%s: rank %d, code %d, \"%s\": %lld blocks, %lld HDF5 objects, %lld descriptors are left",
                 current, session->rank, (int)status, ls_error_message(),
                 (long long)(after.blocks - before->blocks), (long long)(after.hdf5 - before->hdf5),
                 (long long)(after.descriptors - before->descriptors));
    return status;
}

static void must_succeed(const operation *op, const leftovers *before)
{
    if (run(op, before) != LS_OK) fail_msg("%s: fails without a fault: %s", current, ls_error_message());
}

/* Rank 0 has looked; all of them fail, or none does. */
static void share_verdict(const char *wrong)
{
    char text[256] = "";
    if (wrong) snprintf(text, sizeof text, "%.255s", wrong);
    MPI_Bcast(text, sizeof text, MPI_BYTE, 0, session->comm);
    if (text[0]) fail_msg("%s: %s", current, text);
}

static void check_files(const operation *op, bool with_old, bool complete)
{
    share_verdict(session->rank == 0 ? judge_files(op, with_old, complete) : NULL);
}

static void run_without_faults(void)
{
    static const operation keep_all = {.name = "train keeping all", .run = train_keeping_all};
    snprintf(current, sizeof current, "without faults");
    prepare_work(&keep_all, false);
    must_succeed(&keep_all, NULL);
    if (session->rank == 0) take(&checkpoints);
    for (operation *op = operations; op < operations + N_OPERATIONS; op++) {
        snprintf(current, sizeof current, "%s without faults", op->name);
        prepare_work(op, false);
        ls_fault_plan(LS_FAULT_SITES, 0, 0);
        alarm(HANG_SECONDS);
        result = 0;
        assert_int_equal(op->run(), LS_OK);
        op->result = result;
        int64_t asked[LS_FAULT_SITES + 1] = {0};
        for (int site = 0; site < LS_FAULT_SITES; site++) {
            asked[site] = site == LS_FAULT_MPI ? 0 : ls_fault_asked((ls_fault_site)site);
            asked[LS_FAULT_SITES] += asked[site];
        }
        MPI_Allgather(asked, LS_FAULT_SITES + 1, MPI_INT64_T, op->asked, LS_FAULT_SITES + 1, MPI_INT64_T,
                      session->comm);
        if (session->rank == 0) take(&finished[op - operations]);
    }
}

/* A number below n for a use within the seed. */
static int64_t draw(uint64_t seed, uint32_t use, int64_t n)
{
    uint32_t words[4];
    ls_philox(seed, LS_STREAM_DIGEST, use, 0, words);
    return (int64_t)(words[0] % (uint64_t)n);
}

/* A fault on one rank. */
typedef struct fault {
    int rank;
    int site; /* or LS_FAULT_SITES for any */
    int64_t first;
    bool lasting;  /* all later ones fail as well */
    bool with_old; /* there is an older output */
} fault;

/* A half of the seeds chooses rank 0, which has most to do, and a half first chooses a site, so that the rare
 * ones come as well. */
static fault draw_fault(uint64_t seed, const operation *op)
{
    fault drawn = {.rank = draw(seed, 1, 2) == 0 ? 0 : (int)draw(seed, 2, session->size),
                   .site = LS_FAULT_SITES,
                   .first = 1,
                   .lasting = draw(seed, 3, 3) == 0,
                   .with_old = draw(seed, 4, 2) == 0};
    const int64_t *asked = op->asked[drawn.rank];
    if (draw(seed, 5, 2) == 0) {
        int n = 0, sites[LS_FAULT_SITES];
        for (int site = 0; site < LS_FAULT_SITES; site++)
            if (asked[site] > 0) sites[n++] = site;
        if (n > 0) drawn.site = sites[draw(seed, 6, n)];
    }
    if (asked[drawn.site] > 0) drawn.first = 1 + draw(seed, 7, asked[drawn.site]);
    return drawn;
}

/* Whether a fault there can be made up for: a file read in another way, a descriptor that was only read from.
 * When a record is read, jansson notes which keys it has seen, in vain. */
static bool can_be_absorbed(const operation *op, int site)
{
    return site == LS_FAULT_SITES || site == LS_FAULT_OPEN || site == LS_FAULT_READ ||
           site == LS_FAULT_CLOSE || site == LS_FAULT_HDF5 || (site == LS_FAULT_ALLOC && op->begun);
}

static int64_t n_failed[LS_FAULT_SITES + 1]; /* runs that a fault made fail, by site */

static ls_status run_with_fault(operation *op, const fault *planned, const leftovers *before)
{
    const bool mine = session->rank == planned->rank;
    snprintf(current + strlen(current), sizeof current - strlen(current),
             "%s: site %d, question %lld%s on rank %d", op->name, planned->site, (long long)planned->first,
             planned->lasting ? " and all later ones" : "", planned->rank);
    prepare_work(op, planned->with_old);
    ls_fault_plan((ls_fault_site)planned->site, planned->first,
                  mine ? planned->lasting ? INT64_MAX / 2 : 1 : 0);
    const ls_status status = run(op, before);
    if (status == LS_OK && result != op->result) fail_msg("%s: returns success and another result", current);
    if (status == LS_OK && !can_be_absorbed(op, planned->site) && op->asked[planned->rank][planned->site] > 0)
        fail_msg("%s: returns success", current);
    check_files(op, planned->with_old, status == LS_OK);
    op->n_failed += status != LS_OK;
    n_failed[planned->site] += status != LS_OK;
    return status;
}

static void every_fault_ends_in_good_order(void **state)
{
    (void)state;
    const char *wanted = getenv("LOCKSTEP_FAULT_SEEDS");
    long long first = 1, last = SEEDS;
    if (wanted && sscanf(wanted, "%lld-%lld", &first, &last) != 2)
        fail_msg("LOCKSTEP_FAULT_SEEDS=%s", wanted);
    run_without_faults();
    const leftovers before = count_leftovers();
    for (long long seed = first; seed <= last; seed++) {
        operation *op = &operations[draw((uint64_t)seed, 0, N_OPERATIONS)];
        const fault drawn = draw_fault((uint64_t)seed, op);
        snprintf(current, sizeof current, "seed %lld: ", seed);
        const ls_status status = run_with_fault(op, &drawn, &before);
        if (status != LS_OK && op->trains && seed % PERIOD_OF_RESUME == 0) {
            const operation *again = &operations[7];
            assert_ptr_equal(again->run, resume);
            must_succeed(again, &before);
            check_files(again, false, true);
        }
    }
    /* Alone it is quick enough for every single question. */
    for (operation *op = operations; session->size == 1 && !wanted && op < operations + N_OPERATIONS; op++)
        for (int64_t i = 1; i <= op->asked[0][LS_FAULT_SITES]; i++) {
            const fault next = {.site = LS_FAULT_SITES, .first = i, .with_old = i % 2 == 0};
            snprintf(current, sizeof current, "in turn: ");
            run_with_fault(op, &next, &before);
        }
    alarm(0);
    if (last - first + 1 < SEEDS) return;
    /* The test itself works: faults of every kind, in every operation, were told. */
    int64_t n = n_failed[LS_FAULT_SITES];
    for (int site = 0; site < LS_FAULT_MPI; site++) {
        if (n_failed[site] == 0) fail_msg("no fault at site %d made an operation fail", site);
        n += n_failed[site];
    }
    assert_true(n > (last - first + 1) / 2);
    for (int i = 0; i < N_OPERATIONS; i++)
        if (operations[i].n_failed == 0) fail_msg("%s never failed", operations[i].name);
}

/* A lone rank has nobody to agree with: a failed MPI call is an error like others. */
static void a_lone_rank_returns_failures_of_mpi(void **state)
{
    (void)state;
    if (session->size > 1) return;
    ls_session *second;
    ls_fault_plan(LS_FAULT_MPI, 0, 0);
    assert_int_equal(ls_session_open(&second), LS_OK);
    const int64_t n = ls_fault_asked(LS_FAULT_MPI);
    ls_session_close(second);
    assert_true(n > 5);
    for (int64_t i = 1; i <= n; i++) {
        const int64_t live = ls_alloc_live();
        ls_fault_plan(LS_FAULT_MPI, i, 1);
        assert_int_equal(ls_session_open(&second), LS_E_MPI);
        assert_null(second);
        assert_true(strlen(ls_error_message()) > 0);
        assert_int_equal(ls_alloc_live(), live);
    }
    ls_fault_plan(LS_FAULT_MPI, 0, 0);
}

static int begin_group(void **state)
{
    (void)state;
    const int64_t hidden[] = {4};
    const ls_training_config config = {
        .learning_rate = 0.1, .iterations = 7, .optimizer = {.kind = LS_ADAM}, .slots = adam_slots};
    barrier();
    if (session->rank == 0) {
        remove_files();
        assert_int_equal(mkdir(path_of("work"), 0777), 0);
    }
    barrier();
    assert_int_equal(generate(), LS_OK);
    if (session->rank == 0) assert_int_equal(rename(path_of("work/out.h5"), path_of("data.h5")), 0);
    barrier();
    ls_dataset_source source = {.file = path_of("data.h5"), .set = "train"};
    assert_int_equal(ls_dataset_open(session, &source, &train_set), LS_OK);
    source.set = "test";
    assert_int_equal(ls_dataset_open(session, &source, &test_set), LS_OK);
    assert_int_equal(ls_model_create(LS_FLOAT64, 3, hidden, 1, LS_RELU, &model), LS_OK);
    ls_model_init_glorot_uniform(model, 3);
    assert_int_equal(ls_model_save(session, model, &config, path_of("model.h5")), LS_OK);
    static ls_epoch_record epochs[2] = {{.epoch = 0, .metrics = {8, 3.5, 1, 2, 3, 2}, .seconds = 1},
                                        {.epoch = 1, .metrics = {8, 2.5, 2, 1, 2, 3}, .seconds = 2}};
    history = (ls_history){.n_epochs = 2, .epochs = epochs};
    json_set_alloc_funcs(json_malloc_or_fault, free);
    signal(SIGALRM, report_hang);
    return 0;
}

static int end_group(void **state)
{
    (void)state;
    ls_dataset_close(train_set);
    ls_dataset_close(test_set);
    ls_model_free(model);
    if (session->rank == 0) {
        clear_work();
        for (int i = 0; i < N_OPERATIONS; i++) forget(&finished[i]);
        forget(&checkpoints);
    }
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_fault_ends_in_good_order, begin_group, end_group),
        cmocka_unit_test(a_lone_rank_returns_failures_of_mpi),
    };
    /* Thousands of syncs: in memory, unless told otherwise. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
