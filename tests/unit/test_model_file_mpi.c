#include <dirent.h>
#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "lockstep/model.h"
#include "model/file_digest.h"
#include "model/keras_h5.h"
#include "model/keras_json.h"
#include "model/whole_file.h"
#include "unit.h"

static ls_session *session;
static char directory[64];

static const char *in_directory(const char *name)
{
    static char path[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
    return path[next];
}

static int make_directory(void **state)
{
    (void)state;
    if (ls_session_open(&session) != LS_OK) return -1;
    int made = 1;
    if (ls_session_rank(session) == 0) {
        strcpy(directory, "/tmp/lockstep-test-XXXXXX");
        made = mkdtemp(directory) != NULL;
    }
    return ls_broadcast(session, directory, sizeof directory) == LS_OK && made ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    MPI_Barrier(session->comm);
    int left = 0;
    if (session->rank == 0) {
        DIR *listing = opendir(directory);
        for (struct dirent *entry; listing && (entry = readdir(listing));) {
            if (entry->d_name[0] == '.' && strstr(entry->d_name, ".tmp-")) left++;
            unlink(in_directory(entry->d_name));
        }
        if (listing) closedir(listing);
        left += rmdir(directory) != 0;
    }
    ls_session_close(session);
    return left; /* no temporary file may be left by any test */
}

static void set_parameter(ls_model *model, int64_t i, double value)
{
    if (model->dtype == LS_FLOAT32)
        ((float *)model->parameters)[i] = (float)value;
    else
        ((double *)model->parameters)[i] = value;
}

static ls_model *make_model(ls_dtype dtype, int64_t n_features, const int64_t *hidden, int64_t n_hidden,
                            ls_activation activation)
{
    ls_model *model;
    assert_int_equal(ls_model_create(dtype, n_features, hidden, n_hidden, activation, &model), LS_OK);
    for (int64_t i = 0; i < model->n_parameters; i++) set_parameter(model, i, sin(1.0 + 7.0 * (double)i) / 3);
    return model;
}

static void assert_same_model(const ls_model *a, const ls_model *b)
{
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->n_features, b->n_features);
    assert_int_equal(a->n_layers, b->n_layers);
    assert_int_equal(a->n_parameters, b->n_parameters);
    for (int64_t i = 0; i < a->n_layers; i++) {
        assert_string_equal(a->layers[i].name, b->layers[i].name);
        assert_int_equal(a->layers[i].n_inputs, b->layers[i].n_inputs);
        assert_int_equal(a->layers[i].units, b->layers[i].units);
        assert_int_equal(a->layers[i].activation, b->layers[i].activation);
        assert_int_equal(a->layers[i].kernel_offset, b->layers[i].kernel_offset);
        assert_int_equal(a->layers[i].bias_offset, b->layers[i].bias_offset);
    }
    assert_memory_equal(a->parameters, b->parameters, (size_t)a->n_parameters * ls_dtype_size(a->dtype));
}

static void assert_same_files(const char *a, const char *b)
{
    void *bytes[2];
    size_t sizes[2];
    assert_int_equal(ls_whole_file_read(a, &bytes[0], &sizes[0]), LS_OK);
    assert_int_equal(ls_whole_file_read(b, &bytes[1], &sizes[1]), LS_OK);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    ls_free(bytes[0]);
    ls_free(bytes[1]);
}

static void put_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Loads path on all ranks and expects a refusal whose message has all of it. */
static void assert_refused(const char *path, ls_status expected, const char *part)
{
    ls_model *model = NULL;
    ls_training_config config = {1, 2};
    assert_int_equal(ls_model_load(session, path, &model, &config), expected);
    assert_null(model);
    assert_true(config.learning_rate == 1 && config.iterations == 2);
    if (!strstr(ls_error_message(), part)) fail_msg("\"%s\" is not in: %s", part, ls_error_message());
    if (!strstr(ls_error_message(), path)) fail_msg("the path is not in: %s", ls_error_message());
}

