/* The optimizer of a run: from a reduced gradient to new parameters. What it decides depends on its arguments
 * and its state alone, so that ranks with the same ones stay the same. All functions are local. */
#ifndef LS_TRAIN_OPTIMIZER_H
#define LS_TRAIN_OPTIMIZER_H

#include "lockstep/model.h"
#include "train/update.h"

typedef struct ls_optimizer_state ls_optimizer_state;

struct ls_optimizer_state {
    /* One step of the model by the sum of the gradients of n_samples samples: n_parameters values, only read.
     * Chosen once, when the state is made. */
    void (*step)(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples);
    ls_model *model;        /* borrowed */
    double learning_rate;   /* of the last step, or before the first */
    int64_t iterations;     /* steps done */
    ls_optimizer optimizer; /* its schedule resolved */
    double base_rate;       /* that a schedule begins with */
    int n_slots;
    void *slots;    /* n_slots blocks of n_parameters values, laid out as the parameters; NULL for none */
    void *gradient; /* mean gradient with penalties, clipped; NULL where nothing of that is wanted */
    double beta_1_power, beta_2_power; /* of the steps done */
    void (*rule)(const ls_update *update);
    ls_update update; /* what of it stays the same */
};

/* A fresh state. The schedule must be resolved and the optimizer checked. The caller destroys *state.
 * LS_E_MEMORY. */
ls_status ls_optimizer_create(ls_model *model, const ls_optimizer *optimizer, double learning_rate,
                              ls_optimizer_state **state);

/* Frees it; NULL is allowed. */
void ls_optimizer_destroy(ls_optimizer_state *state);

/* Goes on after so many steps; slots are copied (NULL if there are none). */
void ls_optimizer_restore(ls_optimizer_state *state, int64_t iterations, const void *slots);

/* Goes on where config ends if that optimizer keeps the same numbers for this model; otherwise false, and
 * nothing changes. */
bool ls_optimizer_continue(ls_optimizer_state *state, const ls_training_config *config);

/* The state as files hold it; slots are borrowed. */
ls_training_config ls_optimizer_config(const ls_optimizer_state *state);

/* Bytes of slots. */
size_t ls_optimizer_slots_size(const ls_optimizer_state *state);

/* Bytes of everything that ls_optimizer_create would take for n_parameters, of which some have penalties. */
int64_t ls_optimizer_bytes(const ls_model *model, const ls_optimizer *optimizer);

/* Another learning rate from the next step on; not with a schedule. */
void ls_optimizer_set_rate(ls_optimizer_state *state, double learning_rate);

#endif
