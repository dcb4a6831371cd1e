#include "train/batches.h"

#include "base/memory.h"
#include "data/feed.h"

/* Where a batch's subtrees begin, one after the other. */
typedef struct batch_layout {
    size_t size;
    size_t *begin; /* of each subtree, in bytes */
} batch_layout;

struct ls_batches {
    const ls_order *order;
    const ls_engine *engine;
    const ls_tree *tree;
    ls_feed *feed; /* NULL once all batches are packed */
    int64_t *shard_rows, *last_rows;
    batch_layout layout, last_layout;
    char *packed; /* the present batch, or all of them */
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

static void pack(ls_batches *batches, int64_t epoch, int64_t k, char *to)
{
    const void *x, *y;
    const int64_t *rows, *shard_rows;
    const batch_layout *layout =
        k == batches->order->n_batches - 1 ? &batches->last_layout : &batches->layout;
    ls_feed_batch(batches->feed, epoch, k, &x, &y, &rows, &shard_rows);
    for (int i = 0; i < ls_tree_n_subtrees(batches->tree); i++) {
        const int64_t n_shards = ls_tree_subtree(batches->tree, i).count;
        batches->engine->kind->pack(batches->engine, x, y, rows, shard_rows, n_shards, to + layout->begin[i]);
        for (int64_t shard = 0; shard < n_shards; shard++) rows += shard_rows[shard];
        shard_rows += n_shards;
    }
}

static ls_status prepare(ls_batches *batches, ls_dataset *dataset)
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
    LS_TRY(ls_feed_create(order, dataset, batches->engine->model->dtype, first, first + n_shards,
                          &batches->feed));
    if (order->shuffle) {
        const size_t size = batches->layout.size > batches->last_layout.size ? batches->layout.size
                                                                             : batches->last_layout.size;
        return ls_alloc(&batches->packed, size, 1, "packed rows of a batch");
    }
    LS_TRY(ls_alloc(&batches->packed, (size_t)last * batches->layout.size + batches->last_layout.size, 1,
                    "packed rows"));
    for (int64_t k = 0; k <= last; k++)
        pack(batches, 0, k, batches->packed + (size_t)k * batches->layout.size);
    ls_feed_destroy(batches->feed);
    batches->feed = NULL;
    return LS_OK;
}

ls_status ls_batches_create(const ls_order *order, ls_dataset *dataset, const ls_engine *engine,
                            const ls_tree *tree, ls_batches **result)
{
    ls_batches *batches;
    *result = NULL;
    LS_TRY(ls_alloc(&batches, 1, sizeof *batches, "packed rows"));
    batches->order = order;
    batches->engine = engine;
    batches->tree = tree;
    const ls_status status = prepare(batches, dataset);
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
    ls_free(batches->packed);
    ls_free(batches);
}

void ls_batches_enter(ls_batches *batches, int64_t epoch, int64_t k)
{
    batches->is_last = k == batches->order->n_batches - 1;
    if (batches->feed) {
        pack(batches, epoch, k, batches->packed);
        batches->present = batches->packed;
    } else {
        batches->present = batches->packed + (size_t)k * batches->layout.size;
    }
}

const void *ls_batches_packed(const ls_batches *batches, int i, const int64_t **shard_rows)
{
    const int64_t first = ls_tree_subtree(batches->tree, i).first - first_shard(batches);
    *shard_rows = (batches->is_last ? batches->last_rows : batches->shard_rows) + first;
    return batches->present + (batches->is_last ? batches->last_layout : batches->layout).begin[i];
}