static void models_survive_a_round_trip_bit_for_bit(void **state)
{
    (void)state;
    const struct {
        int64_t n_features, n_hidden, hidden[6];
    } shapes[] = {{1, 0, {0}},
                  {2, 0, {0}},
                  {2, 1, {1}},
                  {2, 2, {2, 2}},
                  {100, 1, {300}},
                  {3, 3, {8, 1, 5}},
                  {7, 6, {6, 5, 4, 3, 2, 1}},
                  {1, 2, {64, 64}}};
    const int64_t before = ls_alloc_live();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        for (int d = 0; d < 2; d++) {
            for (int a = LS_LINEAR; a <= LS_SIGMOID; a++) {
                const ls_dtype dtype = d ? LS_FLOAT64 : LS_FLOAT32;
                ls_model *model = make_model(dtype, shapes[i].n_features, shapes[i].hidden,
                                             shapes[i].n_hidden, (ls_activation)a);
                set_parameter(model, model->n_parameters - 1, -0.0);
                set_parameter(model, 0, d ? 4.9406564584124654e-324 : 1.401298464324817e-45);
                const ls_training_config config = {0.1 / (double)(i + 3), ((int64_t)1 << 40) + a};
                const char *path = in_directory("round.h5"), *again = in_directory("again.h5");
                assert_int_equal(ls_model_save(session, model, &config, path), LS_OK);
                ls_model *loaded;
                ls_training_config found;
                assert_int_equal(ls_model_load(session, path, &loaded, &found), LS_OK);
                assert_same_model(model, loaded);
                assert_true(found.learning_rate == config.learning_rate);
                assert_int_equal(found.iterations, config.iterations);
                assert_int_equal(ls_model_save(session, loaded, &found, again), LS_OK);
                if (session->rank == 0) assert_same_files(path, again);
                MPI_Barrier(session->comm);
                ls_model_free(loaded);
                ls_model_free(model);
            }
        }
    }
    assert_int_equal(ls_alloc_live(), before);
    assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

static void a_model_without_training_has_no_rate(void **state)
{
    (void)state;
    ls_model *model = make_model(LS_FLOAT32, 2, NULL, 0, LS_TANH), *loaded;
    ls_training_config config = {5, 5};
    const char *path = in_directory("plain.h5");
    assert_int_equal(ls_model_save(session, model, NULL, path), LS_OK);
    assert_int_equal(ls_model_load(session, path, &loaded, &config), LS_OK);
    assert_true(config.learning_rate == 0 && config.iterations == 0);
    ls_model_free(loaded);
    assert_int_equal(ls_model_load(session, path, &loaded, NULL), LS_OK);
    assert_same_model(model, loaded);
    ls_model_free(loaded);
    ls_model_free(model);
}

static void long_lists_of_layers_are_split(void **state)
{
    (void)state;
    enum { N_HIDDEN = 4500 };
    int64_t *hidden;
    assert_int_equal(ls_alloc(&hidden, N_HIDDEN, sizeof *hidden, "test"), LS_OK);
    for (int i = 0; i < N_HIDDEN; i++) hidden[i] = 1 + i % 3;
    ls_model *model = make_model(LS_FLOAT32, 2, hidden, N_HIDDEN, LS_TANH), *loaded;
    const char *path = in_directory("deep.h5");
    assert_int_equal(ls_model_save(session, model, NULL, path), LS_OK);
    assert_int_equal(ls_model_load(session, path, &loaded, NULL), LS_OK);
    assert_same_model(model, loaded);
    ls_model_free(loaded);
    ls_model_free(model);
    ls_free(hidden);
}

/* A file of ours in memory. */
static void *make_image(size_t *size)
{
    const int64_t hidden[] = {2, 2};
    ls_model *model = make_model(LS_FLOAT32, 2, hidden, 2, LS_TANH);
    const ls_training_config config = {0.01, 40000};
    void *image;
    assert_int_equal(ls_keras_h5_write(model, &config, NULL, &image, size), LS_OK);
    ls_file_digest_stamp(image, *size);
    ls_model_free(model);
    return image;
}

