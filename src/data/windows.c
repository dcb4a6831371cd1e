#include "data/windows.h"

#include <string.h>

#include "base/memory.h"

typedef struct shard {
    int64_t number, n_rows;
    int64_t share, last_share; /* rows in a batch, and in the last one of an epoch; either may be larger */
    char *x, *y;               /* rows in the order of use, the next ones first */
    int64_t begin, end;        /* of those that wait, in x and y */
    int64_t epoch, position;   /* of the first of them */
    int64_t next_window;       /* to be appended to them */
    char *kept_x, *kept_y;     /* the first rows of the shard in its own numbering */
    unsigned char *is_kept;    /* of each window there */
} shard;

enum { PREFETCHED_BYTES = 1024 }; /* ahead of a copy */

struct ls_windows {
    const ls_order *order;
    ls_dataset *dataset;
    ls_dtype dtype;
    size_t y_size, row_size; /* bytes of a row */
    int64_t n_shards;
    shard *shards;
    int64_t kept_rows;     /* of each shard: whole windows, or all */
    char *kept_x, *kept_y; /* of all shards, one after the other */
    char *raw_x, *raw_y;   /* a window in the order of the shard's numbering */
    uint32_t *rows;        /* the order inside a window */
    ls_segment *segments;
};

static int64_t at_most(int64_t n, int64_t most)
{
    return n < most ? n : most;
}

/* Rows of a shard that wait: less than a batch takes, and the window that ends the wait. */
static int64_t waiting_rows(const ls_windows *w, const shard *s)
{
    const int64_t share = s->share > s->last_share ? s->share : s->last_share;
    return share + at_most(w->order->window_rows, s->n_rows);
}

/* How many rows of each shard fit beside what is needed anyway. */
static int64_t count_kept(const ls_windows *w, int64_t memory)
{
    const int64_t window = w->order->window_rows, bytes = (int64_t)(w->row_size + w->y_size);
    int64_t most = 0, needed = window;
    for (int64_t i = 0; i < w->n_shards; i++) {
        if (w->shards[i].n_rows > most) most = w->shards[i].n_rows;
        needed += waiting_rows(w, &w->shards[i]);
    }
    const int64_t fitting = (memory / bytes - needed) / w->n_shards;
    if (fitting >= most) return most;
    return fitting > 0 ? fitting / window * window : 0;
}

static ls_status read_rows(ls_windows *w, const shard *s, int64_t first, int64_t n, ls_segment *segments,
                           char *x, char *y)
{
    const int64_t n_segments = ls_order_segments(w->order, s->number, first, n, segments);
    return ls_dataset_read_segments(w->dataset, w->dtype, segments, n_segments, x, y);
}

/* All rows of all shards in one pass over the file: where rows are compressed together, nearly every shard
 * has some of them. */
static ls_status keep_all(ls_windows *w)
{
    ls_segment *segments;
    int64_t room = 0, n_segments = 0;
    for (int64_t i = 0; i < w->n_shards; i++) room += ls_order_segment_room(w->order, w->shards[i].n_rows);
    LS_TRY(ls_alloc(&segments, (size_t)room, sizeof *segments, "row numbers of the shards of a rank"));
    for (int64_t i = 0; i < w->n_shards; i++) {
        shard *s = &w->shards[i];
        n_segments += ls_order_segments(w->order, s->number, 0, s->n_rows, segments + n_segments);
        memset(s->is_kept, 1, (size_t)(s->n_rows / w->order->window_rows + 1));
    }
    const ls_status status =
        ls_dataset_read_segments(w->dataset, w->dtype, segments, n_segments, w->kept_x, w->kept_y);
    ls_free(segments);
    return status;
}

