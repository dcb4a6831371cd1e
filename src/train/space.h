/* The search space: which settings a search varies, and over which values.
 *
 * A JSON object of hyperparameters by name. What each takes:
 *   0.01                                      always that
 *   [8, 32]  ["tanh", "relu"]                 one of these
 *   {"min": 2, "max": 16, "step": 2}          from min to max (both included) by step, 1 for whole numbers
 *   {"min": 1e-4, "max": 0.1, "sampling": "log"}   any number between, as many in each decade
 *   {..., "sampling": "log", "step": 10}      min, 10 min, 100 min, ...
 * "hidden" takes lists of units, [[2, 2], [16]]; "layers" and "units" together give each of so many hidden
 * layers units of its own. */
#ifndef LS_TRAIN_SPACE_H
#define LS_TRAIN_SPACE_H

#include <jansson.h>

#include "train/hyperparameters.h"

enum { LS_TRIAL_DRAWS = 1024 };

typedef struct ls_space ls_space;

/* Reads the text of a space; file names it in messages. base has the settings that the space does not vary.
 * Every value is tried. LS_E_INPUT names the hyperparameter and what is wrong with it. Local. The caller
 * destroys *space. */
ls_status ls_space_parse(const char *file, const char *text, const ls_trial *base, ls_space **space);

/* Frees it; NULL is allowed. Local. */
void ls_space_destroy(ls_space *space);

/* Columns of a table of trials, in the order of the file: the names of the values ("hidden" for layers and
 * units). Local. */
int ls_space_n_names(const ls_space *space);
const char *ls_space_name(const ls_space *space, int i);

/* Whether the space varies that name. Local. */
bool ls_space_varies(const ls_space *space, const char *name);

/* Number of different points, INT64_MAX if there are more than that counts. LS_E_INPUT, naming the
 * hyperparameter, if one takes any number of a range. Local. */
ls_status ls_space_count(const ls_space *space, int64_t *n);

/* Point number i of the grid, the last name varying fastest; only of a space that can be counted. The caller
 * drops *values, an object with the value of each name. LS_E_MEMORY. Local. */
ls_status ls_space_point(const ls_space *space, int64_t i, json_t **values);

/* A point drawn at random, a function of (seed, index) alone: each hyperparameter on its own, the number of
 * layers before their units. Otherwise the same. */
ls_status ls_space_draw(const ls_space *space, uint64_t seed, uint64_t index, json_t **values);

/* The settings of a trial with these values. LS_E_INPUT. Local. */
ls_status ls_space_settings(const ls_space *space, const json_t *values, ls_trial *trial);

#endif
