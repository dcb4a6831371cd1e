/* The options that describe synthetic data, the same for every subcommand that makes them. */
#ifndef LS_CLI_DATA_OPTIONS_H
#define LS_CLI_DATA_OPTIONS_H

#include "options.h"

enum { CLI_N_DATA_OPTIONS = 16 };

typedef struct cli_data {
    ls_generate_options generate;
    cli_doubles weights, shift, scale;
    int64_t random_state;
    bool given[CLI_N_DATA_OPTIONS];
} cli_data;

/* Rows of an option table; d is a cli_data * that cli_data_defaults has filled. --shuffle, which has another
 * meaning in train, is the subcommand's. */
#define CLI_DATA_OPTIONS(d)                                                                                  \
    {"n-samples",                                                                                            \
     0,                                                                                                      \
     CLI_INT,                                                                                                \
     &(d)->generate.data.n_samples,                                                                          \
     "M",                                                                                                    \
     "number of samples, also as 1e9",                                                                       \
     .given = &(d)->given[0]},                                                                               \
        {"n-features",           0, CLI_INT, &(d)->generate.data.n_features, "N", "number of features",      \
         .given = &(d)->given[1]},                                                                           \
        {"n-informative",        0, CLI_INT, &(d)->generate.data.n_informative, "N", "informative features", \
         .given = &(d)->given[2]},                                                                           \
        {"n-redundant",                                                                                      \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         &(d)->generate.data.n_redundant,                                                                    \
         "N",                                                                                                \
         "linear combinations of informative features",                                                      \
         .given = &(d)->given[3]},                                                                           \
        {"n-repeated",                                                                                       \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         &(d)->generate.data.n_repeated,                                                                     \
         "N",                                                                                                \
         "duplicates of informative and redundant features",                                                 \
         .given = &(d)->given[4]},                                                                           \
        {"n-classes", 0, CLI_INT, &(d)->generate.data.n_classes, "N", "classes", .given = &(d)->given[5]},   \
        {"n-clusters-per-class",                                                                             \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         &(d)->generate.data.n_clusters_per_class,                                                           \
         "N",                                                                                                \
         "clusters of each class",                                                                           \
         .given = &(d)->given[6]},                                                                           \
        {"weights",                                                                                          \
         0,                                                                                                  \
         CLI_DOUBLES,                                                                                        \
         &(d)->weights,                                                                                      \
         "W,W,...",                                                                                          \
         "share of each class",                                                                              \
         .shown_default = "none, all equal",                                                                 \
         .given = &(d)->given[7]},                                                                           \
        {"flip-y",                                                                                           \
         0,                                                                                                  \
         CLI_DOUBLE,                                                                                         \
         &(d)->generate.data.flip_y,                                                                         \
         "P",                                                                                                \
         "share of samples whose class is drawn at random",                                                  \
         .given = &(d)->given[8]},                                                                           \
        {"class-sep",                                                                                        \
         0,                                                                                                  \
         CLI_DOUBLE,                                                                                         \
         &(d)->generate.data.class_sep,                                                                      \
         "D",                                                                                                \
         "half the side of the hypercube",                                                                   \
         .given = &(d)->given[9]},                                                                           \
        {"hypercube",                                                                                        \
         0,                                                                                                  \
         CLI_BOOL,                                                                                           \
         &(d)->generate.data.hypercube,                                                                      \
         "true|false",                                                                                       \
         "put the clusters on the vertices of a hypercube, not of a random polytope",                        \
         .given = &(d)->given[10]},                                                                          \
        {"shift",                                                                                            \
         0,                                                                                                  \
         CLI_DOUBLES,                                                                                        \
         &(d)->shift,                                                                                        \
         "D[,D...]",                                                                                         \
         "added to the features; none draws it",                                                             \
         .shown_default = "0",                                                                               \
         .given = &(d)->given[11]},                                                                          \
        {"scale",                                                                                            \
         0,                                                                                                  \
         CLI_DOUBLES,                                                                                        \
         &(d)->scale,                                                                                        \
         "D[,D...]",                                                                                         \
         "multiplies the features; none draws it",                                                           \
         .shown_default = "1",                                                                               \
         .given = &(d)->given[12]},                                                                          \
        {"random-state",                                                                                     \
         0,                                                                                                  \
         CLI_INT,                                                                                            \
         &(d)->random_state,                                                                                 \
         "SEED",                                                                                             \
         "seed of the data",                                                                                 \
         .maximum = UINT32_MAX,                                                                              \
         .given = &(d)->given[13]},                                                                          \
    {                                                                                                        \
        "train-size", 0, CLI_DOUBLE, &(d)->generate.train_size, "S",                                         \
            "rows of /train: a share below 1 or a number of rows", .shown_default = "all",                   \
                                                                   .given = &(d)->given[CLI_TRAIN_SIZE]      \
    }

/* The places in `given` of options that subcommands ask for. */
enum { CLI_TRAIN_SIZE = 14, CLI_DATA_SHUFFLE = 15 };

/* scikit-learn's defaults. */
void cli_data_defaults(cli_data *data);

/* After parsing: completes data->generate, whose lists stay in *data. Returns -1, or the exit code after an
 * error that has been printed. */
int cli_data_complete(const cli_command *command, cli_data *data);

/* The name of the first of these options that was given, or NULL. */
const char *cli_data_given(const cli_data *data, const cli_option *options);

void cli_data_free(cli_data *data);

#endif