static ls_status prepare(ls_windows *w, int64_t first_shard, int64_t memory)
{
    const ls_order *order = w->order;
    const int64_t window = order->window_rows;
    LS_TRY(ls_alloc(&w->shards, (size_t)w->n_shards, sizeof *w->shards, "shards of a rank"));
    for (int64_t i = 0; i < w->n_shards; i++) {
        shard *s = &w->shards[i];
        s->number = first_shard + i;
        s->n_rows = ls_order_shard_rows(order, s->number);
        s->share = ls_order_share(order, 0, s->number);
        s->last_share = ls_order_share(order, order->n_batches - 1, s->number);
        s->epoch = -1;
        const size_t waiting = (size_t)waiting_rows(w, s);
        LS_TRY(ls_alloc(&s->x, waiting, w->row_size, "rows of a window"));
        LS_TRY(ls_alloc(&s->y, waiting, w->y_size, "labels of a window"));
    }
    LS_TRY(ls_alloc(&w->rows, (size_t)window, sizeof *w->rows, "order of a window"));
    LS_TRY(ls_alloc(&w->segments, (size_t)ls_order_segment_room(order, window), sizeof *w->segments,
                    "row numbers of a window"));
    w->kept_rows = count_kept(w, memory);
    size_t n_kept = 0;
    bool all = true;
    for (int64_t i = 0; i < w->n_shards; i++) n_kept += (size_t)at_most(w->kept_rows, w->shards[i].n_rows);
    LS_TRY(ls_alloc(&w->kept_x, n_kept, w->row_size, "rows of the training set"));
    LS_TRY(ls_alloc(&w->kept_y, n_kept, w->y_size, "labels of the training set"));
    n_kept = 0;
    for (int64_t i = 0; i < w->n_shards; i++) {
        shard *s = &w->shards[i];
        const int64_t kept = at_most(w->kept_rows, s->n_rows);
        s->kept_x = w->kept_x + n_kept * w->row_size;
        s->kept_y = w->kept_y + n_kept * w->y_size;
        LS_TRY(ls_alloc(&s->is_kept, (size_t)(kept / window + 1), 1, "rows of the training set"));
        n_kept += (size_t)kept;
        all = all && kept == s->n_rows;
    }
    if (all) return keep_all(w);
    LS_TRY(ls_alloc(&w->raw_x, (size_t)window, w->row_size, "rows of a window"));
    return ls_alloc(&w->raw_y, (size_t)window, w->y_size, "labels of a window");
}

ls_status ls_windows_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                            int64_t end_shard, int64_t memory, ls_windows **result)
{
    ls_windows *w;
    *result = NULL;
    LS_TRY(ls_alloc(&w, 1, sizeof *w, "windows of rows"));
    w->order = order;
    w->dataset = dataset;
    w->dtype = dtype;
    const ls_targets targets = ls_dataset_targets(dataset);
    w->y_size = (size_t)ls_targets_row_values(&targets) * ls_dtype_size(dtype);
    w->row_size = (size_t)ls_dataset_n_features(dataset) * ls_dtype_size(dtype);
    w->n_shards = end_shard - first_shard;
    const ls_status status = prepare(w, first_shard, memory);
    if (status != LS_OK) {
        ls_windows_destroy(w);
        return status;
    }
    *result = w;
    return LS_OK;
}

void ls_windows_destroy(ls_windows *w)
{
    if (!w) return;
    for (int64_t i = 0; w->shards && i < w->n_shards; i++) {
        shard *s = &w->shards[i];
        ls_free(s->x);
        ls_free(s->y);
        ls_free(s->is_kept);
    }
    ls_free(w->shards);
    ls_free(w->kept_x);
    ls_free(w->kept_y);
    ls_free(w->raw_x);
    ls_free(w->raw_y);
    ls_free(w->rows);
    ls_free(w->segments);
    ls_free(w);
}

static bool is_within_kept(const ls_windows *w, const ls_window *window)
{
    return window->first_row + window->n_rows <= w->kept_rows;
}

static bool is_kept(const ls_windows *w, const shard *s, const ls_window *window)
{
    return is_within_kept(w, window) && s->is_kept[window->first_row / w->order->window_rows];
}

/* The window that comes after the one about to be entered is read by the system meanwhile. */
static void expect_next(ls_windows *w, const shard *s)
{
    const bool ends = (s->next_window + 1) * w->order->window_rows >= s->n_rows;
    const ls_window next =
        ls_order_window(w->order, s->number, s->epoch + ends, ends ? 0 : s->next_window + 1);
    if (is_kept(w, s, &next)) return;
    const int64_t n = ls_order_segments(w->order, s->number, next.first_row, next.n_rows, w->segments);
    ls_dataset_expect(w->dataset, w->segments, n);
}