static void every_changed_bit_and_every_cut_is_detected(void **state)
{
    (void)state;
    size_t size;
    bool ours = false;
    unsigned char *image = make_image(&size);
    int64_t n_flips = 0, n_cuts = 0;
    assert_int_equal(ls_file_digest_check("FILE", image, size, &ours), LS_OK);
    assert_true(ours);
    /* The work is dealt to the ranks: the check is local. */
    for (size_t i = (size_t)session->rank; i < size; i += (size_t)session->size) {
        for (int bit = 0; bit < 8; bit++) {
            image[i] ^= (unsigned char)(1 << bit);
            const ls_status status = ls_file_digest_check("FILE", image, size, &ours);
            if (status != LS_E_INPUT || ours) fail_msg("bit %d of byte %zu changed: accepted", bit, i);
            n_flips++;
            image[i] ^= (unsigned char)(1 << bit);
        }
        const ls_status status = ls_file_digest_check("FILE", image, i, &ours);
        if (status != LS_E_INPUT || ours) fail_msg("cut to %zu bytes: accepted", i);
        n_cuts++;
    }
    int64_t counts[2] = {n_flips, n_cuts};
    MPI_Allreduce(MPI_IN_PLACE, counts, 2, MPI_INT64_T, MPI_SUM, session->comm);
    assert_int_equal(counts[0], 8 * size);
    assert_int_equal(counts[1], size);
    if (session->rank == 0)
        print_message("a file of %zu bytes: %lld changed bits and %lld cuts refused before HDF5\n", size,
                      (long long)counts[0], (long long)counts[1]);
    ls_free(image);
}

static void damaged_files_are_refused_on_all_ranks(void **state)
{
    (void)state;
    size_t size;
    unsigned char *image = make_image(&size);
    const char *path = in_directory("damaged.h5");
    const struct {
        size_t place;
        const char *message;
    } flips[] = {{0, "HDF5 begins after 512 bytes that are no valid head"},
                 {15, "a newer lockstep"},
                 {18, "the file is damaged"},
                 {60, "do not have the digest"},
                 {LS_FILE_HEAD_SIZE - 1, "do not have the digest"},
                 {LS_FILE_HEAD_SIZE, "do not have the digest"},
                 {size / 2, "do not have the digest"},
                 {size - 1, "do not have the digest"}};
    for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++) {
        image[flips[i].place] ^= 4;
        if (session->rank == 0) put_file(path, image, size);
        image[flips[i].place] ^= 4;
        assert_refused(path, LS_E_INPUT, flips[i].message);
    }
    const struct {
        size_t length;
        const char *message;
    } cuts[] = {{0, "is empty"},        {5, "is cut: only 5 bytes"}, {512, "is cut: only 512 bytes"},
                {513, "its head says"}, {size - 1, "its head says"}, {size + 1, "its head says"}};
    unsigned char *longer;
    assert_int_equal(ls_alloc(&longer, size + 1, 1, "test"), LS_OK);
    memcpy(longer, image, size);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        if (session->rank == 0) put_file(path, longer, cuts[i].length);
        assert_refused(path, LS_E_INPUT, cuts[i].message);
    }
    ls_free(longer);
    ls_free(image);
}

static void other_files_are_refused_by_what_they_are(void **state)
{
    (void)state;
    const char *path = in_directory("other");
    if (session->rank == 0) put_file(path, "PK\003\004....", 8);
    assert_refused(path, LS_E_INPUT, "zip archive");
    if (session->rank == 0) put_file(path, "x,y\n1,2\n", 8);
    assert_refused(path, LS_E_INPUT, "not an HDF5 file");
    if (session->rank == 0) put_file(path, "\x89HDF\r\n\x1a\n....", 12);
    assert_refused(path, LS_E_INPUT, "HDF5: ");
    assert_refused(in_directory("absent.h5"), LS_E_INPUT, "No such file");
    assert_refused(directory, LS_E_INPUT, "not a regular file");
    const char *pipe = in_directory("pipe");
    if (session->rank == 0) assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_refused(pipe, LS_E_INPUT, "not a regular file");
}

static void assert_not_saved(const ls_model *model, const char *path, const char *part)
{
    assert_int_equal(ls_model_save(session, model, NULL, path), LS_E_OUTPUT);
    if (!strstr(ls_error_message(), part)) fail_msg("\"%s\" is not in: %s", part, ls_error_message());
}

