#include "train/batches.h"

#include "base/memory.h"
#include "base/place.h"
#include "data/feed.h"

/* Where a batch's subtrees begin, one after the other. */
typedef struct batch_layout {
    size_t size;
    size_t *begin; /* of each subtree, in bytes */
} batch_layout;

enum { PIECE_BYTES = 64 * 1024 }; /* packed at a time, small batches many together */

struct ls_batches {
    const ls_order *order;
    const ls_engine *engine;
    const ls_tree *tree;
    ls_feed *feed; /* NULL once all batches are packed */
    int64_t *shard_rows, *last_rows;
    batch_layout layout, last_layout;
    int64_t piece_batches;
    char *piece;
    char *kept;         /* the first n_kept batches of every epoch */
    int64_t n_kept;     /* whole pieces, or all */
    bool *is_kept;      /* of each piece there */
    const char *packed; /* the piece in use: batches [begin, end) of an epoch, of any one if it is below 0 */
    int64_t begin, end, epoch;
    const char *present;
    bool is_last;
};

static int64_t first_shard(const ls_batches *batches)
{
    return ls_tree_subtree(batches->tree, 0).first;
}

static int64_t end_shard(const ls_batches *batches)
{
    const ls_subtree last = ls_tree_subtree(batches->tree, ls_tree_n_subtrees(batches->tree) - 1);
    return last.first + last.count;
}

static ls_status lay_out(const ls_batches *batches, const int64_t *shard_rows, batch_layout *layout)
{
    const int n_subtrees = ls_tree_n_subtrees(batches->tree);
    LS_TRY(ls_alloc(&layout->begin, (size_t)n_subtrees, sizeof *layout->begin, "packed rows"));
    for (int i = 0; i < n_subtrees; i++) {
        const ls_subtree subtree = ls_tree_subtree(batches->tree, i);
        layout->begin[i] = layout->size;
        layout->size += batches->engine->kind->packed_size(
            batches->engine, shard_rows + (subtree.first - first_shard(batches)), subtree.count);
    }
    return LS_OK;
}

/* Packs batches [begin, end) of an epoch. */
static ls_status pack(ls_batches *batches, int64_t epoch, int64_t begin, int64_t end, char *to)
{
    for (int64_t k = begin; k < end; k++, to += batches->layout.size) {
        const bool last = k == batches->order->n_batches - 1;
        const batch_layout *layout = last ? &batches->last_layout : &batches->layout;
        const int64_t *shard_rows = last ? batches->last_rows : batches->shard_rows;
        const ls_rows *rows;
        LS_TRY(ls_feed_batch(batches->feed, epoch, k, &rows));
        ls_place_at(LS_AT_COMPUTE, -1);
        for (int i = 0; i < ls_tree_n_subtrees(batches->tree); i++) {
            const int64_t n_shards = ls_tree_subtree(batches->tree, i).count;
            batches->engine->kind->pack(batches->engine, rows, shard_rows, n_shards, to + layout->begin[i]);
            rows += n_shards;
            shard_rows += n_shards;
        }
    }
    return LS_OK;
}

/* Bytes of n batches, of which one may be the last. */
static int64_t packed_bytes(const ls_batches *batches, int64_t n)
{
    const size_t size = batches->layout.size, last = batches->last_layout.size;
    int64_t bytes;
    if (__builtin_mul_overflow(n - 1, (int64_t)size, &bytes)) return INT64_MAX;
    return bytes + (int64_t)(size > last ? size : last);
}

/* Chooses which batches are kept packed: none where every epoch has others. */
static ls_status keep(ls_batches *batches, int64_t memory)
{
    const int64_t n_batches = batches->order->n_batches, piece = batches->piece_batches;
    if (batches->order->shuffle) return LS_OK;
    if (packed_bytes(batches, n_batches) <= memory) {
        batches->n_kept = n_batches;
    } else {
        const int64_t left = memory - packed_bytes(batches, piece) - ls_feed_bytes(batches->feed);
        if (left > 0) batches->n_kept = left / (int64_t)batches->layout.size / piece * piece;
    }
    if (batches->n_kept == 0) return LS_OK;
    LS_TRY(ls_alloc(&batches->kept, (size_t)packed_bytes(batches, batches->n_kept), 1, "packed rows"));
    return ls_alloc(&batches->is_kept, (size_t)(batches->n_kept / piece + 1), sizeof *batches->is_kept,
                    "packed rows");
}

