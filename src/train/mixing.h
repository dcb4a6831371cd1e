/* How well the rows are mixed: what a shuffle of blocks and windows is worth, in numbers. */
#ifndef LS_TRAIN_MIXING_H
#define LS_TRAIN_MIXING_H

#include "data/order.h"
#include "lockstep/train.h"

/* Sums over the full batches of an epoch. */
typedef struct ls_mixing {
    int64_t n_batches;
    int64_t first;       /* positives of the first one: the others are counted from there */
    double sum, squares; /* of positives */
} ls_mixing;

/* Counts a full batch with so many samples of class 1. Local. */
static inline void ls_mixing_add(ls_mixing *mixing, int64_t positives)
{
    if (mixing->n_batches++ == 0) mixing->first = positives;
    const double d = (double)(positives - mixing->first);
    mixing->sum += d;
    mixing->squares += d * d;
}

/* The spread of the labels over batches beside that of a perfect shuffle, once all batches of an epoch with
 * these measures have been counted; NaN where nothing can spread, and for several labels. Local. */
double ls_mixing_label_spread(const ls_mixing *mixing, const ls_order *order, const ls_metrics *epoch);

/* The correlation between the places in the data of rows that a shard uses one after the other, from a sample
 * of them: 1 in the order of the file, 0 in a perfect shuffle; NaN where there are too few. LS_E_MEMORY.
 * Local. */
ls_status ls_mixing_neighbours(const ls_order *order, int64_t epoch, double *correlation);

#endif