static void failed_saves_leave_everything_as_it_was(void **state)
{
    (void)state;
    ls_model *model = make_model(LS_FLOAT32, 2, NULL, 0, LS_TANH);
    assert_not_saved(model, in_directory("absent/model.h5"), "does not exist");
    assert_not_saved(model, directory, "is a directory");
    assert_not_saved(model, "/dev/null", "not a regular file");
    const char *path = in_directory("keep.h5");
    assert_int_equal(ls_model_save(session, model, NULL, path), LS_OK);
    if (session->rank == 0) assert_int_equal(chmod(directory, 0500), 0);
    if (geteuid() != 0) assert_not_saved(model, path, "Permission denied");
    MPI_Barrier(session->comm);
    if (session->rank == 0) assert_int_equal(chmod(directory, 0700), 0);
    ls_model *loaded;
    assert_int_equal(ls_model_load(session, path, &loaded, NULL), LS_OK);
    assert_same_model(model, loaded);
    ls_model_free(loaded);

    const ls_training_config wrong = {NAN, 0};
    assert_int_equal(ls_model_save(session, model, &wrong, path), LS_E_USAGE);
    ls_model_free(model);
}

/* ---- files as Keras and h5py may write them, made here ---- */

static void put_attribute(hid_t object, const char *name, const char *const *items, hsize_t n, size_t fixed,
                          H5T_str_t padding)
{
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &n, NULL);
    H5Tset_size(type, fixed ? fixed : H5T_VARIABLE);
    H5Tset_strpad(type, padding);
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0);
    char raw[512];
    memset(raw, padding == H5T_STR_SPACEPAD ? ' ' : 0, sizeof raw);
    for (hsize_t i = 0; fixed && i < n; i++) memcpy(raw + i * fixed, items[i], strlen(items[i]));
    assert_true(H5Awrite(attribute, type, fixed ? (const void *)raw : items) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_text(hid_t object, const char *name, const char *text)
{
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, strlen(text));
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, text) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void put_dataset(hid_t group, const char *name, hid_t file_type, int rank, const hsize_t *shape,
                        const double *values, bool compressed)
{
    const hid_t space = H5Screate_simple(rank, shape, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    if (compressed) {
        H5Pset_chunk(plist, rank, shape);
        H5Pset_shuffle(plist);
        H5Pset_deflate(plist, 6);
    }
    const hid_t dataset = H5Dcreate2(group, name, file_type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(plist);
    H5Sclose(space);
}

#define DENSE(NAME, UNITS, ACTIVATION, MORE)                                                                 \
    "{\"class_name\":\"Dense\",\"config\":{\"name\":\"" NAME "\",\"units\":" UNITS                           \
    ",\"activation\":" ACTIVATION MORE "}}"
#define SEQUENTIAL(LAYERS)                                                                                   \
    "{\"class_name\":\"Sequential\",\"config\":{\"name\":\"sequential\",\"layers\":[" LAYERS "]}}"
#define INPUT                                                                                                \
    "{\"class_name\":\"InputLayer\",\"config\":{\"batch_shape\":[null,2],\"dtype\":\"float32\","             \
    "\"name\":\"in\"}},"
#define HIDDEN DENSE("h", "3", "\"relu\"", "")
#define OUTPUT DENSE("o", "1", "\"sigmoid\"", "")
static const char usual[] = SEQUENTIAL(INPUT HIDDEN "," OUTPUT);

typedef struct foreign {
    const char *model_config; /* NULL: none */
    const char *training_config;
    size_t fixed; /* length of the names, 0 variable */
    H5T_str_t padding;
    hid_t type; /* of the weights, 0 little-endian float32 */
    bool compressed, split_names, soft_link, nan, short_bias, one_weight;
} foreign;

static const double weights[] = {0.5, -0.25, 2,     1, -8, 0.125, /* h kernel 2x3 */
                                 1,   2,     -3,                  /* h bias */
                                 0.5, 4,     -0.75,               /* o kernel 3x1 */
                                 -0.5};

static void put_foreign(const char *path, const foreign *options)
{
    const hid_t type = options->type ? options->type : H5T_IEEE_F32LE;
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    if (options->model_config) put_text(file, "model_config", options->model_config);
    if (options->training_config) put_text(file, "training_config", options->training_config);
    const hid_t model_weights = H5Gcreate2(file, "model_weights", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const char *const layers[] = {"h", "o"};
    if (options->split_names) {
        put_attribute(model_weights, "layer_names0", layers, 1, options->fixed, options->padding);
        put_attribute(model_weights, "layer_names1", layers + 1, 1, options->fixed, options->padding);
    } else {
        put_attribute(model_weights, "layer_names", layers, 2, options->fixed, options->padding);
    }
    const double *at = weights;
    double bad[sizeof weights / sizeof weights[0]];
    memcpy(bad, weights, sizeof weights);
    if (options->nan) {
        bad[4] = NAN;
        at = bad;
    }
    for (int i = 0; i < 2; i++) {
        const hsize_t shape[2] = {i ? 3 : 2, i ? 1 : 3},
                      bias[1] = {shape[1] - (options->short_bias && i == 0)};
        const hid_t group = H5Gcreate2(model_weights, layers[i], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        const char *const names[] = {"kernel:0", "bias:0"};
        put_attribute(group, "weight_names", names, options->one_weight ? 1 : 2, options->fixed,
                      options->padding);
        if (options->soft_link && i == 0) {
            put_dataset(group, "elsewhere", type, 2, shape, at, false);
            H5Lcreate_soft("elsewhere", group, "kernel:0", H5P_DEFAULT, H5P_DEFAULT);
        } else {
            put_dataset(group, "kernel:0", type, 2, shape, at, options->compressed);
        }
        at += shape[0] * shape[1];
        put_dataset(group, "bias:0", type, 1, bias, at, options->compressed);
        at += shape[1];
        H5Gclose(group);
    }
    H5Gclose(model_weights);
    assert_true(H5Fclose(file) >= 0);
}

static void keras_layouts_are_read(void **state)
{
    (void)state;
    const char *sgd = "{\"loss\":\"binary_crossentropy\",\"optimizer_config\":{\"class_name\":\"Custom>SGD\","
                      "\"config\":{\"learning_rate\":0.10000000149011612}}}";
    const foreign cases[] = {
        {.model_config = usual},
        {.model_config = usual, .training_config = sgd},
        {.model_config = usual, .fixed = 12, .padding = H5T_STR_NULLTERM},
        {.model_config = usual, .fixed = 9, .padding = H5T_STR_NULLPAD},
        {.model_config = usual, .fixed = 16, .padding = H5T_STR_SPACEPAD},
        {.model_config = usual, .type = H5T_IEEE_F64BE},
        {.model_config = usual, .compressed = true, .type = H5T_IEEE_F32BE},
        {.model_config = usual, .split_names = true},
        /* no input shape: that of the kernel */
        {.model_config = SEQUENTIAL(HIDDEN "," OUTPUT)},
        {.model_config = "{\"class_name\":\"Sequential\",\"config\":[" HIDDEN "," OUTPUT "]}"},
        {.model_config = SEQUENTIAL(INPUT DENSE(
             "h", "3", "{\"class_name\":\"function\",\"config\":\"relu\"}",
             ",\"dtype\":{\"class_name\":\"DTypePolicy\",\"config\":{\"name\":\"float32\"}}") "," OUTPUT)},
    };
    const char *path = in_directory("foreign.h5");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (session->rank == 0) put_foreign(path, &cases[i]);
        ls_model *model;
        ls_training_config config;
        if (ls_model_load(session, path, &model, &config) != LS_OK)
            fail_msg("case %zu: %s", i, ls_error_message());
        assert_true(config.learning_rate == (cases[i].training_config ? 0.1 : 0));
        assert_int_equal(model->n_features, 2);
        assert_int_equal(model->layers[0].activation, LS_RELU);
        assert_string_equal(model->layers[1].name, "o");
        for (int64_t p = 0; p < model->n_parameters; p++)
            assert_true(((float *)model->parameters)[p] == (float)weights[p]);
        ls_model_free(model);
    }
}

static void what_we_would_compute_otherwise_is_refused_by_name(void **state)
{
    (void)state;
#define LAYERS(TEXT) SEQUENTIAL(INPUT TEXT "," OUTPUT)
#define TRAINING(TEXT)                                                                                       \
    "{\"optimizer_config\":{\"class_name\":\"SGD\",\"config\":{\"learning_rate\":0.5}}," TEXT "}"
    const struct {
        foreign file;
        const char *message;
    } cases[] = {
        {{.model_config = NULL}, "not a Keras model file"},
        {{.model_config = "{\"class_name\""}, "not valid JSON"},
        {{.model_config = "[]"}, "not an object"},
        {{.model_config = "{\"class_name\":\"Functional\",\"config\":{}}"}, "the model is a Functional"},
        {{.model_config = SEQUENTIAL("")}, "no layers"},
        {{.model_config = LAYERS("{\"class_name\":\"Dropout\",\"config\":{\"name\":\"drop\",\"rate\":0.5}}")},
         "layer drop: Dropout of the inputs"},
        {{.model_config = SEQUENTIAL(
              INPUT HIDDEN "," OUTPUT
                           ",{\"class_name\":\"Dropout\",\"config\":{\"name\":\"drop\",\"rate\":0.5}}")},
         "after the output layer"},
        {{.model_config =
              SEQUENTIAL(INPUT HIDDEN ",{\"class_name\":\"Dropout\",\"config\":{\"rate\":1}}," OUTPUT)},
         "rate is 1"},
        {{.model_config = LAYERS("{\"class_name\":\"Flatten\",\"config\":{\"name\":\"flat\"}}")},
         "layer flat has the class Flatten"},
        {{.model_config =
              LAYERS("{\"class_name\":\"Dense\",\"registered_name\":\"Custom>Dense\",\"config\":{}}")},
         "Custom>Dense"},
        {{.model_config = LAYERS("7")}, "without class_name"},
        {{.model_config = LAYERS(DENSE("h", "3", "\"swish\"", ""))}, "layer h: activation swish"},
        {{.model_config = LAYERS(DENSE("h", "3", "{\"class_name\":\"LeakyReLU\",\"config\":{}}", ""))},
         "LeakyReLU"},
        {{.model_config = LAYERS(DENSE("h", "0", "\"relu\"", ""))}, "layer h: units"},
        {{.model_config = LAYERS(DENSE("h", "\"3\"", "\"relu\"", ""))}, "layer h: units"},
        {{.model_config = LAYERS(DENSE("h", "3", "\"relu\"", ",\"use_bias\":false"))}, "layer h: use_bias"},
        {{.model_config = LAYERS(DENSE("h", "3", "\"relu\"", ",\"trainable\":false"))}, "layer h: trainable"},
        {{.model_config =
              LAYERS(DENSE("h", "3", "\"relu\"", ",\"kernel_regularizer\":{\"class_name\":\"Orthogonal\"}"))},
         "layer h: kernel_regularizer (Orthogonal)"},
        {{.model_config =
              LAYERS(DENSE("h", "3", "\"relu\"", ",\"bias_constraint\":{\"class_name\":\"NonNeg\"}"))},
         "layer h: bias_constraint (NonNeg)"},
        {{.model_config = LAYERS(DENSE("h", "3", "\"relu\"", ",\"dtype\":\"float16\""))},
         "layer h: dtype float16"},
        {{.model_config = LAYERS(DENSE("h", "3", "\"relu\"", ",\"dtype\":\"float64\""))},
         "layer o: dtype float32"},
        {{.model_config = LAYERS(DENSE("o", "3", "\"relu\"", ""))}, "two layers are named \"o\""},
        {{.model_config = LAYERS(DENSE("a/b", "3", "\"relu\"", ""))}, "a/b"},
        {{.model_config = SEQUENTIAL(INPUT HIDDEN "," DENSE("o", "1", "\"linear\"", "")),
          .training_config = TRAINING("\"loss\":\"binary_crossentropy\"")},
         "1 linear unit:"},
        {{.model_config = SEQUENTIAL(INPUT HIDDEN "," DENSE("o", "1", "\"softmax\"", ""))},
         "1 softmax unit:"},
        {{.model_config = SEQUENTIAL(INPUT DENSE("h", "3", "\"softmax\"", "") "," OUTPUT)},
         "layer 1 is softmax"},
        {{.model_config = LAYERS(DENSE("h", "4", "\"relu\"", ""))},
         "the shape is (2, 3), model_config says (2, 4)"},
        {{.model_config = LAYERS(DENSE("h", "2147483647", "\"relu\"", ""))}, "model_config says"},
        {{.model_config = SEQUENTIAL(INPUT OUTPUT)}, "model_config says (2, 1)"},
        {{.model_config = LAYERS(HIDDEN "," DENSE("p", "1", "\"relu\"", ""))}, "incomplete"},
        {{.model_config = usual, .nan = true}, "h: kernel[1][1] is nan"},
        {{.model_config = usual, .short_bias = true}, "the shape is (2,), model_config says (3,)"},
        {{.model_config = usual, .one_weight = true}, "1 weights instead of kernel and bias"},
        {{.model_config = usual, .soft_link = true}, "soft or external link"},
        {{.model_config = usual, .type = H5T_STD_I32LE}, "not floating-point"},
        {{.model_config = usual, .training_config = TRAINING("\"loss\":\"hinge\"")},
         "loss hinge is not supported"},
        {{.model_config = usual,
          .training_config =
              TRAINING("\"loss\":{\"class_name\":\"BinaryCrossentropy\",\"config\":{\"from_logits\":true}}")},
         "from_logits"},
        {{.model_config = usual,
          .training_config = TRAINING(
              "\"loss\":{\"class_name\":\"BinaryCrossentropy\",\"config\":{\"label_smoothing\":1.5}}")},
         "label_smoothing 1.5"},
        {{.model_config = usual,
          .training_config = TRAINING(
              "\"loss\":{\"class_name\":\"BinaryCrossentropy\",\"config\":{\"reduction\":\"sum\"}}")},
         "reduction sum"},
        {{.model_config = usual, .training_config = TRAINING("\"loss\":null,\"loss_weights\":[2.0]")},
         "loss_weights"},
    };
    const char *path = in_directory("refused.h5");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (session->rank == 0) put_foreign(path, &cases[i].file);
        const int64_t before = ls_alloc_live();
        assert_refused(path, LS_E_INPUT, cases[i].message);
        assert_int_equal(ls_alloc_live(), before);
        assert_int_equal(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
    }
}

/* A dataset that says it is large while the file holds nothing of it must not cost memory. */
static void claims_beyond_the_file_are_refused(void **state)
{
    (void)state;
    const char *path = in_directory("huge.h5");
    if (session->rank == 0) {
        const foreign options = {
            .model_config = LAYERS(DENSE("h", "1000000000", "\"relu\"", ",\"batch_input_shape\":[null,2]"))};
        put_foreign(path, &options);
        const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT), plist = H5Pcreate(H5P_DATASET_CREATE);
        const hsize_t shape[2] = {2, 1000000000}, chunk[2] = {1, 1000};
        H5Ldelete(file, "/model_weights/h/kernel:0", H5P_DEFAULT);
        H5Pset_chunk(plist, 2, chunk);
        const hid_t space = H5Screate_simple(2, shape, NULL);
        const hid_t dataset = H5Dcreate2(file, "/model_weights/h/kernel:0", H5T_IEEE_F32LE, space,
                                         H5P_DEFAULT, plist, H5P_DEFAULT);
        H5Dclose(dataset);
        H5Sclose(space);
        H5Pclose(plist);
        H5Fclose(file);
    }
    assert_refused(path, LS_E_INPUT, "8000000000 bytes are claimed, 0 stored");
}

static void float32_rates_get_their_decimals_back(void **state)
{
    (void)state;
    const double rates[] = {0.1, 0.01, 0.001, 0.05, 1e-5, 0.3, 3.3e-4, 0.5, 1, 100, 0.0123456};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++)
        assert_true(ls_keras_undo_float32((double)(float)rates[i]) == rates[i]);
    const double kept[] = {0.1, 1.0 / 3, 1e300, 0, -0.25, (double)(1.0f / 3.0f)};
    for (size_t i = 0; i < 5; i++) assert_true(ls_keras_undo_float32(kept[i]) == kept[i]);
    assert_true((float)ls_keras_undo_float32(kept[5]) == 1.0f / 3.0f);
    assert_true(isnan(ls_keras_undo_float32(NAN)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_survive_a_round_trip_bit_for_bit),
        cmocka_unit_test(a_model_without_training_has_no_rate),
        cmocka_unit_test(long_lists_of_layers_are_split),
        cmocka_unit_test(every_changed_bit_and_every_cut_is_detected),
        cmocka_unit_test(damaged_files_are_refused_on_all_ranks),
        cmocka_unit_test(other_files_are_refused_by_what_they_are),
        cmocka_unit_test(failed_saves_leave_everything_as_it_was),
        cmocka_unit_test(keras_layouts_are_read),
        cmocka_unit_test(what_we_would_compute_otherwise_is_refused_by_name),
        cmocka_unit_test(claims_beyond_the_file_are_refused),
        cmocka_unit_test(float32_rates_get_their_decimals_back),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