static ls_status prepare(ls_batches *batches, ls_dataset *dataset, int64_t memory)
{
    const ls_order *order = batches->order;
    const int64_t first = first_shard(batches), n_shards = end_shard(batches) - first,
                  last = order->n_batches - 1;
    LS_TRY(ls_alloc(&batches->shard_rows, (size_t)n_shards, sizeof *batches->shard_rows, "packed rows"));
    LS_TRY(ls_alloc(&batches->last_rows, (size_t)n_shards, sizeof *batches->last_rows, "packed rows"));
    for (int64_t i = 0; i < n_shards; i++) {
        batches->shard_rows[i] = ls_order_share(order, 0, first + i);
        batches->last_rows[i] = ls_order_share(order, last, first + i);
    }
    LS_TRY(lay_out(batches, batches->shard_rows, &batches->layout));
    LS_TRY(lay_out(batches, batches->last_rows, &batches->last_layout));
    const int64_t size = (int64_t)batches->layout.size;
    batches->piece_batches = size > 0 && size < PIECE_BYTES ? PIECE_BYTES / size : 1;
    if (batches->piece_batches > order->n_batches) batches->piece_batches = order->n_batches;
    const int64_t piece_bytes = packed_bytes(batches, batches->piece_batches);
    LS_TRY(ls_feed_create(order, dataset, batches->engine->model->dtype, first, first + n_shards,
                          memory - piece_bytes, &batches->feed));
    LS_TRY(keep(batches, memory));
    if (batches->n_kept < order->n_batches)
        return ls_alloc(&batches->piece, (size_t)piece_bytes, 1, "packed rows of a batch");
    LS_TRY(pack(batches, 0, 0, order->n_batches, batches->kept));
    batches->packed = batches->kept;
    batches->end = order->n_batches;
    batches->epoch = -1;
    ls_feed_destroy(batches->feed);
    batches->feed = NULL;
    return LS_OK;
}

ls_status ls_batches_create(const ls_order *order, ls_dataset *dataset, const ls_engine *engine,
                            const ls_tree *tree, int64_t memory, ls_batches **result)
{
    ls_batches *batches;
    *result = NULL;
    LS_TRY(ls_alloc(&batches, 1, sizeof *batches, "packed rows"));
    batches->order = order;
    batches->engine = engine;
    batches->tree = tree;
    const ls_status status = prepare(batches, dataset, memory);
    if (status != LS_OK) {
        ls_batches_destroy(batches);
        return status;
    }
    *result = batches;
    return LS_OK;
}

void ls_batches_destroy(ls_batches *batches)
{
    if (!batches) return;
    ls_feed_destroy(batches->feed);
    ls_free(batches->shard_rows);
    ls_free(batches->last_rows);
    ls_free(batches->layout.begin);
    ls_free(batches->last_layout.begin);
    ls_free(batches->piece);
    ls_free(batches->kept);
    ls_free(batches->is_kept);
    ls_free(batches);
}

/* The piece with batch k, packed now or kept from before. */
static ls_status enter_piece(ls_batches *batches, int64_t epoch, int64_t k)
{
    const int64_t n_batches = batches->order->n_batches, piece = batches->piece_batches;
    const bool keeps = k < batches->n_kept;
    const int64_t begin = keeps ? k / piece * piece : k,
                  end = begin + (n_batches - begin < piece ? n_batches - begin : piece);
    char *to = keeps ? batches->kept + (size_t)begin * batches->layout.size : batches->piece;
    batches->packed = to;
    batches->begin = begin;
    batches->end = begin; /* nothing is there should packing fail */
    batches->epoch = keeps ? -1 : epoch;
    /* A rank that has nothing to add could not tell that it failed. */
    const ls_segment rows =
        ls_order_batch_segment(batches->order, k, first_shard(batches), end_shard(batches));
    if (rows.n_rows == 0) return LS_OK;
    if (!keeps || !batches->is_kept[begin / piece]) LS_TRY(pack(batches, epoch, begin, end, to));
    if (keeps) batches->is_kept[begin / piece] = true;
    batches->end = end;
    return LS_OK;
}

ls_status ls_batches_enter(ls_batches *batches, int64_t epoch, int64_t k)
{
    batches->is_last = k == batches->order->n_batches - 1;
    if (k < batches->begin || k >= batches->end || (batches->epoch >= 0 && epoch != batches->epoch))
        LS_TRY(enter_piece(batches, epoch, k));
    batches->present = batches->packed + (size_t)(k - batches->begin) * batches->layout.size;
    return LS_OK;
}

double ls_batches_seconds(const ls_batches *batches)
{
    return batches->feed ? ls_feed_seconds(batches->feed) : 0;
}

const void *ls_batches_packed(const ls_batches *batches, int i, const int64_t **shard_rows)
{
    const int64_t first = ls_tree_subtree(batches->tree, i).first - first_shard(batches);
    *shard_rows = (batches->is_last ? batches->last_rows : batches->shard_rows) + first;
    return batches->present + (batches->is_last ? batches->last_layout : batches->layout).begin[i];
}
