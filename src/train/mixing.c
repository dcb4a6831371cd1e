#include "train/mixing.h"

#include <math.h>

#include "base/fail.h"
#include "base/memory.h"
#include "comm/comm.h"

enum { PLACES = 32, NEIGHBOURS = 128 }; /* looked at in each place */

double ls_mixing_label_spread(const ls_mixing *mixing, const ls_order *order, const ls_metrics *epoch)
{
    const double n = (double)mixing->n_batches, rows = (double)order->n_samples,
                 batch = (double)order->batch_size, share = (double)(epoch->tp + epoch->fn) / rows;
    /* Without replacement, as a batch takes its rows. */
    const double ideal = batch * share * (1 - share) * (rows - batch) / (rows - 1);
    const bool several_labels = epoch->tn + epoch->fp + epoch->fn + epoch->tp > epoch->n_samples;
    if (mixing->n_batches < 2 || several_labels || !(ideal > 0)) return NAN;
    const double expected = batch * share - (double)mixing->first, mean = mixing->sum / n;
    return sqrt((mixing->squares / n - 2 * expected * mean + expected * expected) / ideal);
}

typedef struct sums {
    double n, a, b, aa, bb, ab;
} sums;

static void add(sums *s, double a, double b)
{
    s->n++;
    s->a += a;
    s->b += b;
    s->aa += a * a;
    s->bb += b * b;
    s->ab += a * b;
}

/* The row of the data at a position of a shard's epoch, as a share of all rows. */
static double place_of(const ls_order *order, int64_t s, int64_t row)
{
    ls_segment segment;
    ls_order_segments(order, s, row, 1, &segment);
    return (double)segment.first_row / (double)order->n_samples - 0.5;
}

/* Neighbours in one window; a window that stands for several places has others in each. */
static void look_at_window(const ls_order *order, int64_t epoch, int64_t s, int64_t i, int64_t place,
                           uint32_t *rows, sums *all)
{
    const ls_window window = ls_order_window(order, s, epoch, i);
    ls_order_window_rows(order, &window, rows);
    const int64_t n = window.n_rows < NEIGHBOURS ? window.n_rows : NEIGHBOURS,
                  begin = ls_split(window.n_rows - n, PLACES, place);
    for (int64_t r = begin; r + 1 < begin + n; r++)
        add(all, place_of(order, s, window.first_row + rows[r]),
            place_of(order, s, window.first_row + rows[r + 1]));
}

static void look_at_batch(const ls_order *order, int64_t k, int64_t s, sums *all)
{
    const ls_segment rows = ls_order_batch_segment(order, k, s, s + 1);
    for (int64_t r = rows.first_row; r + 1 < rows.first_row + rows.n_rows; r++)
        add(all, (double)r / (double)order->n_samples - 0.5,
            (double)(r + 1) / (double)order->n_samples - 0.5);
}

ls_status ls_mixing_neighbours(const ls_order *order, int64_t epoch, double *correlation)
{
    uint32_t *rows;
    sums all = {0};
    LS_TRY(ls_alloc(&rows, (size_t)order->window_rows, sizeof *rows, "order of a window"));
    for (int64_t place = 0; place < PLACES; place++) {
        const int64_t s = place * 7 % order->n_shards; /* far from one another */
        const int64_t n_windows =
            (ls_order_shard_rows(order, s) + order->window_rows - 1) / order->window_rows;
        if (!order->shuffle)
            look_at_batch(order, ls_split(order->n_batches, PLACES, place), s, &all);
        else if (n_windows > 0)
            look_at_window(order, epoch, s, ls_split(n_windows, PLACES, place), place, rows, &all);
    }
    ls_free(rows);
    const double a = all.aa - all.a * all.a / all.n, b = all.bb - all.b * all.b / all.n;
    *correlation = all.n >= NEIGHBOURS ? (all.ab - all.a * all.b / all.n) / sqrt(a * b) : NAN;
    return LS_OK;
}