/* Copies n elements of `size` bytes in another order; the sizes of narrow rows at the speed of the loads. The
 * place they go to has left the near caches since it was read. */
static void gather(const char *from, const uint32_t *rows, int64_t n, size_t size, char *to)
{
#define GATHER(type)                                                                                         \
    for (int64_t i = 0; i < n; i++) {                                                                        \
        __builtin_prefetch(to + ((size_t)i * sizeof(type) + PREFETCHED_BYTES), 1);                           \
        ((type *)to)[i] = ((const type *)from)[rows[i]];                                                     \
    }
    switch (size) {
    case sizeof(uint32_t):
        GATHER(uint32_t);
        break;
    case sizeof(uint64_t):
        GATHER(uint64_t);
        break;
    default:
        for (int64_t i = 0; i < n; i++, to += size) memcpy(to, from + (size_t)rows[i] * size, size);
    }
#undef GATHER
}

/* Appends the shard's next window to its waiting rows. */
static ls_status append_window(ls_windows *w, shard *s)
{
    const ls_window window = ls_order_window(w->order, s->number, s->epoch, s->next_window);
    const size_t first = (size_t)window.first_row;
    char *x = w->raw_x, *y = w->raw_y;
    if (is_within_kept(w, &window)) {
        x = s->kept_x + first * w->row_size;
        y = s->kept_y + first * w->y_size;
    }
    if (!is_kept(w, s, &window)) {
        LS_TRY(read_rows(w, s, window.first_row, window.n_rows, w->segments, x, y));
        if (is_within_kept(w, &window)) s->is_kept[window.first_row / w->order->window_rows] = 1;
    }
    if (w->raw_x) expect_next(w, s);
    ls_order_window_rows(w->order, &window, w->rows);
    gather(x, w->rows, window.n_rows, w->row_size, s->x + (size_t)s->end * w->row_size);
    gather(y, w->rows, window.n_rows, w->y_size, s->y + (size_t)s->end * w->y_size);
    s->end += window.n_rows;
    s->next_window++;
    return LS_OK;
}

/* Moves the waiting rows to where there is room behind them. */
static void move_up(const ls_windows *w, shard *s)
{
    const size_t begin = (size_t)s->begin, left = (size_t)(s->end - s->begin);
    if (begin == 0) return;
    memmove(s->x, s->x + begin * w->row_size, left * w->row_size);
    memmove(s->y, s->y + begin * w->y_size, left * w->y_size);
    s->begin = 0;
    s->end = (int64_t)left;
}

/* Makes at least n rows wait, the first of them that at this position of the epoch. */
static ls_status fill(ls_windows *w, shard *s, int64_t epoch, int64_t position, int64_t n)
{
    ls_status status = LS_OK;
    if (epoch != s->epoch || position != s->position) {
        s->epoch = epoch;
        s->next_window = position / w->order->window_rows;
        s->begin = s->end = 0;
        status = append_window(w, s);
        s->begin = position % w->order->window_rows;
    }
    while (status == LS_OK && s->end - s->begin < n) {
        move_up(w, s);
        status = append_window(w, s);
    }
    if (status != LS_OK) s->epoch = -1; /* nothing waits */
    return status;
}

ls_status ls_windows_batch(ls_windows *w, int64_t epoch, int64_t k, ls_rows *rows)
{
    const bool last = k == w->order->n_batches - 1;
    for (int64_t i = 0; i < w->n_shards; i++) {
        shard *s = &w->shards[i];
        const int64_t n = last ? s->last_share : s->share;
        const int64_t position = k * s->share;
        const bool waits = epoch == s->epoch && position == s->position && s->end - s->begin >= n;
        if (!waits && n > 0) LS_TRY(fill(w, s, epoch, position, n));
        rows[i] = (ls_rows){s->x + (size_t)s->begin * w->row_size, s->y + (size_t)s->begin * w->y_size};
        s->begin += n;
        s->position = position + n;
    }
    return LS_OK;
}
